"""Square stamps in and out of images, cut at the edges."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cut_stamp(image: NDArray[Any], column: int, row: int, half_width: int) -> NDArray[Any]:
    """(2·half_width + 1)² copy around a pixel, zero outside the image."""
    size = 2 * half_width + 1
    stamp = np.zeros((size, size), dtype=image.dtype)
    inside, there = _overlap(image.shape, column, row, half_width)
    stamp[there] = image[inside]
    return stamp


def add_stamp(image: NDArray[Any], stamp: NDArray[Any], column: int, row: int) -> None:
    """Add an odd square stamp centred on a pixel, in place."""
    inside, there = _overlap(image.shape, column, row, stamp.shape[0] // 2)
    image[inside] += stamp[there]


def _overlap(
    shape: tuple[int, ...], column: int, row: int, half: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the image and of the stamp that cover each other; empty where none do."""
    inside, there = [], []
    for centre, size in ((row, shape[0]), (column, shape[1])):
        first = min(max(centre - half, 0), size)
        last = max(min(centre + half + 1, size), first)
        inside.append(slice(first, last))
        start = min(max(first - centre + half, 0), 2 * half + 1)
        there.append(slice(start, start + last - first))
    return (inside[0], inside[1]), (there[0], there[1])
