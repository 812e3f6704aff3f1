"""Discs around positions: how far a source reaches, for labels, scores and matches alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_DISC_PIX = 2.0
"""Smallest radius of a source's disc: below it a disc is not round on the pixel grid."""


def disc_radius(fwhm_pix: float) -> float:
    """Radius in pixels of a source's disc."""
    return max(MIN_DISC_PIX, fwhm_pix)


def match_radius(fwhm_pix: float) -> float:
    """Distance in pixels within which a position is that of a real change."""
    return max(1.5, 0.5 * fwhm_pix)


def discs(shape: tuple[int, int], positions: NDArray[Any], radius_pix: float) -> NDArray[np.bool_]:
    """Pixels (ny, nx) within a radius of any position."""
    inside = np.zeros(shape, dtype=bool)
    reach = int(np.ceil(radius_pix)) + 1
    for position in positions:
        x, y = position["x_pix"], position["y_pix"]
        y0, x0 = max(0, round(y) - reach), max(0, round(x) - reach)
        patch = inside[y0 : max(0, round(y) + reach + 1), x0 : max(0, round(x) + reach + 1)]
        yy, xx = np.indices(patch.shape)
        patch |= (xx + x0 - x) ** 2 + (yy + y0 - y) ** 2 <= radius_pix**2
    return inside
