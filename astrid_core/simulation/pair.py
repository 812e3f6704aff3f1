"""A science and a reference frame of one sky, with every truth known: what science is tested on.

The frames are as if perfectly processed (electrons, background subtracted, true variance,
true PSF, true catalogue), so that a test of one stage does not test another.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_core.frame import STAR_DTYPE, Frame, FrameMeta
from astrid_core.identity import observation_id
from astrid_core.simulation.artefacts import Artefacts, plant_artefacts
from astrid_core.simulation.geometry import Similarity, tan_wcs
from astrid_core.simulation.matched_filter import MatchedFilter, matched_filter
from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.population import draw_galaxies, draw_spaced, draw_stars
from astrid_core.simulation.render import add_galaxies, add_point_sources
from astrid_core.simulation.stamps import cut_stamp

F64 = NDArray[np.float64]

PAIR_TRUTH_DTYPE = np.dtype(
    [
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("x_reference_pix", "f8"),
        ("y_reference_pix", "f8"),
        ("delta_flux", "f8"),
        ("snr_true", "f8"),
        ("is_negative", "?"),
        ("environment", "U5"),
    ]
)
"""A planted change: position in both frames, science minus reference flux in science electrons,
and where it lies (``blank``, ``host`` galaxy or near a brighter ``star``)."""


@dataclass(frozen=True)
class PairConfig:
    """What to simulate. Fluxes are electrons in the science frame, lengths science pixels.

    Attributes
    ----------
    n_stars, n_galaxies
        Expected numbers on the science frame; the sky goes on beyond its edges.
    star_flux_range
        Range of a power law N(>F) ∝ F^−0.6.
    psf_variation
        0 is a constant PSF; 0.1 makes the FWHM vary by ±10 % and adds as much shear at the edges.
    shift_pix, rotation_deg, scale
        Where the reference frame sees the science frame's centre, its rotation, and reference
        pixels per science pixel.
    jitter_pix
        Rms by which each steady source strays along each axis of the reference frame, on its
        own: the atmosphere, colour and proper motion, which no smooth map takes out.
    flux_ratio
        Science electrons per reference electron of the same source.
    sky_e, reference_sky_e, read_noise_e
        Sky level and read noise, electrons per pixel.
    n_transients, snr_range, negative_fraction, host_fraction
        Changes planted at least ``min_separation_pix`` apart, log-uniform in S/N_true; a
        negative one is present in the reference alone.
    saturation_e
        Full well: pixels above are clipped and flagged.
    gradient_e
        Sky gradient left in the science frame, edge to edge.
    n_cosmic_rays, n_bad_columns
        Artefacts in each frame. ``flag_artefacts`` puts them into the mask; False leaves them
        for the code under test to find.
    """

    seed: int = 0
    shape: tuple[int, int] = (512, 512)
    n_stars: int = 300
    n_galaxies: int = 0
    star_flux_range: tuple[float, float] = (300.0, 3e5)
    fwhm_science_pix: float = 3.2
    fwhm_reference_pix: float = 2.8
    beta: float = 4.0
    ellipticity_science: float = 0.05
    ellipticity_reference: float = 0.03
    psf_variation: float = 0.0
    shift_pix: tuple[float, float] = (0.0, 0.0)
    rotation_deg: float = 0.0
    scale: float = 1.0
    jitter_pix: float = 0.0
    flux_ratio: float = 1.0
    sky_e: float = 400.0
    reference_sky_e: float = 250.0
    read_noise_e: float = 5.0
    n_transients: int = 40
    snr_range: tuple[float, float] = (3.0, 50.0)
    negative_fraction: float = 0.3
    host_fraction: float = 0.0
    min_separation_pix: float = 34.0
    with_wcs: bool = True
    pixel_scale_arcsec: float = 1.0
    ra_deg: float = 150.0
    dec_deg: float = 20.0
    saturation_e: float | None = None
    gradient_e: float = 0.0
    n_cosmic_rays: int = 0
    n_bad_columns: int = 0
    flag_artefacts: bool = True


@dataclass(frozen=True)
class SimulatedPair:
    """Two frames of one sky and what truly changed between them.

    Attributes
    ----------
    truth
        Changes, of ``PAIR_TRUTH_DTYPE``.
    to_reference
        Science pixels → reference pixels.
    """

    science: Frame
    reference: Frame
    truth: NDArray[Any]
    to_reference: Similarity


@dataclass(frozen=True)
class _Sky:
    """Steady sources in science pixels and science electrons."""

    stars: NDArray[Any]
    galaxies: NDArray[Any]


@dataclass(frozen=True)
class _View:
    """How one of the two frames sees the sky."""

    name: str
    psf: MoffatPsf
    transform: Similarity
    flux_factor: float
    sky_e: float
    stars: NDArray[Any]
    steady: F64


def simulate_pair(config: PairConfig) -> SimulatedPair:
    """Simulate a science and a reference frame of one sky.

    The same configuration gives the same pixels. 512 × 512 with 300 stars takes about half
    a second.
    """
    streams = np.random.default_rng(config.seed).spawn(5)
    sky = _draw_sky(config, streams[0])
    science = _view(config, "science", sky)
    reference = _view(config, "reference", _strayed(sky, config.jitter_pix, streams[4]))
    truth = _plan_changes(config, streams[1], sky, science, reference)
    up, down = truth[~truth["is_negative"]], truth[truth["is_negative"]]
    return SimulatedPair(
        science=_observe(config, science, up["x_pix"], up["y_pix"], up["delta_flux"], streams[2]),
        reference=_observe(
            config,
            reference,
            down["x_reference_pix"],
            down["y_reference_pix"],
            -down["delta_flux"] / config.flux_ratio,
            streams[3],
        ),
        truth=truth,
        to_reference=reference.transform,
    )


def _draw_sky(config: PairConfig, rng: np.random.Generator) -> _Sky:
    """Sources over a square that holds both frames, whatever the shift and rotation."""
    ny, nx = config.shape
    centre = np.array([(nx - 1) / 2, (ny - 1) / 2])
    half = np.hypot(nx, ny) / 2 / min(config.scale, 1.0) + np.hypot(*config.shift_pix) + 20
    area = (2 * half) ** 2 / (nx * ny)
    box = (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)
    return _Sky(
        stars=draw_stars(rng, round(config.n_stars * area), box, config.star_flux_range),
        galaxies=draw_galaxies(rng, round(config.n_galaxies * area), box, (1000.0, 5e4)),
    )


def _strayed(sky: _Sky, jitter_pix: float, rng: np.random.Generator) -> _Sky:
    """The sky with each source moved a little on its own."""
    stars, galaxies = sky.stars.copy(), sky.galaxies.copy()
    for table in (stars, galaxies):
        for axis in ("x_pix", "y_pix"):
            table[axis] += rng.normal(0.0, jitter_pix, len(table))
    return _Sky(stars, galaxies)


def _view(config: PairConfig, name: str, sky: _Sky) -> _View:
    is_science = name == "science"
    transform = (
        Similarity.identity()
        if is_science
        else Similarity.about_centre(
            config.shape, config.shift_pix, config.rotation_deg, config.scale
        )
    )
    factor = 1.0 if is_science else 1.0 / config.flux_ratio
    psf = MoffatPsf(
        shape=config.shape,
        fwhm_pix=config.fwhm_science_pix if is_science else config.fwhm_reference_pix,
        beta=config.beta,
        ellipticity=config.ellipticity_science if is_science else config.ellipticity_reference,
        angle_deg=25.0 if is_science else -40.0,
        fwhm_tilt=(config.psf_variation, -config.psf_variation / 2) if is_science else (0.0, 0.0),
        fwhm_bowl=config.psf_variation / 2,
        shear=config.psf_variation,
    )
    stars, galaxies = transform.apply_table(sky.stars), transform.apply_table(sky.galaxies)
    stars["flux"] *= factor
    galaxies["flux"] *= factor
    steady = np.zeros(config.shape)
    add_point_sources(steady, psf, stars["x_pix"], stars["y_pix"], stars["flux"])
    add_galaxies(steady, psf, galaxies)
    table = np.zeros(len(stars) + len(galaxies), dtype=STAR_DTYPE)
    for column in ("x_pix", "y_pix", "flux"):
        table[column] = np.concatenate([stars[column], galaxies[column]])
    table["is_star"][: len(stars)] = 1
    sky_e = config.sky_e if is_science else config.reference_sky_e
    return _View(name, psf, transform, factor, sky_e, table, steady)


# --- changes ------------------------------------------------------------------------------


def _plan_changes(
    config: PairConfig, rng: np.random.Generator, sky: _Sky, science: _View, reference: _View
) -> NDArray[Any]:
    """Positions, signs and fluxes of the changes, log-uniform in S/N_true."""
    margin = 20.0
    x, y = draw_spaced(
        rng,
        config.n_transients,
        config.shape,
        config.min_separation_pix,
        margin,
        preferred=sky.galaxies,
        preferred_fraction=config.host_fraction,
    )
    truth = np.zeros(len(x), dtype=PAIR_TRUTH_DTYPE)
    truth["x_pix"], truth["y_pix"] = x, y
    truth["x_reference_pix"], truth["y_reference_pix"] = reference.transform.apply(x, y)
    low, high = np.log(config.snr_range)
    truth["snr_true"] = np.exp(rng.uniform(low, high, len(x)))
    seen = _inside(config.shape, truth["x_reference_pix"], truth["y_reference_pix"], margin)
    truth["is_negative"] = (rng.random(len(x)) < config.negative_fraction) & seen
    for row in truth:
        filt = _pair_filter(config, science, reference, row)
        half = filt.science.shape[0] // 2
        here = round(float(row["x_pix"])), round(float(row["y_pix"]))
        there = round(float(row["x_reference_pix"])), round(float(row["y_reference_pix"]))
        light = filt.light_variance(
            cut_stamp(science.steady, *here, half),
            cut_stamp(reference.steady, *there, half) / reference.flux_factor,
        )
        flux = filt.flux_for_snr(
            row["snr_true"], is_negative=bool(row["is_negative"]), light_variance=light
        )
        row["delta_flux"] = -flux if row["is_negative"] else flux
        row["environment"] = _environment(config, sky, row)
    return truth


def _pair_filter(
    config: PairConfig, science: _View, reference: _View, row: np.void
) -> MatchedFilter:
    """Optimal difference filter at a change's position."""
    forms = reference.psf.quadratic_forms(
        np.atleast_1d(row["x_reference_pix"]), np.atleast_1d(row["y_reference_pix"])
    )
    half = max(science.psf.half_width(), reference.psf.half_width())
    there = science.psf.stamps(
        np.rint(np.atleast_1d(row["x_pix"])), np.rint(np.atleast_1d(row["y_pix"])), half
    )[0]
    warped = reference.transform.psf_stamp(forms, config.beta, half)
    # The reference scaled to science electrons per science pixel.
    scaled = config.flux_ratio**2 * config.scale**2
    return matched_filter(
        there / there.sum(),
        science.sky_e + config.read_noise_e**2,
        warped / warped.sum(),
        scaled * (reference.sky_e + config.read_noise_e**2),
        config.flux_ratio,
    )


def _inside(shape: tuple[int, int], x: F64, y: F64, margin: float) -> NDArray[np.bool_]:
    """Whether positions in reference pixels lie on the reference frame."""
    ny, nx = shape
    return (x > margin) & (x < nx - 1 - margin) & (y > margin) & (y < ny - 1 - margin)


def _environment(config: PairConfig, sky: _Sky, row: np.void) -> str:
    """``star`` within 3 FWHM of a brighter star, else ``host`` within 3 scale lengths."""
    reach = 3 * config.fwhm_science_pix
    stars, hosts = sky.stars, sky.galaxies
    near = np.hypot(stars["x_pix"] - row["x_pix"], stars["y_pix"] - row["y_pix"]) < reach
    if np.any(near & (stars["flux"] > abs(row["delta_flux"]))):
        return "star"
    distance = np.hypot(hosts["x_pix"] - row["x_pix"], hosts["y_pix"] - row["y_pix"])
    return "host" if np.any(distance < 3 * hosts["scale_pix"]) else "blank"


# --- observing ----------------------------------------------------------------------------


def _observe(
    config: PairConfig, view: _View, x: F64, y: F64, flux: F64, rng: np.random.Generator
) -> Frame:
    """Expose a view: photons, read noise, artefacts, and the frame a perfect processing gives."""
    expected = view.steady + view.sky_e
    add_point_sources(expected, view.psf, x, y, flux)
    gradient = np.zeros(config.shape)
    if view.name == "science" and config.gradient_e:
        gradient += config.gradient_e * np.linspace(-0.5, 0.5, config.shape[1])
    electrons = rng.poisson(expected + np.maximum(gradient, -view.sky_e)).astype(float)
    electrons += rng.normal(0.0, config.read_noise_e, config.shape)
    artefacts = Artefacts(config.n_cosmic_rays, config.n_bad_columns, config.saturation_e)
    flags = plant_artefacts(electrons, artefacts, rng, flag=config.flag_artefacts)
    variance = np.full(config.shape, view.sky_e + config.read_noise_e**2, dtype=np.float32)
    catalogue = _catalogue(config, view)
    return Frame(
        data=(electrons - view.sky_e).astype(np.float32),
        variance=variance,
        mask=flags,
        psf=view.psf.to_psf(n_stars=int(catalogue["is_star"].sum())),
        meta=_meta(config, view.name),
        wcs=_wcs(config, view.transform) if config.with_wcs else None,
        stars=catalogue,
        sky=view.sky_e,
    )


def _catalogue(config: PairConfig, view: _View) -> NDArray[Any]:
    """True catalogue of the steady sources above S/N 5 on the frame, brightest first."""
    stars = view.stars[_inside(config.shape, view.stars["x_pix"], view.stars["y_pix"], 3)]
    stars = stars[np.argsort(-stars["flux"])].copy()
    stamp = view.psf.to_psf().centre()
    filt = matched_filter(stamp, view.sky_e + config.read_noise_e**2)
    stars["flux_err"] = np.sqrt(filt.background_variance + filt.own_science * stars["flux"])
    stars = stars[stars["flux"] > 5 * stars["flux_err"]]
    stars["fwhm_pix"] = view.psf.integrated_fwhm()
    stars["ellipticity"] = view.psf.ellipticity
    stars["peak"] = stars["flux"] * stamp.max()
    full = np.inf if config.saturation_e is None else 0.9 * config.saturation_e - view.sky_e
    separation = np.hypot(
        stars["x_pix"][:, None] - view.stars["x_pix"], stars["y_pix"][:, None] - view.stars["y_pix"]
    )
    brighter = view.stars["flux"] > 0.02 * stars["flux"][:, None]
    crowded = ((separation < 4 * view.psf.fwhm_pix) & brighter).sum(axis=1) > 1
    stars["is_star"] &= ~crowded & (stars["peak"] < full)
    return stars


def _meta(config: PairConfig, name: str) -> FrameMeta:
    night = dt.date(2025, 9, 10) if name == "science" else dt.date(2025, 9, 1)
    return FrameMeta(
        observation_id=observation_id("simulated-pair", f"{name}-{config.seed}"),
        survey="simulated-pair",
        night=night,
        field=f"pair{config.seed}",
        filter_band="r",
        observation_time=dt.datetime.combine(night, dt.time(23), dt.UTC),
        exposure_s=60.0,
        instrument="simulator",
        read_noise=config.read_noise_e,
        saturation=config.saturation_e,
    )


def _wcs(config: PairConfig, transform: Similarity) -> WCS:
    """TAN WCS of a view: the science frame's, carried through the transform."""
    ny, nx = config.shape
    return tan_wcs(
        (config.ra_deg, config.dec_deg),
        ((nx - 1) / 2, (ny - 1) / 2),
        config.pixel_scale_arcsec,
        transform,
    )
