"""What changes on the simulated sky, as light curves: transients, variables, movers.

A change has a position on its field's own pixel grid, a motion, and a flux at any time. All
are drawn once per field, so every exposure sees the same sky at its own moment.
"""

from typing import Any

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.matched_filter import MatchedFilter, matched_filter
from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.population import draw_spaced

F64 = NDArray[np.float64]

CHANGE_DTYPE = np.dtype(
    [
        ("kind", "U9"),
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("vx_pix_day", "f8"),
        ("vy_pix_day", "f8"),
        ("flux", "f8"),
        ("epoch_mjd", "f8"),
        ("rise_days", "f8"),
        ("decline_days", "f8"),
        ("period_days", "f8"),
        ("amplitude_mag", "f8"),
    ]
)
"""A changing source. ``flux``: peak of a transient, mean of a variable's magnitude range,
constant of a mover. ``epoch_mjd``: explosion, phase zero, or when a mover is at (x, y)."""

_SPACING_PIX = 25.0


def draw_changes(
    config: SceneConfig, rng: np.random.Generator, galaxies: NDArray[Any]
) -> NDArray[Any]:
    """Changes of one field, of ``CHANGE_DTYPE``.

    Fluxes are such that the S/N_true of typical changes is log-uniform in
    ``config.snr_range`` under median conditions.
    """
    numbers = [
        int(rng.poisson(mean * config.area_ratio))
        for mean in (config.transients_per_field, config.variables_per_field)
    ]
    margin = config.dither_pix + 8.0
    x, y = draw_spaced(rng, sum(numbers), config.shape, _SPACING_PIX, margin, galaxies, 0.3)
    # The hosted positions come first and supernovae take them.
    nominal = nominal_filter(config)
    n_transients = min(numbers[0], len(x))
    return np.concatenate(
        [
            _transients(config, rng, nominal, x[:n_transients], y[:n_transients]),
            _variables(config, rng, nominal, x[n_transients:], y[n_transients:]),
            _movers(config, rng, nominal),
        ]
    )


def flux_at(changes: NDArray[Any], mjd: float) -> F64:
    """(n,) fluxes of changes at a time."""
    flux = changes["flux"].copy()
    days = mjd - changes["epoch_mjd"]
    is_transient = changes["kind"] == "transient"
    flux[is_transient] *= _transient_curve(changes[is_transient], days[is_transient])
    is_variable = changes["kind"] == "variable"
    flux[is_variable] *= _variable_curve(changes[is_variable], days[is_variable])
    return np.asarray(flux)


def positions_at(changes: NDArray[Any], mjd: float) -> tuple[F64, F64]:
    """Positions of changes at a time, on the field's own pixel grid."""
    days = mjd - changes["epoch_mjd"]
    is_mover = changes["kind"] == "mover"
    x = changes["x_pix"] + np.where(is_mover, changes["vx_pix_day"] * days, 0.0)
    y = changes["y_pix"] + np.where(is_mover, changes["vy_pix_day"] * days, 0.0)
    return x, y


def nominal_filter(config: SceneConfig) -> MatchedFilter:
    """Difference filter under median conditions, to choose fluxes by S/N."""
    psf = MoffatPsf(config.shape, config.seeing_pix).to_psf().centre()
    variance = config.sky_e + config.read_noise_e**2
    n = len(config.reference_nights)
    return matched_filter(psf, variance, psf, variance / n, 1.0 / n)


# --- light curves -------------------------------------------------------------------------


def _transient_curve(changes: NDArray[Any], days: F64) -> F64:
    """Smooth rise from the explosion to the peak, then an exponential decline; peak 1."""
    phase = np.clip(days / changes["rise_days"], 0.0, 1.0)
    after = np.maximum(days - changes["rise_days"], 0.0)
    return np.asarray(phase**2 * (3 - 2 * phase) * np.exp(-after / changes["decline_days"]))


def _variable_curve(changes: NDArray[Any], days: F64) -> F64:
    """RR Lyrae-like: a fast rise over a fifth of the period, a slow decline."""
    phase = (days / changes["period_days"]) % 1.0
    height = np.where(phase < 0.2, phase / 0.2, (1.0 - phase) / 0.8)
    return np.asarray(10.0 ** (0.4 * changes["amplitude_mag"] * (height - 0.5)))


# --- populations --------------------------------------------------------------------------


def _log_uniform(rng: np.random.Generator, low: float, high: float, n: int) -> F64:
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), n)))


def _typical_fluxes(
    config: SceneConfig, rng: np.random.Generator, nominal: MatchedFilter, n: int
) -> F64:
    snr = _log_uniform(rng, *config.snr_range, n)
    return np.array([nominal.flux_for_snr(value) for value in snr])


def _transients(
    config: SceneConfig, rng: np.random.Generator, nominal: MatchedFilter, x: F64, y: F64
) -> NDArray[Any]:
    """Supernova-like events; a quarter exploded before the references and have faded since."""
    n = len(x)
    changes = np.zeros(n, dtype=CHANGE_DTYPE)
    changes["kind"] = "transient"
    changes["x_pix"], changes["y_pix"] = x, y
    # Few are seen at their peak.
    changes["flux"] = 1.5 * _typical_fluxes(config, rng, nominal, n)
    changes["rise_days"] = rng.uniform(2.5, 7.0, n)
    changes["decline_days"] = rng.uniform(10.0, 35.0, n)
    first, last = _span(config.science_nights)
    changes["epoch_mjd"] = rng.uniform(first - 5.0, max(last - 1.0, first - 4.0), n)
    faded = rng.random(n) < 0.25
    start = _span(config.reference_nights)[0]
    changes["epoch_mjd"][faded] = start + 1.0 - changes["rise_days"][faded]
    changes["decline_days"][faded] = rng.uniform(3.0, 8.0, int(faded.sum()))
    return changes


def _variables(
    config: SceneConfig, rng: np.random.Generator, nominal: MatchedFilter, x: F64, y: F64
) -> NDArray[Any]:
    """Pulsating stars whose typical change against the references has the wished S/N."""
    n = len(x)
    changes = np.zeros(n, dtype=CHANGE_DTYPE)
    changes["kind"] = "variable"
    changes["x_pix"], changes["y_pix"] = x, y
    changes["amplitude_mag"] = _log_uniform(rng, 0.15, 1.2, n)
    changes["period_days"] = _log_uniform(rng, 0.35, 20.0, n)
    changes["epoch_mjd"] = _span(config.nights)[0] + rng.random(n) * changes["period_days"]
    half_range = np.sinh(0.4 * np.log(10) * changes["amplitude_mag"] / 2)
    changes["flux"] = 1.3 * _typical_fluxes(config, rng, nominal, n) / half_range
    return changes


def _movers(config: SceneConfig, rng: np.random.Generator, nominal: MatchedFilter) -> NDArray[Any]:
    """Asteroids near their stationary points: in the field for one to three science nights."""
    n = int(rng.poisson(config.movers_per_field))
    ny, nx = config.shape
    changes = np.zeros(n, dtype=CHANGE_DTYPE)
    changes["kind"] = "mover"
    changes["x_pix"], changes["y_pix"] = rng.uniform(0, nx, n), rng.uniform(0, ny, n)
    first, last = _span(config.science_nights)
    changes["epoch_mjd"] = rng.uniform(first, last, n)
    speed = rng.uniform(0.25, 0.7, n) * max(ny, nx)
    # Along the ecliptic, give or take.
    angle = np.pi * rng.integers(0, 2, n) + rng.normal(0.3, 0.3, n)
    changes["vx_pix_day"], changes["vy_pix_day"] = speed * np.cos(angle), speed * np.sin(angle)
    changes["flux"] = _typical_fluxes(config, rng, nominal, n)
    return changes


def _span(nights: tuple[Any, ...]) -> tuple[float, float]:
    """MJD from the first night's noon to the noon after the last."""
    return (
        float(Time(min(nights).isoformat()).mjd) + 0.5,
        float(Time(max(nights).isoformat()).mjd) + 1.5,
    )
