"""The PSF of a frame, measured from its own stars.

A Moffat profile fitted to the stacked stars is the first model; the pixels of the stars
then correct it, position dependence included, by regularised least squares: where the
stars say something the stamp follows them, where they only carry noise it stays Moffat.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.errors import TooFewStarsError
from astrid_core.preprocessing.catalogue import usable_pixels
from astrid_core.preprocessing.config import PsfConfig
from astrid_core.preprocessing.moffat import fit_moffat
from astrid_core.preprocessing.shapes import (
    cut_stamps,
    stamp_ellipticity,
    stamp_fwhm,
)
from astrid_core.preprocessing.shift import shift_stamps
from astrid_core.preprocessing.starfit import (
    StarSet,
    cut_stars,
    fit_positions,
    solve_terms,
    without_neighbours,
)
from astrid_core.psf import Psf

_NEIGHBOUR_PASSES = 2
"""The second pass uses a PSF that the first has freed of most neighbours' light."""
_CORE_PIX = 5
"""Side of a star's core in pixels: without most of it there is nothing to fit a PSF to."""
_MAX_RESIDUAL = 0.08
"""A star whose core departs from the PSF by more of its flux is always dropped."""


def measure_psf(
    data: NDArray[Any],
    variance: NDArray[Any],
    mask: NDArray[Any],
    stars: NDArray[Any],
    config: PsfConfig,
    source_gain: float = 1.0,
) -> Psf:
    """PSF from the stars marked in a catalogue.

    Parameters
    ----------
    data, variance, mask
        Planes of the frame (ny, nx), background subtracted.
    stars
        Catalogue of ``STAR_DTYPE`` from
        :func:`~astrid_core.preprocessing.catalogue.find_stars`, brightest first.
    source_gain
        Electrons per data unit, for the stars' photon noise; 0 where unknown.

    Returns
    -------
    Psf, of polynomial order 0, 1 or 2 as the number of stars allows. With fewer than
    ``config.min_stars`` it is the Moffat profile fitted to those few, ``is_fallback``.

    Raises
    ------
    TooFewStarsError
        With fewer than ``config.fallback_min_stars`` clean stars.
    """
    usable = usable_pixels(data, variance, mask)
    marked = (stars["is_star"] == 1) & _has_core(usable, stars)
    chosen = np.flatnonzero(marked)[: config.max_stars]
    if len(chosen) < config.fallback_min_stars:
        raise TooFewStarsError(
            "Too few clean stars to measure a PSF",
            remedy="Check focus, exposure and saturation of the frame, or lower "
            "preprocessing.catalogue.star_snr for this survey.",
            n_stars=len(chosen),
            n_required=config.fallback_min_stars,
            n_sources=len(stars),
        )
    half = stamp_half_width(float(np.median(stars["fwhm_pix"][chosen])), config)
    planes = _planes(data, variance, usable, source_gain)
    star_set = cut_stars(*planes, stars[chosen], half)
    model = _moffat_stamp(star_set)
    if len(chosen) < config.min_stars:
        return _as_psf(model[None], 0, data.shape, len(chosen), is_fallback=True)
    around = np.union1d(chosen, np.arange(min(len(stars), config.max_neighbours)))
    everything = cut_stars(*planes, stars[around], half)
    own = np.searchsorted(around, chosen)
    for _ in range(_NEIGHBOUR_PASSES):
        star_set = without_neighbours(everything, own, model, data.shape)
        model = _moffat_stamp(star_set)
    terms, order, n_used = _refine(star_set, model, config)
    return _as_psf(terms, order, data.shape, n_used, is_fallback=False)


def stamp_half_width(fwhm_pix: float, config: PsfConfig) -> int:
    """Half-width of the PSF stamp for stars of a given size."""
    wanted = int(np.ceil(config.half_width_fwhm * fwhm_pix))
    return int(np.clip(wanted, config.min_half_width_pix, config.max_half_width_pix))


def psf_order(n_stars: int, config: PsfConfig) -> int:
    """Polynomial order that a number of stars supports."""
    limits = (config.order_1_min_stars, config.order_2_min_stars)
    return min(config.max_order, sum(n_stars >= limit for limit in limits))


# --- steps --------------------------------------------------------------------------------


def _has_core(usable: NDArray[np.bool_], stars: NDArray[Any]) -> NDArray[np.bool_]:
    """Stars that have more than half of their core on usable pixels; (n,)."""
    ny, nx = usable.shape
    y = np.clip(np.rint(stars["y_pix"]), 0, ny - 1).astype(np.intp)
    x = np.clip(np.rint(stars["x_pix"]), 0, nx - 1).astype(np.intp)
    return np.asarray(cut_stamps(usable, x, y, _CORE_PIX // 2).mean(axis=(1, 2)) > 0.5)


def _planes(
    data: NDArray[Any], variance: NDArray[Any], usable: NDArray[np.bool_], source_gain: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels, and their total variance with the stars' photons, infinite where unusable."""
    clean = np.where(usable, data, 0.0).astype(np.float32)
    photons = np.maximum(clean, 0.0) / source_gain if source_gain > 0 else 0.0
    return clean, np.where(usable, variance + photons, np.inf).astype(np.float32)


def _moffat_stamp(stars: StarSet) -> NDArray[np.float64]:
    """Elliptical Moffat fitted to the median of the centred, normalised stars."""
    valid = np.isfinite(stars.variance)
    filled = np.where(valid, stars.pixels, 0.0) / stars.flux[:, None, None]
    aligned = shift_stamps(filled, -stars.dx, -stars.dy)
    stack = np.median(aligned, axis=0) if len(aligned) > 2 else aligned.mean(axis=0)
    return fit_moffat(stack)


def _refine(
    stars: StarSet, model: NDArray[np.float64], config: PsfConfig
) -> tuple[NDArray[np.float64], int, int]:
    """Alternate between the stars' positions and fluxes and the PSF's pixels."""
    prior = config.prior_scale * np.maximum(model, 0.0)
    kept = np.ones(len(stars.flux), dtype=bool)
    order = 0
    terms = model[None]
    for iteration in range(config.iterations):
        stars = fit_positions(stars, terms, order)
        kept = _consistent(stars, terms, order)
        if kept.sum() < config.min_stars:
            kept = np.ones(len(stars.flux), dtype=bool)
        order = psf_order(int(kept.sum()), config)
        terms = solve_terms(stars.keep(kept), model, prior, order, robust=iteration > 0)
    return terms, order, int(kept.sum())


def _consistent(stars: StarSet, terms: NDArray[np.float64], order: int) -> NDArray[np.bool_]:
    """Stars whose core looks like the PSF: not blends, galaxies or defects."""
    weight = np.maximum(terms[0], 0.0) / terms[0].max()
    model = stars.model(terms, order)
    valid = np.isfinite(stars.variance)
    scaled = np.where(valid, stars.pixels - model, 0.0) / stars.flux[:, None, None]
    misfit = np.sqrt((weight * scaled**2).sum(axis=(1, 2)) / (weight * terms[0] ** 2).sum())
    noise2 = np.where(valid, stars.variance, 0.0) / stars.flux[:, None, None] ** 2
    expected = np.sqrt((weight * noise2).sum(axis=(1, 2)) / (weight * terms[0] ** 2).sum())
    excess = np.sqrt(np.maximum(misfit**2 - expected**2, 0.0))
    typical = float(np.median(excess))
    limit = typical + 3 * 1.4826 * float(np.median(np.abs(excess - typical)))
    return np.asarray(excess <= max(limit, _MAX_RESIDUAL / 4)) & (excess <= 4 * _MAX_RESIDUAL)


def _as_psf(
    terms: NDArray[np.float64],
    order: int,
    shape: tuple[int, ...],
    n_stars: int,
    is_fallback: bool,
) -> Psf:
    """Taper, normalise and measure the stamps."""
    terms = terms * _taper(terms.shape[-1])
    terms[0] /= terms[0].sum()
    terms[1:] -= terms[1:].sum(axis=(1, 2), keepdims=True) * terms[0]
    psf = Psf(terms.astype(np.float32), order, (shape[0], shape[1]), 0.0, 0.0, n_stars)
    stamp = psf.centre()
    fwhm = stamp_fwhm(stamp)
    return Psf(
        terms=psf.terms,
        order=order,
        shape=psf.shape,
        fwhm_pix=fwhm,
        ellipticity=stamp_ellipticity(stamp, fwhm),
        n_stars=n_stars,
        is_fallback=is_fallback,
    )


def _taper(n: int) -> NDArray[np.float64]:
    """Window that is 1 to 80 % of the half-width and falls to 0 at the stamp's edge."""
    axis = np.arange(n) - n // 2
    radius = np.hypot(*np.meshgrid(axis, axis)) / (n // 2 + 0.5)
    return np.asarray(0.5 * (1 + np.cos(np.pi * np.clip((radius - 0.8) / 0.2, 0.0, 1.0))))
