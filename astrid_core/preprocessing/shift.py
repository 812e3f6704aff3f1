"""Sub-pixel shifts of small stamps by a separable windowed sinc."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOBES = 5
"""Lanczos-5: below 0.2 % of the peak for a PSF of FWHM 2.5 px (Lanczos-3: 0.7 %)."""


def shift_stamps(
    stamps: NDArray[Any], dx_pix: NDArray[Any], dy_pix: NDArray[Any]
) -> NDArray[np.float64]:
    """Stamps moved by (dx, dy): what was at x is at x + dx afterwards.

    Parameters
    ----------
    stamps
        (n, m, m), or (m, m) to shift one stamp n ways.
    dx_pix, dy_pix
        (n,) shifts, at most a pixel or two; light shifted out of the stamp is lost.

    Returns
    -------
    (n, m, m) float64.
    """
    size = stamps.shape[-1]
    along_x = _matrices(np.asarray(dx_pix, dtype=np.float64), size)
    along_y = _matrices(np.asarray(dy_pix, dtype=np.float64), size)
    return np.asarray(along_y @ stamps @ along_x.transpose(0, 2, 1))


def _matrices(shift: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(n, size, size) interpolation matrices, banded; each full kernel sums to 1."""
    reach = _LOBES + int(np.ceil(np.abs(shift).max(initial=0.0)))
    offset = np.arange(-reach, reach + 1)
    distance = offset[None, :] - shift[:, None]
    taps = np.where(np.abs(distance) < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0.0)
    bordered = np.zeros((len(taps), 2 * reach + 3))
    np.divide(taps, taps.sum(axis=1, keepdims=True), out=bordered[:, 1:-1])
    index = np.arange(size)
    lag = np.clip(index[:, None] - index[None, :] + reach + 1, 0, 2 * reach + 2)
    return bordered[:, lag]
