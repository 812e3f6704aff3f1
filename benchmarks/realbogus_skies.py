"""Skies that no model was taught on: another PSF family and other families of artefacts.

The bootstrap model and the demo's know Moffat PSFs of β = 4, straight cosmic rays, hot pixels,
bad columns, satellite trails from edge to edge and bleeding. Here the PSF is a double Gaussian
with the spikes of a secondary mirror's spider, and what is added is curled electron tracks,
dashes of tumbling debris, ghosts of bright stars, glow that a saturated star left behind, and a
step between two amplifiers.
"""

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.bootstrap_data import make_shard, process_exposure
from astrid_core.detection.shards import Shard, read_shard, write_shard
from astrid_core.differencing.references import build_reference
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.errors import AstridError
from astrid_core.simulation.conditions import Conditions, conditions_of
from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.scene import (
    ArtefactFamilies,
    SceneConfig,
    SimulatedExposure,
    render_exposure,
)

F64 = NDArray[np.float64]

FIRST_SEED = 8_800_000
"""Of these skies; the bootstrap's, the demo's and the tests' lie elsewhere."""
REFERENCE_NIGHTS = tuple(dt.date(2025, 5, day) for day in (1, 2, 3))
SCIENCE_NIGHTS = (dt.date(2025, 5, 10), dt.date(2025, 5, 13))
FIELDS_PER_SKY = 2
SNR_RANGE = (3.0, 50.0)
"""Of injections."""

_HALO_SHARE = 0.12
_HALO_WIDTH = 2.6
"""Share of the light in the wide Gaussian, and its width over the core's."""
_SPIKE_SHARE = 0.03
_NODES = (-0.5 * np.sqrt(0.6), 0.0, 0.5 * np.sqrt(0.6))
_WEIGHTS = (5 / 18, 8 / 18, 5 / 18)


@dataclass(frozen=True)
class SpiderPsf(MoffatPsf):
    """A double Gaussian with four spikes, in the shape and variation of a Moffat's core."""

    spider_deg: float = 0.0

    def half_width(self, faintest: float = 1.0) -> int:
        """Half width in pixels of a stamp; spikes of bright stars reach far."""
        reach = 4.0 * self._sigma * _HALO_WIDTH
        spikes = self._spike_pix * np.log(max(_SPIKE_SHARE / (self.fwhm_pix * faintest), 1.0))
        return int(np.ceil(max(reach, spikes)))

    def pixels(self, forms: F64, dx: F64, dy: F64) -> F64:
        """Profile of unit flux integrated over pixels at offsets from its centre."""
        total = np.zeros(np.broadcast_shapes(dx.shape, dy.shape, (len(forms), 1, 1)))
        for node_y, weight_y in zip(_NODES, _WEIGHTS, strict=True):
            for node_x, weight_x in zip(_NODES, _WEIGHTS, strict=True):
                total += weight_x * weight_y * self._profile(forms, dx + node_x, dy + node_y)
        return total

    def points(self, x_pix: float, y_pix: float, offsets_pix: F64) -> F64:
        """(n, n) profile at points (n,) apart from the centre, 1/px²."""
        forms = self.quadratic_forms(np.array([x_pix]), np.array([y_pix]))
        return self._profile(forms, offsets_pix[None, None, :], offsets_pix[None, :, None])[0]

    @property
    def _sigma(self) -> float:
        return self.fwhm_pix / 2.3548

    @property
    def _spike_pix(self) -> float:
        return 6.0 * self.fwhm_pix

    @cached_property
    def _core(self) -> float:
        """Of the elliptical radius at half maximum, by the Moffat's own forms."""
        return float(4 * (2 ** (1 / self.beta) - 1))

    def _profile(self, forms: F64, dx: F64, dy: F64) -> F64:
        xx, yy, xy = (forms[:, i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 1)))
        # The forms measure in cores of the Moffat: brought to sigmas of the Gaussian.
        radius = (xx * dx**2 + yy * dy**2 + 2 * xy * dx * dy) / self._core * 8 * np.log(2)
        norm = np.sqrt(np.linalg.det(forms))[:, None, None] / self._core * 8 * np.log(2)
        light = (1 - _HALO_SHARE - _SPIKE_SHARE) * _gaussian(radius, norm)
        light = light + _HALO_SHARE * _gaussian(radius / _HALO_WIDTH**2, norm / _HALO_WIDTH**2)
        for turn in (0.0, 90.0):
            angle = np.radians(self.spider_deg + turn)
            along = dx * np.cos(angle) + dy * np.sin(angle)
            across = dy * np.cos(angle) - dx * np.sin(angle)
            width = 0.6 * self._sigma
            line = np.exp(-0.5 * (across / width) ** 2) / (np.sqrt(2 * np.pi) * width)
            fall = np.exp(-np.abs(along) / self._spike_pix) / (2 * self._spike_pix)
            light = light + 0.5 * _SPIKE_SHARE * line * fall
        return np.asarray(light)


def _gaussian(radius: F64, norm: F64) -> F64:
    return np.asarray(norm / (2 * np.pi) * np.exp(-0.5 * radius))


class UnseenArtefacts:
    """Worms, dashes, ghosts, afterglow and an amplifier step; ``rate`` 0 adds none."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def add_light(
        self, light: F64, config: SceneConfig, conditions: Conditions, rng: np.random.Generator
    ) -> None:
        """Add dashes of debris and ghosts, in place."""
        if not self._rate:
            return
        for _ in range(int(rng.poisson(0.5 * self._rate * config.area_ratio))):
            _add_dashes(light, rng, conditions.psf.fwhm_pix)
        for _ in range(int(rng.poisson(1.5 * self._rate * config.area_ratio))):
            _add_ghost(light, rng, conditions.sky_e)

    def add_charge(self, electrons: F64, config: SceneConfig, rng: np.random.Generator) -> None:
        """Add worms, afterglow and a step, in place."""
        if not self._rate:
            return
        for _ in range(int(rng.poisson(16 * self._rate * config.area_ratio))):
            _add_worm(electrons, rng)
        for _ in range(int(rng.poisson(4 * self._rate * config.area_ratio))):
            _add_afterglow(electrons, rng)
        electrons[:, electrons.shape[1] // 2 :] += rng.normal(0.0, 0.01) * config.sky_e


def _add_worm(electrons: F64, rng: np.random.Generator) -> None:
    """A Compton electron's track: scattered again and again, it curls, and ends in a blob."""
    ny, nx = electrons.shape
    x, y, angle = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(0, 2 * np.pi)
    charge = rng.lognormal(np.log(350.0), 0.6)
    for step in range(int(rng.integers(6, 40))):
        angle += rng.normal(0.0, 0.55)
        x, y = x + 0.5 * np.cos(angle), y + 0.5 * np.sin(angle)
        column, row = round(x), round(y)
        if 0 <= column < nx and 0 <= row < ny:
            electrons[row, column] += charge * (0.4 + 0.02 * step) * rng.lognormal(0.0, 0.25)


def _add_dashes(light: F64, rng: np.random.Generator, fwhm_pix: float) -> None:
    """Debris that tumbles glints: dashes a few PSFs long, in line."""
    ny, nx = light.shape
    x0, y0, angle = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(0, np.pi)
    y, x = np.ogrid[:ny, :nx]
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    period, length = rng.uniform(25.0, 90.0), rng.uniform(1.0, 3.0) * fwhm_pix
    sigma = fwhm_pix / 2.3548
    nearest = along - period * np.rint(along / period)
    dash = np.exp(-0.5 * (np.maximum(np.abs(nearest) - length / 2, 0.0) / sigma) ** 2)
    peak = np.exp(rng.uniform(np.log(60.0), np.log(500.0)))
    light += peak * dash * np.exp(-0.5 * (across / sigma) ** 2)


def _add_ghost(light: F64, rng: np.random.Generator, sky_e: float) -> None:
    """A bright star reflected out of focus: a ring with the pupil's hole, sharp at its rims."""
    ny, nx = light.shape
    y, x = np.ogrid[:ny, :nx]
    radius = np.hypot(x - rng.uniform(0, nx), y - rng.uniform(0, ny))
    outer = rng.uniform(8.0, 45.0)
    light += sky_e * rng.uniform(0.05, 0.4) * ((radius < outer) & (radius > 0.35 * outer))


def _add_afterglow(electrons: F64, rng: np.random.Generator) -> None:
    """What a star that saturated the exposure before left behind: flat, with a sharp edge."""
    ny, nx = electrons.shape
    y, x = np.ogrid[:ny, :nx]
    radius = np.hypot(x - rng.uniform(0, nx), y - rng.uniform(0, ny))
    inside = radius < rng.uniform(1.5, 4.0)
    electrons[inside] += rng.poisson(rng.lognormal(np.log(120.0), 0.7), int(inside.sum()))


@dataclass(frozen=True)
class SkyTask:
    """One field of one sky; ``rate`` of artefacts, 0 for a clean one."""

    sky_index: int
    field_index: int
    rate: float
    folder: Path

    @property
    def config(self) -> SceneConfig:
        """Conditions of the sky; nothing changes on it but what is injected."""
        rng = np.random.default_rng(FIRST_SEED + self.sky_index)
        seeing = float(rng.uniform(2.6, 4.4))
        artefacts = {"cosmic_rays": 12.0, "bad_columns": 3, "hot_pixels": 40}
        clean = {"cosmic_rays": 0.0, "bad_columns": 0, "hot_pixels": 0}
        return SceneConfig.model_validate(
            {
                "seed": FIRST_SEED + self.sky_index,
                "n_fields": FIELDS_PER_SKY,
                "shape": (512, 512),
                "reference_nights": REFERENCE_NIGHTS,
                "science_nights": SCIENCE_NIGHTS,
                "stars_per_field": int(np.exp(rng.uniform(np.log(100), np.log(800)))),
                "galaxies_per_field": int(rng.uniform(20, 120)),
                "sky_e": float(np.exp(rng.uniform(np.log(250), np.log(2500)))),
                "seeing_pix": seeing,
                "seeing_range_pix": (max(2.3, 0.85 * seeing), 1.35 * seeing),
                "trail_probability": 0.0,
                "transients_per_field": 0.0,
                "variables_per_field": 0.0,
                "movers_per_field": 0.0,
                **(artefacts if self.rate else clean),
            }
        )

    def path(self, night: dt.date) -> Path:
        """Shard of a science night."""
        kind = "artefacts" if self.rate else "clean"
        return self.folder / f"{kind}-{self.sky_index}-{self.field_index}-{night}.npz"


def make_sky(task: SkyTask) -> list[Shard] | AstridError:
    """Shards of a field's science nights, through the whole pipeline, made or read again."""
    paths = [task.path(night) for night in SCIENCE_NIGHTS]
    if not all(path.exists() for path in paths):
        try:
            _write_sky(task)
        except AstridError as error:
            return error
    return [read_shard(path) for path in paths]


def _write_sky(task: SkyTask) -> None:
    frames = [process_exposure(_expose(task, n), reject_cosmics=True) for n in REFERENCE_NIGHTS]
    reference = build_reference(frames, ReferenceConfig()).frame
    for night in SCIENCE_NIGHTS:
        exposure = _expose(task, night)
        science = process_exposure(exposure, reject_cosmics=True)
        write_shard(make_shard(exposure, science, reference, "test", SNR_RANGE), task.path(night))


def _expose(task: SkyTask, night: dt.date) -> SimulatedExposure:
    config = task.config
    families: ArtefactFamilies = UnseenArtefacts(task.rate)
    conditions = conditions_of(config, task.field_index, night, config.filters[0])
    psf = SpiderPsf(**vars(conditions.psf), spider_deg=float(17 * task.sky_index % 90))
    return render_exposure(
        config,
        task.field_index,
        night,
        conditions=replace(conditions, psf=psf),
        artefacts=families,
    )
