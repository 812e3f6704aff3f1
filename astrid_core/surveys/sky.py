"""Where on the sky an image lies, if its header can be believed.

What belongs here: header WCS to position, footprint and sky field. What does not: fitting
a WCS (``preprocessing.astrometry``).
"""

import math
import re
import warnings
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS, NoConvergence
from astropy.wcs.utils import proj_plane_pixel_scales
from astropy_healpix import HEALPix

from astrid_core.sky import HEALPIX_ORDER, healpix_index

_WCS_CARD = re.compile(
    r"NAXIS[12]|WCSAXES|CTYPE[12]|CUNIT[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CROTA[12]|"
    r"(CD|PC)[12]_[12]|PV[12]_\d+|LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX|EPOCH|"
    r"[AB]P?_(ORDER|\d_\d)"
)
_TEXT_CARD = re.compile(r"CTYPE[12]|CUNIT[12]|RADE(C)?SYS")
_REQUIRED = {f"{keyword}{axis}" for keyword in ("CTYPE", "CRVAL", "CRPIX") for axis in (1, 2)}
_SCALE_CARD = re.compile(r"CDELT[12]|CD[12]_[12]")
_PIXEL_ARCSEC = (1e-3, 600.0)
"""Space interferometers to all-sky cameras; a WCS outside was never fitted."""
_MAX_ANISOTROPY = 3.0
_MAX_ROUND_TRIP_PIX = 0.5


@dataclass(frozen=True)
class SkyPosition:
    """Place of an image on the sky, degrees ICRS.

    Attributes
    ----------
    ra, dec
        Centre.
    footprint
        Outer corners, counter-clockwise in pixels from the lower left.
    diagonal_deg
        Between opposite corners.
    """

    ra: float
    dec: float
    footprint: tuple[tuple[float, float], ...]
    diagonal_deg: float

    @property
    def healpix(self) -> int:
        """Cell of the centre in the spatial index."""
        return healpix_index(self.ra, self.dec)


def sky_position(header: fits.Header, shape: tuple[int, int]) -> SkyPosition | None:
    """Position of an image of ``shape`` (ny, nx); None without a WCS to believe."""
    wcs = celestial_wcs(header)
    if wcs is None:
        return None
    ny, nx = shape
    x_pix = np.array([(nx - 1) / 2, -0.5, nx - 0.5, nx - 0.5, -0.5])
    y_pix = np.array([(ny - 1) / 2, -0.5, -0.5, ny - 0.5, ny - 0.5])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # lost corners are judged below
        try:
            sky = wcs.pixel_to_world(x_pix, y_pix).icrs
            back_x, back_y = wcs.world_to_pixel(sky)
        except (ValueError, AttributeError, RuntimeError, NoConvergence):
            return None
        errors_pix = np.hypot(back_x - x_pix, back_y - y_pix)
        if not (np.isfinite(errors_pix).all() and errors_pix.max() < _MAX_ROUND_TRIP_PIX):
            return None
        diagonal_deg = float(sky[1].separation(sky[3]).deg)
    corners = tuple((float(corner.ra.deg), float(corner.dec.deg)) for corner in sky[1:])
    return SkyPosition(float(sky[0].ra.deg), float(sky[0].dec.deg), corners, diagonal_deg)


def celestial_wcs(header: fits.Header) -> WCS | None:
    """WCS of a header if it states one that can be true, else None.

    Refused: coordinates written as text (some cameras copy the pointing), no pixel scale
    (astropy would take one degree), impossible scales, non-celestial axes, and distortion
    tables that live in other HDUs.
    """
    cards = {}
    for keyword in header:
        if not _WCS_CARD.fullmatch(keyword):
            continue
        value = header[keyword]
        is_sound = isinstance(value, str) if _TEXT_CARD.fullmatch(keyword) else _is_number(value)
        if not is_sound:
            return None
        cards[keyword] = value
    if not cards.keys() >= _REQUIRED or not any(
        _SCALE_CARD.fullmatch(keyword) for keyword in cards
    ):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # repairs of old dialects are not news
            wcs = WCS(fits.Header(cards), naxis=2)
            if not wcs.has_celestial:
                return None
            scales = proj_plane_pixel_scales(wcs) * 3600.0
    except (ValueError, KeyError, MemoryError, RuntimeError):
        return None
    low, high = float(scales.min()), float(scales.max())
    is_plausible = _PIXEL_ARCSEC[0] < low and high < min(_PIXEL_ARCSEC[1], low * _MAX_ANISOTROPY)
    return wcs if is_plausible else None


def sky_field(ra: float, dec: float) -> str:
    """Name of a field by its position, to a thousandth of a degree."""
    return f"J{ra:07.3f}{dec:+07.3f}"


def sky_tile(position: SkyPosition) -> str:
    """Field of an image by itself: the HEALPix cell of its centre, named by the cell's centre.

    The cell is at least twice the image's diagonal. Dithers across a cell's border fall
    into two fields; a survey that sees all pointings together names them better
    (:class:`~astrid_core.surveys.protocol.SourceFile`).
    """
    cell_deg = max(2.0 * position.diagonal_deg, 1e-3)
    order = int(np.clip(math.floor(math.log2(58.6 / cell_deg)), 0, HEALPIX_ORDER))
    grid = HEALPix(nside=2**order, order="nested")
    cell = grid.lonlat_to_healpix(position.ra * u.deg, position.dec * u.deg)
    lon, lat = grid.healpix_to_lonlat(cell)
    return sky_field(float(lon.to_value(u.deg)), float(lat.to_value(u.deg)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
