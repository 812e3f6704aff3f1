"""The ESO 085-030 pair: a minute apart, nothing varies, so every peak is false.

Gain and source mask are fixed here, so that figures of different versions compare: the gain
by photon transfer on the two raw frames, the sources by the brightness of the first frame.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import (
    AlignmentQuality,
    assemble_difference,
    robust_sigma,
)
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import align_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.sources import find_peaks
from astrid_core.frame import Frame
from astrid_core.simulation.injection import SPACING_PIX, inject_sources, matched_filter_snr
from astrid_core.simulation.recovery import match_radius_pix
from benchmarks.differencing_sky import Sky, n_peaks
from benchmarks.differencing_table import Figure, at_most, reported, within

CONFIG = DifferenceConfig()
_LIGHT_CLASSES = (-50.0, 50.0, 150.0, 300.0, 500.0, 800.0, 1300.0, 2000.0)
"""Above the sky, adu; brighter pixels are ruled by registration."""
_SOURCE_SIGMA = 10.0
_SNR_RANGE = (5.0, 20.0)


def eso(sky: Sky, rounds: int) -> list[Figure]:
    """Figures of the pair, with the astrometric term as measured and without it."""
    names = sky.names("eso085-030", "*.fit")
    gain = photon_transfer([sky.raw("eso085-030", name).data for name in names])
    first, second = (_with_gain(sky.frame("eso085-030", name), gain) for name in names)
    sources = source_mask(first)
    pair, alignment, _ = align_frames(first, second, CONFIG)
    rows = [
        reported("gain by photon transfer, e-/adu", f"{gain:.3f}"),
        reported("astrometric term (x, y), px", "{:.3f}, {:.3f}".format(*pair.shift_sigma_pix)),
    ]
    for term, used in (("as measured", pair), ("zero", without_term(pair))):
        difference = assemble_difference(used, alignment, CONFIG)
        clear = difference.mask == 0
        area = clear.sum() / 1e6
        on_sources = robust_sigma(difference.scorr[clear & sources])
        rows += [
            within(f"sigma(S_corr) on sources, term {term}", on_sources, 0.95, 1.10),
            reported(
                f"sigma(S_corr) on blank sky, term {term}",
                f"{robust_sigma(difference.scorr[clear & ~sources]):.3f}",
            ),
            at_most(
                f"|S_corr| >= 5 peaks per Mpix outside masks, term {term}",
                n_peaks(difference) / area,
                1.0,
                ".1f",
            ),
        ]
    with_term, without, planted = _recall_near_stars(first, second, rounds)
    cost = (without - with_term) / max(planted, 1)
    label = f"recall near stars that the term costs ({with_term} and {without} of {planted})"
    return [*rows, at_most(label, cost, 0.03, ".3f")]


def photon_transfer(frames: list[NDArray[np.float32]]) -> float:
    """Electrons per unit from two exposures of one scene, by the light of its sources.

    The sky is too flat for a slope and stands on an unknown pedestal. Among pixels of a class
    of light I and gradient g, half the variance of the frames' difference is
    c + I / gain + k·g²: the last term is what atmosphere and registration move.
    """
    a, b = (frame.astype(np.float64) for frame in frames)
    mean, difference = (a + b) / 2, a - b
    light = gaussian_filter(mean, 1.0) - np.median(mean)
    steep = sum(along**2 for along in np.gradient(gaussian_filter(mean, 0.7)))
    steep = gaussian_filter(steep, 1.0)
    rows, values, weights = [], [], []
    for low, high in pairwise(_LIGHT_CLASSES):
        in_class = (light >= low) & (light < high)
        edges = np.quantile(steep[in_class], (0.0, 0.25, 0.5, 0.75))
        for start, end in pairwise((*edges, np.inf)):
            here = in_class & (steep >= start) & (steep < end)
            rows.append((1.0, light[here].mean(), np.median(steep[here])))
            values.append(_clipped_variance(difference[here]) / 2)
            weights.append(np.sqrt(here.sum()) / values[-1])
    root = np.array(weights)
    design = np.array(rows) * root[:, None]
    _, per_light, _ = np.linalg.lstsq(design, np.array(values) * root, rcond=None)[0]
    return float(1.0 / per_light)


def _clipped_variance(values: NDArray[np.float64]) -> float:
    """Variance within 3 robust σ, corrected for the clipping."""
    middle = np.median(values)
    width = 1.4826 * np.median(np.abs(values - middle))
    return float(np.var(values[np.abs(values - middle) < 3 * width]) / 0.9866**2)


def source_mask(frame: Frame) -> NDArray[np.bool_]:
    """Pixels within 2 px of any above ten times the noise."""
    bright = frame.data > _SOURCE_SIGMA * np.sqrt(frame.variance)
    return np.asarray(binary_dilation(bright, iterations=2))


def without_term(pair: AlignedPair) -> AlignedPair:
    """The pair as if it were registered without error."""
    return replace(pair, shift_sigma_pix=(0.0, 0.0))


def _with_gain(frame: Frame, gain: float) -> Frame:
    """The frame with the photon noise of a known gain (electrons per raw unit)."""
    known = 1.0 if frame.meta.unit == "electron" else gain
    return replace(frame, meta=replace(frame.meta, source_gain=known))


# --- injections near stars ----------------------------------------------------------------


def _recall_near_stars(first: Frame, second: Frame, rounds: int) -> tuple[int, int, int]:
    """Injections found with the term, without it, and planted: within 3 FWHM of stars."""
    with_term = without = planted = 0
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        x, y, flux = _plan_near_stars(first, second, rng)
        pair, alignment, _ = align_frames(inject_sources(first, x, y, flux, rng), second, CONFIG)
        planted += len(x)
        with_term += _found(pair, alignment, x, y)
        without += _found(without_term(pair), alignment, x, y)
    return with_term, without, planted


def _plan_near_stars(
    science: Frame, reference: Frame, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Places 1 to 3 FWHM from stars at least a spacing apart, log-uniform in S/N."""
    fwhm = science.psf.fwhm_pix
    stars = science.stars[science.stars["is_star"] == 1]
    chosen: list[tuple[float, float]] = []
    ny, nx = science.shape
    for star in stars:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(1, 3) * fwhm
        x = float(star["x_pix"] + distance * np.cos(angle))
        y = float(star["y_pix"] + distance * np.sin(angle))
        inside = 25 < x < nx - 25 and 25 < y < ny - 25
        if inside and all(np.hypot(x - a, y - b) > SPACING_PIX for a, b in chosen):
            chosen.append((x, y))
    fluxes = []
    for x, y in chosen:
        snr = float(np.exp(rng.uniform(*np.log(_SNR_RANGE))))
        flux = 1.0
        for _ in range(30):
            flux *= snr / matched_filter_snr(science, x, y, flux, reference=reference)
        fluxes.append(flux)
    position = np.array(chosen).reshape(-1, 2)
    return position[:, 0], position[:, 1], np.array(fluxes)


def _found(
    pair: AlignedPair,
    alignment: AlignmentQuality,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> int:
    """Injections with a positive peak of S_corr >= 5 within the match radius."""
    difference: DifferenceImage = assemble_difference(pair, alignment, CONFIG)
    peaks = find_peaks(difference, ExtractionConfig())
    peaks = peaks[~peaks["is_negative"]]
    radius = match_radius_pix(difference.psf.fwhm_pix)
    distance = np.hypot(peaks["x_peak"][:, None] - x, peaks["y_peak"][:, None] - y)
    return int((distance.min(axis=0, initial=np.inf) <= radius).sum())
