"""Sky positions: pixels to ICRS, footprints, and the HEALPix column that indexes them."""

import math
import warnings
from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from numpy.typing import NDArray

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


def pixel_positions(
    wcs: WCS, ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(x, y) 0-based pixels of positions (degrees ICRS); NaN where the WCS cannot tell."""
    sky = SkyCoord(ra_deg, dec_deg, unit="deg", frame="icrs")
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")  # distortions do not converge far off the frame
        x, y = wcs.world_to_pixel(sky)
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def unit_vectors(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) directions; distances between near ones are their separation in radians."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def pixel_scale_arcsec(corners: Sequence[Sequence[float]], width_pix: int) -> float:
    """Arcsec per pixel of a frame from the footprint that :func:`footprint` makes of it."""
    (ra_0, dec_0), (ra_1, dec_1) = corners[:2]
    ends = unit_vectors(np.array([ra_0, ra_1]), np.array([dec_0, dec_1]))
    angle = 2.0 * np.arcsin(np.linalg.norm(ends[1] - ends[0]) / 2.0)
    return float(np.degrees(angle) * 3600.0 / width_pix)


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
