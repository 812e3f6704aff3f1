"""Sky background on a mesh, with sources masked so that galaxies stay in the image."""

from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from astrid_core.preprocessing.config import BackgroundConfig
from astrid_core.preprocessing.noise import pixel_noise
from astrid_core.psf import exponents

F32 = NDArray[np.float32]

_MASK_STEPS = ((3.0, 6, 2.0), (2.0, 3, 2.0), (1.5, 1, 3.0), (1.0, 0, 6.0))
"""(smoothing in pixels, growth in pixels, threshold factor), from empty to crowded fields."""
_BLOCK_PIX = 16
_TREND_TERMS = 6
_CLIPPINGS = 5
_CROWDED = 0.6
"""Fraction under sources beyond which a mask is too greedy."""


def estimate_background(
    data: NDArray[Any], bad: NDArray[np.bool_], config: BackgroundConfig
) -> tuple[F32, NDArray[np.bool_]]:
    """Background of a frame.

    Parameters
    ----------
    data
        (ny, nx) float32, finite where not bad.
    bad
        (ny, nx) bool: pixels to leave out.

    Returns
    -------
    background : (ny, nx) float32
    sources : (ny, nx) bool
        Pixels under sources; the rest is blank sky.
    """
    image = np.ascontiguousarray(np.where(bad, 0.0, data), dtype=np.float32)
    background = _smooth_sky(image, bad, config)
    sources = np.zeros(bad.shape, dtype=bool)
    for _ in range(config.passes):
        sources = find_sources(image - background, bad, config.source_sigma)
        background = _smooth_sky(image, bad | sources, config)
    return background, sources


def find_sources(
    residual: NDArray[Any], bad: NDArray[np.bool_], threshold: float
) -> NDArray[np.bool_]:
    """(ny, nx) bool: pixels under sources of a background-subtracted image.

    The image is smoothed to bring out halos below the noise of a pixel. Where that would
    leave less than 40 % of the frame as sky (crowding), smoothing, growth and threshold
    step back until it does not.
    """
    noise = pixel_noise(residual, ~bad)
    sources = np.zeros(bad.shape, dtype=bool)
    if not noise > 0:
        return sources
    filled = np.where(bad, 0.0, residual)
    for smoothing, grow, factor in _MASK_STEPS:
        smooth = gaussian_filter(filled, smoothing, mode="nearest")
        smooth_noise = noise / (2.0 * np.sqrt(np.pi) * smoothing)
        bright = (smooth > factor * threshold * smooth_noise) | (filled > 2 * threshold * noise)
        sources = binary_dilation(bright, iterations=grow) if grow else bright
        if sources[~bad].mean() < _CROWDED:
            return np.asarray(sources)
    return np.asarray(filled > np.percentile(filled[~bad], 100 * (1 - _CROWDED)))


def _smooth_sky(image: F32, masked: NDArray[np.bool_], config: BackgroundConfig) -> F32:
    """Quadratic trend plus mesh: few cells and a median over them flatten a gradient."""
    trend = _trend(image, masked)
    return trend + _mesh(image - trend, masked, config)


def _trend(image: F32, masked: NDArray[np.bool_]) -> F32:
    """Quadratic surface through the medians of blocks, clipped; 0 with too few blocks."""
    ny, nx = image.shape
    rows, columns = ny // _BLOCK_PIX, nx // _BLOCK_PIX
    if rows * columns < 4 * _TREND_TERMS:
        return np.zeros_like(image)
    cut = (slice(0, rows * _BLOCK_PIX), slice(0, columns * _BLOCK_PIX))
    tiles = np.where(masked, np.nan, image)[cut].reshape(rows, _BLOCK_PIX, columns, _BLOCK_PIX)
    blocks = tiles.transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    usable = np.isfinite(blocks).sum(axis=1) > 0.3 * blocks.shape[1]
    if usable.sum() < 4 * _TREND_TERMS:
        return np.zeros_like(image)
    level = np.nanmedian(blocks[usable], axis=1)
    v = np.repeat((np.arange(rows) + 0.5) * _BLOCK_PIX * 2 / ny - 1, columns)[usable]
    u = np.tile((np.arange(columns) + 0.5) * _BLOCK_PIX * 2 / nx - 1, rows)[usable]
    design = np.stack([u**i * v**j for i, j in exponents(2)], axis=1)
    kept = np.ones(len(level), dtype=bool)
    terms = np.zeros(_TREND_TERMS)
    for _ in range(_CLIPPINGS):
        terms, *_ = np.linalg.lstsq(design[kept], level[kept], rcond=None)
        left = level - design @ terms
        spread = 1.4826 * float(np.median(np.abs(left[kept] - np.median(left[kept]))))
        kept = np.abs(left) <= 2.5 * max(spread, 1e-30)
        if kept.sum() < 2 * _TREND_TERMS:
            break
    y = (2 * np.arange(ny) / max(ny - 1, 1) - 1)[:, None]
    x = (2 * np.arange(nx) / max(nx - 1, 1) - 1)[None, :]
    surface = sum(t * x**i * y**j for t, (i, j) in zip(terms, exponents(2), strict=True))
    return np.asarray(surface, dtype=np.float32)


def _mesh(image: F32, masked: NDArray[np.bool_], config: BackgroundConfig) -> F32:
    """Mesh background by sep; the median where the frame is smaller than two cells."""
    if masked.all():
        return np.zeros_like(image)
    cell = min(config.mesh_pix, max(min(image.shape) // 2, 16))
    cells = sep.Background(
        image,
        mask=masked,
        maskthresh=0.0,
        bw=cell,
        bh=cell,
        fw=config.filter_cells,
        fh=config.filter_cells,
    )
    return np.asarray(cells.back(), dtype=np.float32)
