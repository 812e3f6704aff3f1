"""Noise of pixels, measured from their neighbours.

Differences of neighbouring pixels know nothing of sky gradients, galaxies or crowding,
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
_FAR_PIX = 3
"""Beyond the reach of common resampling kernels' correlation."""
_PLATEAU = 1.06


def white_noise(data: NDArray[Any], usable: NDArray[np.bool_]) -> float:
    """Rms noise of a pixel from third differences, for pixels independent of each other.

    (1, −3, 3, −1) / √20 cancels everything smooth, crowded stars included: on a crowded
    bulge field it finds the photon noise to 2 %, where plain differences find 1.25 of it.

    Parameters
    ----------
    data
        (ny, nx).
    usable
        (ny, nx) bool: pixels to measure on.

    Returns
    -------
    Noise in data units; NaN with fewer than 200 usable groups. Too low for correlated
    (resampled) pixels.
    """
    widths = []
    for plane, good in ((data, usable), (data.T, usable.T)):
        third = plane[3:] - 3 * plane[2:-1] + 3 * plane[1:-2] - plane[:-3]
        widths.append(third[good[3:] & good[2:-1] & good[1:-2] & good[:-3]])
    return _width(np.concatenate(widths)) / np.sqrt(20.0)


def pixel_noise(data: NDArray[Any], usable: NDArray[np.bool_], lag_pix: int = 1) -> float:
    """Rms noise of a pixel from differences of pixels ``lag_pix`` apart, over √2.

    Parameters and result as :func:`white_noise`. With a lag beyond the noise's correlation
    it is the full noise of correlated pixels.
    """
    differences = []
    for plane, good in ((data, usable), (data.T, usable.T)):
        differences.append((plane[lag_pix:] - plane[:-lag_pix])[good[lag_pix:] & good[:-lag_pix]])
    return _width(np.concatenate(differences)) / np.sqrt(2.0)


def total_noise(data: NDArray[Any], usable: NDArray[np.bool_]) -> float:
    """Rms noise of a pixel where it is not known whether pixels are correlated.

    On blank sky the differences reach a plateau within a few pixels: the full noise. Where
    they go on rising they measure crowding, and the white noise is taken.
    """
    white = white_noise(data, usable)
    near = pixel_noise(data, usable, _FAR_PIX)
    far = pixel_noise(data, usable, 2 * _FAR_PIX)
    return near if far < _PLATEAU * near else white


def noise_map(data: NDArray[Any], usable: NDArray[np.bool_], cell_pix: int) -> F32:
    """(ny, nx) rms noise of pixels where it may change over the frame (coadds, vignetting).

    Cells with too few usable pixels take the median of their neighbours; a frame too small
    for cells has one value.
    """
    ny, nx = data.shape
    whole = total_noise(data, usable)
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
    # Cells know the run of the noise; its level is that of the whole frame.
    smooth = generic_filter(grid, _nanmedian, size=3, mode="nearest")
    smooth = smooth * (whole / pixel_noise(data, usable))
    smooth = np.where(np.isfinite(smooth), smooth, whole)
    centres = ((edges_y[:-1] + edges_y[1:] - 1) / 2, (edges_x[:-1] + edges_x[1:] - 1) / 2)
    spline = RegularGridInterpolator(centres, smooth, bounds_error=False, fill_value=None)
    y = np.clip(np.arange(ny), centres[0][0], centres[0][-1])
    x = np.clip(np.arange(nx), centres[1][0], centres[1][-1])
    return np.asarray(spline(np.meshgrid(y, x, indexing="ij")), dtype=np.float32)


def _width(values: NDArray[Any]) -> float:
    """1.48 MAD, refined by a clipped rms: integer data make the MAD itself an integer."""
    if len(values) < _MIN_PAIRS:
        return float("nan")
    middle = np.median(values)
    width = _MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
    if width == 0:
        return float(np.std(values))
    core = values[np.abs(values - middle) < 3.0 * width]
    # The rms of a Gaussian clipped at 3 σ is 0.9866 σ.
    return float(np.std(core)) / 0.9866


def _nanmedian(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
