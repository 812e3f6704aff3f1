"""Measured quality of a frame, and the limits that make it degraded."""

import math
from dataclasses import dataclass

import numpy as np

from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame
from astrid_core.preprocessing.config import QualityLimits

DEPTH_SIGMA = 5.0


@dataclass(frozen=True)
class FrameQuality:
    """Quality columns of ``preprocess_runs``, by their names.

    Attributes
    ----------
    fwhm_pix, ellipticity
        Of the PSF at the frame's centre.
    sky, sky_noise
        Median background, and rms per pixel on it; frame units.
    zero_point_mag
        AB magnitude of one frame unit; None where uncalibrated.
    depth_mag, depth_flux
        5 σ point source on sky, by matched filter with the frame's own PSF.
    n_stars
        Stars behind the PSF.
    masked_fraction
        Fraction of unusable pixels.
    """

    fwhm_pix: float
    ellipticity: float
    sky: float
    sky_noise: float
    zero_point_mag: float | None
    depth_mag: float | None
    depth_flux: float
    n_stars: int
    masked_fraction: float


def assess(frame: Frame) -> FrameQuality:
    """Quality of a processed frame."""
    unusable = (frame.mask & int(UNUSABLE)) != 0
    noise = math.sqrt(float(np.median(frame.variance[~unusable])))
    stamp = frame.psf.centre().astype(np.float64)
    depth = DEPTH_SIGMA * noise / math.sqrt(float((stamp**2).sum()))
    zero_point_mag = frame.meta.zero_point_mag
    return FrameQuality(
        fwhm_pix=frame.psf.fwhm_pix,
        ellipticity=frame.psf.ellipticity,
        sky=frame.sky,
        sky_noise=noise,
        zero_point_mag=zero_point_mag,
        depth_mag=None if zero_point_mag is None else zero_point_mag - 2.5 * math.log10(depth),
        depth_flux=depth,
        n_stars=frame.psf.n_stars,
        masked_fraction=float(unusable.mean()),
    )


def limits_missed(quality: FrameQuality, limits: QualityLimits) -> tuple[str, ...]:
    """Names of the limits a frame misses, with its figure; empty for a good frame."""
    checks = (
        (quality.fwhm_pix < limits.min_fwhm_pix, "undersampled", quality.fwhm_pix),
        (quality.fwhm_pix > limits.max_fwhm_pix, "seeing", quality.fwhm_pix),
        (quality.ellipticity > limits.max_ellipticity, "elongated", quality.ellipticity),
        (quality.n_stars < limits.min_psf_stars, "few_psf_stars", quality.n_stars),
        (
            quality.masked_fraction > limits.max_masked_fraction,
            "masked",
            quality.masked_fraction,
        ),
    )
    return tuple(f"{name} ({value:.3g})" for missed, name, value in checks if missed)
