"""Tiles: where each part of an image is computed, with margin and good FFT sizes.

Only geometry lives here. A tile writes its *core*; it reads core plus margin, so that
kernels narrower than the margin never see a tile's border, and what lies outside the
image is filled by the caller.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len


@dataclass(frozen=True)
class Tile:
    """One tile of an image.

    Attributes
    ----------
    core
        (rows, columns) of the image that this tile writes.
    window
        (rows, columns) of the image that it reads: core plus margin, cut at the border.
    origin
        (y, x) of the window's first pixel inside the padded tile.
    shape
        Shape of the padded tile, good for FFTs.
    margin
        Margin in pixels: the core begins there in the padded tile.
    """

    core: tuple[slice, slice]
    window: tuple[slice, slice]
    origin: tuple[int, int]
    shape: tuple[int, int]
    margin: int

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the core's centre in 0-based pixels of the image."""
        rows, columns = self.core
        return (columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2

    def cut(self, image: NDArray[Any], fill: float = 0.0) -> NDArray[Any]:
        """Padded copy of the tile's window; ``fill`` where the image ends."""
        padded = np.full(self.shape, fill, dtype=image.dtype)
        window = image[self.window]
        y, x = self.origin
        padded[y : y + window.shape[0], x : x + window.shape[1]] = window
        return padded

    def core_of(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Core of a padded tile, as a view."""
        rows, columns = self.core
        y = slice(self.margin, self.margin + rows.stop - rows.start)
        x = slice(self.margin, self.margin + columns.stop - columns.start)
        return padded[y, x]


def plan_tiles(shape: tuple[int, int], tile_pix: int, margin_pix: int) -> Iterator[Tile]:
    """Cut an image into equal tiles of at most ``tile_pix``, row by row.

    Parameters
    ----------
    shape
        (ny, nx) of the image.
    tile_pix
        Largest core side. A side of 600 with 512 gives two cores of 300, not 512 + 88.
    margin_pix
        Pixels read beyond the core on every side.
    """
    for rows in _pieces(shape[0], tile_pix):
        for columns in _pieces(shape[1], tile_pix):
            window = tuple(
                slice(max(0, piece.start - margin_pix), min(side, piece.stop + margin_pix))
                for piece, side in zip((rows, columns), shape, strict=True)
            )
            origin = tuple(
                cut.start - piece.start + margin_pix
                for cut, piece in zip(window, (rows, columns), strict=True)
            )
            padded = tuple(
                next_fast_len(piece.stop - piece.start + 2 * margin_pix, real=True)
                for piece in (rows, columns)
            )
            yield Tile(
                core=(rows, columns),
                window=(window[0], window[1]),
                origin=(origin[0], origin[1]),
                shape=(padded[0], padded[1]),
                margin=margin_pix,
            )


def _pieces(side: int, tile_pix: int) -> list[slice]:
    """Slices of at most ``tile_pix`` that cover ``side`` as evenly as integers allow."""
    count = -(-side // tile_pix)
    edges = [side * index // count for index in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]
