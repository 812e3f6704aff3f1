"""Where a difference image lies: on its reference's pixels, and on the reference's sky.

A header's WCS is as good as the telescope's pointing, and differs from frame to frame by
what the pointing erred. Registration is good to hundredths of a pixel. So that one source
has one position in every epoch, a science frame takes its sky from its reference.
"""

import warnings

import numpy as np
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from astrid_core.differencing.transform import PixelMap, Polynomial
from astrid_core.frame import Frame

F64 = NDArray[np.float64]

_ORDER = 5
"""Follows every map that registration makes, distorted WCS included, to < 0.01 px."""
_GRID = 13


def as_polynomial(mapping: PixelMap, shape: tuple[int, int]) -> Polynomial:
    """A smooth map over a frame of ``shape`` (ny, nx) as one polynomial, fit to be stored."""
    x, y = _grid(shape)
    return Polynomial.fit(x, y, *mapping(x, y), order=_ORDER)


def registered_wcs(science: Frame, reference: Frame, mapping: PixelMap) -> WCS | None:
    """The science frame's WCS, moved so that it agrees with the reference's.

    Parameters
    ----------
    mapping
        Science pixels → reference pixels, as registered.

    Returns
    -------
    A WCS with the science frame's distortions whose linear part is such that matched
    positions have the reference's sky positions, in the least-squares sense. The science
    frame's own where the reference has none, or shows another part of the sky; None where
    the science frame has none.
    """
    if science.wcs is None or reference.wcs is None:
        return science.wcs
    x, y = _grid(science.shape)
    with np.errstate(invalid="ignore"):
        sky = reference.wcs.pixel_to_world(*mapping(x, y))
        own_x, own_y = science.wcs.world_to_pixel(sky)
    if not np.isfinite([own_x, own_y]).all():
        return science.wcs
    # Where the own WCS would put each pixel's sky: own = matrix · pixel + offset.
    design = np.column_stack([np.ones_like(x), x, y])
    terms = np.linalg.lstsq(design, np.column_stack([own_x, own_y]), rcond=None)[0]
    offset, matrix = terms[0], terms[1:].T
    return _moved(science.wcs, matrix, offset)


def _moved(wcs: WCS, matrix: F64, offset: F64) -> WCS:
    """The WCS in pixels p of which ``matrix · p + offset`` are the given one's (0-based)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        # Its own header has the linear part as PC and CDELT, however the first one had it.
        moved = WCS(wcs.to_header(relax=True))
    moved.wcs.crpix = 1.0 + np.linalg.solve(matrix, moved.wcs.crpix - 1.0 - offset)
    moved.wcs.pc = moved.wcs.get_pc() @ matrix
    moved.wcs.set()
    return moved


def _grid(shape: tuple[int, int]) -> tuple[F64, F64]:
    """(x, y) of a grid of pixels from edge to edge, flat."""
    ny, nx = shape
    x, y = np.meshgrid(np.linspace(0, nx - 1, _GRID), np.linspace(0, ny - 1, _GRID))
    return x.ravel(), y.ravel()
