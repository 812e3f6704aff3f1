"""Maps between the pixel grids of two frames."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from astrid_core.errors import NoWcsError
from astrid_core.psf import exponents

F64 = NDArray[np.float64]
PixelMap = Callable[[F64, F64], tuple[F64, F64]]
"""Vectorised (x, y) → (x, y), 0-based pixel centres."""

_WCS_STEP_PIX = 64.0
"""Spacing of the WCS grid: a cubic spline through it follows SIP and TPV to < 1e-3 px."""


@dataclass(frozen=True)
class Polynomial:
    """Full two-dimensional polynomial map of normalised coordinates.

    Attributes
    ----------
    terms
        (2, n_terms) for x and y; powers as in :func:`astrid_core.psf.exponents`.
    centre, scale
        u = (x − centre[0]) / scale, v = (y − centre[1]) / scale.
    """

    terms: F64
    order: int
    centre: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    def __call__(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Map positions of any shape."""
        u = (np.asarray(x, dtype=np.float64) - self.centre[0]) / self.scale
        v = (np.asarray(y, dtype=np.float64) - self.centre[1]) / self.scale
        powers = exponents(self.order)
        out_x = sum(c * u**i * v**j for c, (i, j) in zip(self.terms[0], powers, strict=True))
        out_y = sum(c * u**i * v**j for c, (i, j) in zip(self.terms[1], powers, strict=True))
        return np.asarray(out_x), np.asarray(out_y)

    @classmethod
    def affine(cls, matrix: F64, offset: F64) -> "Polynomial":
        """The map ``matrix @ (x, y) + offset``."""
        terms: F64 = np.column_stack([offset, matrix]).astype(np.float64)
        return cls(terms, 1)

    @classmethod
    def fit(
        cls, x: F64, y: F64, to_x: F64, to_y: F64, order: int, weights: F64 | None = None
    ) -> "Polynomial":
        """Weighted least squares of ``order`` through pairs of positions."""
        centre = (float(np.mean(x)), float(np.mean(y)))
        scale = float(max(np.ptp(x), np.ptp(y), 1.0)) / 2
        design = design_matrix((x - centre[0]) / scale, (y - centre[1]) / scale, order)
        root = np.ones(len(x)) if weights is None else np.sqrt(weights)
        target = np.column_stack([to_x, to_y]) * root[:, None]
        terms = np.linalg.lstsq(design * root[:, None], target, rcond=None)[0]
        return cls(np.asarray(terms.T, dtype=np.float64), order, centre, scale)


def design_matrix(u: F64, v: F64, order: int) -> F64:
    """(n, n_terms) monomials of normalised coordinates."""
    return np.column_stack([u**i * v**j for i, j in exponents(order)])


@dataclass(frozen=True)
class GridMap:
    """A smooth map known on a grid, interpolated by cubic splines.

    Attributes
    ----------
    x_nodes, y_nodes
        Positions of grid columns and rows.
    to_x, to_y
        (n_y, n_x) mapped positions.
    """

    x_nodes: F64
    y_nodes: F64
    to_x: F64
    to_y: F64

    @cached_property
    def _splines(self) -> tuple[RectBivariateSpline, RectBivariateSpline]:
        return (
            RectBivariateSpline(self.y_nodes, self.x_nodes, self.to_x, s=0),
            RectBivariateSpline(self.y_nodes, self.x_nodes, self.to_y, s=0),
        )

    def __call__(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Map positions; beyond the grid the last value holds."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        to_x, to_y = (spline.ev(y, x) for spline in self._splines)
        return np.asarray(to_x), np.asarray(to_y)


@dataclass(frozen=True)
class Chain:
    """``second`` after ``first``."""

    first: PixelMap
    second: PixelMap

    def __call__(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Map positions through both."""
        return self.second(*self.first(x, y))


@dataclass(frozen=True)
class Displaced:
    """Positions moved by a shift that depends on where they are."""

    shift: PixelMap

    def __call__(self, x: F64, y: F64) -> tuple[F64, F64]:
        """(x + dx, y + dy)."""
        dx, dy = self.shift(x, y)
        return x + dx, y + dy


def wcs_map(science: WCS, reference: WCS, shape: tuple[int, int]) -> GridMap:
    """Science pixels → reference pixels through two WCS, over a frame and a margin.

    Raises
    ------
    NoWcsError
        If the WCS do not map the frame to finite positions: they show different skies.
    """
    ny, nx = shape
    x_nodes, y_nodes = _nodes(nx), _nodes(ny)
    x, y = np.meshgrid(x_nodes, y_nodes)
    sky = science.pixel_to_world(x.ravel(), y.ravel())
    with np.errstate(invalid="ignore"):
        to_x, to_y = reference.world_to_pixel(sky)
    mapped = np.stack([to_x, to_y]).reshape(2, *x.shape)
    if not np.isfinite(mapped).all():
        raise NoWcsError(
            "The two WCS do not map one frame onto the other",
            remedy="Check that science and reference show the same field.",
            finite_fraction=round(float(np.isfinite(mapped).mean()), 3),
        )
    return GridMap(x_nodes, y_nodes, mapped[0], mapped[1])


def _nodes(side: int) -> F64:
    n = max(4, int(np.ceil(side / _WCS_STEP_PIX)) + 1)
    return np.linspace(-0.5 - _WCS_STEP_PIX, side - 0.5 + _WCS_STEP_PIX, n + 2)


def jacobian(mapping: PixelMap, x: float, y: float, step: float = 8.0) -> F64:
    """(2, 2) derivative of a map at a position, by central differences."""
    xs = np.array([x + step, x - step, x, x])
    ys = np.array([y, y, y + step, y - step])
    to_x, to_y = mapping(xs, ys)
    return np.array(
        [[to_x[0] - to_x[1], to_x[2] - to_x[3]], [to_y[0] - to_y[1], to_y[2] - to_y[3]]]
    ) / (2 * step)


def invert(mapping: PixelMap, to_x: F64, to_y: F64, centre: tuple[float, float]) -> tuple[F64, F64]:
    """Positions that a smooth, nearly affine map sends to (to_x, to_y), by Newton steps."""
    inverse = np.linalg.inv(jacobian(mapping, *centre))
    x = np.full(np.shape(to_x), centre[0], dtype=np.float64)
    y = np.full(np.shape(to_x), centre[1], dtype=np.float64)
    for _ in range(12):
        at_x, at_y = mapping(x, y)
        miss_x, miss_y = to_x - at_x, to_y - at_y
        x = x + inverse[0, 0] * miss_x + inverse[0, 1] * miss_y
        y = y + inverse[1, 0] * miss_x + inverse[1, 1] * miss_y
        if np.size(miss_x) == 0 or max(np.abs(miss_x).max(), np.abs(miss_y).max()) < 1e-4:
            break
    return x, y
