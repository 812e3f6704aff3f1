"""The steady and the changing sky of each field of the simulated survey."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_core.simulation.changes import draw_changes
from astrid_core.simulation.conditions import Purpose, stream
from astrid_core.simulation.config import Filter, SceneConfig
from astrid_core.simulation.geometry import Similarity, tan_wcs
from astrid_core.simulation.population import draw_galaxies, draw_stars

_STAR_FLUX_RANGE = (250.0, 2e7)
_STAR_SLOPE = 0.5
"""Counts ∝ 10^0.2 m, as at low Galactic latitude: some two stars a field saturate."""
_GALAXY_FLUX_RANGE = (1200.0, 1.5e5)
_LATTICE = 199
"""Points of the lattice that field centres are taken from; a prime, so that strides reach all."""


@dataclass(frozen=True)
class FieldSky:
    """Sources of a field on its own pixel grid, r-band electrons at full transparency.

    Attributes
    ----------
    stars, galaxies
        Steady sources; ``star_colour`` is the stars' g − r in magnitudes.
    changes
        Of ``CHANGE_DTYPE``.
    """

    stars: NDArray[Any]
    star_colour: NDArray[np.float64]
    galaxies: NDArray[Any]
    changes: NDArray[Any]


@lru_cache(maxsize=32)
def field_sky(config: SceneConfig, field_index: int) -> FieldSky:
    """Sources of a field, over an area that holds every dither and rotation of it."""
    rng = stream(config, Purpose.SKY, field_index)
    ny, nx = config.shape
    turned = np.radians(config.rotation_deg) * max(nx, ny) / 2
    border = config.dither_pix + turned + 20.0
    box = (-border, nx + border, -border, ny + border)
    area = (nx + 2 * border) * (ny + 2 * border) / 512**2
    stars = draw_stars(
        rng, round(config.stars_per_field * area), box, _STAR_FLUX_RANGE, _STAR_SLOPE
    )
    colour = rng.normal(0.6, 0.35, len(stars))
    galaxies = draw_galaxies(rng, round(config.galaxies_per_field * area), box, _GALAXY_FLUX_RANGE)
    changes = draw_changes(config, stream(config, Purpose.CHANGES, field_index), galaxies)
    return FieldSky(stars, colour, galaxies, changes)


def star_fluxes(sky: FieldSky, filter_band: Filter) -> NDArray[np.float64]:
    """Star fluxes in a filter: bluer stars lose towards the red."""
    # Steps of about 1500 Å from r; colour terms grow with the wavelength step.
    steps = {"g": -1.0, "r": 0.0, "i": 0.45, "z": 0.7}[filter_band]
    return np.asarray(sky.stars["flux"] * 10 ** (0.4 * steps * sky.star_colour))


def field_name(field_index: int) -> str:
    """Name of a field: ``F00``, ``F01``, …"""
    return f"F{field_index:02d}"


def field_centre(field_index: int) -> tuple[float, float]:
    """(ra, dec) of a field, degrees: points of a Fibonacci lattice between ±50° declination.

    Any two of the 199 points are at least 7° apart.
    """
    point = (field_index * 61) % _LATTICE
    golden = (1 + np.sqrt(5)) / 2
    sine = np.sin(np.radians(50.0)) * (2 * (point + 0.5) / _LATTICE - 1)
    ra = np.degrees(2 * np.pi * point / golden) % 360.0
    return float(ra), float(np.degrees(np.arcsin(sine)))


def field_wcs(config: SceneConfig, field_index: int, transform: Similarity | None = None) -> WCS:
    """True TAN WCS of a field, on its own grid or on an exposure's pixels."""
    ny, nx = config.shape
    return tan_wcs(
        field_centre(field_index),
        ((nx - 1) / 2, (ny - 1) / 2),
        config.pixel_scale_arcsec,
        transform,
    )
