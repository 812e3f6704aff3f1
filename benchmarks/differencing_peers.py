"""The differencing step beside what PyPI offers for it: zogyp and sfft; astroalign for stars.

Install the peers with ``pip install -c constraints.txt -e '.[bench]'``; those missing are
named and left out. Every method is given the *same* aligned pair (our registration, warp,
flux ratio and measured PSFs), so that what differs is the subtraction alone:

- AstrID: tiled ZOGY with the reference's predicted source noise.
- zogyp 1.6 (``zogyp.zip.ZOGY``): ZOGY by complex double-precision FFTs of the whole frame, one
  PSF a frame, given the true variance planes (its own pipeline estimates them from one
  pixel each) and the measured registration scatter.
- sfft 1.7 (NumPy backend): a kernel of polynomial order 2 fitted in Fourier space on the
  matched stars. It stops at the difference image; its significance here is the matched filter
  of the science PSF over the propagated noise, scaled to σ = 1 on blank sky: a normalisation
  ZOGY must do without.

A peak is a local maximum of the significance above 5, both signs, outside AstrID's mask.
"""

import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import assemble_difference, robust_sigma
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.registration import register
from astrid_core.differencing.subtract import align_frames
from astrid_core.frame import Frame
from astrid_core.simulation.pair import SimulatedPair, simulate_pair
from astrid_core.simulation.recovery import match_radius_pix
from benchmarks.differencing_quality import Mask, near, nearest_change
from benchmarks.differencing_scenes import CONFIG, measured, scene
from benchmarks.differencing_speed import is_installed, peak
from benchmarks.differencing_table import Figure, reported

F64 = NDArray[np.float64]
Significance = Callable[[AlignedPair], NDArray[Any]]

_SCENES = ("ideal", "varying PSF", "galaxies")
_THRESHOLD = 5.0
_SFFT_ORDER = 2


def differencing(side: int, seeds: int) -> list[Figure]:
    """Quality, CPU time and memory of each installed method on the same aligned pairs."""
    methods: dict[str, Significance] = {"AstrID": _ours}
    methods |= {"zogyp": _zogyp} if is_installed("zogyp") else {}
    methods |= {"sfft": _Sfft()} if is_installed("sfft") else {}
    figures = []
    for name in _SCENES:
        pairs = [_aligned(name, side, seed) for seed in range(seeds)]
        ours = [_outcome(_ours, pair) for pair in pairs]
        for method, significance in methods.items():
            runs = ours if method == "AstrID" else [_outcome(significance, p) for p in pairs]
            figures.append(reported(f"{name}, {method}", _line(runs, ours)))
    return figures


@dataclass(frozen=True)
class _Case:
    """An aligned pair, what changed in it, and the pixels that are judged."""

    simulated: SimulatedPair
    aligned: AlignedPair
    clear: Mask
    blank: Mask
    on_sources: Mask


@dataclass(frozen=True)
class _Outcome:
    """What a method made of one pair; ``recall`` counts (found, planted) by S/N bin."""

    sigma_blank: float
    sigma_sources: float
    recall: dict[tuple[float, float], tuple[int, int]]
    n_false: int
    mpix: float
    seconds: float
    bytes_per_pixel: float


def _aligned(name: str, side: int, seed: int) -> _Case:
    simulated = simulate_pair(scene(name, side, seed))
    science, reference = measured(simulated.science), measured(simulated.reference)
    aligned, alignment, _ = align_frames(science, reference, CONFIG)
    clear = assemble_difference(aligned, alignment, CONFIG).mask == 0
    box = 2 * round(1.5 * science.psf.fwhm_pix) + 1
    stars, shape = simulated.science.stars, science.shape
    still = clear & ~near(simulated.truth, shape, 2 * box)
    return _Case(
        simulated, aligned, clear, still & ~near(stars, shape, box), still & near(stars, shape, 7)
    )


def _outcome(significance: Significance, case: _Case) -> _Outcome:
    significance(case.aligned)
    begun = time.process_time()
    scorr = np.asarray(significance(case.aligned), dtype=np.float32)
    seconds = time.process_time() - begun
    recall, n_false = _matched(scorr, case)
    return _Outcome(
        sigma_blank=robust_sigma(scorr[case.blank]),
        sigma_sources=robust_sigma(scorr[case.on_sources]),
        recall=recall,
        n_false=n_false,
        mpix=float(case.clear.sum()) / 1e6,
        seconds=seconds,
        bytes_per_pixel=peak(lambda: significance(case.aligned)) / scorr.size,
    )


def _matched(
    scorr: NDArray[np.float32], case: _Case
) -> tuple[dict[tuple[float, float], tuple[int, int]], int]:
    """Found and planted changes by S/N, and peaks that no change explains."""
    fwhm = case.aligned.science.psf.fwhm_pix
    size = np.abs(scorr)
    is_peak = (size >= _THRESHOLD) & (size == maximum_filter(size, 2 * round(fwhm) + 1))
    y, x = np.nonzero(is_peak & case.clear)
    truth = case.simulated.truth
    radius = match_radius_pix(fwhm)
    by_peak = nearest_change(truth, x, y, scorr[y, x] < 0, radius)
    # A star's noise beside a change moves its highest pixel: false is what is further off.
    explained = nearest_change(truth, x, y, scorr[y, x] < 0, 2 * radius)
    column, row = (np.rint(truth[n]).astype(int) for n in ("x_pix", "y_pix"))
    counts = case.clear[row, column]
    found = np.isin(np.arange(len(truth)), by_peak)
    snr = truth["snr_true"]
    recall = {
        (low, high): (int((chosen & found).sum()), int(chosen.sum()))
        for low, high in ((5.0, 7.0), (7.0, 10.0), (10.0, np.inf))
        for chosen in [counts & (snr >= low) & (snr < high)]
    }
    return recall, int((explained < 0).sum())


def _line(runs: list[_Outcome], ours: list[_Outcome]) -> str:
    """One method's figures in a line; time and memory as ratios of medians to ours."""
    recall = []
    for bin_ in runs[0].recall:
        found, planted = (sum(run.recall[bin_][k] for run in runs) for k in (0, 1))
        recall.append(f"{found / max(planted, 1):.3f}")
    false = sum(run.n_false for run in runs) / sum(run.mpix for run in runs)
    blank, sources, seconds, memory = (
        statistics.median(getattr(run, field) for run in runs)
        for field in ("sigma_blank", "sigma_sources", "seconds", "bytes_per_pixel")
    )
    return (
        f"sigma blank {blank:.3f}, on sources {sources:.3f}; recall 5-7, 7-10, >10"
        f" {' '.join(recall)}; false {false:.1f}/Mpix;"
        f" time x{seconds / statistics.median(run.seconds for run in ours):.1f}"
        f" ({seconds:.2f} s), {memory:.0f} B/px"
    )


# --- methods ------------------------------------------------------------------------------


def _ours(pair: AlignedPair) -> NDArray[Any]:
    from astrid_core.differencing.aligned import subtract_aligned

    return subtract_aligned(pair, DifferenceConfig()).scorr


def _zogyp(pair: AlignedPair) -> NDArray[Any]:
    with patch.object(subprocess, "call"):  # It calls SExtractor as it is imported.
        from zogyp.zip import ZOGY

    science, reference = pair.science, pair.reference
    planes = [np.nan_to_num(f.data.astype(np.float64)) for f in (reference, science)]
    stamps = [_at_origin(f.psf.centre(), f.shape) for f in (reference, science)]
    noise = [float(np.sqrt(np.median(f.variance))) for f in (reference, science)]
    variances = [_total_variance(f) for f in (reference, science)]
    _, _, scorr, _, _ = ZOGY(*planes, *stamps, *noise, 1.0, 1.0, *variances, *pair.shift_sigma_pix)
    return np.asarray(scorr)


def _total_variance(frame: Frame) -> F64:
    """Variance plane with the photons of the frame's own sources."""
    sources = np.maximum(np.nan_to_num(frame.data), 0.0) / frame.meta.source_gain
    return np.asarray(frame.variance + sources, dtype=np.float64)


def _at_origin(stamp: NDArray[Any], shape: tuple[int, int]) -> F64:
    """A PSF stamp on a frame of its own, centred on pixel (0, 0)."""
    frame = np.zeros(shape)
    n = stamp.shape[0]
    frame[:n, :n] = stamp
    return np.roll(frame, (-(n // 2), -(n // 2)), axis=(0, 1))


class _Sfft:
    """sfft's solution for one shape of frame; its functions are compiled once."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[tuple[int, int], int], Any] = {}

    def __call__(self, pair: AlignedPair) -> NDArray[Any]:
        from sfft.sfftcore.SFFTSubtract import GeneralSFFTSubtract

        science, reference = pair.science, pair.reference
        half = int(np.ceil(1.6 * max(science.psf.fwhm_pix, reference.psf.fwhm_pix)))
        images = [np.nan_to_num(f.data.astype(np.float64)) for f in (reference, science)]
        fitted = [np.where(_on_stars(pair), image, 0.0) for image in images]
        _, difference, *_ = GeneralSFFTSubtract.GSS(
            *(np.ascontiguousarray(image.T) for image in (*images, *fitted)),
            SFFTConfig=self._configuration(science.shape, half),
            ContamMask_I=None,
            BACKEND_4SUBTRACT="Numpy",
            NUM_CPU_THREADS_4SUBTRACT=1,
            VERBOSE_LEVEL=0,
        )
        return _matched_filter(np.asarray(difference).T, pair)

    def _configuration(self, shape: tuple[int, int], half: int) -> Any:
        from sfft.sfftcore.SFFTConfigure import SingleSFFTConfigure

        if (shape, half) not in self._compiled:
            self._compiled[shape, half] = SingleSFFTConfigure.SSC(
                NX=shape[1],
                NY=shape[0],
                KerHW=half,
                KerPolyOrder=_SFFT_ORDER,
                BGPolyOrder=_SFFT_ORDER,
                ConstPhotRatio=True,
                BACKEND_4SUBTRACT="Numpy",
                NUM_CPU_THREADS_4SUBTRACT=1,
                NUMBA_CACHE=False,
                VERBOSE_LEVEL=0,
            )
        return self._compiled[shape, half]


def _on_stars(pair: AlignedPair) -> Mask:
    """What sfft's sparse mode fits on: boxes around the science frame's point sources."""
    stars = pair.science.stars[pair.science.stars["is_star"] == 1]
    return near(stars, pair.science.shape, 2 * round(4 * pair.science.psf.fwhm_pix) + 1)


def _matched_filter(difference: NDArray[Any], pair: AlignedPair) -> F64:
    """D ⊗ P_n over its noise, both frames' sky and sources in it, scaled to 1 on the sky."""
    science, reference = pair.science, pair.reference
    stamp = science.psf.centre().astype(np.float64)[::-1, ::-1]
    variance = _total_variance(science) + _total_variance(reference)
    noise = np.sqrt(np.maximum(fftconvolve(variance, stamp**2, mode="same"), 1e-12))
    score = np.asarray(fftconvolve(difference, stamp, mode="same") / noise)
    sky = ~near(science.stars, science.shape, 2 * round(1.5 * science.psf.fwhm_pix) + 1)
    return score / robust_sigma(score[sky].astype(np.float32))


# --- registration -------------------------------------------------------------------------


def registration(side: int, seeds: int) -> list[Figure]:
    """Our star patterns beside astroalign's, without WCS: error over the frame, and time."""
    if not is_installed("astroalign"):
        return []
    import astroalign

    errors: dict[str, list[float]] = {"AstrID": [], "astroalign": []}
    seconds: dict[str, list[float]] = {"AstrID": [], "astroalign": []}
    for seed in range(seeds):
        simulated = simulate_pair(scene("defects", side, seed))
        science, reference = measured(simulated.science), measured(simulated.reference)
        begun = time.process_time()
        ours = register(science, reference, CONFIG.registration)
        seconds["AstrID"].append(time.process_time() - begun)
        here, there = (
            np.column_stack([f.stars["x_pix"], f.stars["y_pix"]]).astype(float)
            for f in (science, reference)
        )
        begun = time.process_time()
        theirs, _ = astroalign.find_transform(here, there)
        seconds["astroalign"].append(time.process_time() - begun)
        x, y = (axis.ravel() for axis in np.meshgrid(*2 * [np.linspace(0, side - 1, 9)]))
        true = np.stack(simulated.to_reference.apply(x, y))
        errors["AstrID"].append(_worst(np.stack(ours.to_reference(x, y)) - true))
        errors["astroalign"].append(_worst(theirs(np.column_stack([x, y])).T - true))
    return [
        reported(
            f"registration without WCS, {method}: worst error over the frame, median of {seeds}",
            f"{statistics.median(errors[method]):.4f} px (at worst {max(errors[method]):.4f}),"
            f" {statistics.median(seconds[method]):.2f} s",
        )
        for method in errors
    ]


def _worst(offsets: F64) -> float:
    return float(np.hypot(*offsets).max())
