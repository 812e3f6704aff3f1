"""Who lives on a simulated sky: stars, galaxies, and where changes are put."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from astrid_core.simulation.render import GALAXY_DTYPE

F64 = NDArray[np.float64]
Box = tuple[float, float, float, float]
"""x from, x to, y from, y to."""

POINT_DTYPE = np.dtype([("x_pix", "f8"), ("y_pix", "f8"), ("flux", "f8")])

STAR_SLOPE = 0.6
"""N(>F) ∝ F^−0.6: magnitude counts ∝ 10^0.24 m, typical away from the Galactic plane."""

GALAXY_SLOPE = 1.0
"""Galaxy counts are steeper: ∝ 10^0.4 m."""


def draw_stars(
    rng: np.random.Generator,
    n: int,
    box: Box,
    flux_range: tuple[float, float],
    slope: float = STAR_SLOPE,
) -> NDArray[Any]:
    """``n`` stars of ``POINT_DTYPE``, uniform over a box, N(>F) ∝ F^−slope."""
    stars = np.zeros(n, dtype=POINT_DTYPE)
    stars["x_pix"], stars["y_pix"] = rng.uniform(box[0], box[1], n), rng.uniform(*box[2:], n)
    stars["flux"] = power_law(rng, n, flux_range, slope)
    return stars


def draw_galaxies(
    rng: np.random.Generator, n: int, box: Box, flux_range: tuple[float, float]
) -> NDArray[Any]:
    """``n`` galaxies of ``GALAXY_DTYPE``; brighter ones are larger, with scatter."""
    galaxies = np.zeros(n, dtype=GALAXY_DTYPE)
    galaxies["x_pix"], galaxies["y_pix"] = rng.uniform(box[0], box[1], n), rng.uniform(*box[2:], n)
    galaxies["flux"] = power_law(rng, n, flux_range, GALAXY_SLOPE)
    relative = galaxies["flux"] / flux_range[0]
    galaxies["scale_pix"] = np.clip(1.1 * relative**0.3 * rng.lognormal(0.0, 0.3, n), 0.7, 9.0)
    galaxies["axis_ratio"] = rng.uniform(0.3, 1.0, n)
    galaxies["angle_deg"] = rng.uniform(0.0, 180.0, n)
    galaxies["bulge"] = rng.beta(1.2, 2.5, n)
    return galaxies


def power_law(
    rng: np.random.Generator, n: int, value_range: tuple[float, float], slope: float
) -> F64:
    """``n`` values with N(>v) ∝ v^−slope between two bounds."""
    low, high = (value**-slope for value in value_range)
    return np.asarray((low + rng.random(n) * (high - low)) ** (-1 / slope))


def draw_spaced(
    rng: np.random.Generator,
    n: int,
    shape: tuple[int, int],
    separation_pix: float,
    margin_pix: float,
    preferred: NDArray[Any],
    preferred_fraction: float,
) -> tuple[F64, F64]:
    """Up to ``n`` positions at least ``separation_pix`` apart; fewer where no more fit.

    Parameters
    ----------
    preferred
        Galaxies; the share ``preferred_fraction`` of the positions is first sought on their
        light, at a distance of about a scale length.
    """
    ny, nx = shape
    n_hosted = round(n * preferred_fraction) if len(preferred) else 0
    hosts = preferred[rng.permutation(len(preferred))]
    angle = rng.uniform(0, 2 * np.pi, len(hosts))
    distance = hosts["scale_pix"] * rng.gamma(2.0, 0.7, len(hosts))
    hosted = np.stack(
        [
            hosts["x_pix"] + distance * np.cos(angle),
            hosts["y_pix"] + distance * np.sin(angle),
        ],
        axis=1,
    )
    inside = np.all((hosted > margin_pix) & (hosted < np.array([nx, ny]) - 1 - margin_pix), axis=1)
    free = rng.uniform(
        [margin_pix, margin_pix], [nx - 1 - margin_pix, ny - 1 - margin_pix], (60 * n + 60, 2)
    )
    chosen = _keep_spaced(np.empty((0, 2)), hosted[inside], n_hosted, separation_pix)
    chosen = _keep_spaced(chosen, free, n, separation_pix)
    return chosen[:, 0], chosen[:, 1]


def _keep_spaced(chosen: F64, offered: F64, n: int, separation_pix: float) -> F64:
    """Add offered positions one by one, while fewer than ``n`` and far from all chosen."""
    kept = list(chosen)
    for position in offered:
        if len(kept) >= n:
            break
        if not kept or KDTree(np.array(kept)).query(position)[0] >= separation_pix:
            kept.append(position)
    return np.array(kept).reshape(-1, 2)
