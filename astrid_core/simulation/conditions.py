"""Under which circumstances an exposure is taken: time, seeing, sky, pointing."""

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from astropy.time import Time

from astrid_core.simulation.config import FILTERS, Filter, SceneConfig
from astrid_core.simulation.geometry import Similarity
from astrid_core.simulation.moffat import MoffatPsf

SKY_BRIGHTNESS = {"g": 0.6, "r": 1.0, "i": 1.5, "z": 1.8}
"""Dark sky relative to r, electrons per pixel."""
THROUGHPUT = {"g": 0.95, "r": 1.0, "i": 0.8, "z": 0.5}
"""Electrons of a source of flat spectrum relative to r."""

_FIRST_LIGHT_H = 19.5
_NIGHT_LENGTH_H = 9.0


class Purpose(IntEnum):
    """What a random stream is for: exposures can be rendered alone and in any order."""

    SKY = 1
    CHANGES = 2
    CONDITIONS = 3
    PHOTONS = 4
    ARTEFACTS = 5
    DETECTOR = 6


@dataclass(frozen=True)
class Conditions:
    """Circumstances of one exposure.

    Attributes
    ----------
    begin, mid
        UTC of the start and the middle of the exposure.
    mjd
        Of mid-exposure (UTC).
    throughput
        Electrons per r-band electron of a flat-spectrum source: transparency × filter.
    sky_e
        Mean sky, electrons per pixel.
    gradient
        Sky slope along x and y, relative to ``sky_e``, edge to edge.
    transform
        The field's own pixel grid → the exposure's pixels.
    pointing_error_pix
        What the header's WCS is wrong by.
    """

    begin: dt.datetime
    mid: dt.datetime
    mjd: float
    psf: MoffatPsf
    throughput: float
    sky_e: float
    gradient: tuple[float, float]
    transform: Similarity
    pointing_error_pix: tuple[float, float]


def stream(
    config: SceneConfig,
    purpose: Purpose,
    field_index: int = 0,
    night: dt.date | None = None,
    filter_band: Filter | None = None,
) -> np.random.Generator:
    """Random stream of one purpose, of a field, a night and a filter."""
    parts = (
        config.seed,
        int(purpose),
        field_index,
        0 if night is None else night.toordinal(),
        0 if filter_band is None else 1 + FILTERS.index(filter_band),
    )
    return np.random.default_rng(parts)


def conditions_of(
    config: SceneConfig, field_index: int, night: dt.date, filter_band: Filter
) -> Conditions:
    """Circumstances of one exposure; seeing and sky are drawn exposure by exposure."""
    rng = stream(config, Purpose.CONDITIONS, field_index, night, filter_band)
    seeing = config.seeing_pix * rng.lognormal(0.0, config.seeing_scatter)
    transparency = rng.uniform(*config.transparency_range)
    begin = _begin(config, field_index, night, filter_band)
    mid = begin + dt.timedelta(seconds=config.exposure_s / 2)
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, config.gradient_max)
    variation = config.psf_variation
    return Conditions(
        begin=begin,
        mid=mid,
        mjd=float(Time(mid).mjd),
        psf=MoffatPsf(
            shape=config.shape,
            fwhm_pix=float(np.clip(seeing, *config.seeing_range_pix)),
            ellipticity=float(rng.uniform(0, config.ellipticity_max)),
            angle_deg=float(rng.uniform(0, 180)),
            fwhm_tilt=(
                float(rng.uniform(-variation, variation)),
                float(rng.uniform(-variation, variation)),
            ),
            fwhm_bowl=variation,
            shear=float(rng.uniform(0, variation)),
        ),
        throughput=float(transparency * THROUGHPUT[filter_band]),
        # Thin cloud scatters light into the beam: the sky brightens as stars fade.
        sky_e=float(
            config.sky_e
            * SKY_BRIGHTNESS[filter_band]
            * rng.lognormal(0.0, config.sky_scatter)
            * (1.3 - 0.3 * transparency)
        ),
        gradient=(float(slope * np.cos(angle)), float(slope * np.sin(angle))),
        transform=Similarity.about_centre(
            config.shape,
            tuple(rng.uniform(-config.dither_pix, config.dither_pix, 2)),
            float(rng.uniform(-config.rotation_deg, config.rotation_deg)),
        ),
        pointing_error_pix=tuple(
            rng.uniform(-config.pointing_error_pix, config.pointing_error_pix, 2)
        ),
    )


def _begin(
    config: SceneConfig, field_index: int, night: dt.date, filter_band: Filter
) -> dt.datetime:
    """Fields follow each other through the night, from the evening of local mean time."""
    slots = config.n_fields * len(config.filters)
    slot = field_index * len(config.filters) + config.filters.index(filter_band)
    hours = _FIRST_LIGHT_H + _NIGHT_LENGTH_H * slot / slots - _local_minus_utc_hours(config)
    start = dt.datetime.combine(night, dt.time(), dt.UTC) + dt.timedelta(hours=hours)
    return start.replace(microsecond=0)


def _local_minus_utc_hours(config: SceneConfig) -> float:
    """Local mean time minus UTC, in −12…12 hours."""
    return ((config.longitude_deg + 180.0) % 360.0 - 180.0) / 15.0
