"""Sky positions: pixels to ICRS, footprints, and the HEALPix column that indexes them."""

import math

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from astropy_healpix import HEALPix

HEALPIX_ORDER = 16
"""Cells of 3.2 arcsec: finer than a survey's astrometry needs, 36 bits of a bigint."""

_GRID = HEALPix(nside=2**HEALPIX_ORDER, order="nested")


def healpix_index(ra_deg: float, dec_deg: float) -> int:
    """Nested HEALPix index of a position (degrees ICRS) at :data:`HEALPIX_ORDER`."""
    return int(_GRID.lonlat_to_healpix(ra_deg * u.deg, dec_deg * u.deg))


def cone_ranges(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[int, int]]:
    """Closed index ranges at :data:`HEALPIX_ORDER` that cover a cone.

    The cone is covered with coarse cells whose size follows the radius, so that a query
    needs a few dozen index ranges whatever the radius. The cover is generous: rows still
    have to be tested against the exact separation.
    """
    # A cell of nside N is about 58.6/N degrees wide; half the radius keeps the cover tight.
    wanted = 58.6 / max(radius_deg / 2.0, 58.6 / 2**HEALPIX_ORDER)
    order = min(HEALPIX_ORDER, max(0, math.floor(math.log2(max(wanted, 1.0)))))
    coarse = HEALPix(nside=2**order, order="nested")
    cells = np.sort(coarse.cone_search_lonlat(ra_deg * u.deg, dec_deg * u.deg, radius_deg * u.deg))
    shift = 2 * (HEALPIX_ORDER - order)
    ranges: list[tuple[int, int]] = []
    for cell in cells.tolist():
        low, high = cell << shift, ((cell + 1) << shift) - 1
        if ranges and ranges[-1][1] + 1 == low:
            ranges[-1] = (ranges[-1][0], high)
        else:
            ranges.append((low, high))
    return ranges


def sky_position(wcs: WCS | None, x_pix: float, y_pix: float) -> tuple[float | None, float | None]:
    """(ra, dec) in degrees ICRS of a 0-based pixel; (None, None) without WCS."""
    return (None, None) if wcs is None else _icrs(wcs, x_pix, y_pix)


def footprint(
    wcs: WCS | None, shape: tuple[int, int]
) -> tuple[float | None, float | None, list[list[float]] | None]:
    """Centre and outer corners of a frame: (ra, dec, [[ra, dec] × 4]) in degrees ICRS."""
    if wcs is None:
        return None, None, None
    ny, nx = shape
    ra, dec = _icrs(wcs, (nx - 1) / 2, (ny - 1) / 2)
    outline = [(-0.5, -0.5), (nx - 0.5, -0.5), (nx - 0.5, ny - 0.5), (-0.5, ny - 0.5)]
    corners = [list(_icrs(wcs, x, y)) for x, y in outline]
    return ra, dec, corners


def _icrs(wcs: WCS, x_pix: float, y_pix: float) -> tuple[float, float]:
    sky = wcs.pixel_to_world(x_pix, y_pix).icrs
    return float(sky.ra.deg), float(sky.dec.deg)
