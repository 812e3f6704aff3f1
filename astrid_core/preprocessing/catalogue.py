"""Source catalogue of a frame, and which of its sources are clean single stars."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from astrid_core.flags import UNUSABLE
from astrid_core.frame import STAR_DTYPE
from astrid_core.preprocessing.config import CatalogueConfig
from astrid_core.preprocessing.shapes import FWHM_PER_SIGMA, Moments, adaptive_moments, cut_stamps

_CENTRE_KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32)
_MIN_APERTURE_PIX = 2.5
_LOCUS_SIZE, _LOCUS_SHAPE = 0.08, 0.08
"""Spread of stars that is noise and PSF variation, in ln(FWHM) and ellipticity."""
_LOCUS_HEIGHT = 0.33
_LOCUS_APART = 0.3
_LOCUS_SOURCES = 600
_LOCUS_STEPS = 10


@dataclass(frozen=True)
class Locus:
    """Size and ellipticity components that the stars of a frame share."""

    fwhm_pix: float
    e1: float
    e2: float


def find_stars(
    data: NDArray[Any],
    variance: NDArray[Any],
    mask: NDArray[Any],
    config: CatalogueConfig,
    source_gain: float = 1.0,
) -> NDArray[Any]:
    """Sources of a frame, brightest first, with clean single stars marked.

    Parameters
    ----------
    data
        (ny, nx) float32, background subtracted.
    variance
        (ny, nx) float32 background variance, unit².
    mask
        (ny, nx) uint16 of pixel flags; unusable pixels are neither detected on nor measured.
    source_gain
        Electrons per data unit for the sources' photon noise; 0 where unknown.

    Returns
    -------
    (n,) array of ``STAR_DTYPE``. ``flux`` is the sum within 2 FWHM of the frame's stars,
    ``peak`` the brightest pixel. ``is_star`` marks sources on the frame's own locus of size
    and ellipticity (so that trailed stars are stars of a trailed frame), bright, apart from
    their neighbours and free of unusable pixels.
    """
    usable = usable_pixels(data, variance, mask)
    clean = np.where(usable, data, 0.0).astype(np.float32)
    noise = np.sqrt(np.where(usable, variance, 1.0)).astype(np.float32)
    objects = _extract(clean, noise, ~usable, config)
    if len(objects) == 0:
        return np.zeros(0, dtype=STAR_DTYPE)
    objects = objects[np.argsort(-objects["flux"], kind="stable")]
    fwhm_guess = _typical_size(objects, config)
    stars, moments = _measure(objects, clean, fwhm_guess, config)
    bright = slice(0, len(moments.fwhm_pix))
    stars["flux"], stars["flux_err"] = _aperture(clean, noise, ~usable, stars, fwhm_guess, 0.0)
    snr = stars["flux"] / np.maximum(stars["flux_err"], 1e-30)
    clean_core = _clean_core(stars, usable, fwhm_guess) & ((objects["flag"] & sep.OBJ_TRUNC) == 0)
    candidates = np.zeros(len(stars), dtype=bool)
    candidates[bright] = True
    candidates &= clean_core & (stars["fwhm_pix"] > config.min_fwhm_pix)
    candidates &= snr > config.star_snr / 2
    locus = star_locus(moments, candidates[bright])
    fwhm = locus.fwhm_pix if locus else fwhm_guess
    stars["flux"], stars["flux_err"] = _aperture(clean, noise, ~usable, stars, fwhm, source_gain)
    if locus:
        candidates[bright] &= _on_locus(moments, candidates[bright], locus, config)
        candidates &= _contamination(stars, fwhm) < config.contamination
        bright_enough = candidates & (snr > config.star_snr)
        has_many = bright_enough.sum() >= config.few_stars
        stars["is_star"] = bright_enough if has_many else candidates
    return stars[np.argsort(-stars["flux"], kind="stable")]


def without_masked(stars: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """Catalogue less the sources that turned out to lie on unusable pixels.

    A source with an unusable pixel within one FWHM stays, but is no clean star.
    """
    usable = (mask & int(UNUSABLE)) == 0
    ny, nx = usable.shape
    ix = np.clip(np.rint(stars["x_pix"]).astype(int), 0, nx - 1)
    iy = np.clip(np.rint(stars["y_pix"]).astype(int), 0, ny - 1)
    kept = stars[usable[iy, ix]].copy()
    clean = kept["is_star"] == 1
    if clean.any():
        kept["is_star"] = clean & _clean_core(
            kept, usable, float(np.median(kept["fwhm_pix"][clean]))
        )
    return kept


def usable_pixels(
    data: NDArray[Any], variance: NDArray[Any], mask: NDArray[Any]
) -> NDArray[np.bool_]:
    """Pixels that may be measured: no unusable bit, finite, with a positive variance."""
    return np.asarray(
        ((mask & int(UNUSABLE)) == 0) & np.isfinite(data) & np.isfinite(variance) & (variance > 0)
    )


def star_locus(moments: Moments, chosen: NDArray[np.bool_]) -> Locus | None:
    """The size and shape that bright sources share: the stars'; None for an empty choice.

    Galaxies have many sizes and shapes, cosmic rays too, and stars one: they are the
    densest point in (ln FWHM, e1, e2). A maximum a third as high at a clearly smaller size
    comes first: nothing on the sky is sharper than a star, while a field of faint galaxies
    may have more of these.
    """
    chosen = chosen & np.isfinite(moments.fwhm_pix) & (moments.fwhm_pix > 0)
    if not chosen.any():
        return None
    point = np.column_stack(
        [
            np.log(moments.fwhm_pix[chosen]) / _LOCUS_SIZE,
            moments.e1[chosen] / _LOCUS_SHAPE,
            moments.e2[chosen] / _LOCUS_SHAPE,
        ]
    )[:_LOCUS_SOURCES]
    distance2 = ((point[:, None, :] - point[None, :, :]) ** 2).sum(axis=2)
    density = np.exp(-0.5 * distance2).sum(axis=1)
    dense = density >= max(_LOCUS_HEIGHT * density.max(), min(2.5, density.max()))
    centre, smallest = point[density.argmax()], point[dense][point[dense, 0].argmin()]
    if (centre[0] - smallest[0]) * _LOCUS_SIZE > _LOCUS_APART:
        centre = smallest
    for _ in range(_LOCUS_STEPS):
        weight = np.exp(-0.5 * ((point - centre) ** 2).sum(axis=1))
        centre = (weight[:, None] * point).sum(axis=0) / weight.sum()
    return Locus(
        fwhm_pix=float(np.exp(centre[0] * _LOCUS_SIZE)),
        e1=float(centre[1] * _LOCUS_SHAPE),
        e2=float(centre[2] * _LOCUS_SHAPE),
    )


# --- steps --------------------------------------------------------------------------------


def _extract(
    data: NDArray[Any], noise: NDArray[Any], bad: NDArray[Any], config: CatalogueConfig
) -> NDArray[Any]:
    sep.set_extract_pixstack(max(300_000, data.size))
    sep.set_sub_object_limit(4096)
    return np.asarray(
        sep.extract(
            data,
            config.detect_sigma,
            err=noise,
            mask=bad,
            minarea=config.min_area_pix,
            filter_kernel=_CENTRE_KERNEL,
            filter_type="conv",
            deblend_cont=config.deblend_contrast,
        )
    )


def _typical_size(objects: NDArray[Any], config: CatalogueConfig) -> float:
    """First guess of the stars' FWHM from isophotal moments: of the smaller bright ones."""
    brighter = objects[: max(10, len(objects) // 2)]
    size = FWHM_PER_SIGMA * np.sqrt(brighter["a"] * brighter["b"])
    size = size[size > config.min_fwhm_pix]
    return float(np.clip(np.percentile(size, 40), 1.5, 20.0)) if len(size) else 3.0


def _measure(
    objects: NDArray[Any], data: NDArray[Any], fwhm_guess: float, config: CatalogueConfig
) -> tuple[NDArray[Any], Moments]:
    """Catalogue with adaptive moments for the brightest sources, isophotal for the rest."""
    ny, nx = data.shape
    stars = np.zeros(len(objects), dtype=STAR_DTYPE)
    stars["x_pix"], stars["y_pix"] = objects["x"], objects["y"]
    stars["peak"] = objects["peak"]
    stars["fwhm_pix"] = FWHM_PER_SIGMA * np.sqrt(objects["a"] * objects["b"])
    stars["ellipticity"] = 1 - objects["b"] / np.maximum(objects["a"], 1e-6)
    n = min(len(objects), config.max_measured)
    half = int(np.ceil(1.6 * fwhm_guess)) + 1
    ix = np.clip(objects["xcpeak"][:n], 0, nx - 1)
    iy = np.clip(objects["ycpeak"][:n], 0, ny - 1)
    moments = adaptive_moments(cut_stamps(data, ix, iy, half), fwhm_guess)
    held = np.isfinite(moments.fwhm_pix) & (np.hypot(moments.dx_pix, moments.dy_pix) < fwhm_guess)
    stars["x_pix"][:n] = np.where(held, ix + moments.dx_pix, stars["x_pix"][:n])
    stars["y_pix"][:n] = np.where(held, iy + moments.dy_pix, stars["y_pix"][:n])
    stars["fwhm_pix"][:n] = np.where(held, moments.fwhm_pix, 0.0)
    stars["ellipticity"][:n] = np.where(held, moments.ellipticity, 1.0)
    return stars, moments


def _aperture(
    data: NDArray[Any],
    noise: NDArray[Any],
    bad: NDArray[Any],
    stars: NDArray[Any],
    fwhm_pix: float,
    source_gain: float,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Flux and its error within 2 FWHM, masked pixels replaced by the mean of the rest."""
    radius = max(2.0 * fwhm_pix, _MIN_APERTURE_PIX)
    flux, flux_err, _ = sep.sum_circle(
        data, stars["x_pix"], stars["y_pix"], radius, err=noise, mask=bad, subpix=5
    )
    if source_gain > 0:
        flux_err = np.sqrt(flux_err**2 + np.maximum(flux, 0.0) / source_gain)
    return flux, flux_err


def _clean_core(
    stars: NDArray[Any], usable: NDArray[np.bool_], fwhm_pix: float
) -> NDArray[np.bool_]:
    """No unusable pixel within one FWHM, and the whole core on the frame."""
    half = max(1, round(fwhm_pix))
    ny, nx = usable.shape
    touched = maximum_filter(~usable, size=2 * half + 1, mode="constant", cval=True)
    ix = np.clip(np.rint(stars["x_pix"]).astype(int), 0, nx - 1)
    iy = np.clip(np.rint(stars["y_pix"]).astype(int), 0, ny - 1)
    return np.asarray(~touched[iy, ix])


def _on_locus(
    moments: Moments, candidates: NDArray[np.bool_], locus: Locus, config: CatalogueConfig
) -> NDArray[np.bool_]:
    """Sources of the stars' size and of the stars' ellipticity, direction included."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.abs(np.log(moments.fwhm_pix / locus.fwhm_pix)) < config.locus_width
    distance = np.hypot(moments.e1 - locus.e1, moments.e2 - locus.e2)
    core = candidates & near
    # A PSF that changes shape over the frame spreads its stars.
    spread = 3 * 1.4826 * float(np.median(distance[core])) if core.any() else 0.0
    return np.asarray(near & (distance < max(config.ellipticity_width, min(spread, 0.3))))


def _contamination(stars: NDArray[Any], fwhm_pix: float) -> NDArray[Any]:
    """Neighbours' light at each source's centre in units of its own peak.

    Profiles are Moffat with β = 3, wide enough for real wings.
    """
    position = np.column_stack([stars["x_pix"], stars["y_pix"]])
    pairs = cKDTree(position).query_pairs(6.0 * fwhm_pix, output_type="ndarray")
    light = np.zeros(len(stars))
    if len(pairs):
        i, j = pairs[:, 0], pairs[:, 1]
        alpha2 = fwhm_pix**2 / (4 * (2 ** (1 / 3) - 1))
        separation2 = ((position[i] - position[j]) ** 2).sum(axis=1)
        profile = (1 + separation2 / alpha2) ** -3
        flux = np.maximum(stars["flux"], 1e-30)
        np.add.at(light, i, profile * flux[j] / flux[i])
        np.add.at(light, j, profile * flux[i] / flux[j])
    return light
