"""The demo survey's sky: deterministic, consistent with its truth, noisy as declared."""

import datetime as dt

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from astrid_core.errors import ConfigurationError
from astrid_core.simulation.artefacts import bleed
from astrid_core.simulation.changes import CHANGE_DTYPE, flux_at, positions_at
from astrid_core.simulation.conditions import conditions_of
from astrid_core.simulation.injection import shifted
from astrid_core.simulation.matched_filter import matched_filter
from astrid_core.simulation.scene import SceneConfig, expected_light, render_exposure
from astrid_core.simulation.sky import field_centre, field_sky
from astrid_core.simulation.stamps import cut_stamp
from astrid_core.simulation.truth import truth_of

NIGHT = dt.date(2025, 9, 12)
SMALL = SceneConfig(n_fields=3, shape=(192, 224), transients_per_field=12, variables_per_field=15)
CLEAN = SMALL.model_copy(
    update={"cosmic_rays": 0.0, "bad_columns": 0, "hot_pixels": 0, "trail_probability": 0.0}
)


def test_exposure_is_the_same_alone_and_in_any_order() -> None:
    alone = render_exposure(SMALL, 1, NIGHT)
    field_sky.cache_clear()
    render_exposure(SMALL, 2, SMALL.reference_nights[0])
    again = render_exposure(SMALL, 1, NIGHT)
    assert np.array_equal(alone.adu, again.adu)
    assert alone.header == again.header
    assert np.array_equal(alone.truth, again.truth)
    other = render_exposure(SMALL.model_copy(update={"seed": 5}), 1, NIGHT)
    assert not np.array_equal(alone.adu, other.adu)


def test_fields_filters_and_nights_differ() -> None:
    both = SMALL.model_copy(update={"filters": ("r", "g")})
    frames = [
        render_exposure(both, field, night, band).adu
        for field in (0, 1)
        for night in (NIGHT, dt.date(2025, 9, 13))
        for band in ("r", "g")
    ]
    assert len({frame.tobytes() for frame in frames}) == len(frames)
    # A filter added leaves the exposures of the others as they were.
    assert np.array_equal(frames[0], render_exposure(SMALL, 0, NIGHT).adu)


def test_noise_is_photons_and_read_noise() -> None:
    """Pull of every unsaturated pixel against the noise-free light is N(0, 1)."""
    exposure = render_exposure(CLEAN, 0, NIGHT)
    light = expected_light(CLEAN, 0, "r", conditions_of(CLEAN, 0, NIGHT, "r"))
    gain = CLEAN.gain_e_adu
    variance = light + CLEAN.read_noise_e**2 + gain**2 / 12
    pull = (exposure.adu * gain - light) / np.sqrt(variance)
    calm = light < 0.5 * CLEAN.full_well_adu * gain
    pull = pull[calm]
    assert pull.mean() == pytest.approx(0.0, abs=4 / np.sqrt(pull.size))
    assert pull.std() == pytest.approx(1.0, abs=0.015)


def test_truth_is_in_the_pixels_and_unbiased() -> None:
    """Flux at each planted position, measured on the exposure, scatters as its S/N says."""
    nothing = {"transients_per_field": 0.0, "variables_per_field": 0.0, "movers_per_field": 0.0}
    still = CLEAN.model_copy(update=nothing)
    pulls = []
    for field, night in [(f, n) for f in range(3) for n in CLEAN.science_nights[:3]]:
        exposure = render_exposure(CLEAN, field, night)
        conditions = conditions_of(CLEAN, field, night, "r")
        steady = expected_light(still, field, "r", conditions)
        everything = expected_light(CLEAN, field, "r", conditions)
        residual = exposure.adu * CLEAN.gain_e_adu - steady
        psf = conditions.psf.to_psf()
        truth = exposure.truth
        for row in truth[(truth["flux_e"] > 0) & is_clear(truth, CLEAN.shape)]:
            x, y = row["x_pix"], row["y_pix"]
            column, line = round(x), round(y)
            filt = matched_filter(psf.at(x, y), conditions.sky_e + CLEAN.read_noise_e**2)
            half = filt.science.shape[0] // 2
            kernel = shifted(filt.science, x - column, y - line)
            flux = (kernel * cut_stamp(residual, column, line, half)).sum()
            light = cut_stamp(everything - conditions.sky_e, column, line, half)
            sigma = np.sqrt(filt.background_variance + filt.light_variance(light, None))
            pulls.append((flux - row["flux_e"]) / sigma)
    assert len(pulls) > 30
    assert np.mean(pulls) == pytest.approx(0, abs=4 / np.sqrt(len(pulls)))
    assert np.std(pulls) == pytest.approx(1, abs=4 / np.sqrt(2 * len(pulls)))


def is_clear(truth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Away from the edge and from every other change."""
    x, y = truth["x_pix"], truth["y_pix"]
    distance = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(len(x))
    inside = (x > 20) & (x < shape[1] - 21) & (y > 20) & (y < shape[0] - 21)
    return inside & (distance.min(axis=1) > 24)


def test_truth_equals_change_of_light_curves() -> None:
    sky = field_sky(SMALL, 1)
    science = conditions_of(SMALL, 1, NIGHT, "r")
    references = [conditions_of(SMALL, 1, n, "r") for n in SMALL.reference_nights]
    mean = np.mean([flux_at(sky.changes, r.mjd) for r in references], axis=0)
    delta = science.throughput * (flux_at(sky.changes, science.mjd) - mean)
    fixed = sky.changes["kind"] != "mover"
    x, y = science.transform.apply(sky.changes["x_pix"], sky.changes["y_pix"])
    truth = truth_of(SMALL, 1, NIGHT)
    steady = truth[truth["kind"] != "mover"]
    assert len(steady) > 3
    for row in steady:
        source = np.argmin(np.where(fixed, np.hypot(x - row["x_pix"], y - row["y_pix"]), np.inf))
        assert row["delta_flux_e"] == pytest.approx(delta[source], rel=1e-9)
        assert row["is_negative"] == (delta[source] < 0)
    assert np.all(np.diff(truth["snr_true"]) <= 0)


def test_truth_sky_positions_agree_with_the_header_to_the_pointing_error() -> None:
    exposure = render_exposure(SMALL, 2, NIGHT)
    truth = exposure.truth
    x, y = WCS(exposure.header).all_world2pix(truth["ra"], truth["dec"], 0)
    offset = np.stack([x - truth["x_pix"], y - truth["y_pix"]])
    assert np.abs(offset).max() <= SMALL.pointing_error_pix + 1e-6
    assert offset.std(axis=1).max() < 1e-3
    assert np.abs(offset).max() > 0


def test_default_survey_has_enough_to_find() -> None:
    config = SceneConfig()
    truth = np.concatenate(
        [truth_of(config, f, n) for f in range(config.n_fields) for n in config.science_nights]
    )
    found = truth[truth["snr_true"] > 5]
    assert 100 <= len(found) <= 250
    assert 20 <= found["is_negative"].sum() <= 0.6 * len(found)
    assert set(found["kind"]) == {"transient", "variable", "mover"}
    for low, high in [(3, 5), (5, 7), (7, 10), (10, 50)]:
        assert ((truth["snr_true"] > low) & (truth["snr_true"] <= high)).sum() >= 15
    assert truth["snr_true"].max() < 120


def test_fields_lie_degrees_apart() -> None:
    centres = SkyCoord([field_centre(i) for i in range(199)], unit="deg")
    _, nearest, _ = centres.match_to_catalog_sky(centres, nthneighbor=2)
    assert nearest.deg.min() > 7.0


def test_header_states_the_camera_and_nothing_of_the_truth() -> None:
    exposure = render_exposure(SMALL, 0, NIGHT)
    header = exposure.header
    assert header["OBJECT"] == "F00"
    assert header["GAIN"] == SMALL.gain_e_adu
    assert (
        header["SATURATE"] < exposure.adu.max() <= SMALL.full_well_adu
        or exposure.adu.max() < (header["SATURATE"])
    )
    begin = dt.datetime.fromisoformat(header["DATE-OBS"])
    middle = dt.datetime.fromisoformat(header["DATE-AVG"])
    assert (middle - begin).total_seconds() == pytest.approx(SMALL.exposure_s / 2)
    assert "SEED" not in header
    assert exposure.adu.dtype == np.uint16


@given(longitude=st.floats(-180, 360), night=st.sampled_from(SMALL.nights))
@settings(max_examples=30, deadline=None)
def test_every_exposure_falls_into_its_local_night(longitude: float, night: dt.date) -> None:
    """Local mean time, counted from local noon, gives back the night, wherever the site."""
    config = SMALL.model_copy(update={"longitude_deg": longitude})
    for field in (0, config.n_fields - 1):
        begin = conditions_of(config, field, night, "r").begin
        east = (longitude + 180) % 360 - 180
        local = begin + dt.timedelta(hours=east / 15 - 12)
        assert local.date() == night


def test_detector_defects_stay_in_their_pixels() -> None:
    config = SMALL.model_copy(update={"bad_columns": 2, "hot_pixels": 5, "cosmic_rays": 0.0})
    frames = [render_exposure(config, f, NIGHT).adu.astype(float) for f in range(3)]
    plain = [render_exposure(CLEAN, f, NIGHT).adu.astype(float) for f in range(3)]
    changed = [
        np.abs(a - b) > 8 * np.sqrt(np.median(b)) for a, b in zip(frames, plain, strict=True)
    ]
    assert all(c.any() for c in changed)
    common = changed[0] & changed[1] & changed[2]
    assert common.sum() > 100


def test_bleeding_conserves_charge_and_stays_in_the_column() -> None:
    electrons = np.full((101, 5), 10.0)
    electrons[50, 2] = 2000.0
    before = electrons.sum()
    bleed(electrons, 100.0)
    assert electrons.sum() == pytest.approx(before)
    assert electrons.max() <= 100.0 + 1e-9
    full = np.flatnonzero(electrons[:, 2] > 99)
    assert 18 <= len(full) <= 23
    assert abs(full.mean() - 50) < 1
    assert np.all(electrons[:, [0, 1, 3, 4]] == 10.0)


def test_light_curves() -> None:
    changes = np.zeros(3, dtype=CHANGE_DTYPE)
    changes["kind"] = ["transient", "variable", "mover"]
    changes["flux"], changes["epoch_mjd"] = 100.0, 60000.0
    changes["rise_days"], changes["decline_days"] = 5.0, 10.0
    changes["period_days"], changes["amplitude_mag"] = 2.0, 1.0
    changes["vx_pix_day"] = [0.0, 0.0, 7.0]
    assert flux_at(changes, 59999.0)[0] == 0.0
    assert flux_at(changes, 60005.0)[0] == pytest.approx(100.0)
    assert flux_at(changes, 60015.0)[0] == pytest.approx(100.0 / np.e)
    assert flux_at(changes, 60000.0)[1] == pytest.approx(flux_at(changes, 60002.0)[1])
    cycle = [flux_at(changes, 60000.0 + t)[1] for t in np.linspace(0, 2, 101)]
    assert max(cycle) / min(cycle) == pytest.approx(10**0.4, rel=1e-6)
    assert positions_at(changes, 60002.0)[0] == pytest.approx([0, 0, 14])


def test_unknown_exposures_are_refused() -> None:
    for arguments in [(9, NIGHT), (-1, NIGHT), (0, dt.date(2020, 1, 1)), (0, NIGHT, "z")]:
        with pytest.raises(ConfigurationError):
            render_exposure(SMALL, *arguments)


@given(
    low=st.floats(-5, 60, allow_nan=False),
    high=st.floats(-5, 60, allow_nan=False),
    name=st.sampled_from(["seeing_range_pix", "transparency_range", "snr_range"]),
)
def test_ranges_are_validated(low: float, high: float, name: str) -> None:
    limits = {"seeing_range_pix": (2.0, np.inf), "transparency_range": (0, 1.0)}
    floor, ceiling = limits.get(name, (0, np.inf))
    valid = 0 < low <= high and low >= floor and high <= ceiling
    if valid:
        assert getattr(SceneConfig(**{name: (low, high)}), name) == (low, high)
    else:
        with pytest.raises(ValidationError):
            SceneConfig(**{name: (low, high)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"sead": 1},
        {"n_fields": 0},
        {"shape": (64, 512)},
        {"filters": ("r", "r")},
        {"filters": ("V",)},
        {"science_nights": ("2025-09-01",)},
        {"science_nights": ()},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SceneConfig.model_validate(wrong)
