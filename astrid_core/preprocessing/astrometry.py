"""Which WCS of a header can be worked with."""

from astropy.io import fits
from astropy.wcs import WCS

from astrid_core.surveys.sky import celestial_wcs, sky_position


def trustworthy_wcs(header: fits.Header, shape: tuple[int, int]) -> WCS | None:
    """Celestial WCS of an image, distortion included; None where there is none to trust.

    Refused besides what :func:`~astrid_core.surveys.sky.celestial_wcs` refuses: a WCS that
    does not lead from the image's corners to the sky and back. A WCS that is merely wrong
    (a cropped file with the old one) cannot be told from its header; registration proves
    it on stars.
    """
    return celestial_wcs(header) if sky_position(header, shape) is not None else None
