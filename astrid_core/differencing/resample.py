"""Windowed-sinc resampling over a coarse coordinate grid, as small matrix products.

A warp between two frames of one camera is, over 32 pixels, a shift that hardly varies.
So each output tile is two passes (horizontal, then vertical: Catmull & Smith 1980), and
each pass is a banded matrix times a tile. Along the axis of a pass the kernel's phase is
exact for every pixel; across it the phase is interpolated between a few Chebyshev nodes,
as many as the rotation needs. A tile row is one batch of BLAS products.

This module knows arrays and coordinates only; frames, masks and variances are ``warp``'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from astrid_core.differencing.kernels import (
    LOBES,
    MAX_NODES,
    chebyshev_nodes,
    lagrange_basis,
    phase_nodes,
    tap_weights,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mapping2D = Callable[[F64, F64], tuple[F64, F64]]
"""Vectorised (x, y) of the output → (x, y) of the source, 0-based pixels."""

TILE = 32
"""Output tile in pixels: small enough for few phase nodes, large enough for BLAS."""

_MAX_TAPS = 18
"""With more taps than this a tile is no shift any more, and pixels are gathered singly."""


@dataclass(frozen=True)
class Geometry:
    """Where each tile of the output lies in the source.

    In a tile, with s and t the offsets from its centre in half tiles,
    ``X = x_terms · (1, s, t, s², st, t²)``, likewise Y: exact at nine nodes of the tile.

    Attributes
    ----------
    shape
        (ny, nx) of the output.
    x_terms, y_terms
        (n_tiles_y, n_tiles_x, 6) float64, source pixels.
    """

    shape: tuple[int, int]
    x_terms: F64
    y_terms: F64

    @property
    def jacobian(self) -> F64:
        """(n_tiles_y, n_tiles_x, 2, 2) d(X, Y)/d(x, y) at tile centres, source/output px."""
        rows = [terms[..., 1:3] / (TILE / 2) for terms in (self.x_terms, self.y_terms)]
        return np.stack(rows, axis=-2)

    @property
    def area(self) -> F64:
        """(n_tiles_y, n_tiles_x) source pixels per output pixel."""
        return np.asarray(np.abs(np.linalg.det(self.jacobian)))

    @property
    def stretch(self) -> float:
        """Widening of the kernel that keeps a coarser output from aliasing, ≥ 1."""
        scale = float(np.sqrt(np.median(self.area)))
        return scale if scale > 1.05 else 1.0


def measure_geometry(to_source: Mapping2D, shape: tuple[int, int]) -> Geometry:
    """Sample a mapping every half tile and describe each tile by a quadratic."""
    ny, nx = shape
    half = TILE // 2
    n_y, n_x = -(-ny // TILE), -(-nx // TILE)
    y, x = np.mgrid[0 : 2 * n_y + 1, 0 : 2 * n_x + 1] * float(half) - 0.5
    source_x, source_y = to_source(x.ravel(), y.ravel())
    return Geometry(
        shape=shape,
        x_terms=_tile_quadratics(np.reshape(source_x, x.shape)),
        y_terms=_tile_quadratics(np.reshape(source_y, x.shape)),
    )


def _tile_quadratics(nodes: F64) -> F64:
    """Quadratic of each tile from its 3 × 3 nodes; nodes are shared by neighbours."""
    west, middle, east = nodes[:, 0:-1:2], nodes[:, 1::2], nodes[:, 2::2]
    sw, nw = west[0:-1:2], west[2::2]
    se, ne = east[0:-1:2], east[2::2]
    w, e = west[1::2], east[1::2]
    s, c, n = middle[0:-1:2], middle[1::2], middle[2::2]
    return np.stack(
        [
            c,
            (e - w) / 2,
            (n - s) / 2,
            (e + w) / 2 - c,
            (ne - nw - se + sw) / 4,
            (n + s) / 2 - c,
        ],
        axis=-1,
    )


def evaluate(terms: F64, s: NDArray[Any], t: NDArray[Any]) -> F64:
    """Tile quadratics at normalised offsets; leading axes of ``terms`` broadcast."""
    c, cs, ct, css, cst, ctt = np.moveaxis(terms, -1, 0)
    return np.asarray(c + s * (cs + css * s + cst * t) + t * (ct + ctt * t))


def oriented(image: NDArray[np.generic], jacobian: F64) -> tuple[NDArray[np.generic], str]:
    """Turn an image by quarter turns and mirrorings until the mapping is near identity.

    Returns the image as a view and the operations applied, for :func:`oriented_terms`.
    """
    operations = ""
    matrix = jacobian.copy()
    if abs(matrix[0, 1]) > abs(matrix[0, 0]):
        image, matrix, operations = image.T, matrix[::-1], "t"
    if matrix[0, 0] < 0:
        image, operations = image[:, ::-1], operations + "x"
    if matrix[1, 1] < 0:
        image, operations = image[::-1], operations + "y"
    return image, operations


def oriented_geometry(
    geometry: Geometry, operations: str, source_shape: tuple[int, int]
) -> Geometry:
    """The geometry that addresses an image turned by :func:`oriented`."""
    x_terms, y_terms = geometry.x_terms.copy(), geometry.y_terms.copy()
    ny, nx = source_shape
    if "t" in operations:
        x_terms, y_terms, ny, nx = y_terms, x_terms, nx, ny
    if "x" in operations:
        x_terms *= -1
        x_terms[..., 0] += nx - 1
    if "y" in operations:
        y_terms *= -1
        y_terms[..., 0] += ny - 1
    return Geometry(geometry.shape, x_terms, y_terms)


# --- tiles --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How a geometry is computed: nodes across each pass, taps along it, the kernel."""

    n_nodes: int
    n_taps: int
    stretch: float
    lobes: int = LOBES

    @property
    def reach(self) -> float:
        """Half-width of the kernel, source pixels."""
        return self.lobes * self.stretch

    @property
    def is_separable(self) -> bool:
        """Whether tiles can be done as matrix products at all."""
        return self.n_nodes <= MAX_NODES and self.n_taps <= _MAX_TAPS


def make_plan(geometry: Geometry, lobes: int = LOBES) -> Plan:
    """Choose nodes and taps from the largest phase drift over any tile.

    A tent is for smooth planes: one node serves it, half a tile's drift off at most.
    """
    x, y = geometry.x_terms, geometry.y_terms
    reach = 1 + (2 * lobes + 2) / TILE  # the horizontal pass also covers the kernel's rows
    across = max(
        np.abs(x[..., 2]).max() * reach + np.abs(x[..., 3:]).sum(axis=-1).max(),
        np.abs(y[..., 1]).max() + np.abs(y[..., 3:]).sum(axis=-1).max(),
    )
    half = TILE / 2
    along = max(np.abs(x[..., 1] - half).max(), np.abs(y[..., 2] - half).max())
    stretch = geometry.stretch
    support = int(np.ceil(2 * lobes * stretch))
    return Plan(
        n_nodes=1 if lobes == 1 else phase_nodes(float(across)),
        n_taps=support + int(np.ceil(2 * (along + across) - 1e-6)),
        stretch=stretch,
        lobes=lobes,
    )


def resample(image: F32, geometry: Geometry, fill: float = 0.0, lobes: int = LOBES) -> F32:
    """Resample an image with the normalised kernel, surface brightness kept.

    Parameters
    ----------
    image
        (ny, nx) float32, finite everywhere: replace bad pixels first. Beyond its edges the
        edge pixels repeat; tiles wholly outside are ``fill``.
    geometry
        From :func:`measure_geometry`.
    lobes
        ``LOBES`` for images, 1 for planes that are smooth and must stay positive.

    Returns
    -------
    (ny, nx) float32 of ``geometry.shape``.
    """
    image_view, operations = oriented(image, np.median(geometry.jacobian, axis=(0, 1)))
    source = np.ascontiguousarray(image_view, dtype=np.float32)
    turned = oriented_geometry(geometry, operations, image.shape)
    plan = make_plan(turned, lobes)
    row = _RowResampler(source, plan) if plan.is_separable else partial(_gather_row, source, plan)
    out = np.full(geometry.shape, fill, dtype=np.float32)
    for j in range(turned.x_terms.shape[0]):
        inside = _touches(turned.x_terms[j], turned.y_terms[j], source.shape, plan)
        if not inside.any():
            continue
        tiles = row(turned.x_terms[j][inside], turned.y_terms[j][inside])
        _place(out, tiles, j, np.flatnonzero(inside))
    return out


def _touches(x_terms: F64, y_terms: F64, shape: tuple[int, ...], plan: Plan) -> NDArray[np.bool_]:
    """Tiles whose kernels reach any source pixel."""
    reach_x = np.abs(x_terms[:, 1:]).sum(axis=1) + plan.reach
    reach_y = np.abs(y_terms[:, 1:]).sum(axis=1) + plan.reach
    x, y = x_terms[:, 0], y_terms[:, 0]
    return np.asarray(
        (x + reach_x >= 0)
        & (x - reach_x <= shape[1] - 1)
        & (y + reach_y >= 0)
        & (y - reach_y <= shape[0] - 1)
    )


def _place(out: F32, tiles: F32, j: int, columns: NDArray[np.intp]) -> None:
    """Write a row of tiles, cutting those that overhang the output."""
    band = out[j * TILE : (j + 1) * TILE]
    n_whole = out.shape[1] // TILE
    whole = columns < n_whole
    tiled = band[:, : n_whole * TILE].reshape(len(band), n_whole, TILE)
    tiled[:, columns[whole]] = tiles[whole, : len(band)].swapaxes(0, 1)
    for tile in tiles[~whole]:
        rest = band[:, n_whole * TILE :]
        rest[...] = tile[: len(band), : rest.shape[1]]


_OFFSETS = (np.arange(TILE) - (TILE - 1) / 2) / (TILE / 2)
"""Pixel centres of a tile in half tiles from its centre."""


class _RowResampler:
    """Resamples rows of tiles by two batched matrix products, reusing its workspace.

    The sum over phase nodes is the inner dimension of the product: windows weighted by
    the nodes' Lagrange polynomials side by side, times the nodes' banded matrices stacked.
    Off their bands the matrices stay zero from row to row.
    """

    def __init__(self, source: F32, plan: Plan) -> None:
        self._source = source
        self._plan = plan
        self._span = TILE + plan.n_taps - 1
        self._nodes = chebyshev_nodes(plan.n_nodes)
        self._allocate(0)

    def _allocate(self, n_tiles: int) -> None:
        span, n_nodes = self._span, self._plan.n_nodes
        self._windows = np.empty((n_tiles, span, span), dtype=np.float32)
        self._weighted_windows = np.empty((n_tiles, span, n_nodes, span), dtype=np.float32)
        self._right = np.zeros((n_tiles, n_nodes, span, TILE), dtype=np.float32)
        self._rows = np.empty((n_tiles, span, TILE), dtype=np.float32)
        self._weighted_rows = np.empty((n_tiles, n_nodes, span, TILE), dtype=np.float32)
        self._left = np.zeros((n_tiles, TILE, n_nodes, span), dtype=np.float32)
        self._tiles = np.empty((n_tiles, TILE, TILE), dtype=np.float32)

    def __call__(self, x_terms: F64, y_terms: F64) -> F32:
        """(n_tiles, TILE, TILE) of the tiles with these quadratics; valid until called again."""
        n_tiles = len(x_terms)
        if n_tiles != len(self._tiles):
            self._allocate(n_tiles)
        # vertical pass: phases along y exact, across x at the nodes
        y_node = evaluate(y_terms[:, None, None], self._nodes[:, None], _OFFSETS)
        first_row = self._first_tap(y_node)
        # horizontal pass: on source rows v, phases along x exact, across v at the nodes
        v_node = first_row[:, None] + (self._span - 1) / 2 + self._span / 2 * self._nodes
        x_node = _x_on_row(x_terms, y_terms, v_node)
        first_column = self._first_tap(x_node)
        self._set_bands(x_node - first_column[:, None, None], y_node - first_row[:, None, None])
        _copy_windows(self._source, first_row, first_column, self._windows)
        return self._multiply()

    def _first_tap(self, positions: F64) -> NDArray[np.int64]:
        """First source index of each tile's band: below the support of all its pixels."""
        lowest = (positions - np.arange(TILE)).min(axis=(1, 2))
        return np.asarray(np.ceil(lowest - self._plan.reach), dtype=np.int64)

    def _set_bands(self, x_offsets: F64, y_offsets: F64) -> None:
        """Put each pixel's taps on the diagonals: pixel i's tap k at index i + k."""
        tile, node, row, column = self._right.strides
        weights = self._diagonal_weights(x_offsets)
        as_strided(self._right, weights.shape, (tile, node, row + column, row))[...] = weights
        tile, row, node, column = self._left.strides
        weights = self._diagonal_weights(y_offsets)
        as_strided(self._left, weights.shape, (tile, node, row + column, column))[...] = weights

    def _diagonal_weights(self, offsets: F64) -> F32:
        plan = self._plan
        return tap_weights(offsets - np.arange(TILE), plan.n_taps, plan.stretch, plan.lobes)

    def _multiply(self) -> F32:
        """Both passes: Σ_p left_p · ℓ_p(x) · Σ_q ℓ_q(v) · windows · right_q."""
        n_tiles, span, n_nodes = len(self._tiles), self._span, self._plan.n_nodes
        windows, rows = self._windows, self._rows
        if n_nodes > 1:
            across = lagrange_basis(n_nodes, span).T[:, :, None]
            np.multiply(windows[:, :, None, :], across, out=self._weighted_windows)
            windows = self._weighted_windows.reshape(n_tiles, span, n_nodes * span)
        np.matmul(windows, self._right.reshape(n_tiles, n_nodes * span, TILE), out=rows)
        if n_nodes > 1:
            across = lagrange_basis(n_nodes, TILE)[:, None, :]
            np.multiply(rows[:, None], across, out=self._weighted_rows)
            rows = self._weighted_rows.reshape(n_tiles, n_nodes * span, TILE)
        np.matmul(self._left.reshape(n_tiles, TILE, n_nodes * span), rows, out=self._tiles)
        return self._tiles


def _x_on_row(x_terms: F64, y_terms: F64, rows: F64) -> F64:
    """X at output columns where Y(x, y) is a source row: (n_tiles, n_nodes, TILE)."""
    s = _OFFSETS
    x_terms, y_terms = x_terms[:, None, None], y_terms[:, None, None]
    level = y_terms[..., 0] + s * (y_terms[..., 1] + s * y_terms[..., 3])
    slope = y_terms[..., 2] + s * y_terms[..., 4]
    t = (rows[..., None] - level) / slope
    t -= y_terms[..., 5] / slope * (t * t)  # next term: curvature², below 1e-6 px
    return evaluate(x_terms, s, t)


def _copy_windows(
    source: F32, first_row: NDArray[np.int64], first_column: NDArray[np.int64], out: F32
) -> None:
    """Source windows of each tile; indices beyond the edge repeat it.

    Neighbours a whole tile apart, away from the edge, are copied as one strided block.
    """
    ny, nx = source.shape
    span = out.shape[1]
    inside = (first_row >= 0) & (first_row <= ny - span)
    inside &= (first_column >= 0) & (first_column <= nx - span)
    joined = (np.diff(first_row) == 0) & (np.diff(first_column) == TILE)
    joined &= inside[1:] & inside[:-1]
    starts = [0, *(np.flatnonzero(~joined) + 1).tolist()]
    for start, stop in zip(starts, [*starts[1:], len(out)], strict=True):
        y, x = int(first_row[start]), int(first_column[start])
        if inside[start]:
            block = source[y : y + span, x : x + (stop - start - 1) * TILE + span]
        else:
            rows = np.clip(np.arange(y, y + span), 0, ny - 1)
            columns = np.clip(np.arange(x, x + span), 0, nx - 1)
            block = source[np.ix_(rows, columns)]
        row, column = block.strides
        shape = (stop - start, span, span)
        out[start:stop] = as_strided(block, shape, (TILE * column, row, column))


def _gather_row(source: F32, plan: Plan, x_terms: F64, y_terms: F64) -> F32:
    """One row of tiles pixel by pixel: any rotation or scale, about ten times slower."""
    s, t = _OFFSETS[None, None, :], _OFFSETS[None, :, None]
    x = evaluate(x_terms[:, None, None], s, t)
    y = evaluate(y_terms[:, None, None], s, t)
    n_taps = int(np.ceil(2 * plan.reach)) + 1
    first_x = np.ceil(x - plan.reach).astype(np.int64)
    first_y = np.ceil(y - plan.reach).astype(np.int64)
    weights_x = tap_weights(x - first_x, n_taps, plan.stretch, plan.lobes)
    weights_y = tap_weights(y - first_y, n_taps, plan.stretch, plan.lobes)
    ny, nx = source.shape
    tiles = np.zeros(x.shape, dtype=np.float32)
    for j in range(n_taps):
        rows = np.clip(first_y + j, 0, ny - 1) * nx
        line = np.zeros_like(tiles)
        for i in range(n_taps):
            line += weights_x[..., i] * source.ravel()[rows + np.clip(first_x + i, 0, nx - 1)]
        tiles += weights_y[..., j] * line
    return tiles
