"""Flux units: what a number of electrons is worth on the sky."""

AB_ZERO_POINT_UJY_MAG = 23.9
"""AB magnitude of 1 µJy (Oke & Gunn 1983: 0 mag = 3631 Jy)."""


def flux_unit_and_scale(zero_point_mag: float | None) -> tuple[str, float]:
    """Unit of calibrated fluxes and the factor that takes data units to it.

    Parameters
    ----------
    zero_point_mag
        AB magnitude of one data unit; None where the frame is uncalibrated.

    Returns
    -------
    (unit, scale)
        ``("uJy", µJy per data unit)``, or ``("instrumental", 1)``.
    """
    if zero_point_mag is None:
        return "instrumental", 1.0
    return "uJy", 10.0 ** (0.4 * (AB_ZERO_POINT_UJY_MAG - zero_point_mag))
