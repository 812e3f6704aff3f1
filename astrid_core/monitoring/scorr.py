"""σ of S_corr where nothing is and where sources are: two questions, two numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from astrid_core.differencing.assemble import robust_sigma
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import blank_sky
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame

Mask = NDArray[np.bool_]

_MIN_PIXELS = 300
"""Fewer correlated pixels give no σ: some tens of independent ones."""
_SOURCE_FWHM, _BLANK_FWHM = 1.0, 2.5
"""Distance from a catalogued source within which S_corr is on it, and beyond which not."""


@dataclass(frozen=True)
class ScorrSigma:
    """Raw robust σ of S_corr by place; 1 where the noise is understood.

    Attributes
    ----------
    scorr_sigma_blank
        Away from every source: read noise, sky and their propagation.
    scorr_sigma_sources
        Within one FWHM of the frame's sources: photon noise, registration, PSF match.
        Either is None where there is too little of it.
    """

    scorr_sigma_blank: float | None
    scorr_sigma_sources: float | None


def searched_pixels(difference: DifferenceImage) -> Mask:
    """Pixels outside the declared mask: those where a candidate may be found."""
    return np.asarray((difference.mask & int(UNUSABLE | PixelFlag.EDGE)) == 0)


def searched_mpix(difference: DifferenceImage) -> float:
    """Area outside the declared mask, 10^6 pixels."""
    return float(searched_pixels(difference).sum()) / 1e6


def scorr_sigma_by_place(difference: DifferenceImage, science: Frame) -> ScorrSigma:
    """σ of S_corr on blank sky and on sources of the science frame."""
    searched = searched_pixels(difference)
    distance = _distance_from_sources(science)
    on_sources = searched & (distance <= _SOURCE_FWHM * science.psf.fwhm_pix)
    blank = searched & (distance > _BLANK_FWHM * science.psf.fwhm_pix)
    blank &= blank_sky(science)
    return ScorrSigma(_sigma(difference, blank), _sigma(difference, on_sources))


def _sigma(difference: DifferenceImage, where: Mask) -> float | None:
    return robust_sigma(difference.scorr[where]) if where.sum() >= _MIN_PIXELS else None


def _distance_from_sources(science: Frame) -> NDArray[np.float64]:
    """Pixels to the nearest catalogued source; infinite where there is none."""
    away = np.ones(science.shape, dtype=bool)
    ny, nx = science.shape
    column = np.clip(np.rint(science.stars["x_pix"]).astype(int), 0, nx - 1)
    row = np.clip(np.rint(science.stars["y_pix"]).astype(int), 0, ny - 1)
    away[row, column] = False
    if away.all():
        return np.full(science.shape, np.inf)
    return np.asarray(distance_transform_edt(away))
