"""The reference's PSF corrected until bright stars cancel, wings included.

PSFs are measured on each frame alone, where neighbours and background set a floor to what
is known of their wings. A difference needs less and more: that N ⊗ P_r and R ⊗ P_n agree,
to the last wing of the brightest star. Neighbours are in both, so this can be asked in the
most crowded field. What is left, E = N ⊗ P_r − R ⊗ P_n, is explained by a small change of
one of the two PSFs: N ⊗ δ = E for P_r → P_r − δ, a linear problem in the spirit of Alard &
Lupton (1998) with δ a sum of rings and of their elongations.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import binary_dilation

from astrid_core.differencing.masking import unusable_pixels
from astrid_core.frame import Frame
from astrid_core.preprocessing.shapes import cut_stamps
from astrid_core.psf import Psf

F64 = NDArray[np.float64]

MAX_HALF_WIDTH_PIX = 31
"""Corrected stamps stay narrower than the margin of tiles."""
_REACH_FWHM = 6.0
_RINGS_FWHM = (0.0, 0.5, 1.0, 1.5, 2.1, 2.8, 3.7, 4.8, 6.0)
"""Radii at which rings peak; each falls linearly to its neighbours'."""
_ELONGATED_RINGS = range(1, 6)
_MAX_STARS = 20
_MIN_STARS = 5
_LIGHT_SIGMA = 10.0
"""Pixels of a stamp above this are starlight."""
_CLIP_SIGMA = 5.0
"""Pixels this far off, in units of the scatter of all, are a transient or a neighbour that
varied: fitted, they would pull the flux ratio of every star by some tenths of a per cent."""
_CLIPPINGS = 2
_PRIOR = 0.001
"""Expected change of the PSF's share of flux in a ring. Light moved from the core to a wide
pedestal is nearly a change of flux ratio and background; only this decides between them."""


@dataclass(frozen=True)
class WingMatch:
    """The reference's corrected PSF, and the factor its flux scale needs with it."""

    psf: Psf
    flux_factor: float


@dataclass(frozen=True)
class _Stamps:
    """Stamps (n, m, m) of bright stars in both frames, and which pixels are fitted.

    ``light`` is science without the pixels that hold no star: their noise, convolved with
    P_r on one side and with δ on the other, would be mistaken for wings.
    """

    science: F64
    reference: F64
    light: F64
    weight: F64
    p_n: F64
    p_r: F64


def match_wings(science: Frame, reference: Frame, x_pix: F64, y_pix: F64) -> WingMatch:
    """PSF of the reference, changed so that bright stars cancel.

    Parameters
    ----------
    science, reference
        Aligned frames on one flux scale and background.
    x_pix, y_pix
        Positions of stars in both, brightest first.

    Returns
    -------
    The reference's PSF with the same change everywhere and wider stamps, and the factor
    by which its pixels must be multiplied (moving light to the wings changes the ratio of
    cores); unchanged and 1 where fewer than five stars can be used.
    """
    fwhm = max(science.psf.fwhm_pix, reference.psf.fwhm_pix)
    reach = min(int(np.ceil(_REACH_FWHM * fwhm)), MAX_HALF_WIDTH_PIX)
    stamps = _cut(science, reference, np.asarray(x_pix), np.asarray(y_pix), reach, fwhm)
    if stamps is None:
        return WingMatch(reference.psf, 1.0)
    basis = ring_basis(reach, fwhm)
    problem = _problem(stamps, basis, reach)
    for _ in range(_CLIPPINGS):
        problem = problem.without_strangers(*_solve(problem))
    amplitudes, own = _solve(problem)
    change = np.tensordot(amplitudes, basis, axes=1)
    return WingMatch(_changed(reference.psf, change), 1.0 + float(np.median(own[:, 0])))


def ring_basis(half_pix: int, fwhm_pix: float) -> F64:
    """(n, m, m) stamps: rings of sum 0 and their elongations, m = 2·half + 1.

    A ring moves flux from the core (the first ring) to its radius; an elongation moves it
    around.
    """
    y, x = np.indices((2 * half_pix + 1, 2 * half_pix + 1)) - half_pix
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    knots = np.array(_RINGS_FWHM) * fwhm_pix
    rings = []
    for index in range(len(knots)):
        peak = np.zeros(len(knots))
        peak[index] = 1.0
        ring = np.interp(radius, knots, peak, right=0.0)
        if ring.sum() > 0:
            rings.append(ring / ring.sum())
    round_ones = [ring - rings[0] for ring in rings[1:]]
    turned = [
        rings[index] * wave
        for index in _ELONGATED_RINGS
        if index < len(rings)
        for wave in (np.cos(2 * angle), np.sin(2 * angle))
    ]
    return np.stack(round_ones + turned)


def _cut(
    science: Frame, reference: Frame, x: F64, y: F64, reach: int, fwhm: float
) -> _Stamps | None:
    """Stamps around bright stars whose cores are usable and whose fits stay on the frame."""
    bad = unusable_pixels(science) | unusable_pixels(reference)
    spoilt = binary_dilation(bad, iterations=max(1, round(fwhm))) if bad.any() else bad
    half = reach + max(reach, *(p.terms.shape[-1] // 2 for p in (science.psf, reference.psf)))
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    ny, nx = science.shape
    inside = (ix >= reach) & (iy >= reach) & (ix < nx - reach) & (iy < ny - reach)
    ix, iy = ix[inside], iy[inside]
    whole = ~spoilt[iy, ix]
    ix, iy = ix[whole][:_MAX_STARS], iy[whole][:_MAX_STARS]
    if len(ix) < _MIN_STARS:
        return None
    usable = cut_stamps(~spoilt, ix, iy, reach)
    noise2 = np.where(bad, np.inf, science.variance + reference.variance)
    variance = cut_stamps(noise2, ix, iy, reach)
    pixels = cut_stamps(np.where(bad, 0, science.data), ix, iy, half).astype(np.float64)
    noise = np.sqrt(cut_stamps(np.where(bad, 0, science.variance), ix, iy, half))
    light = np.where(pixels > _LIGHT_SIGMA * noise, pixels, 0.0)
    inner = np.s_[:, half - reach : half + reach + 1, half - reach : half + reach + 1]
    # The brightest cores must not rule the wings: their PSF error is of a few per cent.
    weight = np.where(usable, 1.0 / (variance + (0.02 * light[inner]) ** 2), 0.0)
    return _Stamps(
        science=pixels,
        light=light,
        reference=cut_stamps(np.where(bad, 0, reference.data), ix, iy, half).astype(np.float64),
        weight=np.nan_to_num(weight),
        p_n=np.stack([science.psf.at(px, py) for px, py in zip(ix, iy, strict=True)]),
        p_r=np.stack([reference.psf.at(px, py) for px, py in zip(ix, iy, strict=True)]),
    )


@dataclass(frozen=True)
class _Problem:
    """What is left of n stars, and what may explain it; p pixels, k changes of the PSF.

    Attributes
    ----------
    left
        (n, p) N ⊗ P_r − R ⊗ P_n.
    columns
        (n, k, p) the star's light ⊗ each change.
    own
        (n, p, 2) the star itself and 1: each stamp has a flux ratio and a background of its
        own, so that a variable star or a gradient does not become wings.
    weight
        (n, p) inverse variance, 0 where not fitted.
    """

    left: F64
    columns: F64
    own: F64
    weight: F64

    def without_strangers(self, amplitudes: F64, own: F64) -> "_Problem":
        """The problem without pixels far off a solution: what changed beside the stars."""
        model = np.einsum("k,nkp->np", amplitudes, self.columns)
        model += np.einsum("npj,nj->np", self.own, own)
        score = np.abs(self.left - model) * np.sqrt(self.weight)
        fitted = self.weight > 0
        scatter = 1.4826 * float(np.median(score[fitted])) if fitted.any() else 0.0
        strange = score > _CLIP_SIGMA * max(scatter, 1e-30)
        return replace(self, weight=np.where(strange, 0.0, self.weight))


def _problem(stamps: _Stamps, basis: F64, reach: int) -> _Problem:
    grid = _Grid(stamps.science.shape[-1], reach)
    matched = grid.back(grid.image(stamps.reference) * grid.kernel(stamps.p_n))
    left = grid.back(grid.image(stamps.science) * grid.kernel(stamps.p_r)) - matched
    rings = grid.kernel(basis)
    columns = np.stack([grid.back(bright * rings) for bright in grid.image(stamps.light)])
    n_stars = len(left)
    flat = matched.reshape(n_stars, -1)
    return _Problem(
        left=left.reshape(n_stars, -1),
        columns=columns.reshape(n_stars, len(basis), -1),
        own=np.stack([flat, np.ones_like(flat)], axis=-1),
        weight=stamps.weight.reshape(n_stars, -1),
    )


def _solve(problem: _Problem) -> tuple[F64, F64]:
    """Amplitudes (k,) of the changes by weighted least squares over all stamps, and each
    stamp's own flux excess and background (n, 2).
    """
    n_basis = problem.columns.shape[1]
    normal, right = np.eye(n_basis) / _PRIOR**2, np.zeros(n_basis)
    projected = []
    for left, columns, own, weight in zip(
        problem.left, problem.columns, problem.own, problem.weight, strict=True
    ):
        root = np.sqrt(weight)
        nuisance = own * root[:, None]
        design, target = columns * root, left * root
        inverse = np.linalg.pinv(nuisance)
        projected.append((inverse @ target, inverse @ design.T))
        design = design - (design @ inverse.T) @ nuisance.T
        target = target - nuisance @ projected[-1][0]
        normal += design @ design.T
        right += design @ target
    amplitudes = np.linalg.solve(normal, right)
    own_parts = [own - by_ring @ amplitudes for own, by_ring in projected]
    return np.asarray(amplitudes), np.stack(own_parts).astype(np.float64)


class _Grid:
    """Convolution of stamps whose central part alone is wanted.

    Wrapped light reaches only the rim, as far in as the kernel is wide.
    """

    def __init__(self, side: int, keep: int) -> None:
        self._size = next_fast_len(side, real=True)
        half = side // 2
        self._span = slice(half - keep, half + keep + 1)

    def image(self, stamps: F64) -> NDArray[np.complex128]:
        """Transforms of stamps of the grid's side."""
        return np.asarray(rfft2(stamps, (self._size, self._size)))

    def kernel(self, stamps: F64) -> NDArray[np.complex128]:
        """Transforms of kernels, their centres moved to the origin."""
        side = stamps.shape[-1]
        padded = np.zeros((*stamps.shape[:-2], self._size, self._size))
        padded[..., :side, :side] = stamps
        return np.asarray(rfft2(np.roll(padded, (-(side // 2), -(side // 2)), axis=(-2, -1))))

    def back(self, transform: NDArray[np.complex128]) -> F64:
        """Central part of images."""
        whole = irfft2(transform, (self._size, self._size))
        return np.asarray(whole[..., self._span, self._span])


def _changed(psf: Psf, change: F64) -> Psf:
    """PSF minus a change of sum 0, on stamps wide enough for both."""
    old, new = psf.terms.shape[-1] // 2, change.shape[-1] // 2
    half = max(old, new)
    terms: NDArray[Any] = np.pad(psf.terms, ((0, 0), (half - old,) * 2, (half - old,) * 2))
    terms = terms.astype(np.float64)
    terms[0] -= np.pad(change, half - new)
    return replace(psf, terms=(terms / terms[0].sum()).astype(np.float32))
