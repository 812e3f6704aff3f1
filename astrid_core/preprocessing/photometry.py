"""Zero points: what the archive states about a frame's flux scale, in frame units."""

import math

from astropy.io import fits

_AB_JY_MAG = 8.90
"""AB magnitude of 1 Jy (Oke & Gunn 1983)."""
_AB_NANOMAGGY_MAG = 22.5


def zero_point(
    stated_mag: float | None, unit: str, header: fits.Header, electrons_per_unit: float
) -> float | None:
    """AB magnitude of one frame unit; None where nothing calibrates the frame.

    Parameters
    ----------
    stated_mag
        AB magnitude of one raw unit, as header or survey state it.
    unit
        Raw unit: physical ones (MJy/sr with PIXAR_SR, Jy, nanomaggy) calibrate themselves.
    electrons_per_unit
        Factor from raw to frame units; 1 where the frame keeps its raw unit.
    """
    raw = stated_mag if stated_mag is not None else _from_unit(unit, header)
    if raw is None or not math.isfinite(raw):
        return None
    return raw + 2.5 * math.log10(electrons_per_unit)


def _from_unit(unit: str, header: fits.Header) -> float | None:
    name = unit.strip().lower().replace(" ", "")
    if name == "mjy/sr":
        area = header.get("PIXAR_SR")
        if isinstance(area, int | float) and area > 0:
            return _AB_JY_MAG - 2.5 * math.log10(area * 1e6)
        return None
    if name == "jy":
        return _AB_JY_MAG
    if name in ("nanomaggy", "nanomaggies", "nmgy"):
        return _AB_NANOMAGGY_MAG
    return None
