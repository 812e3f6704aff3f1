"""Flux ratio and shift of single stars between two aligned frames, at one common PSF."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from astrid_core.differencing.registration_config import PhotometryConfig
from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame
from astrid_core.psf import Psf

F64 = NDArray[np.float64]

_BATCH = 32
"""Stars fitted together: their stamps, not the frame, would set the memory."""
_FIT_FWHM = 1.3
"""Radius of the pixels fitted, in FWHM of the broader PSF."""


@dataclass(frozen=True)
class StarRatios:
    """What each star says: (n,) float64 each, ratios and shifts with their errors."""

    x: F64
    y: F64
    ratio: F64
    ratio_err: F64
    shift_x: F64
    shift_y: F64
    shift_err: F64

    def chosen(self, keep: NDArray[np.bool_]) -> "StarRatios":
        """The stars marked in ``keep``."""
        return StarRatios(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Stamps:
    """Stamps of one frame around each star: pixels, variance with photons, and PSFs."""

    pixels: F64
    variance: F64
    psf: F64


def measure_stars(
    science: Frame, warped: Frame, x: F64, y: F64, config: PhotometryConfig
) -> StarRatios:
    """Fit each star's cross-convolved stamps.

    Parameters
    ----------
    science, warped
        Frames on one grid, each with its own PSF.
    x, y
        Positions, brightest first; stars with unusable or missing pixels are left out,
        and all beyond ``config.max_stars``.
    """
    fwhm = max(science.psf.fwhm_pix, warped.psf.fwhm_pix)
    radius = max(2, int(np.ceil(_FIT_FWHM * fwhm)))
    unusable = ((science.mask | warped.mask) & np.uint16(UNUSABLE)) != 0
    keep = _measurable(unusable, x, y, radius + 1)
    x, y = x[keep][: config.max_stars], y[keep][: config.max_stars]
    batches = [
        _fit_batch(science, warped, unusable, x[i : i + _BATCH], y[i : i + _BATCH], radius)
        for i in range(0, len(x), _BATCH)
    ]
    columns = StarRatios.__dataclass_fields__
    return StarRatios(
        *(np.concatenate([np.zeros(0), *(getattr(b, name) for b in batches)]) for name in columns)
    )


def _fit_batch(
    science: Frame,
    warped: Frame,
    unusable: NDArray[np.bool_],
    x: F64,
    y: F64,
    radius: int,
) -> StarRatios:
    """Fit A = f·B + g·∇B + b to the pixels of each of some stars."""
    half = radius + 1 + max(p.terms.shape[-1] // 2 for p in (science.psf, warped.psf))
    n = _cut(science, unusable, x, y, half)
    r = _cut(warped, unusable, x, y, half)
    a = _convolve(n.pixels, r.psf, radius + 1)
    b = _convolve(r.pixels, n.psf, radius + 1)
    columns = np.stack(
        [
            b[:, 1:-1, 1:-1],
            (b[:, 1:-1, 2:] - b[:, 1:-1, :-2]) / 2,
            (b[:, 2:, 1:-1] - b[:, :-2, 1:-1]) / 2,
            np.ones_like(b[:, 1:-1, 1:-1]),
        ],
        axis=-1,
    )
    offsets = np.arange(-radius, radius + 1)
    disc = np.hypot(offsets[:, None], offsets) <= radius
    design, target = columns[:, disc], a[:, 1:-1, 1:-1][:, disc]
    estimators: F64 = np.linalg.pinv(design).astype(np.float64)  # (n, 4, pixels)
    f, gx, gy, _ = np.einsum("nkp,np->kn", estimators, target)
    safe = np.where(np.abs(f) > 0, f, np.nan)
    errors = [_error(estimators[:, k], disc, n, r, f) for k in range(3)]
    return StarRatios(
        x=x,
        y=y,
        ratio=f,
        ratio_err=errors[0],
        shift_x=gx / safe,
        shift_y=gy / safe,
        shift_err=np.hypot(errors[1], errors[2]) / np.sqrt(2) / np.abs(safe),
    )


def _measurable(unusable: NDArray[np.bool_], x: F64, y: F64, reach: int) -> NDArray[np.bool_]:
    """Stars whose fitted pixels lie on the frame and are usable in both."""
    ny, nx = unusable.shape
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    keep = (ix >= reach) & (iy >= reach) & (ix < nx - reach) & (iy < ny - reach)
    for index in np.flatnonzero(keep):
        rows = slice(iy[index] - reach, iy[index] + reach + 1)
        columns = slice(ix[index] - reach, ix[index] + reach + 1)
        keep[index] = not unusable[rows, columns].any()
    return keep


def _cut(frame: Frame, unusable: NDArray[np.bool_], x: F64, y: F64, half: int) -> _Stamps:
    """Stamps of half-width ``half``.

    Pixels unusable in either frame, or beyond its border, are 0 and certain in both.
    """
    ny, nx = frame.shape
    offsets = np.arange(-half, half + 1)
    rows = (np.rint(y).astype(int)[:, None] + offsets)[:, :, None]
    columns = (np.rint(x).astype(int)[:, None] + offsets)[:, None, :]
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    rows, columns = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    usable = inside & ~unusable[rows, columns]
    pixels = np.where(usable, frame.data[rows, columns], 0.0).astype(np.float64)
    gain = frame.meta.source_gain
    photons = np.maximum(pixels, 0.0) / gain if gain > 0 else 0.0
    variance = np.where(usable, frame.variance[rows, columns] + photons, 0.0)
    return _Stamps(pixels, variance.astype(np.float64), _psf_stamps(frame.psf, x, y))


def _psf_stamps(psf: Psf, x: F64, y: F64) -> F64:
    """(n, m, m) PSFs at positions; (1, m, m) where the PSF is constant."""
    if psf.order == 0:
        return psf.centre()[None].astype(np.float64)
    return np.stack([psf.at(px, py) for px, py in zip(x, y, strict=True)]).astype(np.float64)


def _convolve(pixels: F64, kernels: F64, keep: int) -> F64:
    """Convolution of each stamp with its kernel, the central (2·keep + 1)² of it."""
    n, m = pixels.shape[-1], kernels.shape[-1]
    size = next_fast_len(n + m - 1, real=True)
    product = rfft2(pixels, (size, size)) * rfft2(kernels, (size, size))
    whole = irfft2(product, (size, size))
    middle = (n - 1) // 2 + (m - 1) // 2
    span = slice(middle - keep, middle + keep + 1)
    return np.asarray(whole[:, span, span])


def _error(estimator: F64, disc: NDArray[np.bool_], n: _Stamps, r: _Stamps, ratio: F64) -> F64:
    """Error of a linear estimator Σ e·(N ⊗ P_r − f·R ⊗ P_n), noise of both included.

    Moved onto the unconvolved pixels, whose noise is white, e becomes e ⋆ P.
    """
    weights = np.zeros((len(estimator), *disc.shape))
    weights[:, disc] = estimator
    half = n.pixels.shape[-1] // 2
    room = half - disc.shape[0] // 2
    padded = np.pad(weights, ((0, 0), (room, room), (room, room)))
    on_n = _convolve(padded, r.psf[:, ::-1, ::-1], half)
    on_r = _convolve(padded, n.psf[:, ::-1, ::-1], half)
    variance = (on_n**2 * n.variance).sum(axis=(1, 2))
    variance += ratio**2 * (on_r**2 * r.variance).sum(axis=(1, 2))
    return np.asarray(np.sqrt(variance))
