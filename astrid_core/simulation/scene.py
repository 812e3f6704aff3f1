"""Exposures of the simulated survey, as its camera would deliver them.

What a survey's own bias and flat correction leaves: ADU with known gain, read noise and full
well, sky and its gradient, saturated stars that bleed, cosmic rays, bad columns, hot pixels,
satellite trails, a header with a slightly wrong WCS. Any exposure can be rendered alone.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from astropy.io import fits
from astropy.time import Time
from numpy.typing import NDArray

from astrid_core.simulation.artefacts import (
    Detector,
    add_cosmic_rays,
    add_trail,
    bleed,
    draw_detector,
)
from astrid_core.simulation.changes import flux_at, positions_at
from astrid_core.simulation.conditions import Conditions, Purpose, conditions_of, stream
from astrid_core.simulation.config import Filter, SceneConfig
from astrid_core.simulation.render import add_galaxies, add_point_sources
from astrid_core.simulation.sky import field_name, field_sky, field_wcs, star_fluxes
from astrid_core.simulation.truth import TruthTable, require_exposure, truth_of

__all__ = ["SceneConfig", "SimulatedExposure", "render_exposure"]

F64 = NDArray[np.float64]

LINEAR_FRACTION = 0.97
"""Of the full well: what the header states as SATURATE, as cautious observatories do."""


@dataclass(frozen=True)
class SimulatedExposure:
    """One exposure.

    Attributes
    ----------
    adu
        (ny, nx) uint16.
    header
        Standard keywords; nothing of the truth.
    config, field_index, night, filter_band
        What was rendered.
    """

    adu: NDArray[np.uint16]
    header: fits.Header
    config: SceneConfig
    field_index: int
    night: dt.date
    filter_band: Filter

    @property
    def truth(self) -> TruthTable:
        """What changed, see :func:`~astrid_core.simulation.truth.truth_of`."""
        return truth_of(self.config, self.field_index, self.night, self.filter_band)


class ArtefactFamilies(Protocol):
    """What an exposure gets that is no source, beside the defects of its detector."""

    def add_light(
        self, light: F64, config: SceneConfig, conditions: Conditions, rng: np.random.Generator
    ) -> None:
        """Add to the expected electrons (ny, nx) that reach the detector, in place."""

    def add_charge(self, electrons: F64, config: SceneConfig, rng: np.random.Generator) -> None:
        """Add to the electrons (ny, nx) of the exposure, in place."""


class CommonArtefacts:
    """Satellite trails and cosmic rays, as often as the configuration says."""

    def add_light(
        self, light: F64, config: SceneConfig, conditions: Conditions, rng: np.random.Generator
    ) -> None:
        """Add a trail, or none."""
        if rng.random() < config.trail_probability:
            add_trail(light, rng, conditions.psf.fwhm_pix)

    def add_charge(self, electrons: F64, config: SceneConfig, rng: np.random.Generator) -> None:
        """Add cosmic rays."""
        n_hits = int(rng.poisson(config.cosmic_rays * config.area_ratio))
        add_cosmic_rays(electrons, n_hits, rng)


COMMON = CommonArtefacts()


def render_exposure(
    config: SceneConfig,
    field_index: int,
    night: dt.date,
    filter_band: Filter | None = None,
    *,
    conditions: Conditions | None = None,
    artefacts: ArtefactFamilies = COMMON,
) -> SimulatedExposure:
    """Expose a field on a night, in a filter (default: the first).

    Parameters
    ----------
    conditions
        In place of those that the configuration draws.
    artefacts
        What it gets beside what the detector does to it by itself.

    Raises
    ------
    ConfigurationError
        If the survey has no such exposure.
    """
    band = require_exposure(config, field_index, night, filter_band)
    conditions = conditions or conditions_of(config, field_index, night, band)
    light = expected_light(config, field_index, band, conditions)
    noise = stream(config, Purpose.PHOTONS, field_index, night, band)
    rng = stream(config, Purpose.ARTEFACTS, field_index, night, band)
    artefacts.add_light(light, config, conditions, rng)
    detector = detector_of(config)
    electrons = noise.poisson(light * detector.response + detector.excess_e).astype(float)
    artefacts.add_charge(electrons, config, rng)
    bleed(electrons, config.full_well_adu * config.gain_e_adu)
    electrons += noise.normal(0.0, config.read_noise_e, config.shape)
    adu = np.clip(np.rint(electrons / config.gain_e_adu), 0, config.full_well_adu)
    return SimulatedExposure(
        adu=adu.astype(np.uint16),
        header=_header(config, field_index, band, conditions),
        config=config,
        field_index=field_index,
        night=night,
        filter_band=band,
    )


def expected_light(
    config: SceneConfig, field_index: int, filter_band: Filter, conditions: Conditions
) -> F64:
    """(ny, nx) expected electrons of sky and sources, before the detector."""
    sky = field_sky(config, field_index)
    ny, nx = config.shape
    slope_x, slope_y = conditions.gradient
    ramp_x = slope_x * np.linspace(-0.5, 0.5, nx)[None, :]
    ramp_y = slope_y * np.linspace(-0.5, 0.5, ny)[:, None]
    light = conditions.sky_e * (1 + ramp_x + ramp_y)
    to_pixels = conditions.transform
    x, y = to_pixels.apply(sky.stars["x_pix"], sky.stars["y_pix"])
    flux = conditions.throughput * star_fluxes(sky, filter_band)
    add_point_sources(light, conditions.psf, x, y, flux)
    galaxies = to_pixels.apply_table(sky.galaxies)
    galaxies["flux"] *= conditions.throughput
    add_galaxies(light, conditions.psf, galaxies)
    x, y = to_pixels.apply(*positions_at(sky.changes, conditions.mjd))
    flux = conditions.throughput * flux_at(sky.changes, conditions.mjd)
    add_point_sources(light, conditions.psf, x, y, flux)
    return light


@lru_cache(maxsize=4)
def detector_of(config: SceneConfig) -> Detector:
    """The survey's one detector."""
    rng = stream(config, Purpose.DETECTOR)
    return draw_detector(
        rng, config.shape, config.bad_columns, config.hot_pixels, config.exposure_s
    )


def _header(
    config: SceneConfig, field_index: int, filter_band: Filter, conditions: Conditions
) -> fits.Header:
    header = field_wcs(config, field_index, conditions.transform).to_header()
    header["CRPIX1"] += conditions.pointing_error_pix[0]
    header["CRPIX2"] += conditions.pointing_error_pix[1]
    # astropy adds the reference date of nothing.
    for card in ("DATEREF", "MJDREF", "MJDREFI", "MJDREFF"):
        header.remove(card, ignore_missing=True)
    cards: list[tuple[str, object, str]] = [
        ("OBJECT", field_name(field_index), "field"),
        ("IMAGETYP", "object", "bias, dark and flat corrected sky exposure"),
        ("FILTER", filter_band, ""),
        ("EXPTIME", config.exposure_s, "[s]"),
        ("TIMESYS", "UTC", ""),
        ("DATE-OBS", _text(conditions.begin), "start of exposure"),
        ("MJD-OBS", float(Time(conditions.begin).mjd), "[d] of DATE-OBS"),
        ("DATE-AVG", _text(conditions.mid), "middle of exposure"),
        ("MJD-AVG", conditions.mjd, "[d] of DATE-AVG"),
        ("TELESCOP", "AstrID simulator", ""),
        ("INSTRUME", "simcam", ""),
        ("DETECTOR", "sim-1", ""),
        ("BUNIT", "adu", ""),
        ("GAIN", config.gain_e_adu, "[electron/adu]"),
        ("RDNOISE", config.read_noise_e, "[electron] rms"),
        ("SATURATE", round(LINEAR_FRACTION * config.full_well_adu), "[adu]"),
        (
            "MAGZERO",
            round(config.zero_point_mag - 2.5 * np.log10(config.gain_e_adu), 4),
            "[mag(AB)] of 1 adu in total, nominal",
        ),
    ]
    for keyword, value, comment in cards:
        header[keyword] = (value, comment)
    return header


def _text(moment: dt.datetime) -> str:
    """FITS date in UTC, to the millisecond."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
