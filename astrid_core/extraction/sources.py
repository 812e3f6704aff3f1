"""Sources on S_corr and their measurement on D."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import label

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.pointfit import cut_around, fit_flux
from astrid_core.flags import UNUSABLE
from astrid_core.preprocessing.shapes import FWHM_PER_SIGMA, adaptive_moments
from astrid_core.preprocessing.shift import shift_stamps

_ITERATIONS = 4
_MAX_STEP_PIX = 0.7
_MAX_WANDER_PIX = 2.0
"""A fit that leaves its peak by more has found something else and is not believed."""

PEAK_DTYPE = np.dtype(
    [
        ("x_peak", "i4"),
        ("y_peak", "i4"),
        ("x", "f8"),
        ("y", "f8"),
        ("scorr_peak", "f8"),
        ("elongation", "f8"),
        ("n_pix", "i4"),
        ("size_pix", "f8"),
        ("component", "i4"),
        ("length_pix", "f8"),
        ("width_pix", "f8"),
        ("bar_x", "f8"),
        ("bar_y", "f8"),
        ("bar_angle", "f8"),
        ("is_negative", "?"),
    ]
)
"""A peak of ±S_corr. ``component`` numbers connected areas above the threshold within one
sign; ``length_pix``, ``width_pix``, ``bar_x``, ``bar_y`` (its centre) and ``bar_angle``
(radians from the x axis) are that area's as if it were a uniform bar; ``size_pix`` is the
isophotal FWHM on S_corr."""


@dataclass(frozen=True)
class Source:
    """One source on a difference image.

    Attributes
    ----------
    x_pix, y_pix
        Fitted position, 0-based pixel centres.
    x_peak_pix, y_peak_pix
        Integer pixel of the peak of |S_corr|, which identifies it.
    flux, flux_err
        PSF flux on D, science flux units, signed; error with its own photons.
    snr
        ``|flux| / flux_err``.
    scorr_peak
        Signed peak of S_corr.
    fwhm_pix
        FWHM on D from adaptive moments (isophotal on S_corr where those fail).
    elongation
        a / b on S_corr.
    flags
        :class:`~astrid_core.flags.CandidateFlag` bits.
    is_negative
        Fainter than the reference.
    """

    x_pix: float
    y_pix: float
    x_peak_pix: int
    y_peak_pix: int
    flux: float
    flux_err: float
    snr: float
    scorr_peak: float
    fwhm_pix: float
    elongation: float
    flags: int
    is_negative: bool


@dataclass(frozen=True)
class Measurement:
    """Point-source fits of n peaks on D; all (n,) float64.

    Attributes
    ----------
    sharpness
        Brightest pixel near the position over the fitted PSF's brightest pixel.
    sharp_sigma
        Significance of that excess.
    masked_weight
        Share of the PSF² weight on unusable pixels.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    fwhm_pix: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    sharp_sigma: NDArray[np.float64]
    masked_weight: NDArray[np.float64]


# --- peaks --------------------------------------------------------------------------------


def find_peaks(difference: DifferenceImage, config: ExtractionConfig) -> NDArray[Any]:
    """Peaks of S_corr and −S_corr above the threshold, strongest first.

    S_corr is already the matched filter's output, so nothing is filtered again. Unusable
    pixels count as 0.

    Returns
    -------
    (n,) array of ``PEAK_DTYPE``.
    """
    scorr = difference.scorr_without(UNUSABLE)
    found = [_one_sign(scorr, False, config), _one_sign(-scorr, True, config)]
    peaks = np.concatenate(found)
    order = np.lexsort((peaks["x_peak"], peaks["y_peak"], -np.abs(peaks["scorr_peak"])))
    return np.asarray(peaks[order])


def _one_sign(scorr: NDArray[np.float32], is_negative: bool, config: ExtractionConfig) -> Any:
    sep.set_extract_pixstack(max(300_000, scorr.size))
    sep.set_sub_object_limit(8192)
    objects = sep.extract(
        np.ascontiguousarray(scorr),
        config.threshold_sigma,
        minarea=1,
        filter_kernel=None,
        deblend_nthresh=32,
        deblend_cont=config.deblend_contrast,
        clean=False,
    )
    components, count = label(scorr > config.threshold_sigma, structure=np.ones((3, 3)))
    bars = _bars(components, count)
    peaks = np.zeros(len(objects), dtype=PEAK_DTYPE)
    x, y = objects["xpeak"], objects["ypeak"]
    peaks["x_peak"], peaks["y_peak"] = x, y
    peaks["x"], peaks["y"] = x, y
    peaks["scorr_peak"] = scorr[y, x] * (-1 if is_negative else 1)
    peaks["elongation"] = objects["a"] / np.maximum(objects["b"], 1e-3)
    peaks["n_pix"] = objects["npix"]
    peaks["size_pix"] = FWHM_PER_SIGMA * np.sqrt(objects["a"] * objects["b"])
    peaks["component"] = components[y, x]
    for name, values in bars.items():
        peaks[name] = values[peaks["component"]]
    peaks["is_negative"] = is_negative
    return peaks


def _bars(components: NDArray[Any], count: int) -> dict[str, NDArray[np.float64]]:
    """The bars, (count + 1,) per column, with the second moments of labelled areas.

    A uniform bar of length L has the variance L² / 12 along itself.
    """
    y, x = np.nonzero(components)
    index = components[y, x]
    n = np.maximum(np.bincount(index, minlength=count + 1), 1)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(index, weights=values, minlength=count + 1) / n)

    x_mean, y_mean = mean(x), mean(y)
    dx, dy = x - x_mean[index], y - y_mean[index]
    # A pixel is a square, not a point: it adds 1/12 to the variance.
    xx, yy, xy = mean(dx * dx) + 1 / 12, mean(dy * dy) + 1 / 12, mean(dx * dy)
    middle, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return {
        "length_pix": np.sqrt(12 * (middle + spread)),
        "width_pix": np.sqrt(12 * np.maximum(middle - spread, 0.0)),
        "bar_x": x_mean,
        "bar_y": y_mean,
        "bar_angle": 0.5 * np.arctan2(2 * xy, xx - yy),
    }


# --- measurement --------------------------------------------------------------------------


def measure_peaks(
    difference: DifferenceImage, peaks: NDArray[Any], source_gain: float
) -> Measurement:
    """Fit the PSF of D, position and flux, at each peak.

    Parameters
    ----------
    source_gain
        Electrons per flux unit of the science frame, for a source's own photon noise; 0
        where unknown, which leaves it out.
    """
    x_peak, y_peak = peaks["x_peak"], peaks["y_peak"]
    planes = difference.difference, difference.variance, difference.mask
    cut = cut_around(*planes, difference.psf, x_peak, y_peak)
    dx, dy = _fit_offsets(cut.pixels, cut.valid, cut.psf)
    fit = fit_flux(cut, dx, dy, source_gain)
    sharpness, sharp_sigma = _sharpness(cut.pixels, fit.profile, fit.flux, fit.variance)
    moments = adaptive_moments(
        cut.pixels * np.sign(fit.flux)[:, None, None], max(difference.psf.fwhm_pix, 1.2)
    )
    fwhm = np.where(np.isfinite(moments.fwhm_pix), moments.fwhm_pix, peaks["size_pix"])
    return Measurement(
        x=x_peak + dx,
        y=y_peak + dy,
        flux=fit.flux,
        flux_err=fit.flux_err,
        fwhm_pix=fwhm,
        sharpness=sharpness,
        sharp_sigma=sharp_sigma,
        masked_weight=fit.masked_weight,
    )


def _fit_offsets(
    pixels: NDArray[Any], valid: NDArray[np.bool_], stamps: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sub-pixel offsets from the peaks by Gauss–Newton steps of the PSF on D.

    Pixels are weighted by the PSF itself, so that neighbours in the wings do not pull.
    """
    n = len(pixels)
    dx, dy = np.zeros(n), np.zeros(n)
    if n == 0:
        return dx, dy
    core = np.maximum(stamps, 0.0) * valid
    for _ in range(_ITERATIONS):
        profile = shift_stamps(stamps, dx, dy)
        slope_y, slope_x = np.gradient(profile, axis=(1, 2))
        design = np.stack([profile, -slope_x, -slope_y], axis=1).reshape(n, 3, -1)
        weighted = design * core.reshape(n, 1, -1)
        normal = weighted @ design.transpose(0, 2, 1)
        ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-300
        right = weighted @ pixels.reshape(n, -1, 1)
        flux, by_x, by_y = np.linalg.solve(normal + ridge * np.eye(3), right)[..., 0].T
        safe = np.where(flux == 0, 1.0, flux)
        dx = dx + np.clip(by_x / safe, -_MAX_STEP_PIX, _MAX_STEP_PIX)
        dy = dy + np.clip(by_y / safe, -_MAX_STEP_PIX, _MAX_STEP_PIX)
        lost = np.hypot(dx, dy) > _MAX_WANDER_PIX
        dx[lost] = dy[lost] = 0.0
    return dx, dy


def _sharpness(
    pixels: NDArray[Any], profile: NDArray[Any], flux: NDArray[Any], variance: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Brightest pixel of the central 3×3 over the fitted PSF there, and its significance."""
    half = pixels.shape[-1] // 2
    box = np.s_[:, half - 1 : half + 2, half - 1 : half + 2]
    n = len(pixels)
    signed = (np.sign(flux)[:, None, None] * pixels[box]).reshape(n, 9)
    expected = (np.abs(flux)[:, None, None] * profile[box]).reshape(n, 9)
    at = np.arange(n), np.argmax(signed, axis=1)
    excess = signed[at] - expected[at]
    ratio = signed[at] / np.maximum(expected.max(axis=1), 1e-30)
    # Beyond the frame's border stamps have no variance, and no excess either.
    return ratio, excess / np.sqrt(np.maximum(variance[box].reshape(n, 9)[at], 1e-30))
