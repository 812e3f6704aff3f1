"""Sky background on a mesh, with sources masked so that galaxies stay in the image."""

from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from astrid_core.preprocessing.config import BackgroundConfig
from astrid_core.preprocessing.noise import pixel_noise

F32 = NDArray[np.float32]

_SMOOTH_PIX = 3.0
"""Smoothing before sources are masked: brings out halos below the noise of a pixel."""
_GROW_PIX = 6
_CROWDED = 0.6
"""With more of the frame under sources, masks would leave nothing: cells clip instead."""


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
    background = _mesh(image, bad, config)
    sources = np.zeros(bad.shape, dtype=bool)
    for _ in range(config.passes):
        sources = find_sources(image - background, bad, config.source_sigma)
        crowded = sources[~bad].mean() > _CROWDED if (~bad).any() else True
        background = _mesh(image, bad if crowded else bad | sources, config)
    return background, sources


def find_sources(
    residual: NDArray[Any], bad: NDArray[np.bool_], threshold: float
) -> NDArray[np.bool_]:
    """(ny, nx) bool: pixels of a smoothed background-subtracted image above the noise, grown."""
    noise = pixel_noise(residual, ~bad)
    if not noise > 0:
        return np.zeros(bad.shape, dtype=bool)
    filled = np.where(bad, 0.0, residual)
    smooth = gaussian_filter(filled, _SMOOTH_PIX, mode="nearest")
    smooth_noise = noise / (2.0 * np.sqrt(np.pi) * _SMOOTH_PIX)
    bright = (smooth > 2 * threshold * smooth_noise) | (filled > 2 * threshold * noise)
    return np.asarray(binary_dilation(bright, iterations=_GROW_PIX))


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
