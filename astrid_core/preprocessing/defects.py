"""Pixels that hold no sky: blank, saturated, dead, and bad columns."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label, median_filter

from astrid_core.preprocessing.config import MaskConfig
from astrid_core.preprocessing.shapes import cut_stamps

Mask = NDArray[np.bool_]

_PADDING_PIX = 64
"""Equal zeros touching the edge, connected over this many pixels, are padding."""
_HOLE_PIX = 400
"""The same in the interior, where a frame of small integers may have some by chance."""
_BORDER_FRACTION = 0.1
_BORDER_SIGMA = 5.0
_PILE_UP_PIX = 8
_PILE_UP_WIDTH = 0.01
_BLEED_ASPECT = 3.0
_COLUMN_BLOCK_PIX = 64
_COLUMN_WINDOW_PIX = 9
_MAX_BAD_COLUMNS = 0.03


def blank_pixels(data: NDArray[Any]) -> Mask:
    """NaN, infinite, and zero-padded regions."""
    blank = ~np.isfinite(data)
    zero = data == 0
    if zero.sum() < _PADDING_PIX:
        return blank
    regions, n = label(zero)
    sizes = np.bincount(regions.ravel(), minlength=n + 1)
    border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    padding = sizes >= _HOLE_PIX
    padding[border] |= sizes[border] >= _PADDING_PIX
    padding[0] = False
    return np.asarray(blank | padding[regions])


def border(data: NDArray[Any], blank: Mask, noise: float) -> Mask:
    """Strips along the edges that are not sky: overscan or shadow that no card declares.

    Such a strip ends in a step of the column (row) medians that no sky has.
    """
    found = np.zeros(data.shape, dtype=bool)
    levels = np.where(blank, np.nan, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-blank columns have no median
        columns = np.nanmedian(levels, axis=0)
        rows = np.nanmedian(levels, axis=1)
    left, right = _steps(columns, noise)
    bottom, top = _steps(rows, noise)
    found[:, :left] = found[:, data.shape[1] - right :] = True
    found[:bottom] = found[data.shape[0] - top :] = True
    return found


def _steps(levels: NDArray[Any], noise: float) -> tuple[int, int]:
    """How many lines before the outermost step at the start and the end."""
    reach = int(len(levels) * _BORDER_FRACTION)
    jumps = np.abs(np.nan_to_num(np.diff(levels)))
    limit = max(_BORDER_SIGMA * noise, 40.0 * float(np.median(jumps)))
    start, end = jumps[:reach], jumps[::-1][:reach]
    first = int(np.flatnonzero(start > limit).max(initial=-1)) + 1
    last = int(np.flatnonzero(end > limit).max(initial=-1)) + 1
    return first, last


def detected_saturation(data: NDArray[Any], blank: Mask) -> float | None:
    """Level at which pixels pile up at the top of the data; None where they do not.

    A frame without saturation thins out towards its brightest pixel; a saturated one has
    many within 1 % of the maximum and few in the next 4 %.
    """
    values = data[~blank]
    if len(values) == 0:
        return None
    top, middle = float(values.max()), float(np.median(values))
    span = top - middle
    if span <= 0:
        return None
    at_top = int((values > top - _PILE_UP_WIDTH * span).sum())
    below = int((values > top - 5 * _PILE_UP_WIDTH * span).sum()) - at_top
    is_piled = at_top >= _PILE_UP_PIX and at_top > 2 * below
    return top - _PILE_UP_WIDTH * span if is_piled and at_top < 0.2 * len(values) else None


def grow_saturation(saturated: Mask, grow_pix: int) -> Mask:
    """Saturated pixels with their surroundings, further along bleeding than across it."""
    if grow_pix == 0 or not saturated.any():
        return saturated
    grown = np.asarray(
        binary_dilation(saturated, structure=np.ones((3, 3), dtype=bool), iterations=grow_pix)
    )
    regions, _ = label(saturated, structure=np.ones((3, 3)))
    for index, box in enumerate(find_objects(regions), start=1):
        height, width = (side.stop - side.start for side in box)
        reach_y = 4 * grow_pix if height > _BLEED_ASPECT * width else 0
        reach_x = 4 * grow_pix if width > _BLEED_ASPECT * height else 0
        if not (reach_x or reach_y):
            continue
        rows = slice(max(box[0].start - reach_y, 0), box[0].stop + reach_y)
        columns = slice(max(box[1].start - reach_x, 0), box[1].stop + reach_x)
        region = regions[rows, columns] == index
        along = np.ones((2 * reach_y + 1, 2 * reach_x + 1), dtype=bool)
        grown[rows, columns] |= binary_dilation(region, structure=along)
    return grown


def bad_columns(residual: NDArray[Any], noise: NDArray[Any], bad: Mask, config: MaskConfig) -> Mask:
    """Columns and rows, whole or in blocks of 64 px, that stand out from their neighbours.

    Parameters
    ----------
    residual
        (ny, nx) background subtracted.
    noise
        (ny, nx) rms per pixel.
    bad
        (ny, nx) bool: pixels to leave out.

    Returns
    -------
    (ny, nx) bool. Only defects up to two pixels wide count: a star's spike or a galaxy is
    as wide as the PSF. Stars are harmless because a block is judged by its median, and
    because its quarters must agree.
    """
    scaled = np.where(bad, np.nan, residual / noise).astype(np.float32)
    down = _narrow_columns(scaled, config.column_sigma)
    across = _narrow_columns(scaled.T, config.column_sigma).T
    found = np.zeros_like(bad)
    for lines in (down, across):
        if lines.mean() < _MAX_BAD_COLUMNS:
            found |= lines
    return found


def _narrow_columns(scaled: NDArray[Any], limit: float) -> Mask:
    """Outlying columns of an image in units of its noise."""
    ny, nx = scaled.shape
    found = np.zeros((ny, nx), dtype=bool)
    block = min(_COLUMN_BLOCK_PIX, ny)
    whole = _outlying(scaled, limit)
    found |= whole[None, :]
    for start in range(0, ny - block + 1, block):
        rows = slice(start, ny if start + 2 * block > ny else start + block)
        found[rows] |= _outlying(scaled[rows], limit)[None, :]
    return found


def _outlying(scaled: NDArray[Any], limit: float) -> Mask:
    """(nx,) bool: columns whose median differs from the running median of columns."""
    level, n_used = _column_levels(scaled)
    enough = n_used >= 0.5 * scaled.shape[0]
    if not enough.any():
        return enough
    # The error of a median is 1.2533 σ/√n.
    error = 1.2533 / np.sqrt(np.maximum(n_used, 1))
    offset = level - median_filter(level, size=_COLUMN_WINDOW_PIX, mode="nearest")
    scatter = 1.4826 * float(np.median(np.abs(offset[enough])))
    out = enough & (np.abs(offset) > limit * np.maximum(error, scatter))
    agreeing = np.zeros(len(level), dtype=int)
    is_block = len(scaled) < 3 * _COLUMN_BLOCK_PIX
    for quarter in np.array_split(scaled, 4):
        part, _ = _column_levels(quarter)
        part -= median_filter(part, size=_COLUMN_WINDOW_PIX, mode="nearest")
        agreeing += part * np.sign(offset) > (0.15 * np.abs(offset) if is_block else 0.0)
    out &= agreeing >= (4 if is_block else 3)
    regions, _ = label(np.abs(offset) > 0.3 * _peak_nearby(np.abs(offset)))
    narrow = np.bincount(regions)[regions] <= 2
    return np.asarray(out & narrow)


def _column_levels(scaled: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Median of each column, 0 where it has no usable pixel, and the number of those."""
    n_used = np.isfinite(scaled).sum(axis=0)
    # NaN sorts last, so the median is in the middle of the first n_used.
    ordered = np.sort(scaled, axis=0)
    lower = np.take_along_axis(ordered, np.maximum(n_used - 1, 0)[None, :] // 2, axis=0)[0]
    upper = np.take_along_axis(ordered, (n_used // 2)[None, :] % len(scaled), axis=0)[0]
    return np.where(n_used > 0, 0.5 * (lower + upper), 0.0), n_used


def _peak_nearby(values: NDArray[Any]) -> NDArray[Any]:
    """Largest value within two pixels."""
    padded = np.pad(values, 2, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 5).max(axis=1))


def hot_in_dark(dark_level: NDArray[Any], noise: float, sigma: float) -> Mask:
    """Single pixels whose dark current stands out of their neighbours' by ``sigma`` · noise.

    Parameters
    ----------
    dark_level
        (ny, nx) dark as it was subtracted from a frame.
    noise
        Rms of a pixel of that frame, same unit. Its dark is subtracted, but a hot pixel's
        current changes with temperature and count rate.
    """
    hot = np.asarray(dark_level > np.median(dark_level) + sigma * noise)
    if not hot.any():
        return hot
    y, x = np.nonzero(hot)
    around = np.median(cut_stamps(dark_level, x, y, 2), axis=(1, 2))
    hot[y, x] = dark_level[y, x] - around > sigma * noise
    return hot


def dark_pixels(residual: NDArray[Any], noise: NDArray[Any], bad: Mask, sigma: float) -> Mask:
    """Single pixels far below the sky and their neighbours: nothing in the sky is dark."""
    low = (residual < -sigma * noise) & ~bad
    if not low.any():
        return low
    y, x = np.nonzero(low)
    around = np.median(cut_stamps(residual, x, y, 2), axis=(1, 2))
    low[y, x] = residual[y, x] - around < -sigma * noise[y, x]
    return low
