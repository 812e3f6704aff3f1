"""The linear algebra behind the PSF: stars ↔ stamps."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.preprocessing.shapes import adaptive_moments, cut_stamps
from astrid_core.preprocessing.shift import shift_stamps
from astrid_core.psf import exponents

F64 = NDArray[np.float64]

_SYSTEMATIC = 0.01
"""Error floor relative to the PSF's own pixel: keeps the brightest stars from ruling."""
_CLIP = 3.0
_JACOBI_PASSES = 4
_MAX_STEP_PIX = 0.5


@dataclass(frozen=True)
class StarSet:
    """n stars as stamps.

    Attributes
    ----------
    pixels
        (n, m, m) data.
    variance
        (n, m, m) total variance, infinite where a pixel is unusable.
    dx, dy
        (n,) position from the stamp's middle pixel.
    flux
        (n,) total flux, data units.
    u, v
        (n,) position mapped to [-1, 1] over the frame.
    ix, iy
        (n,) the stamps' middle pixels.
    """

    pixels: NDArray[Any]
    variance: NDArray[Any]
    dx: F64
    dy: F64
    flux: F64
    u: F64
    v: F64
    ix: NDArray[Any]
    iy: NDArray[Any]

    def keep(self, chosen: NDArray[np.bool_]) -> "StarSet":
        """The chosen stars."""
        return StarSet(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def basis(self, order: int) -> F64:
        """(n, n_terms) values of the polynomial terms at each star."""
        return np.stack([self.u**i * self.v**j for i, j in exponents(order)], axis=1)

    def profiles(self, terms: F64, order: int) -> F64:
        """(n, m, m) PSF at each star, shifted to the star's sub-pixel position, sum 1."""
        stamps = np.tensordot(self.basis(order), terms, axes=1)
        return shift_stamps(stamps, self.dx, self.dy)

    def model(self, terms: F64, order: int) -> F64:
        """(n, m, m) expected pixels."""
        return self.profiles(terms, order) * self.flux[:, None, None]


def cut_stars(
    pixels: NDArray[Any], variance: NDArray[Any], stars: NDArray[Any], half: int
) -> StarSet:
    """Stamps of catalogue stars; outside the frame a pixel is as unusable as a masked one."""
    ny, nx = pixels.shape
    ix = np.clip(np.rint(stars["x_pix"]).astype(int), 0, nx - 1)
    iy = np.clip(np.rint(stars["y_pix"]).astype(int), 0, ny - 1)
    weight = np.where(np.isfinite(variance), 1.0 / np.maximum(variance, 1e-30), 0.0)
    with np.errstate(divide="ignore"):
        noise2 = 1.0 / cut_stamps(weight, ix, iy, half)
    return StarSet(
        pixels=cut_stamps(pixels, ix, iy, half),
        variance=noise2,
        dx=stars["x_pix"] - ix,
        dy=stars["y_pix"] - iy,
        flux=np.maximum(stars["flux"], 1e-30),
        u=2.0 * stars["x_pix"] / max(nx - 1, 1) - 1.0,
        v=2.0 * stars["y_pix"] / max(ny - 1, 1) - 1.0,
        ix=ix,
        iy=iy,
    )


def without_neighbours(
    everything: StarSet, own: NDArray[Any], psf: F64, shape: tuple[int, ...]
) -> StarSet:
    """Stars ``own`` of a set with the light of all its other members taken away.

    Fluxes of the whole set are fitted together by Jacobi iterations on the PSF's core;
    positions stay as they are.
    """
    profiles = shift_stamps(psf, everything.dx, everything.dy).astype(np.float32)
    weight = profiles * np.maximum(profiles, 0.0) * np.isfinite(everything.variance)
    norm = np.maximum((weight * profiles).sum(axis=(1, 2)), 1e-30)
    flux = np.zeros(len(norm))
    left = everything.pixels
    for _ in range(_JACOBI_PASSES):
        flux = np.maximum(flux + (weight * left).sum(axis=(1, 2)) / norm, 0.0)
        light = profiles * flux.astype(np.float32)[:, None, None]
        left = everything.pixels - _render(light, everything, shape)
    chosen = everything.keep(own)
    return replace(chosen, pixels=left[own] + light[own], flux=np.maximum(flux[own], 1e-30))


def _render(light: NDArray[Any], stars: StarSet, shape: tuple[int, ...]) -> NDArray[Any]:
    """Stamps of the scene that all stars' stamps add up to."""
    size = light.shape[-1]
    half = size // 2
    scene = np.zeros((shape[0] + 2 * half, shape[1] + 2 * half), dtype=np.float32)
    for x, y, stamp in zip(stars.ix, stars.iy, light, strict=True):
        scene[y : y + size, x : x + size] += stamp
    return cut_stamps(
        scene[half : half + shape[0], half : half + shape[1]], stars.ix, stars.iy, half
    )


def fit_positions(stars: StarSet, terms: F64, order: int) -> StarSet:
    """Fluxes and positions by one weighted Gauss–Newton step on the current PSF."""
    profile = stars.profiles(terms, order)
    slope_y, slope_x = np.gradient(profile, axis=(1, 2))
    design = np.stack([profile, -slope_x, -slope_y], axis=1).reshape(len(profile), 3, -1)
    # Pixels outside the core carry neighbours, not position.
    core = np.maximum(terms[0], 0.0) / terms[0].max()
    weight = (core / stars.variance).reshape(len(profile), 1, -1)
    normal = (design * weight) @ design.transpose(0, 2, 1)
    right = (design * weight) @ stars.pixels.reshape(len(profile), -1, 1)
    ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    flux, flux_dx, flux_dy = np.linalg.solve(normal + ridge + 1e-300 * np.eye(3), right)[..., 0].T
    good = flux > 0.1 * stars.flux
    flux = np.where(good, flux, stars.flux)
    step_x = np.where(good, np.clip(flux_dx / flux, -_MAX_STEP_PIX, _MAX_STEP_PIX), 0.0)
    step_y = np.where(good, np.clip(flux_dy / flux, -_MAX_STEP_PIX, _MAX_STEP_PIX), 0.0)
    return replace(stars, flux=flux, dx=stars.dx + step_x, dy=stars.dy + step_y)


def solve_terms(stars: StarSet, model: F64, prior: F64, order: int, robust: bool) -> F64:
    """PSF terms that fit the stars best, given a prior width around a smooth model.

    Each pixel is a small linear problem: minimise over t
    ``Σ_i w_i (r_i − Σ_k b_ik t_k)² + Σ_k t_k² / prior²`` with r_i the star's residual
    from the model, shifted to the stamp's centre and divided by its flux. Robust weights
    (Geman–McClure) keep neighbours in the stamps out.

    Parameters
    ----------
    model, prior
        (m, m) smooth PSF and the expected size of departures from it.

    Returns
    -------
    (n_terms, m, m) float64; term 0 sums to 1, the others to 0; centred.
    """
    scale = stars.flux[:, None, None]
    valid = np.isfinite(stars.variance)
    expected = shift_stamps(model, stars.dx, stars.dy)
    residual = np.where(valid, stars.pixels / scale - expected, 0.0)
    error2 = np.where(valid, stars.variance, 0.0) / scale**2 + (_SYSTEMATIC * expected) ** 2
    residual = shift_stamps(residual, -stars.dx, -stars.dy)
    complete = shift_stamps(valid.astype(np.float64), -stars.dx, -stars.dy) > 0.99
    weight = np.where(complete, 1.0 / np.maximum(error2, 1e-300), 0.0)
    basis = stars.basis(order)
    terms = _solve_pixels(basis, residual, weight, prior)
    if robust:
        left = residual - np.tensordot(basis, terms, axes=1)
        spread2 = error2 + (0.5 * prior) ** 2 * 0.01
        typical = np.median(left**2 / spread2, axis=(1, 2), keepdims=True) / 0.455
        weight = weight / (1 + left**2 / (_CLIP**2 * spread2 * np.maximum(typical, 1.0))) ** 2
        terms = _solve_pixels(basis, residual, weight, prior)
    terms[0] += model
    return _gauge(terms)


def _solve_pixels(basis: F64, residual: F64, weight: F64, prior: F64) -> F64:
    n_terms = basis.shape[1]
    outer = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    m = residual.shape[-1]
    normal = np.tensordot(weight.reshape(len(basis), -1).T, outer, axes=1)
    normal = normal.reshape(-1, n_terms, n_terms)
    floor = max(float(prior.max()) * 1e-4, 1e-12)
    normal += np.eye(n_terms) / (np.maximum(prior, floor) ** 2).reshape(-1, 1, 1)
    right = (weight * residual).reshape(len(basis), -1).T @ basis
    return np.asarray(np.linalg.solve(normal, right[..., None])[..., 0].T.reshape(n_terms, m, m))


def _gauge(terms: F64) -> F64:
    """Fix what position and flux of the stars leave free: centre and sum of every term."""
    terms = terms.copy()
    terms[0] = centred(terms[0])
    slope_y, slope_x = np.gradient(terms[0])
    weight = np.maximum(terms[0], 0.0)
    design = np.stack([slope_x.ravel(), slope_y.ravel()])
    normal = (design * weight.ravel()) @ design.T
    for k in range(1, len(terms)):
        share = np.linalg.solve(normal, (design * weight.ravel()) @ terms[k].ravel())
        terms[k] -= share[0] * slope_x + share[1] * slope_y
        terms[k] -= terms[k].sum() * terms[0]
    return terms


def centred(stamp: F64) -> F64:
    """Stamp of sum 1 with its matched centroid on the middle pixel."""
    stamp = stamp / stamp.sum()
    size = max(2.0, float(np.sqrt((stamp > 0.5 * stamp.max()).sum() * 4 / np.pi)))
    for _ in range(2):
        moments = adaptive_moments(stamp[None], size)
        stamp = shift_stamps(stamp, -moments.dx_pix, -moments.dy_pix)[0]
        stamp = stamp / stamp.sum()
    return stamp
