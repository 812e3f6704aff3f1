"""From two aligned frames to the difference image: mask, quality and verdict."""

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray

from astrid_core.differencing.aligned import AlignedPair, ProperDifference, subtract_aligned
from astrid_core.differencing.config import DifferenceConfig, DifferenceLimits
from astrid_core.differencing.difference import DifferenceImage, DifferenceQuality
from astrid_core.differencing.masking import grow_mask, unusable_pixels
from astrid_core.errors import RegistrationError
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.psf import Psf

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]
Mask = NDArray[np.bool_]

MIN_USABLE_PIXELS = 1000
"""Fewer usable pixels in common than this are no difference image."""


@dataclass(frozen=True)
class AlignmentQuality:
    """What alignment measured: these numbers go into the quality as they are."""

    flux_ratio: float
    n_matched: int
    registration_rms_pix: float


def assemble_difference(
    pair: AlignedPair, alignment: AlignmentQuality, config: DifferenceConfig
) -> DifferenceImage:
    """Subtract two aligned frames and judge the result.

    Raises
    ------
    RegistrationError
        If the two have next to no usable pixel in common.
    """
    proper = subtract_aligned(pair, config)
    mask = _mask(pair, proper, config)
    missing = (mask & np.uint16(PixelFlag.NODATA)) != 0
    usable = (mask & np.uint16(UNUSABLE)) == 0
    if int(usable.sum()) < MIN_USABLE_PIXELS:
        raise RegistrationError(
            f"Observation {pair.science.meta.observation_id} and its reference have next to "
            "no usable pixel in common",
            remedy="Choose a reference that covers the frame, or look at the frames' masks.",
            n_usable=int(usable.sum()),
            n_required=MIN_USABLE_PIXELS,
        )
    background = take_background(proper, usable, config.background_mesh_pix)
    quality = _quality(pair, proper, mask, usable, alignment)
    background += np.nan_to_num(pair.reference.data)
    for plane in (proper.difference, proper.scorr, background):
        plane[missing] = 0.0
    return DifferenceImage(
        difference=proper.difference,
        scorr=proper.scorr,
        variance=proper.variance,
        mask=mask,
        psf=proper.psf,
        reference=background,
        meta=pair.science.meta,
        wcs=pair.science.wcs,
        quality=quality,
        degraded_because=judge(quality, (pair.science.psf, pair.reference.psf), config.limits),
    )


def take_background(proper: ProperDifference, usable: Mask, mesh_pix: int) -> F32:
    """Take the smooth background that matching left in D out of D and S_corr, in place.

    In crowded fields the sky between stars of unequal seeing cannot be compared before
    the PSFs are; in D they are. Both kernels pass a background b unchanged (P_n, P_r and
    den are 1 at frequency 0), so it leaves D as b and S_corr as b / √(variance · Σ P_D²).

    Returns
    -------
    b, (ny, nx) float32.
    """
    unit = np.float32(np.sqrt(np.median(proper.variance[usable])))
    # sep works with tiny units badly: D is brought to units of its noise.
    scaled = np.where(usable, proper.difference / unit, np.float32(0))
    mesh = sep.Background(scaled, mask=~usable, bw=mesh_pix, bh=mesh_pix)
    del scaled
    background: F32 = mesh.back(dtype=np.float32)
    background *= unit
    np.subtract(proper.difference, background, out=proper.difference)
    power = np.float32((proper.psf.centre().astype(np.float64) ** 2).sum())
    in_scorr = np.sqrt(proper.variance * power)
    np.divide(background, in_scorr, out=in_scorr)
    np.subtract(proper.scorr, in_scorr, out=proper.scorr)
    return background


def robust_sigma(values: F32) -> float:
    """1.4826 times the median absolute deviation from the median."""
    deviations = values - np.median(values)
    np.abs(deviations, out=deviations)
    return 1.4826 * float(np.median(deviations, overwrite_input=True))


def judge(
    quality: DifferenceQuality, psfs: tuple[Psf, Psf], limits: DifferenceLimits
) -> tuple[str, ...]:
    """Quality limits that a difference image misses, in words.

    Parameters
    ----------
    psfs
        Of science and of the warped reference.
    """
    low, high = limits.scorr_sigma
    checks = (
        (
            not low <= quality.scorr_sigma <= high,
            f"sigma of S_corr {quality.scorr_sigma:.2f} is outside {low} to {high}",
        ),
        (
            quality.overlap_fraction < limits.min_overlap_fraction,
            f"reference covers {quality.overlap_fraction:.0%} of the frame, "
            f"below {limits.min_overlap_fraction:.0%}",
        ),
        (
            quality.masked_fraction > limits.max_masked_fraction,
            f"{quality.masked_fraction:.0%} of the common area is unusable, "
            f"above {limits.max_masked_fraction:.0%}",
        ),
        (
            quality.registration_rms_pix > limits.max_registration_rms_pix,
            f"registration rms {quality.registration_rms_pix:.2f} px is above "
            f"{limits.max_registration_rms_pix} px",
        ),
        (
            min(psf.fwhm_pix for psf in psfs) < limits.min_fwhm_pix,
            f"undersampled: a PSF's FWHM is below {limits.min_fwhm_pix} px",
        ),
        (psfs[1].n_stars == 0, "PSF of the warped reference could not be measured on it"),
    )
    return tuple(reason for missed, reason in checks if missed)


def _mask(pair: AlignedPair, proper: ProperDifference, config: DifferenceConfig) -> U16:
    science, reference = pair.science, pair.reference
    mask = science.mask | reference.mask
    flagless = (unusable_pixels(science) | unusable_pixels(reference)) & (
        (mask & np.uint16(UNUSABLE)) == 0
    )
    mask = np.where(flagless, mask | np.uint16(PixelFlag.NODATA), mask).astype(np.uint16)
    brightness = np.fmax(science.data, reference.data)
    noise = float(np.sqrt(np.median(proper.variance)))
    return grow_mask(mask, brightness, noise, proper.psf.fwhm_pix, config.growth)


def _quality(
    pair: AlignedPair,
    proper: ProperDifference,
    mask: U16,
    usable: Mask,
    alignment: AlignmentQuality,
) -> DifferenceQuality:
    overlap, masked = _coverage(pair, usable)
    complete = usable & ((mask & np.uint16(PixelFlag.EDGE)) == 0)
    judged = complete if complete.any() else usable
    power = float((proper.psf.centre().astype(np.float64) ** 2).sum())
    return DifferenceQuality(
        scorr_sigma=robust_sigma(proper.scorr[judged]),
        flux_ratio=alignment.flux_ratio,
        n_matched=alignment.n_matched,
        registration_rms_pix=alignment.registration_rms_pix,
        overlap_fraction=overlap,
        masked_fraction=masked,
        fwhm_pix=proper.psf.fwhm_pix,
        depth_flux=5.0 * float(np.sqrt(np.median(proper.variance[judged]) / power)),
    )


def _coverage(pair: AlignedPair, usable: Mask) -> tuple[float, float]:
    """Share of the frame that the reference covers, and of the common area that is unusable."""
    nodata = np.uint16(PixelFlag.NODATA)
    covered = (pair.reference.mask & nodata) == 0
    overlap = float(covered.mean())
    covered &= (pair.science.mask & nodata) == 0
    return overlap, 1.0 - float(usable[covered].mean()) if covered.any() else 1.0
