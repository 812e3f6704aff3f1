"""Noise of pixels, measured from their neighbours.

The difference of adjacent pixels knows nothing of sky gradients, galaxies or crowding,
which the rms of a background mesh measures instead of noise.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import generic_filter

F32 = NDArray[np.float32]

_MAD_TO_SIGMA = 1.482602
_MIN_PAIRS = 200
_MIN_MAP_CELL_PIX = 32


def pixel_noise(data: NDArray[Any], usable: NDArray[np.bool_]) -> float:
    """Rms noise of a pixel: the robust width of adjacent differences over √2.

    Parameters
    ----------
    data
        (ny, nx); any smooth background may remain.
    usable
        (ny, nx) bool: blank-sky pixels.

    Returns
    -------
    Noise in data units; NaN with fewer than 200 pairs of usable pixels. For correlated
    (resampled) pixels it is a lower bound.
    """
    differences = np.concatenate(_differences(data, usable))
    if len(differences) < _MIN_PAIRS:
        return float("nan")
    return _robust_width(differences) / np.sqrt(2.0)


def noise_map(data: NDArray[Any], usable: NDArray[np.bool_], cell_pix: int) -> F32:
    """(ny, nx) rms noise of pixels where it may change over the frame (coadds, vignetting).

    Cells with too few usable pixels take the median of their neighbours; a frame too small
    for cells has one value.
    """
    ny, nx = data.shape
    whole = pixel_noise(data, usable)
    cell = max(cell_pix, _MIN_MAP_CELL_PIX)
    rows, columns = ny // cell, nx // cell
    if rows < 2 or columns < 2:
        return np.full((ny, nx), whole, dtype=np.float32)
    edges_y = np.linspace(0, ny, rows + 1).astype(int)
    edges_x = np.linspace(0, nx, columns + 1).astype(int)
    grid = np.array(
        [
            [pixel_noise(data[y0:y1, x0:x1], usable[y0:y1, x0:x1]) for x0, x1 in pairwise(edges_x)]
            for y0, y1 in pairwise(edges_y)
        ]
    )
    smooth = generic_filter(grid, _nanmedian, size=3, mode="nearest")
    smooth = np.where(np.isfinite(smooth), smooth, whole)
    centres = ((edges_y[:-1] + edges_y[1:] - 1) / 2, (edges_x[:-1] + edges_x[1:] - 1) / 2)
    spline = RegularGridInterpolator(centres, smooth, bounds_error=False, fill_value=None)
    y = np.clip(np.arange(ny), centres[0][0], centres[0][-1])
    x = np.clip(np.arange(nx), centres[1][0], centres[1][-1])
    return np.asarray(spline(np.meshgrid(y, x, indexing="ij")), dtype=np.float32)


def _differences(data: NDArray[Any], usable: NDArray[np.bool_]) -> list[NDArray[Any]]:
    along_x = (data[:, 1:] - data[:, :-1])[usable[:, 1:] & usable[:, :-1]]
    along_y = (data[1:] - data[:-1])[usable[1:] & usable[:-1]]
    return [along_x, along_y]


def _robust_width(values: NDArray[Any]) -> float:
    """1.48 MAD, refined by a clipped rms: integer data make the MAD itself an integer."""
    width = _MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))
    if width == 0:
        return float(np.std(values))
    core = values[np.abs(values - np.median(values)) < 3.0 * width]
    # The rms of a Gaussian clipped at 3 σ is 0.9866 σ.
    return float(np.std(core)) / 0.9866


def _nanmedian(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
