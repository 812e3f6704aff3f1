"""Speed, memory and numerical identity: tiled ZOGY beside the FFTs it cannot do without.

Times are CPU seconds of this process on one thread; ratios are of medians, the two sides
measured in turn.
"""

import importlib.util
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import map_coordinates

from astrid_core.differencing.aligned import AlignedPair, subtract_aligned
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.resample import measure_geometry, resample
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.differencing.zogy import Side, zogy_tile
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.frame import Frame
from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.config import CatalogueConfig
from astrid_core.psf import Psf
from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.pair import PairConfig, simulate_pair
from benchmarks.differencing_scenes import measured, scene
from benchmarks.differencing_table import Figure, at_least, at_most, reported
from benchmarks.warp import gaussians, rotation

CONFIG = DifferenceConfig()
_SMALL = PairConfig(shape=(128, 128), n_stars=5, n_transients=0)
_FWHM_PIX = (3.2, 2.8)
PEERS = ("sfft", "zogyp", "astroalign", "reproject", "photutils")


def interleaved(
    ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int
) -> tuple[float, float]:
    """Median CPU seconds of two functions, called in turn after one warming call each."""
    ours()
    theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, taken in zip((ours, theirs), times, strict=True):
            begun = time.process_time()
            function()
            taken.append(time.process_time() - begun)
    return statistics.median(times[0]), statistics.median(times[1])


def noise_pair(side: int) -> AlignedPair:
    """Two aligned frames of sky noise: their pixels do not matter to speed and memory."""
    template = simulate_pair(_SMALL)
    frames = []
    for index, (frame, fwhm) in enumerate(
        zip((template.science, template.reference), _FWHM_PIX, strict=True)
    ):
        noise = np.random.default_rng(index).normal(0, 20, (side, side)).astype(np.float32)
        frames.append(
            Frame(
                data=noise,
                variance=np.full((side, side), 400, dtype=np.float32),
                mask=np.zeros((side, side), dtype=np.uint16),
                psf=MoffatPsf((side, side), fwhm).to_psf(),
                meta=frame.meta,
            )
        )
    return AlignedPair(frames[0], frames[1])


# --- ZOGY ---------------------------------------------------------------------------------


def zogy_against_ffts(sides: tuple[int, ...], repeats: int) -> list[Figure]:
    """Tiled ZOGY over five raw float32 real FFTs of the whole image, and its memory."""
    figures = []
    for side in sides:
        pair = noise_pair(side)
        image = pair.science.data
        transform = rfft2(image)

        def floor(image: Any = image, transform: Any = transform) -> None:
            for _ in range(2):
                rfft2(image)
            for _ in range(3):
                irfft2(transform, image.shape)

        def ours(pair: AlignedPair = pair) -> Any:
            return subtract_aligned(pair, CONFIG)

        zogy, ffts = interleaved(ours, floor, repeats)
        name = f"tiled ZOGY / 5 raw float32 FFTs, {side} px ({zogy:.2f} s / {ffts:.2f} s)"
        figures.append(at_most(name, zogy / ffts, 3.5 if side <= 1024 else 2.5, ".2f"))
        figures.append(
            at_most(f"memory of tiled ZOGY, {side} px, B/px", peak(ours) / side**2, 40.0, ".1f")
        )
    return figures


def two_threads(side: int, repeats: int) -> Figure:
    """Wall time of tiled ZOGY on one thread over that on two."""
    pair = noise_pair(side)
    walls: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(repeats):
        for count, taken in walls.items():
            with patch.dict(os.environ, OMP_NUM_THREADS=count):
                begun = time.perf_counter()
                subtract_aligned(pair, CONFIG)
                taken.append(time.perf_counter() - begun)
    one, two = (statistics.median(taken) for taken in walls.values())
    name = f"tiled ZOGY, {side} px: wall on one thread / on two ({one:.2f} s / {two:.2f} s)"
    return reported(name, f"{one / two:.2f}")


def peak(function: Callable[[], Any]) -> float:
    """Highest number of bytes allocated during a call beyond what was there before."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    function()
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(highest - before)


def identity() -> list[Figure]:
    """Single against double precision, and a first call against the second."""
    pair = simulate_pair(scene("ideal", 512, 0))
    n, r = (
        Side(frame.psf.centre(), float(frame.variance[0, 0]), 1.0)
        for frame in (pair.science, pair.reference)
    )
    images = pair.science.data, pair.reference.data
    first, second = zogy_tile(*images, n, r), zogy_tile(*images, n, r)
    double = zogy_tile(images[0].astype(float), images[1].astype(float), n, r)
    # Stars of S/N 500 in both: the worst case for rounding.
    return [
        at_most("|S_corr| float32 - float64", float(abs(double.scorr - first.scorr).max()), 0.01),
        at_most("|S_corr| first - second call", float(abs(second.scorr - first.scorr).max()), 1e-6),
    ]


def whole_subtraction(side: int) -> list[Figure]:
    """A pair from processed frames to candidates: seconds a step and memory."""
    pair = simulate_pair(scene("warped", side, 0))
    science, reference = measured(pair.science), measured(pair.reference)
    seconds = _stages(science, reference)
    used = peak(lambda: subtract_frames(science, reference, CONFIG)) / side**2
    steps = ", ".join(f"{name} {taken:.2f}" for name, taken in seconds.items())
    return [
        reported(f"frames to candidates, {side} px, s", steps),
        at_most(f"memory of the whole subtraction, {side} px, B/px", used, 40.0, ".1f"),
    ]


def _stages(science: Frame, reference: Frame) -> dict[str, float]:
    """CPU seconds of the steps of one subtraction and extraction, by profile."""
    import cProfile
    import pstats

    profile = cProfile.Profile(time.process_time)
    difference = profile.runcall(subtract_frames, science, reference, CONFIG)
    profile.runcall(extract_candidates, difference, science, ExtractionConfig())
    names = {
        "register": "register",
        "warp_frame": "warp",
        "_warped_psf": "PSF",
        "match_photometry": "match",
        "match_wings": "wings",
        "subtract_aligned": "ZOGY",
        "extract_candidates": "extract",
        "subtract_frames": "whole subtraction",
    }
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return {
        names[function]: row[3]
        for (_, _, function), row in sorted(found.items(), key=lambda item: item[1][3])
        if function in names
    }


# --- warp ---------------------------------------------------------------------------------


def warp_against_spline(side: int, repeats: int) -> list[Figure]:
    """The warp's fidelity at FWHM 2.5 px and its speed beside SciPy's cubic spline."""
    to_source = rotation(0.05, side / 2)
    grid = np.arange(60.3, side - 60, 43.61)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    image, truth = gaussians(side, *to_source(x, y), 2.5), gaussians(side, x, y, 2.5)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float64)

    def ours() -> NDArray[np.float32]:
        return resample(image, measure_geometry(to_source, (side, side)))

    def spline() -> Any:
        at = to_source(columns, rows)
        return map_coordinates(image, [at[1], at[0]], order=3, output=np.float32)

    core = np.s_[40:-40, 40:-40]
    worst, theirs = (float(abs(method() - truth)[core].max()) for method in (ours, spline))
    fast, slow = interleaved(ours, spline, repeats)
    figures = [
        at_most(f"warp: worst residual / peak at FWHM 2.5 px (spline {theirs:.4f})", worst, 0.013),
        at_least(f"warp: times faster than map_coordinates, {side} px", slow / fast, 10.0, ".1f"),
    ]
    return figures + _reproject(image, ours, side, repeats)


def _reproject(
    image: NDArray[np.float32], ours: Callable[[], Any], side: int, repeats: int
) -> list[Figure]:
    """Beside reproject's bicubic interpolation between two TAN WCS."""
    if not is_installed("reproject"):
        return []
    from reproject import reproject_interp

    from astrid_core.simulation.geometry import Similarity, tan_wcs

    centre = ((side - 1) / 2, (side - 1) / 2)
    turned = Similarity.about_centre((side, side), (3.37, -2.41), 0.05)
    there, here = (tan_wcs((150.0, 20.0), centre, 1.0, t) for t in (None, turned))

    def theirs() -> Any:
        return reproject_interp(
            (image, there), here, shape_out=(side, side), order="bicubic", return_footprint=False
        )

    fast, slow = interleaved(ours, theirs, max(1, repeats // 2))
    return [reported("warp: times faster than reproject_interp (bicubic)", f"{slow / fast:.1f}")]


# --- PSF and peers ------------------------------------------------------------------------


def psf_errors(seeds: int) -> list[Figure]:
    """FWHM of the measured PSF against the simulated, many stars and few."""
    figures = []
    for name, n_stars, limit in (("100 stars", 100, 0.01), ("few-star fallback", 8, 0.05)):
        errors, counts, fell_back = [], [], 0
        for seed in range(seeds):
            config = PairConfig(
                seed=seed, n_stars=n_stars, n_transients=0, star_flux_range=(3e3, 3e5)
            )
            frame = simulate_pair(config).science
            psf: Psf = measured(frame).psf
            errors.append(abs(psf.fwhm_pix / frame.psf.fwhm_pix - 1))
            counts.append(psf.n_stars)
            fell_back += psf.is_fallback
        about = f"PSF FWHM error, {name} ({np.mean(counts):.0f} used, {fell_back} fallbacks)"
        figures.append(at_most(f"{about}, worst of {seeds}", max(errors), limit, ".4f"))
    return figures


def peers(repeats: int) -> list[Figure]:
    """What PyPI offers, where it is installed; said where it is not."""
    missing = [name for name in PEERS if not is_installed(name)]
    figures = [reported("peers not installed", ", ".join(missing) or "none")]
    if is_installed("photutils"):
        figures.append(_photutils_catalogue(repeats))
    return figures


def _photutils_catalogue(repeats: int) -> Figure:
    """Our catalogue, stars chosen, beside photutils' segmentation catalogue."""
    from photutils.segmentation import SourceCatalog, SourceFinder

    frame = simulate_pair(replace(scene("ideal", 512, 0), n_transients=0)).science
    finder = SourceFinder(n_pixels=4, progress_bar=False)
    threshold = 4 * np.sqrt(frame.variance)

    def ours() -> Any:
        return find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())

    def theirs() -> Any:
        segments = finder(frame.data, threshold)
        return SourceCatalog(frame.data, segments, error=np.sqrt(frame.variance)).to_table()

    fast, slow = interleaved(ours, theirs, max(1, repeats // 2))
    return reported("catalogue: times faster than photutils.segmentation", f"{slow / fast:.1f}")


def is_installed(name: str) -> bool:
    """Whether an optional peer can be imported."""
    return importlib.util.find_spec(name) is not None
