"""Subtraction of a reference from a science frame: the one public verb of this room.

Science is never warped. The reference is registered on it, warped onto its grid, its PSF
measured again there, its flux scale and background matched; then ZOGY.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, uniform_filter

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import (
    AlignmentQuality,
    assemble_difference,
    robust_sigma,
)
from astrid_core.differencing.config import DIFFERENCE_VERSION, DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.masking import flagged, unusable_pixels
from astrid_core.differencing.noise import autocorrelation_of_blank_sky
from astrid_core.differencing.photometric import PhotometricMatch, match_photometry
from astrid_core.differencing.placement import as_polynomial, registered_wcs
from astrid_core.differencing.registration import Registration, register
from astrid_core.differencing.warp import WarpedReference, warp_frame
from astrid_core.differencing.wings import match_wings
from astrid_core.errors import TooFewStarsError
from astrid_core.frame import Frame
from astrid_core.preprocessing.psf import measure_psf
from astrid_core.psf import Psf

__all__ = ["DIFFERENCE_VERSION", "align_frames", "subtract_frames"]

F64 = NDArray[np.float64]

_LARGEST_SHIFT_PIX = 0.02
"""A residual shift above this is taken out by warping again."""
_SOURCE_SIGMA = 4.5
"""Local mean, in units of its own scatter, beyond which a pixel is not blank sky. A lower
cut would take the noise's own low frequencies for sources and lose their power."""


def subtract_frames(science: Frame, reference: Frame, config: DifferenceConfig) -> DifferenceImage:
    """Subtract a reference from a science frame.

    Parameters
    ----------
    science
        Its grid, flux scale and background are the result's.
    reference
        Any frame of the same sky and filter.

    Raises
    ------
    TooFewStarsError
        If too few common stars exist to register, or to scale the reference.
    RegistrationError
        If no alignment is supported beyond chance, or the two share no usable area.
    """
    pair, alignment, registration = align_frames(science, reference, config)
    return replace(
        assemble_difference(pair, alignment, config),
        wcs=registered_wcs(science, reference, registration.mapping),
        to_reference=as_polynomial(registration.mapping, science.shape),
    )


def align_frames(
    science: Frame, reference: Frame, config: DifferenceConfig
) -> tuple[AlignedPair, AlignmentQuality, Registration]:
    """The reference on science's grid, flux scale and background, how well it fits, and where.

    Parameters and errors as :func:`subtract_frames`, whose first half this is.
    """
    science, reference = flagged(science), flagged(reference)
    registration = register(science, reference, config.registration)
    warped = warp_frame(reference, registration, science.shape)
    psf = _warped_psf(reference, warped, config)
    frame = _as_frame(reference, warped, psf, science)
    match = _match(science, frame, registration, config)
    if match.largest_shift_pix > _LARGEST_SHIFT_PIX:
        registration = registration.corrected(match.shift_at)
        warped = warp_frame(reference, registration, science.shape)
        frame = _as_frame(reference, warped, psf, science)
        match = _match(science, frame, registration, config)
    scaled = _with_wings(science, match.apply(frame), registration)
    pair = AlignedPair(
        science=science,
        reference=scaled.frame,
        correlation_r=warped.kernel_autocovariance,
        shift_sigma_pix=_shift_sigma(registration, match),
    )
    if config.noise_model == "autocovariance":
        pair = with_measured_noise(pair)
    alignment = AlignmentQuality(
        flux_ratio=match.flux_ratio * scaled.factor,
        n_matched=registration.n_matched,
        registration_rms_pix=registration.rms_pix,
    )
    return pair, alignment, registration


# --- the reference on the science grid ----------------------------------------------------


def _as_frame(reference: Frame, warped: WarpedReference, psf: Psf, science: Frame) -> Frame:
    return Frame(
        data=warped.data,
        variance=warped.variance,
        mask=warped.mask,
        psf=psf,
        meta=reference.meta,
        wcs=science.wcs,
        stars=warped.stars,
        sky=reference.sky,
    )


def _warped_psf(reference: Frame, warped: WarpedReference, config: DifferenceConfig) -> Psf:
    """PSF of the warped reference, measured on it.

    Where the common area has too few stars even for a fallback, the reference's own PSF
    at its centre serves, as measured from 0 stars: the warp's blurring is then unknown.
    """
    try:
        return measure_psf(
            warped.data,
            warped.pixel_variance,
            warped.mask,
            warped.stars,
            config.psf,
            reference.meta.source_gain,
        )
    except TooFewStarsError:
        own = reference.psf
        shape = (warped.data.shape[0], warped.data.shape[1])
        return replace(
            own, terms=own.centre()[None], order=0, shape=shape, n_stars=0, is_fallback=True
        )


def _match(
    science: Frame, warped: Frame, registration: Registration, config: DifferenceConfig
) -> PhotometricMatch:
    return match_photometry(
        science, warped, registration.x_science, registration.y_science, config.photometry
    )


@dataclass(frozen=True)
class _Scaled:
    """A scaled reference whose PSF makes bright stars cancel, and the factor that took."""

    frame: Frame
    factor: float


def _with_wings(science: Frame, scaled: Frame, registration: Registration) -> _Scaled:
    wings = match_wings(science, scaled, registration.x_science, registration.y_science)
    factor = np.float32(wings.flux_factor)
    frame = replace(
        scaled,
        data=scaled.data * factor,
        variance=scaled.variance * (factor * factor),
        psf=wings.psf,
        meta=replace(scaled.meta, source_gain=scaled.meta.source_gain / wings.flux_factor),
    )
    return _Scaled(frame, wings.flux_factor)


def _shift_sigma(registration: Registration, match: PhotometricMatch) -> tuple[float, float]:
    """(x, y) error of the alignment at a source: of the map, and of single stars on it."""
    x_pix, y_pix = match.shift_sigma_pix
    return (
        float(np.hypot(registration.rms_x_pix, x_pix)),
        float(np.hypot(registration.rms_y_pix, y_pix)),
    )


# --- noise of delivered mosaics -----------------------------------------------------------


@dataclass(frozen=True)
class _MeasuredNoise:
    """A frame whose variance is blank sky's, and the autocovariance relative to it."""

    frame: Frame
    correlation: F64 | None


def with_measured_noise(pair: AlignedPair) -> AlignedPair:
    """The pair with noise level and correlation of both frames from their blank sky.

    A frame without enough blank sky keeps what was known of its noise.
    """
    science = _measured_noise(pair.science, pair.correlation_n)
    reference = _measured_noise(pair.reference, pair.correlation_r)
    return replace(
        pair,
        science=science.frame,
        reference=reference.frame,
        correlation_n=science.correlation,
        correlation_r=reference.correlation,
    )


def _measured_noise(frame: Frame, known: NDArray[np.floating] | None) -> _MeasuredNoise:
    blank = blank_sky(frame)
    correlation = autocorrelation_of_blank_sky(frame.data, blank)
    if correlation is None:
        kept = None if known is None else np.asarray(known, dtype=np.float64)
        return _MeasuredNoise(frame, kept)
    level = robust_sigma(frame.data[blank]) ** 2 / float(np.median(frame.variance[blank]))
    variance = (frame.variance * np.float32(level)).astype(np.float32)
    return _MeasuredNoise(replace(frame, variance=variance), correlation)


def blank_sky(frame: Frame) -> NDArray[np.bool_]:
    """Usable pixels away from every source, by local means over the PSF's size."""
    usable = ~unusable_pixels(frame)
    if not usable.any():
        return usable
    width = max(3, round(frame.psf.fwhm_pix))
    clean = np.where(usable, frame.data, np.float32(np.median(frame.data[usable])))
    local = uniform_filter(clean, width, mode="nearest")
    limit = _SOURCE_SIGMA * robust_sigma(local[usable])
    is_source = np.abs(local - np.median(local[usable])) > limit
    return np.asarray(usable & ~binary_dilation(is_source, iterations=width))
