"""Figures of quality of one difference image against the simulated truth, pooled over seeds.

Definitions (design, section 7): S/N_true is over the matched filter's noise with the
source's own photons; a change counts as found where a candidate of its sign lies within
max(1.5 px, FWHM/2); a false positive is an unmatched |S_corr| >= 5 peak outside the declared
mask. A peak is unmatched where neither its pixel nor the position fitted to it matches (a
star's noise moves the highest pixel of S_corr, not the change), and where it adjoins the mask,
that of a change cut by it, no change lies within 1 FWHM.
Changes whose position is masked are left out of recall and counted apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from astrid_core.differencing.assemble import robust_sigma
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.extraction.pointfit import psf_stamps
from astrid_core.extraction.sources import find_peaks, measure_peaks
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame
from astrid_core.preprocessing.shapes import adaptive_moments, cut_stamps
from astrid_core.preprocessing.shift import shift_stamps
from astrid_core.simulation.recovery import match_radius_pix

Mask = NDArray[np.bool_]
F64 = NDArray[np.float64]

_EXTRACTION = ExtractionConfig()
_TEST_STAR_SNR = 100.0


@dataclass(frozen=True)
class Changes:
    """Planted changes of one or more images and what became of them; (n,) each.

    Attributes
    ----------
    snr, environment
        S/N_true and where it lies.
    is_masked
        Its pixel is in the declared mask.
    has_peak, is_found
        A peak of |S_corr| >= 5, and a candidate after all filters, match it.
    flux_ratio
        Measured over planted flux; NaN where not found.
    """

    snr: F64
    environment: NDArray[np.str_]
    is_masked: Mask
    has_peak: Mask
    is_found: Mask
    flux_ratio: F64


@dataclass(frozen=True)
class Quality:
    """Figures of one difference image.

    Attributes
    ----------
    sigma_blank, std_blank
        Robust and plain standard deviation of S_corr away from every source.
    sigma_sources, sigma_bright
        Robust standard deviation of S_corr on sources, and on those above S/N 100.
    autocorrelation
        Largest |ρ| of D on blank sky at lags up to 2 px.
    n_false, n_bogus
        Unmatched peaks outside the mask, and unmatched candidates.
    noise_peaks
        Number of |S_corr| >= 5 peaks that Gaussian noise alone makes on ``mpix``.
    mpix
        Area outside the mask.
    masked
        Share of the frame that the mask takes, border and missing reference left out.
    star_flux
        Median PSF flux over true flux of bright stars of science: the normalisation that
        changes share with them.
    registration_pix
        Median offset of bright stars between science and the subtracted reference.
    flux_ratio
        Of the quality, science over reference.
    fwhm_pix
        Of the science PSF used.
    """

    changes: Changes
    sigma_blank: float
    std_blank: float
    sigma_sources: float
    sigma_bright: float
    autocorrelation: float
    n_false: int
    n_bogus: int
    noise_peaks: float
    mpix: float
    masked: float
    star_flux: float
    registration_pix: float
    flux_ratio: float
    fwhm_pix: float


def assess(
    difference: DifferenceImage, science: Frame, truth: NDArray[Any], stars: NDArray[Any]
) -> Quality:
    """Compare a difference image with what truly changed.

    Parameters
    ----------
    science
        The frame it was made from, with the PSF it was made with.
    truth
        Changes: ``x_pix``, ``y_pix``, ``snr_true``, ``is_negative``, ``environment`` and
        ``delta_flux``.
    stars
        True catalogue of steady sources (``STAR_DTYPE``), brightest first.
    """
    fwhm = difference.psf.fwhm_pix
    size = 2 * round(1.5 * fwhm) + 1
    still = ~near(truth, difference.shape, 2 * size) & (difference.mask == 0)
    blank = still & ~near(stars, difference.shape, size)
    bright = stars[stars["flux"] > _TEST_STAR_SNR * stars["flux_err"]]
    scorr = difference.scorr
    changes, n_false, n_bogus = _matched(difference, science, truth)
    mpix = float((difference.mask == 0).sum()) / 1e6
    return Quality(
        changes=changes,
        sigma_blank=robust_sigma(scorr[blank]),
        std_blank=float(scorr[blank].std()),
        sigma_sources=robust_sigma(scorr[still & near(stars, difference.shape, 7)]),
        sigma_bright=robust_sigma(scorr[still & near(bright, difference.shape, 7)]),
        autocorrelation=autocorrelation(difference, blank),
        n_false=n_false,
        n_bogus=n_bogus,
        noise_peaks=noise_peaks_per_mpix(difference.psf.centre()) * mpix,
        mpix=mpix,
        masked=_masked_share(difference),
        star_flux=_star_flux(science, bright),
        registration_pix=_offset(science, difference, bright),
        flux_ratio=difference.quality.flux_ratio,
        fwhm_pix=science.psf.fwhm_pix,
    )


def near(positions: NDArray[Any], shape: tuple[int, int], size: int) -> Mask:
    """Pixels in a square of ``size`` px around positions."""
    marks = np.zeros(shape, dtype=bool)
    ny, nx = shape
    x, y = (np.rint(positions[name]).astype(int) for name in ("x_pix", "y_pix"))
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
    marks[y[inside], x[inside]] = True
    return np.asarray(maximum_filter(marks, size))


def autocorrelation(difference: DifferenceImage, sky: Mask) -> float:
    """Largest absolute autocorrelation of D on ``sky`` at lags up to 2 px, all directions."""
    d = np.where(sky, difference.difference / np.sqrt(difference.variance), 0.0).astype(np.float64)
    d = np.where(sky, d - d[sky].mean(), 0.0)
    power = float((d[sky] ** 2).mean())
    largest = 0.0
    for dy, dx in ((0, 1), (0, 2), (1, 0), (2, 0), (1, 1), (1, -1), (2, 1), (1, 2), (2, 2)):
        here, there = _overlap(d, dy, dx)
        both = np.logical_and(*_overlap(sky, dy, dx))
        largest = max(largest, abs(float((here * there)[both].mean())) / power)
    return largest


def _overlap(image: NDArray[Any], dy: int, dx: int) -> tuple[NDArray[Any], NDArray[Any]]:
    ny, nx = image.shape
    here = image[: ny - dy, max(0, -dx) : nx - max(0, dx)]
    there = image[dy:, max(0, dx) : nx - max(0, -dx)]
    return here, there


def noise_peaks_per_mpix(stamp: NDArray[Any], threshold: float = 5.0) -> float:
    """Maxima of |S_corr| above a threshold that noise alone makes, per million pixels.

    S_corr of white D has the autocorrelation of D's PSF; high maxima of a Gaussian field of
    curvature (λx, λy) have the density √(λx λy) (2π)^(-3/2) u exp(-u²/2) (Adler 1981,
    eq. 6.3.6, leading term), here of both signs. Pixels miss the tops: on 79 simulated Mpix,
    FWHM 3.2 px, 0.35 are seen where this says 0.57.
    """
    power = np.abs(np.fft.fft2(stamp, (128, 128))) ** 2
    k2 = (2 * np.pi * np.fft.fftfreq(128)) ** 2
    curvature = np.sqrt((power * k2).sum() * (power * k2[:, None]).sum()) / power.sum()
    density = (2 * np.pi) ** -1.5 * threshold * np.exp(-(threshold**2) / 2)
    return float(2e6 * curvature * density)


def _masked_share(difference: DifferenceImage) -> float:
    """Share of flagged pixels; a border band and what the reference misses are not defects."""
    defects = np.uint16(UNUSABLE & ~PixelFlag.NODATA)
    covered = (difference.mask & np.uint16(PixelFlag.NODATA)) == 0
    return float(((difference.mask & defects) != 0)[covered].mean())


# --- changes ------------------------------------------------------------------------------


def _matched(
    difference: DifferenceImage, science: Frame, truth: NDArray[Any]
) -> tuple[Changes, int, int]:
    """What became of each change; unmatched peaks outside the mask; unmatched candidates."""
    radius = match_radius_pix(difference.psf.fwhm_pix)
    peaks = find_peaks(difference, _EXTRACTION)
    found = extract_candidates(difference, science, _EXTRACTION).candidates
    ny, nx = difference.shape
    x = np.clip(np.rint(truth["x_pix"]).astype(int), 0, nx - 1)
    y = np.clip(np.rint(truth["y_pix"]).astype(int), 0, ny - 1)
    by_peak = nearest_change(truth, peaks["x_peak"], peaks["y_peak"], peaks["is_negative"], radius)
    by_half = _beside_mask(difference, truth, peaks)
    fitted = measure_peaks(difference, peaks, science.meta.source_gain)
    by_fit = nearest_change(truth, fitted.x, fitted.y, peaks["is_negative"], radius)
    position = np.array([(c.x_pix, c.y_pix) for c in found]).reshape(-1, 2)
    signs = np.array([c.is_negative for c in found], dtype=bool)
    by_candidate = nearest_change(truth, position[:, 0], position[:, 1], signs, radius)
    flux = np.full(len(truth), np.nan)
    for candidate, k in zip(found, by_candidate, strict=True):
        if k >= 0:
            flux[k] = candidate.flux / truth["delta_flux"][k]
    clear = difference.mask[peaks["y_peak"], peaks["x_peak"]] == 0
    numbers = np.arange(len(truth))
    changes = Changes(
        snr=truth["snr_true"].astype(float),
        environment=truth["environment"],
        is_masked=difference.mask[y, x] != 0,
        has_peak=np.isin(numbers, by_peak),
        is_found=np.isin(numbers, by_candidate),
        flux_ratio=flux,
    )
    n_false = int((clear & (by_peak < 0) & (by_fit < 0) & (by_half < 0)).sum())
    return changes, n_false, int((by_candidate < 0).sum())


def _beside_mask(
    difference: DifferenceImage, truth: NDArray[Any], peaks: NDArray[Any]
) -> NDArray[np.int64]:
    """Number of the change within 1 FWHM of each peak that adjoins the mask; else -1."""
    x, y = peaks["x_peak"], peaks["y_peak"]
    adjoins = maximum_filter(difference.mask != 0, 3)[y, x]
    cut = nearest_change(truth, x, y, peaks["is_negative"], difference.psf.fwhm_pix)
    return np.where(adjoins, cut, -1)


def nearest_change(
    truth: NDArray[Any], x: NDArray[Any], y: NDArray[Any], is_negative: Mask, radius_pix: float
) -> NDArray[np.int64]:
    """Number of the nearest change of its sign within the radius, for each source; else -1."""
    nearest = np.full(len(x), -1, dtype=np.int64)
    for i in range(len(x)):
        distance = np.hypot(truth["x_pix"] - x[i], truth["y_pix"] - y[i])
        distance = np.where(truth["is_negative"] == is_negative[i], distance, np.inf)
        if len(distance) and distance.min() <= radius_pix:
            nearest[i] = distance.argmin()
    return nearest


# --- stars --------------------------------------------------------------------------------


def _star_flux(science: Frame, stars: NDArray[Any]) -> float:
    """Median of PSF flux over true flux of bright clean stars."""
    x, y, chosen = _clean(science, stars)
    if not len(x):
        return float("nan")
    half = science.psf.terms.shape[-1] // 2
    profile = shift_stamps(
        psf_stamps(science.psf, chosen["x_pix"], chosen["y_pix"]),
        chosen["x_pix"] - x,
        chosen["y_pix"] - y,
    )
    pixels = cut_stamps(science.data, x, y, half).astype(np.float64)
    flux = (profile * pixels).sum(axis=(1, 2)) / (profile**2).sum(axis=(1, 2))
    return float(np.median(flux / chosen["flux"]))


def _offset(science: Frame, difference: DifferenceImage, stars: NDArray[Any]) -> float:
    """Length of the median centroid offset of bright stars, science from reference."""
    x, y, _ = _clean(science, stars)
    if not len(x):
        return float("nan")
    half = int(np.ceil(1.6 * science.psf.fwhm_pix)) + 1
    here, there = (
        adaptive_moments(cut_stamps(image, x, y, half), science.psf.fwhm_pix)
        for image in (science.data, difference.reference)
    )
    dx, dy = here.dx_pix - there.dx_pix, here.dy_pix - there.dy_pix
    good = np.isfinite(here.fwhm_pix) & np.isfinite(there.fwhm_pix)
    return float(np.hypot(np.median(dx[good]), np.median(dy[good])))


def _clean(
    science: Frame, stars: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Pixels and rows of clean stars whose stamps lie on unmasked parts of the frame."""
    chosen = stars[stars["is_star"] == 1]
    x, y = (np.rint(chosen[name]).astype(np.int64) for name in ("x_pix", "y_pix"))
    half = science.psf.terms.shape[-1] // 2 + 1
    ny, nx = science.shape
    inside = (x > half) & (y > half) & (x < nx - half) & (y < ny - half)
    x, y, chosen = x[inside], y[inside], chosen[inside]
    whole = ~cut_stamps(science.mask != 0, x, y, half).any(axis=(1, 2))
    return x[whole], y[whole], chosen[whole]


# --- pooling ------------------------------------------------------------------------------


def pooled(qualities: Sequence[Quality]) -> Quality:
    """One quality of several images: means, sums of counts, changes strung together."""
    first = qualities[0]
    counts = ("n_false", "n_bogus", "noise_peaks", "mpix")
    names = [n for n in Quality.__dataclass_fields__ if n not in ("changes", *counts)]
    means = {name: float(np.mean([getattr(q, name) for q in qualities])) for name in names}
    sums = {name: sum(getattr(q, name) for q in qualities) for name in counts}
    return replace(
        first,
        **means | sums,
        changes=Changes(
            **{
                name: np.concatenate([getattr(q.changes, name) for q in qualities])
                for name in Changes.__dataclass_fields__
            }
        ),
    )


def recall(
    changes: Changes, low: float, high: float, environment: str | None = None
) -> tuple[int, int]:
    """(found, planted) in a range of S/N_true outside the mask, of one environment or all."""
    chosen = (changes.snr >= low) & (changes.snr < high) & ~changes.is_masked
    if environment is not None:
        chosen &= changes.environment == environment
    return int((chosen & changes.is_found).sum()), int(chosen.sum())


def flux_bias(quality: Quality, min_snr: float = 12.0) -> tuple[float, float]:
    """Mean of measured over planted flux, on the stars' scale, minus 1; and its error."""
    changes = quality.changes
    chosen = (changes.snr > min_snr) & np.isfinite(changes.flux_ratio)
    ratio = changes.flux_ratio[chosen] / quality.star_flux
    middle = np.median(ratio)
    spread = 1.4826 * np.median(np.abs(ratio - middle))
    kept = np.abs(ratio - middle) < 4 * spread
    weight = changes.snr[chosen][kept] ** 2
    mean = float(np.average(ratio[kept], weights=weight))
    return mean - 1.0, float(1.0 / np.sqrt(weight.sum()))
