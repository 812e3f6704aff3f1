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

    Fitted within 2.5 FWHM and robustly (soft L1), so that what neighbours left in the
    stack's wings does not widen it.
    """
    size = stamp.shape[-1]
    target = np.asarray(stamp, dtype=np.float64) / max(float(stamp.max()), 1e-30)
    fwhm_guess = max(1.2, float(np.sqrt((target > 0.5).sum() * 4 / np.pi)))
    half = min(size // 2, int(np.ceil(2.5 * fwhm_guess)))
    middle = slice(size // 2 - half, size // 2 + half + 1)
    target = target[middle, middle]

    def residual(p: NDArray[np.float64]) -> NDArray[np.float64]:
        model = moffat_stamp(len(target), p[1], p[2], *_shear(p[3], p[4]), p[5], p[6])
        return np.asarray((p[0] * model - target).ravel())

    height = 1.0 / moffat_stamp(len(target), fwhm_guess, 3.0).max()
    fit = least_squares(
        residual,
        np.array([height, fwhm_guess, 3.0, 0, 0, 0, 0]),
        bounds=([0, 0.3, 1.2, -2, -2, -1.5, -1.5], [np.inf, size, 12, 2, 2, 1.5, 1.5]),
        loss="soft_l1",
        f_scale=0.02,
        x_scale="jac",
        xtol=1e-4,
        ftol=1e-5,
        max_nfev=25,
    )
    model = moffat_stamp(size, fit.x[1], fit.x[2], *_shear(fit.x[3], fit.x[4]))
    return np.asarray(model / model.sum())


def _shear(g1: float, g2: float) -> tuple[float, float]:
    """Shear components of any size mapped to a shear below 0.9."""
    size = max(float(np.hypot(g1, g2)), 1e-9)
    shrink = 0.9 * np.tanh(size / 0.9) / size
    return g1 * shrink, g2 * shrink
