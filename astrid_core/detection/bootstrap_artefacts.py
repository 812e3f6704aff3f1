"""What the bootstrap's skies have that is no source, drawn wide rather than true to one detector.

A network that has only seen cosmic rays and trails from edge to edge takes whatever else is
added to an image for real. So shapes are drawn here that no list of artefacts names: the lesson
is that a real change looks like the stars around it, and everything else does not.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astrid_core.simulation.conditions import Conditions
from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.scene import COMMON

F64 = NDArray[np.float64]
Rng = np.random.Generator

_BETA = (2.8, 5.0)
_LIKE_A_STAR = 0.3
"""A round bell this near to the PSF's width, in the logarithm, would be one."""
_SEGMENTS, _BLOBS, _SPOTS, _PATCHES = 3.0, 4.0, 4.0, 1.0
"""Expected on 512 × 512 px at a rate of one."""


class ManyArtefacts:
    """Trails and cosmic rays; and segments, blobs, spots and patches of any shape.

    Parameters
    ----------
    rate
        How many of the latter, over the usual.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def add_light(self, light: F64, config: SceneConfig, conditions: Conditions, rng: Rng) -> None:
        """Add what comes through the optics."""
        COMMON.add_light(light, config, conditions, rng)
        noise = float(np.sqrt(conditions.sky_e + config.read_noise_e**2))
        fwhm = conditions.psf.fwhm_pix
        for _ in range(self._number(_SEGMENTS, config, rng)):
            _add_segment(light, noise, fwhm, rng)
        for _ in range(self._number(_BLOBS, config, rng)):
            _add_blob(light, noise, fwhm * _log_uniform(rng, 0.5, 4.0), fwhm, rng)
        for _ in range(self._number(_PATCHES, config, rng)):
            _add_patch(light, noise, rng)
        np.maximum(light, 0.0, out=light)

    def add_charge(self, electrons: F64, config: SceneConfig, rng: Rng) -> None:
        """Add what arises in the detector, sharper than any PSF, or as wide by chance."""
        COMMON.add_charge(electrons, config, rng)
        noise = float(np.sqrt(config.sky_e + config.read_noise_e**2))
        for _ in range(self._number(_SPOTS, config, rng)):
            width = config.seeing_pix * _log_uniform(rng, 0.2, 1.5)
            _add_blob(electrons, noise, width, config.seeing_pix, rng)
        np.maximum(electrons, 0.0, out=electrons)

    def _number(self, expected: float, config: SceneConfig, rng: Rng) -> int:
        return int(rng.poisson(self._rate * expected * config.area_ratio))


def with_wings(conditions: Conditions, seed: int) -> Conditions:
    """Conditions with a Moffat's β of the sky's own: not every PSF has the same wings."""
    beta = float(np.random.default_rng((seed, 1)).uniform(*_BETA))
    return replace(conditions, psf=replace(conditions.psf, beta=beta))


def artefacts_of(seed: int) -> ManyArtefacts:
    """Artefacts of a sky: few on some, many on others."""
    return ManyArtefacts(_log_uniform(np.random.default_rng((seed, 2)), 0.25, 3.0))


def _add_segment(light: F64, noise: float, fwhm_pix: float, rng: Rng) -> None:
    """A piece of a trail, straight or bent, as wide as the seeing or not."""
    x, y = _turned(light.shape, rng)
    length = fwhm_pix * _log_uniform(rng, 0.8, 12.0)
    y = y + rng.normal(0.0, 0.15) * x**2 / max(length, 1.0)
    sigma = fwhm_pix / 2.3548 * _log_uniform(rng, 0.7, 1.5)
    beyond = np.maximum(np.abs(x) - length / 2, 0.0)
    light += noise * _log_uniform(rng, 1.5, 30.0) * np.exp(-0.5 * (y**2 + beyond**2) / sigma**2)


def _add_blob(image: F64, noise: float, width_pix: float, fwhm_pix: float, rng: Rng) -> None:
    """exp(−ln 2 · (r/w)^p), elliptical: a spike for small p, a disc for large ones."""
    power, ratio = _log_uniform(rng, 0.5, 10.0), rng.uniform(0.3, 1.0)
    near = abs(np.log(2 * width_pix / fwhm_pix)) < _LIKE_A_STAR
    if near and 1.0 < power < 4.0:
        ratio = rng.uniform(0.3, 0.6)
    x, y = _turned(image.shape, rng)
    radius = np.sqrt(x**2 + (y / ratio) ** 2) / width_pix
    peak = noise * _log_uniform(rng, 1.0, 30.0) * (1.0 if rng.random() < 0.85 else -0.5)
    image += peak * np.exp2(-(np.minimum(radius, 50.0) ** power))


def _add_patch(light: F64, noise: float, rng: Rng) -> None:
    """An area with straight, more or less sharp edges."""
    x, y = _turned(light.shape, rng)
    half = rng.uniform(4.0, 35.0, 2)
    edge = _log_uniform(rng, 0.2, 4.0)
    outside = np.maximum(np.abs(x) - half[0], np.abs(y) - half[1])
    level = noise * _log_uniform(rng, 0.4, 6.0) * (1.0 if rng.random() < 0.7 else -0.3)
    light += level / (1 + np.exp(np.clip(outside / edge, -30.0, 30.0)))


def _turned(shape: tuple[int, ...], rng: Rng) -> tuple[F64, F64]:
    """Coordinates (ny, nx) about a place of chance, turned by chance."""
    ny, nx = shape
    x0, y0, angle = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:ny, :nx]
    cos, sin = np.cos(angle), np.sin(angle)
    return (x - x0) * cos + (y - y0) * sin, (y - y0) * cos - (x - x0) * sin


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
