"""Cosmic rays and hot pixels: what is sharper than the PSF."""

import warnings
from typing import Any

import astroscrappy
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_opening

from astrid_core.preprocessing.config import CosmicsConfig
from astrid_core.preprocessing.shapes import cut_stamps
from astrid_core.preprocessing.shift import shift_stamps
from astrid_core.psf import Psf

Mask = NDArray[np.bool_]

_PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""(dy, dx) of one of two opposite neighbours."""
_GROW_SIGMA = 3.0
_WIDE_PIX = 4
"""Defects at least this wide both ways (saturated stars, missing data) cannot be bridged."""
_ON_STAR = 0.03
"""Of the peak: fainter parts of the PSF are not known well enough to compare with."""


def find_cosmics(
    residual: NDArray[Any],
    variance: NDArray[Any],
    bad: Mask,
    psf: Psf,
    source_gain: float,
    config: CosmicsConfig,
) -> Mask:
    """(ny, nx) bool of cosmic-ray hits: L.A.Cosmic, confirmed against the PSF.

    L.A.Cosmic alone also takes the cores of undersampled, elongated and blended stars, so
    a hit counts only where it is :func:`sharper_than_psf`.

    Parameters
    ----------
    residual, variance
        (ny, nx) background subtracted, and its background variance.
    bad
        (ny, nx) bool: pixels to leave out, saturated stars above all.
    source_gain
        Electrons per data unit; 0 where photon noise is unknown.
    """
    if not config.enabled:
        return np.zeros(bad.shape, dtype=bool)
    photons = np.maximum(residual, 0.0) / source_gain if source_gain > 0 else 0.0
    image = np.ascontiguousarray(np.where(bad, 0.0, residual), dtype=np.float32)
    noise2 = np.ascontiguousarray(np.where(bad, np.inf, variance + photons), dtype=np.float32)
    wide = binary_opening(bad, structure=np.ones((_WIDE_PIX, _WIDE_PIX), dtype=bool))
    hits, _ = astroscrappy.detect_cosmics(
        _bridged(image, bad, wide),
        # It is blind next to what it is told to leave out: where a defect is narrow that
        # is where the rest of a hit is.
        inmask=np.ascontiguousarray(wide),
        invar=np.where(bad, np.median(variance), noise2).astype(np.float32),
        sigclip=config.sigma_clip,
        sigfrac=config.sigma_fraction,
        objlim=config.object_limit,
        gain=1.0,
        readnoise=1.0,
        satlevel=np.inf,
        niter=config.iterations,
        sepmed=True,
        cleantype="medmask",
        fsmode="median",
    )
    hits = np.asarray(hits) & ~bad
    core = hits & sharper_than_psf(image, noise2, psf, config)
    around = binary_dilation(core, structure=np.ones((3, 3), dtype=bool))
    found = core | (around & (image > _GROW_SIGMA * np.sqrt(noise2)) & hits)
    return found if found.mean() <= config.max_fraction else np.zeros(bad.shape, dtype=bool)


def _bridged(image: NDArray[np.float32], bad: Mask, wide: Mask) -> NDArray[np.float32]:
    """The image with narrow defects filled by the median of what is good around."""
    y, x = np.nonzero(bad & ~wide)
    if not len(x):
        return image
    around = cut_stamps(np.where(bad, np.float32(np.nan), image), x, y, _WIDE_PIX // 2 + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-bad stamps have no median
        middle = np.nanmedian(around, axis=(1, 2))
    filled = image.copy()
    filled[y, x] = np.nan_to_num(middle)
    return filled


def sharper_than_psf(
    image: NDArray[Any], noise2: NDArray[Any], psf: Psf, config: CosmicsConfig
) -> Mask:
    """(ny, nx) bool: pixels that no superposition of stars can produce.

    Wherever a pixel lies on a star, the mean of two opposite neighbours is at least a
    fraction of it that the PSF decides. The relation is linear, so it holds for every sum
    of stars and for galaxies: a pixel that exceeds it significantly in any of four
    directions is no light that came through the telescope (after the criterion of the SDSS
    pipeline, Lupton et al. 2001).
    """
    sharp = np.zeros(image.shape, dtype=bool)
    for (dy, dx), least in zip(_PAIRS, _least_ratios(psf), strict=True):
        ratio = config.psf_margin * least
        mean = 0.5 * (_moved(image, dy, dx) + _moved(image, -dy, -dx))
        mean_noise2 = 0.25 * (_moved(noise2, dy, dx) + _moved(noise2, -dy, -dx))
        with np.errstate(invalid="ignore"):
            noise = np.sqrt(ratio**2 * noise2 + mean_noise2)
            sharp |= ratio * image - mean > config.confirm_sigma * noise
    return sharp


def _least_ratios(psf: Psf) -> list[float]:
    """For each pair, the least (mean of the pair) / pixel anywhere on a star."""
    stamps = shift_stamps(psf.centre(), np.array([0, 0.5, 0, 0.5]), np.array([0, 0, 0.5, 0.5]))
    inner = stamps[:, 1:-1, 1:-1]
    on_star = inner > _ON_STAR * stamps.max()
    ratios = []
    for dy, dx in _PAIRS:
        pair = _moved(stamps, dy, dx) + _moved(stamps, -dy, -dx)
        ratio = 0.5 * pair[:, 1:-1, 1:-1][on_star] / inner[on_star]
        ratios.append(max(float(ratio.min()), 0.0))
    return ratios


def _moved(plane: NDArray[Any], dy: int, dx: int) -> NDArray[Any]:
    """Plane whose pixel (y, x) is the original's (y + dy, x + dx); edges repeat."""
    ny, nx = plane.shape[-2:]
    margins = [(0, 0)] * (plane.ndim - 2) + [(1, 1), (1, 1)]
    padded = np.pad(plane, margins, mode="edge")
    return padded[..., 1 + dy : 1 + dy + ny, 1 + dx : 1 + dx + nx]
