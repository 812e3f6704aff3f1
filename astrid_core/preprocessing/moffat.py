"""Elliptical Moffat profiles, integrated over pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

_SUBPIXELS = 5


def moffat_stamp(
    size: int,
    fwhm_pix: float,
    beta: float,
    g1: float = 0.0,
    g2: float = 0.0,
    dx_pix: float = 0.0,
    dy_pix: float = 0.0,
) -> NDArray[np.float64]:
    """Pixel-integrated Moffat stamp of flux 1 over the whole plane.

    Parameters
    ----------
    size
        Odd side length, pixels.
    fwhm_pix
        FWHM of the profile before integration over pixels.
    beta
        Exponent, > 1.
    g1, g2
        Shear components, |g| = (a − b)/(a + b), along x and along the diagonal.
    dx_pix, dy_pix
        Centre from the middle pixel.
    """
    fine = (np.arange(size * _SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5 - size // 2
    y, x = np.meshgrid(fine - dy_pix, fine - dx_pix, indexing="ij")
    norm = 1.0 - g1**2 - g2**2
    xs = ((1 - g1) * x - g2 * y) / np.sqrt(norm)
    ys = (-g2 * x + (1 + g1) * y) / np.sqrt(norm)
    alpha2 = fwhm_pix**2 / (4 * (2 ** (1 / beta) - 1))
    profile = (beta - 1) / (np.pi * alpha2) * (1 + (xs**2 + ys**2) / alpha2) ** -beta
    blocks = profile.reshape(size, _SUBPIXELS, size, _SUBPIXELS)
    return np.asarray(blocks.mean(axis=(1, 3)))


def fit_moffat(stamp: NDArray[Any]) -> NDArray[np.float64]:
    """Pixel-integrated Moffat fitted to a stamp, centred on the middle pixel, sum 1.

    The fit is robust (soft L1), so that neighbours in the stack's wings do not widen it.
    """
    size = stamp.shape[-1]
    scale = max(float(stamp.max()), 1e-30)
    target = np.asarray(stamp, dtype=np.float64) / scale
    fwhm_guess = max(1.2, float(np.sqrt((target > 0.5).sum() * 4 / np.pi)))

    def residual(p: NDArray[np.float64]) -> NDArray[np.float64]:
        g = np.clip(np.hypot(p[3], p[4]), 1e-9, None)
        shrink = 0.9 * np.tanh(g / 0.9) / g
        model = moffat_stamp(size, p[1], p[2], p[3] * shrink, p[4] * shrink, p[5], p[6])
        return np.asarray((p[0] * model - target).ravel())

    start = np.array([1.0 / moffat_stamp(size, fwhm_guess, 3.0).max(), fwhm_guess, 3.0, 0, 0, 0, 0])
    low = [0, 0.3, 1.2, -2, -2, -1.5, -1.5]
    high = [np.inf, size, 12, 2, 2, 1.5, 1.5]
    fit = least_squares(
        residual,
        start,
        bounds=(low, high),
        loss="soft_l1",
        f_scale=0.02,
        x_scale="jac",
        max_nfev=40,
    )
    p = fit.x
    g = max(float(np.hypot(p[3], p[4])), 1e-9)
    shrink = 0.9 * np.tanh(g / 0.9) / g
    model = moffat_stamp(size, p[1], p[2], p[3] * shrink, p[4] * shrink)
    return np.asarray(model / model.sum())
