"""Elliptical Moffat profiles, integrated over pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

F64 = NDArray[np.float64]

_SUBPIXELS = 5
_STEEPEST_SHEAR = 0.9


def moffat_stamp(
    size: int,
    fwhm_pix: float,
    beta: float,
    g1: float = 0.0,
    g2: float = 0.0,
    dx_pix: float = 0.0,
    dy_pix: float = 0.0,
) -> F64:
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
    sampled = _sample(size, fwhm_pix, beta, g1, g2, dx_pix, dy_pix)
    return _over_pixels(sampled.profile, np.ones((1, size, _SUBPIXELS)))[0, 0]


def moffat_slopes(
    size: int, fwhm_pix: float, beta: float, g1: float, g2: float, dx_pix: float, dy_pix: float
) -> tuple[F64, F64]:
    """A stamp (size, size) as :func:`moffat_stamp` makes it, and its six slopes.

    Returns
    -------
    stamp, slopes
        The slopes are (6, size, size): by FWHM, β, g1, g2, dx and dy, each per its unit.

    Notes
    -----
    With I = (β − 1) u⁻ᵝ / (π α²), u = 1 + q/α², and q quadratic in x and y, every slope is a
    sum of the integrals of I, of I ln u, and of I/u times 1, x, y, x², xy or y².
    """
    at = _sample(size, fwhm_pix, beta, g1, g2, dx_pix, dy_pix)
    one = np.ones((1, size, _SUBPIXELS))
    stamp = _over_pixels(at.profile, one)[0, 0]
    logarithm = _over_pixels(at.profile * at.log_u, one)[0, 0]
    per_q = at.profile * np.exp(-at.log_u) * (-beta / at.alpha2)
    moments = _over_pixels(per_q, _powers(at.y), _powers(at.x))
    (_, by_x, by_xx), (by_y, by_xy, _), (by_yy, _, _) = moments

    norm, round_ = 1 - g1**2 - g2**2, 1 + g1**2 + g2**2
    squares, difference, product = by_xx + by_yy, by_xx - by_yy, 2 * by_xy
    by_q = (round_ * squares - 2 * g1 * difference - 2 * g2 * product) / norm
    of_alpha2 = -(stamp + by_q)  # by ln α²: the amplitude's, and q's in units of α²
    root = 2 ** (1 / beta)
    by_beta = stamp / (beta - 1) - logarithm + of_alpha2 * root * np.log(2) / (root - 1) / beta**2
    slopes = [
        of_alpha2 * 2 / fwhm_pix,
        by_beta,
        (2 * g1 * squares - 2 * difference + 2 * g1 * by_q) / norm,
        (2 * g2 * squares - 2 * product + 2 * g2 * by_q) / norm,
        -2 * ((round_ - 2 * g1) * by_x - 2 * g2 * by_y) / norm,
        -2 * ((round_ + 2 * g1) * by_y - 2 * g2 * by_x) / norm,
    ]
    return stamp, np.stack(slopes)


def fit_moffat(stamp: NDArray[Any]) -> F64:
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

    def residual(p: F64) -> F64:
        model = moffat_stamp(len(target), p[1], p[2], *_shear(p[3:5]), p[5], p[6])
        return np.asarray((p[0] * model - target).ravel())

    def jacobian(p: F64) -> F64:
        model, slopes = moffat_slopes(len(target), p[1], p[2], *_shear(p[3:5]), p[5], p[6])
        slopes[2:4] = np.tensordot(_shear_slopes(p[3:5]), slopes[2:4], axes=(0, 0))
        return np.concatenate([model[None], p[0] * slopes]).reshape(len(p), -1).T

    height = 1.0 / moffat_stamp(len(target), fwhm_guess, 3.0).max()
    fit = least_squares(
        residual,
        np.array([height, fwhm_guess, 3.0, 0, 0, 0, 0]),
        jac=jacobian,
        bounds=([0, 0.3, 1.2, -2, -2, -1.5, -1.5], [np.inf, size, 12, 2, 2, 1.5, 1.5]),
        loss="soft_l1",
        f_scale=0.02,
        x_scale="jac",
        xtol=1e-4,
        ftol=1e-5,
        max_nfev=25,
    )
    model = moffat_stamp(size, fit.x[1], fit.x[2], *_shear(fit.x[3:5]))
    return np.asarray(model / model.sum())


# --- steps --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sampled:
    """A profile at the subpixels: positions (n,) from its centre in pixels, planes (n, n).

    Attributes
    ----------
    log_u
        ln(1 + q/α²), of which the profile is a power.
    """

    x: F64
    y: F64
    alpha2: float
    log_u: F64
    profile: F64


def _sample(
    size: int, fwhm_pix: float, beta: float, g1: float, g2: float, dx_pix: float, dy_pix: float
) -> _Sampled:
    fine = (np.arange(size * _SUBPIXELS) + 0.5) / _SUBPIXELS - 0.5 - size // 2
    x, y = fine - dx_pix, fine - dy_pix
    norm, round_ = 1 - g1**2 - g2**2, 1 + g1**2 + g2**2
    alpha2 = fwhm_pix**2 / (4 * (2 ** (1 / beta) - 1))
    along_x = (round_ - 2 * g1) / (norm * alpha2) * x**2
    along_y = (round_ + 2 * g1) / (norm * alpha2) * y**2
    log_u = np.multiply.outer(-4 * g2 / (norm * alpha2) * y, x)
    log_u += along_x
    log_u += along_y[:, None]
    np.log1p(log_u, out=log_u)
    profile = np.exp(-beta * log_u)
    profile *= (beta - 1) / (np.pi * alpha2)
    return _Sampled(x, y, alpha2, log_u, profile)


def _powers(position: F64) -> F64:
    """1, position and its square, (3, pixels, subpixels)."""
    return np.stack([np.ones_like(position), position, position**2]).reshape(3, -1, _SUBPIXELS)


def _over_pixels(plane: F64, by_row: F64, by_column: F64 | None = None) -> F64:
    """Means over each pixel of a plane at the subpixels, times functions of row and column.

    Parameters
    ----------
    by_row, by_column
        (k, size, subpixels) and (m, size, subpixels), of which the second is the first's
        unless given.

    Returns
    -------
    (k, m, size, size) float64.
    """
    by_column = by_row if by_column is None else by_column
    size = by_row.shape[1]
    rows = by_row.transpose(1, 0, 2) @ plane.reshape(size, _SUBPIXELS, -1)
    blocks = rows.transpose(1, 0, 2).reshape(len(by_row), size, size, _SUBPIXELS)
    return np.einsum("kabj,mbj->kmab", blocks, by_column) / _SUBPIXELS**2


def _shear(raw: F64) -> tuple[float, float]:
    """Shear components of any size mapped to a shear below 0.9."""
    _, shrink = _shrink(raw)
    return float(raw[0] * shrink), float(raw[1] * shrink)


def _shear_slopes(raw: F64) -> F64:
    """Slopes (2, 2) of the mapped components by the raw ones: a row for each mapped one."""
    size, shrink = _shrink(raw)
    steeper = 1 - np.tanh(size / _STEEPEST_SHEAR) ** 2 - shrink
    return np.asarray(shrink * np.eye(2) + steeper * np.outer(raw, raw) / size**2)


def _shrink(raw: F64) -> tuple[float, float]:
    """Size of raw components, and what they are multiplied with."""
    size = max(float(np.hypot(raw[0], raw[1])), 1e-9)
    return size, _STEEPEST_SHEAR * float(np.tanh(size / _STEEPEST_SHEAR)) / size
