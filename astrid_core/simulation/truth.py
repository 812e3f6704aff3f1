"""What truly changed in an exposure of the simulated survey; never written into its FITS."""

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.errors import ConfigurationError
from astrid_core.simulation.changes import flux_at, positions_at
from astrid_core.simulation.conditions import Conditions, conditions_of
from astrid_core.simulation.config import Filter, SceneConfig
from astrid_core.simulation.matched_filter import MatchedFilter, matched_filter
from astrid_core.simulation.render import add_galaxies, add_point_sources
from astrid_core.simulation.sky import FieldSky, field_sky, field_wcs, star_fluxes
from astrid_core.simulation.stamps import cut_stamp

F64 = NDArray[np.float64]
TruthTable = NDArray[Any]

TRUTH_DTYPE = np.dtype(
    [
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("ra", "f8"),
        ("dec", "f8"),
        ("kind", "U9"),
        ("flux_e", "f8"),
        ("delta_flux_e", "f8"),
        ("snr_true", "f8"),
        ("is_negative", "?"),
        ("environment", "U5"),
    ]
)
"""A change in an exposure, relative to the mean of the reference nights.

Position in the exposure and on the sky (true, not by the header's WCS); ``kind``
(``transient``, ``variable``, ``mover``); flux and its change in the exposure's electrons;
S/N_true over the optimal filter's noise; ``environment``: ``blank``, ``host`` galaxy or near
a brighter ``star``."""


def truth_of(
    config: SceneConfig, field_index: int, night: dt.date, filter_band: Filter | None = None
) -> TruthTable:
    """Changes in the exposure of a field, a night and a filter (default: the first).

    Returns
    -------
    Array of ``TRUTH_DTYPE``: everything on the frame that differs from the mean of the
    reference nights, however faint, in order of S/N_true. A mover that one of the reference
    nights saw leaves a faint negative there.

    Raises
    ------
    ConfigurationError
        If the survey has no such exposure.
    """
    band = require_exposure(config, field_index, night, filter_band)
    sky = field_sky(config, field_index)
    science = conditions_of(config, field_index, night, band)
    references = [conditions_of(config, field_index, n, band) for n in config.reference_nights]
    changed = _changed_sources(sky, science, references)
    x, y = science.transform.apply(changed["x_pix"], changed["y_pix"])
    ny, nx = config.shape
    inside = (x >= 0) & (x <= nx - 1) & (y >= 0) & (y <= ny - 1) & (changed["delta"] != 0)
    changed, x, y = changed[inside], x[inside], y[inside]
    truth = np.zeros(len(x), dtype=TRUTH_DTYPE)
    truth["x_pix"], truth["y_pix"] = x, y
    wcs = field_wcs(config, field_index, science.transform)
    if len(x):
        truth["ra"], truth["dec"] = wcs.all_pix2world(x, y, 0)
    truth["kind"] = changed["kind"]
    truth["flux_e"] = science.throughput * changed["flux"]
    truth["delta_flux_e"] = science.throughput * changed["delta"]
    truth["is_negative"] = changed["delta"] < 0
    _measure(config, sky, band, science, references, truth)
    return truth[np.argsort(-truth["snr_true"])]


def require_exposure(
    config: SceneConfig, field_index: int, night: dt.date, filter_band: Filter | None
) -> Filter:
    """The filter of an exposure, or a ConfigurationError that there is no such exposure."""
    band = config.filters[0] if filter_band is None else filter_band
    if not 0 <= field_index < config.n_fields or night not in config.nights:
        raise ConfigurationError(
            f"The simulated survey has no exposure of field {field_index} on {night}.",
            remedy="Ask for a night and field of its configuration.",
            n_fields=config.n_fields,
        )
    if band not in config.filters:
        raise ConfigurationError(
            f"The simulated survey has no filter {band!r}.",
            remedy=f"Its filters are {', '.join(config.filters)}.",
        )
    return band


_CHANGED_DTYPE = np.dtype(
    [("kind", "U9"), ("x_pix", "f8"), ("y_pix", "f8"), ("flux", "f8"), ("delta", "f8")]
)


def _changed_sources(
    sky: FieldSky, science: Conditions, references: list[Conditions]
) -> NDArray[Any]:
    """Flux now and change against the references' mean, on the field's own grid."""
    changes = sky.changes
    n = len(references)
    now = np.zeros(len(changes), dtype=_CHANGED_DTYPE)
    now["kind"] = changes["kind"]
    now["x_pix"], now["y_pix"] = positions_at(changes, science.mjd)
    now["flux"] = now["delta"] = flux_at(changes, science.mjd)
    is_mover = changes["kind"] == "mover"
    ghosts = []
    for reference in references:
        then = flux_at(changes, reference.mjd)
        now["delta"][~is_mover] -= then[~is_mover] / n
        ghost = np.zeros(int(is_mover.sum()), dtype=_CHANGED_DTYPE)
        ghost["kind"] = "mover"
        ghost["x_pix"], ghost["y_pix"] = positions_at(changes[is_mover], reference.mjd)
        ghost["delta"] = -then[is_mover] / n
        ghosts.append(ghost)
    return np.concatenate([now, *ghosts])


# --- S/N_true -----------------------------------------------------------------------------


def _measure(
    config: SceneConfig,
    sky: FieldSky,
    band: Filter,
    science: Conditions,
    references: list[Conditions],
    truth: TruthTable,
) -> None:
    """Fill in S/N_true and environment."""
    light = _steady_light(config, sky, band, science, truth)
    stars = science.transform.apply_table(sky.stars)
    galaxies = science.transform.apply_table(sky.galaxies)
    star_flux = star_fluxes(sky, band) * science.throughput
    for row in truth:
        x, y = float(row["x_pix"]), float(row["y_pix"])
        filt = _filter_at(config, science, references, x, y)
        here = cut_stamp(light, round(x), round(y), filt.science.shape[0] // 2)
        row["snr_true"] = filt.snr(row["delta_flux_e"], 1.0, filt.light_variance(here, here))
        near = np.hypot(stars["x_pix"] - x, stars["y_pix"] - y) < 3 * science.psf.fwhm_pix
        distance = np.hypot(galaxies["x_pix"] - x, galaxies["y_pix"] - y)
        if np.any(near & (star_flux > abs(row["delta_flux_e"]))):
            row["environment"] = "star"
        elif np.any(distance < 3 * galaxies["scale_pix"]):
            row["environment"] = "host"
        else:
            row["environment"] = "blank"


def _filter_at(
    config: SceneConfig, science: Conditions, references: list[Conditions], x: float, y: float
) -> MatchedFilter:
    """Optimal filter against the plain mean of the reference nights, scaled to the exposure."""
    half = max(conditions.psf.half_width() for conditions in (science, *references))
    at = np.array([round(x)], dtype=float), np.array([round(y)], dtype=float)
    p_n = science.psf.stamps(*at, half)[0]
    p_r = np.mean([reference.psf.stamps(*at, half)[0] for reference in references], axis=0)
    n = len(references)
    ratios = np.array([science.throughput / reference.throughput for reference in references])
    sky = np.array([reference.sky_e + config.read_noise_e**2 for reference in references])
    return matched_filter(
        p_n / p_n.sum(),
        science.sky_e + config.read_noise_e**2,
        p_r / p_r.sum(),
        float((ratios**2 * sky).sum()) / n**2,
        float(ratios.mean()) / n,
    )


def _steady_light(
    config: SceneConfig, sky: FieldSky, band: Filter, science: Conditions, truth: TruthTable
) -> F64:
    """Expected light around the changes that is there in science and references alike."""
    light = np.zeros(config.shape)
    stars = science.transform.apply_table(sky.stars)
    stars["flux"] = star_fluxes(sky, band) * science.throughput
    galaxies = science.transform.apply_table(sky.galaxies)
    galaxies["flux"] *= science.throughput
    reach = 2.0 * science.psf.half_width()
    stars, galaxies = _near(stars, truth, reach), _near(galaxies, truth, reach)
    add_point_sources(light, science.psf, stars["x_pix"], stars["y_pix"], stars["flux"])
    add_galaxies(light, science.psf, galaxies)
    steady = np.minimum(truth["flux_e"], truth["flux_e"] - truth["delta_flux_e"])
    add_point_sources(light, science.psf, truth["x_pix"], truth["y_pix"], np.maximum(steady, 0.0))
    return light


def _near(table: NDArray[Any], truth: TruthTable, reach: float) -> NDArray[Any]:
    """Sources within reach of any change, or bright enough to matter from farther away."""
    if not len(truth):
        return table[:0]
    dx = table["x_pix"][:, None] - truth["x_pix"]
    dy = table["y_pix"][:, None] - truth["y_pix"]
    return table[(np.hypot(dx, dy).min(axis=1) < reach) | (table["flux"] > 3e5)]
