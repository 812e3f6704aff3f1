"""Which sources of a catalogue lie at which positions, and how likely that is by chance."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrid_core.sky import unit_vectors

F64 = NDArray[np.float64]
_ARCSEC_PER_RADIAN = math.degrees(1.0) * 3600.0


@dataclass(frozen=True)
class Match:
    """One source near one position.

    Attributes
    ----------
    position, source
        Their indices.
    rank
        0 for the nearest source of a position.
    separation_arcsec
        Great-circle distance.
    density_per_arcmin2
        Sources per square arcminute hereabouts.
    chance_probability
        That an unrelated source lies as near or nearer.
    """

    position: int
    source: int
    rank: int
    separation_arcsec: float
    density_per_arcmin2: float
    chance_probability: float


def chance_probability(separation_arcsec: float, density_per_arcmin2: float) -> float:
    """Probability of an unrelated source within a separation: 1 - exp(-π r² ρ).

    Poisson's law for sources scattered at random with density ρ.
    """
    radius_arcmin = separation_arcsec / 60.0
    return -math.expm1(-math.pi * radius_arcmin**2 * density_per_arcmin2)


def match(
    positions: tuple[F64, F64],
    sources: tuple[F64, F64],
    radius_arcsec: float,
    max_matches: int,
    density_radius_arcmin: float,
    area_arcmin2: float,
) -> list[Match]:
    """The nearest sources within a radius of each position.

    The density is counted about the position, the matched source included, and is never
    less than that of the whole area: near the area's edge and among few sources the count
    alone would make any match look certain.

    Parameters
    ----------
    positions, sources
        (ra, dec), degrees ICRS at one epoch, each (n,).
    area_arcmin2
        Area that ``sources`` lists completely.

    Returns
    -------
    By position, nearest source first.
    """
    if not len(positions[0]) or not len(sources[0]):
        return []
    tree = cKDTree(unit_vectors(*sources))
    places = unit_vectors(*positions)
    nearest = list(range(1, max_matches + 1))
    near = tree.query(places, k=nearest, distance_upper_bound=_chord(radius_arcsec))
    chords, found = (np.asarray(one) for one in near)
    counts = tree.query_ball_point(places, _chord(density_radius_arcmin * 60.0), return_length=True)
    overall = len(sources[0]) / area_arcmin2
    densities = np.maximum(counts / (math.pi * density_radius_arcmin**2), overall)
    matches = []
    for position, rank in np.argwhere(np.isfinite(chords)).tolist():
        separation = 2.0 * math.asin(chords[position, rank] / 2.0) * _ARCSEC_PER_RADIAN
        density = float(densities[position])
        matches.append(
            Match(
                position=position,
                source=int(found[position, rank]),
                rank=rank,
                separation_arcsec=separation,
                density_per_arcmin2=density,
                chance_probability=chance_probability(separation, density),
            )
        )
    return matches


def _chord(angle_arcsec: float) -> float:
    return 2.0 * math.sin(angle_arcsec / _ARCSEC_PER_RADIAN / 2.0)
