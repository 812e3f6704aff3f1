"""Source catalogue of a frame, and which of its sources are clean single stars."""

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
_LOCUS_HEIGHT = 0.33


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
    candidates &= clean_core & (snr > config.star_snr) & (stars["fwhm_pix"] > config.min_fwhm_pix)
    fwhm = star_locus(stars["fwhm_pix"][candidates]) or fwhm_guess
    stars["flux"], stars["flux_err"] = _aperture(clean, noise, ~usable, stars, fwhm, source_gain)
    stars["is_star"] = candidates
    stars["is_star"][bright] &= _on_locus(stars[bright], moments, candidates[bright], fwhm, config)
    stars["is_star"] &= _contamination(stars, fwhm) < config.contamination
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


def star_locus(fwhm_pix: NDArray[Any]) -> float | None:
    """Most common size among bright sources: the stars'; None for an empty list.

    Galaxies have many sizes and stars one, so the stars are the densest point of the
    distribution in ln(FWHM). Among the maxima at least a third as high as the highest the
    smallest is taken: nothing on the sky is sharper than a star, while a field of faint
    galaxies may have more of these.
    """
    size = np.log(fwhm_pix[np.isfinite(fwhm_pix) & (fwhm_pix > 0)])
    if len(size) == 0:
        return None
    width = np.clip(1.5 * len(size) ** -0.3, 0.05, 0.12)
    grid = np.arange(size.min() - width, size.max() + width, 0.25 * width)
    density = np.exp(-0.5 * ((grid[:, None] - size[None, :]) / width) ** 2).sum(axis=1)
    inner = density[1:-1]
    peaks = np.flatnonzero((inner >= density[:-2]) & (inner >= density[2:])) + 1
    high = peaks[density[peaks] >= max(_LOCUS_HEIGHT * density.max(), min(2.0, density.max()))]
    near = size[np.abs(size - grid[high[0]]) < 2 * width]
    for _ in range(3):
        near = size[np.abs(size - np.median(near)) < 1.5 * width]
    return float(np.exp(np.median(near)))


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
    """First guess of the stars' FWHM from isophotal moments of the brighter half."""
    brighter = objects[: max(10, len(objects) // 2)]
    size = FWHM_PER_SIGMA * np.sqrt(brighter["a"] * brighter["b"])
    size = size[size > config.min_fwhm_pix]
    return float(np.clip(star_locus(size) or 3.0, 1.5, 20.0))


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
    stars: NDArray[Any],
    moments: Moments,
    candidates: NDArray[np.bool_],
    fwhm_pix: float,
    config: CatalogueConfig,
) -> NDArray[np.bool_]:
    """Sources of the stars' size and of the stars' ellipticity, direction included."""
    with np.errstate(divide="ignore"):
        near = np.abs(np.log(stars["fwhm_pix"] / fwhm_pix)) < config.locus_width
    core = candidates & near
    if not core.any():
        return core
    e1, e2 = np.median(moments.e1[core]), np.median(moments.e2[core])
    distance = np.hypot(moments.e1 - e1, moments.e2 - e2)
    spread = 3 * 1.4826 * float(np.median(distance[core]))
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
