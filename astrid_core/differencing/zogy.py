"""Proper image subtraction of one tile: D, S_corr and their noise.

Zackay, Ofek & Gal-Yam 2016 (ApJ 830, 27; "ZOGY"). Images arrive here already aligned,
background-subtracted, without NaN, and with the reference scaled to the science flux
scale (F_n = F_r = 1). Everything in this module is a pure function of small inputs; the
frame-level work (registration, masks, tiles) is in ``subtract``.

Notation: N science, R reference; P PSF; W noise power spectrum (σ² for white noise);
capitals are Fourier transforms. With ``den = (W_n |P_r|² + W_r |P_n|²) / (W_n(0) + W_r(0))``

    D = (P_r N − P_n R) / √den                                      (eqs. 13, 15; D / F_D)
    S = k_n N − k_r R,   k_n = P_n* |P_r|² / den,   k_r = P_r* |P_n|² / den (eqs. 12, 28-29)
    S_corr = S / √(V_n ⊗ k_n² + V_r ⊗ k_r² + V_ast)                        (eqs. 25-33)

so that a point source of flux f in N appears as f · P_D in D, and nothing in single
precision is far from the images' own scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, irfft2, rfft, rfft2

Real = NDArray[np.floating[Any]]
Complex = NDArray[np.complexfloating[Any, Any]]

WHITE_POINT = 3e-5
"""Delta function added to both PSFs, relative to their flux. Where neither PSF transmits
anything D becomes plainly (N − R) instead of noise with the phases of rounding errors."""

SPECTRUM_FLOOR = 0.02
"""Lowest noise power kept, relative to the spectrum's maximum."""

GRID_PIX = 128
"""Side of the small grid on which scalars and compact kernels are computed."""

MATCHING_FLOOR = 1e-2
"""Wiener constant of the kernel that matches the reference's PSF to the science's."""


@dataclass(frozen=True)
class Side:
    """What is known about one of the two images in a tile.

    Attributes
    ----------
    psf
        (n, n) stamp, n odd, centred, sum 1.
    variance
        Variance of sky and read noise, typical of the tile (flux units²): of a pixel where
        the noise is white, else what ``correlation`` is relative to.
    gain
        Electrons per flux unit *on the science flux scale*; 0 where unknown, which leaves
        the photon noise of sources out.
    correlation
        Autocovariance of the noise in units of ``variance``, centred; None for white noise.
    """

    psf: Real
    variance: float
    gain: float
    correlation: Real | None = None


@dataclass(frozen=True)
class TileResult:
    """D, S_corr and the variance of D of one padded tile.

    Attributes
    ----------
    difference
        D in flux units: a point source of flux f appears as f · P_D.
    scorr
        Matched-filter significance, unit normal where nothing changed.
    variance
        Variance of D per pixel under the hypothesis that nothing changed, as the matched
        filter sees it: √(variance / Σ P_D²) is the error of a PSF flux on D.
    """

    difference: Real
    scorr: Real
    variance: Real


@dataclass(frozen=True)
class _Kernels:
    """Transforms of the four kernels on one grid (``rfft2`` layout)."""

    p_n: Complex
    p_r: Complex
    root: Real
    k_n: Complex
    k_r: Complex
    w_n: Real | float
    w_r: Real | float


@dataclass(frozen=True)
class _Compact:
    """Scalars and stamps from the small grid.

    Attributes
    ----------
    sky_n, sky_r
        Variance of S per unit sky variance of N and R: the mean of W/v · |k|².
    power
        Σ P_D²; also S at the peak of a source of unit flux.
    source_kernel
        Stamp q with V_S(sources) = R ⊗ q, None where no gain is known.
    """

    sky_n: float
    sky_r: float
    power: float
    source_kernel: Real | None


# --- stamps and transforms ----------------------------------------------------------------


@lru_cache(maxsize=8)
def _taper(side: int) -> Real:
    """(side, side) float64: 1 inside, falling to 0 over the outer quarter of the radius."""
    half = side // 2
    radius = np.hypot(*(np.indices((side, side)) - half))
    edge = np.clip((half + 0.5 - radius) / max(half / 4.0, 1.0), 0.0, 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * edge))


def taper_psf(stamp: Real) -> Real:
    """Stamp that ends smoothly, sum 1, with the ``WHITE_POINT`` added."""
    tapered = stamp.astype(np.float64) * _taper(stamp.shape[0])
    tapered /= tapered.sum()
    half = stamp.shape[0] // 2
    tapered[half, half] += WHITE_POINT
    return np.asarray(tapered / (1.0 + WHITE_POINT))


def transfer(stamp: Real, shape: tuple[int, int], dtype: Any) -> Complex:
    """Transform of a stamp whose centre pixel is moved to the origin of a grid.

    Equals ``rfft2`` of the stamp rolled and zero-padded to ``shape``; the rows that hold
    only zeros are never transformed.

    Returns
    -------
    (ny, nx // 2 + 1), complex64 or complex128 after ``dtype``.
    """
    n = stamp.shape[0]
    half = n // 2
    ny, nx = shape
    rows = np.zeros((n, nx), dtype=dtype)
    rows[:, np.arange(-half, n - half)] = stamp
    columns = np.zeros((ny, nx // 2 + 1), dtype=np.result_type(dtype, np.complex64))
    columns[np.arange(-half, n - half)] = rfft(rows, axis=1)
    return np.asarray(fft(columns, axis=0, overwrite_x=True))


def _spectrum(side: Side, shape: tuple[int, int], dtype: Any) -> Real | float:
    """Noise power W(k) on a grid; a number where the noise is white."""
    if side.correlation is None:
        return side.variance
    power = transfer(side.correlation, shape, dtype).real
    power = np.maximum(power, SPECTRUM_FLOOR * power.max())
    return np.asarray(side.variance * power)


def _kernels(n: Side, r: Side, shape: tuple[int, int], dtype: Any) -> _Kernels:
    """Kernels of D and S on a grid."""
    p_n = transfer(taper_psf(n.psf), shape, dtype)
    p_r = transfer(taper_psf(r.psf), shape, dtype)
    w_n, w_r = _spectrum(n, shape, dtype), _spectrum(r, shape, dtype)
    power_n, power_r = _power(p_n), _power(p_r)
    total = _at_zero(w_n) + _at_zero(w_r)
    den = (w_n / total) * power_r + (w_r / total) * power_n
    return _Kernels(
        p_n=p_n,
        p_r=p_r,
        root=np.sqrt(den),
        k_n=p_n.conj() * (power_r / den),
        k_r=p_r.conj() * (power_n / den),
        w_n=w_n,
        w_r=w_r,
    )


def _at_zero(spectrum: Real | float) -> float:
    return spectrum if isinstance(spectrum, float) else float(spectrum[0, 0])


def _power(transform: Complex) -> Real:
    return np.asarray(transform.real**2 + transform.imag**2)


# --- compact quantities -------------------------------------------------------------------


def _grid_mean(values: Real) -> float:
    """Mean over all frequencies of a real, even quantity on the small ``rfft2`` grid."""
    inner = values[:, 1:-1].sum()
    outer = values[:, 0].sum() + values[:, -1].sum()
    return float((2.0 * inner + outer) / GRID_PIX**2)


def _compact(n: Side, r: Side) -> _Compact:
    """Scalars and the source-noise stamp of a tile."""
    grid = (GRID_PIX, GRID_PIX)
    kernels = _kernels(n, r, grid, np.float64)
    return _Compact(
        sky_n=_grid_mean(kernels.w_n * _power(kernels.k_n)) / n.variance,
        sky_r=_grid_mean(kernels.w_r * _power(kernels.k_r)) / r.variance,
        power=_grid_mean((kernels.k_n * kernels.p_n).real),
        source_kernel=_source_kernel(kernels, n.gain, r.gain),
    )


def _source_kernel(kernels: _Kernels, gain_n: float, gain_r: float) -> Real | None:
    """Stamp q such that R ⊗ q is the photon noise of R's sources in V_S.

    If nothing changed, N's sources are R's, matched to N's PSF: V_n = (R ⊗ m) / gain_n.
    Photon noise is linear in the image, so both images' share comes from one convolution
    of R: q = (m ⊗ k_n²) / gain_n + k_r² / gain_r.
    """
    if gain_n <= 0 and gain_r <= 0:
        return None
    grid = (GRID_PIX, GRID_PIX)
    total = np.zeros((GRID_PIX, GRID_PIX // 2 + 1), dtype=np.complex128)
    if gain_n > 0:
        matching = kernels.p_n * np.conj(kernels.p_r) / (_power(kernels.p_r) + MATCHING_FLOOR)
        matching /= matching[0, 0].real
        total += matching * rfft2(irfft2(kernels.k_n, grid) ** 2) / gain_n
    if gain_r > 0:
        total += rfft2(irfft2(kernels.k_r, grid) ** 2) / gain_r
    return np.asarray(_centred(irfft2(total, grid)))


def _centred(image: Real) -> Real:
    """Small-grid image with the origin moved to the centre of an odd stamp."""
    return np.asarray(np.fft.fftshift(image)[1:, 1:])


def difference_psfs(n: Side, r: Side, psfs_n: Sequence[Real]) -> list[Real]:
    """PSF of D where the science PSF is given: how a source of unit flux appears in it.

    Parameters
    ----------
    n, r
        The two images of the tile whose kernels made D.
    psfs_n
        Science PSFs at positions of the tile: D's kernels are constant in a tile, the
        science PSF need not be.

    Returns
    -------
    Stamps of the science PSF's shape, float32, sum 1.
    """
    grid = (GRID_PIX, GRID_PIX)
    kernels = _kernels(n, r, grid, np.float64)
    whitening = kernels.p_r / kernels.root
    stamps = []
    for psf in psfs_n:
        p_n = transfer(psf.astype(np.float64), grid, np.float64)
        image = _centred(irfft2(p_n * whitening, grid))
        margin = (image.shape[0] - psf.shape[0]) // 2
        inner = image[margin : margin + psf.shape[0], margin : margin + psf.shape[0]]
        stamps.append(np.asarray(inner / inner.sum(), dtype=np.float32))
    return stamps


# --- images -------------------------------------------------------------------------------


def zogy_tile(
    science: Real,
    reference: Real,
    n: Side,
    r: Side,
    *,
    variance_n: Real | None = None,
    variance_r: Real | None = None,
    shift_sigma_pix: tuple[float, float] = (0.0, 0.0),
) -> TileResult:
    """D, S_corr and variance of one padded tile.

    Parameters
    ----------
    science, reference
        (ny, nx) float32 or float64, finite, reference on the science flux scale. The
        computation is done in the type of ``science``.
    n, r
        PSF, noise and gain of the two.
    variance_n, variance_r
        (ny, nx) sky variance where it varies over the tile, smooth on the scale of the
        kernels (``V ⊗ k² ≈ V Σ k²``); None where it is ``n.variance``, ``r.variance``.
    shift_sigma_pix
        (x, y) rms of the registration error, pixels.

    Notes
    -----
    Five real FFTs (N, R forward; D, S, V_S inverse), a sixth with the astrometric term,
    and those of the PSF stamps. The slow expression it equals is written out in its test.
    """
    shape = (science.shape[0], science.shape[1])
    dtype = science.dtype
    compact = _compact(n, r)
    kernels = _kernels(n, r, shape, dtype)
    f_n, f_r = rfft2(science), rfft2(reference)
    variance = _sky_variance(compact, n, r, variance_n, variance_r)
    if compact.source_kernel is not None:
        spread = irfft2(f_r * transfer(compact.source_kernel, shape, dtype), shape)
        variance = variance + np.maximum(spread, 0)
    s_n, s_r = f_n * kernels.k_n, f_r * kernels.k_r
    if max(shift_sigma_pix) > 0:
        variance = variance + _shift_variance(irfft2(s_r, shape), shift_sigma_pix)
    score = irfft2(s_n - s_r, shape)
    difference = irfft2((f_n * kernels.p_r - f_r * kernels.p_n) / kernels.root, shape)
    variance = np.broadcast_to(np.asarray(variance, dtype=dtype), shape)
    return TileResult(
        difference=difference,
        scorr=np.asarray(score / np.sqrt(variance), dtype=dtype),
        variance=np.asarray(variance / dtype.type(compact.power)),
    )


def _sky_variance(
    compact: _Compact,
    n: Side,
    r: Side,
    variance_n: Real | None,
    variance_r: Real | None,
) -> Real | float:
    """Share of sky and read noise in V_S: an image where a variance map is given."""
    share_n = n.variance if variance_n is None else variance_n
    share_r = r.variance if variance_r is None else variance_r
    return compact.sky_n * share_n + compact.sky_r * share_r


def _shift_variance(score_r: Real, sigma_pix: tuple[float, float]) -> Real:
    """V_ast = σ_x² (∂S_r/∂x)² + σ_y² (∂S_r/∂y)² (ZOGY eqs. 30-33).

    Only the relative shift of the two images matters, so one image's term suffices; the
    reference's, in which a transient cannot inflate its own noise.
    """
    along_y, along_x = np.gradient(score_r)
    return np.asarray((sigma_pix[0] * along_x) ** 2 + (sigma_pix[1] * along_y) ** 2)
