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
    """(n, size, size) interpolation matrices; each full kernel sums to 1."""
    index = np.arange(size, dtype=np.float64)
    distance = index[None, :, None] - index[None, None, :] - shift[:, None, None]
    kernel = np.sinc(distance) * np.sinc(distance / _LOBES)
    kernel[np.abs(distance) >= _LOBES] = 0.0
    reach = (
        np.arange(-_LOBES - 2, _LOBES + 3, dtype=np.float64)[None, :]
        - (shift - np.rint(shift))[:, None]
    )
    whole = np.where(np.abs(reach) < _LOBES, np.sinc(reach) * np.sinc(reach / _LOBES), 0.0)
    return np.asarray(kernel / whole.sum(axis=1)[:, None, None])
