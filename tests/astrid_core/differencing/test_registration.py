"""Registration against simulated truth, false locks, and real fields."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from registration_frames import exposure, measured, random_stars, real_frame
from scipy.stats import binom

from astrid_core.differencing.matching import log_chance
from astrid_core.differencing.registration import register
from astrid_core.differencing.registration_config import RegistrationConfig
from astrid_core.errors import RegistrationError, TooFewStarsError
from astrid_core.frame import STAR_DTYPE
from astrid_core.simulation.pair import PairConfig, simulate_pair

CONFIG = RegistrationConfig()


def errors_of(registration, truth, shape, margin=15):
    """Map errors over the common area, (2, n) pixels of the reference."""
    y, x = np.mgrid[0 : shape[0] : 24, 0 : shape[1] : 24].astype(float)
    true = np.array(truth(x, y))
    inside = ((true > margin) & (true < shape[0] - margin)).all(axis=0)
    return (np.array(registration.to_reference(x, y)) - true)[:, inside]


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize(
    "options",
    [
        {"shift_pix": (7.3, -4.6), "rotation_deg": 0.05},
        {"shift_pix": (47.3, -84.6), "rotation_deg": 0.5, "with_wcs": False},
        {"shift_pix": (3.0, 4.0), "rotation_deg": 37.0, "scale": 1.1, "with_wcs": False},
        {"shift_pix": (30.0, 40.0), "rotation_deg": 180.0, "with_wcs": False},
        {"shift_pix": (30.0, 40.0), "n_stars": 1200, "with_wcs": False, "fwhm_science_pix": 5.0},
    ],
)
def test_systematic_error_is_small(seed, options):
    pair = simulate_pair(PairConfig(seed=seed, shape=(400, 400), **options))
    science, reference = measured(pair.science), measured(pair.reference)
    registration = register(science, reference, CONFIG)
    errors = errors_of(registration, pair.to_reference.apply, science.shape)
    assert np.abs(errors.mean(axis=1)).max() < 0.02
    assert np.hypot(*errors).max() < 0.06
    assert np.sqrt((errors**2).mean()) < 0.03
    assert registration.method == ("wcs" if options.get("with_wcs", True) else "pattern")
    assert registration.n_matched == len(registration.x_science) > 20
    back = registration.to_science(*registration.to_reference(np.arange(9.0), np.arange(9.0)))
    np.testing.assert_allclose(back[0], np.arange(9.0), atol=1e-3)


def test_a_mirrored_reference_is_found():
    pair = simulate_pair(PairConfig(seed=3, shape=(400, 400), with_wcs=False))
    science, reference = measured(pair.science), measured(pair.reference)
    mirrored = measured(replace(reference, data=reference.data[:, ::-1].copy()))
    registration = register(science, mirrored, CONFIG)

    def truth(x, y):
        return 399.0 - pair.to_reference.apply(x, y)[0], pair.to_reference.apply(x, y)[1]

    assert np.sqrt((errors_of(registration, truth, (400, 400)) ** 2).mean()) < 0.03


def test_a_wrong_wcs_is_refuted_and_patterns_take_over():
    pair = simulate_pair(PairConfig(seed=4, shape=(400, 400), shift_pix=(21.0, 13.0)))
    science, reference = measured(pair.science), measured(pair.reference)
    wrong = reference.wcs.deepcopy()
    wrong.wcs.crval = wrong.wcs.crval + np.array([0.2, -0.1])
    registration = register(science, replace(reference, wcs=wrong), CONFIG)
    assert registration.method == "pattern"
    errors = errors_of(registration, pair.to_reference.apply, (400, 400))
    assert np.sqrt((errors**2).mean()) < 0.03


def test_a_wcs_a_few_pixels_off_is_corrected():
    pair = simulate_pair(PairConfig(seed=5, shape=(400, 400)))
    science, reference = measured(pair.science), measured(pair.reference)
    off = reference.wcs.deepcopy()
    off.wcs.crpix = off.wcs.crpix + np.array([9.0, -6.0])
    registration = register(science, replace(reference, wcs=off), CONFIG)
    assert registration.method == "wcs"
    errors = errors_of(registration, pair.to_reference.apply, (400, 400))
    assert np.sqrt((errors**2).mean()) < 0.03


def hot_pixels(n: int, seed: int = 9):
    """Catalogue entries at fixed detector positions: bright, as wide as stars."""
    rng = np.random.default_rng(seed)
    table = np.zeros(n, dtype=STAR_DTYPE)
    table["x_pix"], table["y_pix"] = rng.uniform(10, 246, (2, n))
    table["flux"] = rng.uniform(2e3, 4e3, n)
    table["flux_err"], table["fwhm_pix"] = 60.0, 3.0
    return table


def with_sources(frame, extra):
    stars = np.concatenate([frame.stars, extra])
    return replace(frame, stars=stars[np.argsort(-stars["flux"])])


def test_hot_pixels_do_not_lock_the_map_at_zero_shift():
    x, y, flux = random_stars(1, 220, 350)
    flux = flux * 4
    science = exposure((x, y, flux), seed=1)
    reference = exposure((x + 31.4, y - 12.7, flux), seed=2)
    fixed = hot_pixels(40)
    registration = register(with_sources(science, fixed), with_sources(reference, fixed), CONFIG)
    at = registration.to_reference(np.array([100.0]), np.array([100.0]))
    assert at[0][0] == pytest.approx(131.4, abs=0.1)
    assert at[1][0] == pytest.approx(87.3, abs=0.1)


def test_hot_pixels_alone_are_no_registration():
    science = exposure(random_stars(1, 150, 350, faintest=8000.0), seed=1)
    other = exposure(random_stars(2, 150, 350, faintest=8000.0), seed=2)
    fixed = hot_pixels(12)
    with pytest.raises((RegistrationError, TooFewStarsError)) as caught:
        register(with_sources(science, fixed), with_sources(other, fixed), CONFIG)
    assert caught.value.details["n_science"] > 0
    assert caught.value.remedy


def test_too_few_stars_say_how_many():
    frame = exposure(random_stars(1, 40, 350), seed=1)
    poor = replace(frame, stars=frame.stars[:2])
    with pytest.raises(TooFewStarsError, match="n_science=2"):
        register(poor, frame, CONFIG)


def test_registrations_survive_a_process_pool():
    pair = simulate_pair(PairConfig(seed=4, shape=(256, 256), shift_pix=(2.0, 3.0)))
    registration = register(measured(pair.science), measured(pair.reference), CONFIG)
    again = pickle.loads(pickle.dumps(registration))
    x = np.array([20.0, 200.0])
    np.testing.assert_array_equal(again.to_reference(x, x), registration.to_reference(x, x))


def test_chance_is_bounded_above_by_chernoff():
    for k, n, p in [(10, 50, 0.02), (30, 60, 0.1), (5, 5, 0.01), (2, 100, 0.5)]:
        assert log_chance(k, n, p) >= binom.logsf(k - 1, n, p) - 1e-9
    assert log_chance(900, 1000, 0.01) < -3000


# --- real fields --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kb13475(real_data):
    folder = real_data / "kb13475-saao1m"
    truth = json.loads((real_data / "truth.json").read_text())["kb13475-saao1m"]["frames"]
    frames = {
        name: real_frame(folder / f"{name}.fits", gain=1.9, saturation=60000, with_wcs=False)
        for name in truth
    }
    return frames, truth


@pytest.mark.real_data
@pytest.mark.parametrize("reference", ["0001", "0054", "0180"])
def test_crowded_field_without_wcs(kb13475, reference):
    """Shifts of tens of pixels, seeing 3.2 to 5.8 px; truth is good to about .3 px."""
    frames, truth = kb13475
    there = truth[f"AKB13475I{reference}"]
    for name, frame in frames.items():
        registration = register(frame, frames[f"AKB13475I{reference}"], CONFIG)
        event = np.array([truth[name]["x"]]), np.array([truth[name]["y"]])
        x, y = registration.to_reference(*event)
        assert np.hypot(x[0] - there["x"], y[0] - there["y"]) < 0.5
        assert max(registration.rms_x_pix, registration.rms_y_pix) < 0.1


@pytest.mark.real_data
def test_headerless_pair_with_eighty_pixels_shift(real_data):
    three, four = (
        real_frame(real_data / "goto-zip-small" / f"{n}.fits", with_wcs=False) for n in (3, 4)
    )
    registration = register(three, four, CONFIG)
    x, y = registration.to_reference(np.array([400.0]), np.array([400.0]))
    assert abs(abs(y[0] - 400) - 81.5) < 0.5
    assert abs(abs(x[0] - 400) - 0.4) < 0.3
    assert registration.n_matched >= 15


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("names", "method", "limit_pix"),
    [
        (("goto-virgo-pair/1.fits", "goto-virgo-pair/2.fits"), "wcs", 0.1),
        (("2mass-gc-bands/gc_2mass_h.fits", "2mass-gc-bands/gc_2mass_k.fits"), "wcs", 0.1),
    ],
)
def test_frames_on_one_grid_stay_there(real_data, names, method, limit_pix):
    one, two = (real_frame(real_data / name) for name in names)
    registration = register(one, two, CONFIG)
    ny, nx = one.shape
    centre = np.array([nx / 2]), np.array([ny / 2])
    there = registration.to_reference(*centre)
    assert np.hypot(there[0] - centre[0], there[1] - centre[1])[0] < limit_pix
    assert registration.method == method
    assert registration.n_matched > 80


@pytest.mark.real_data
def test_space_telescope_pair(real_data):
    one, two = (real_frame(p) for p in sorted((real_data / "jwst-nircam-a2744").glob("*.fits")))
    for science in (one, replace(one, wcs=None)):
        registration = register(science, two, CONFIG)
        there = registration.to_reference(np.array([450.0]), np.array([330.0]))
        assert np.hypot(there[0] - 450, there[1] - 330)[0] < 0.2


@pytest.mark.real_data
def test_night_of_drifting_frames(real_data):
    folder = real_data / "lowell42-asteroid5945" / "crop"
    frames = [
        real_frame(next(folder.glob(f"*{number}*")), with_wcs=False)
        for number in ("0126", "0140", "0151", "0165", "0180", "0192")
    ]
    for frame in frames:
        registration = register(frame, frames[2], CONFIG)
        there = registration.to_reference(np.array([256.0]), np.array([256.0]))
        assert np.hypot(there[0] - 256, there[1] - 256)[0] < 2.5
        assert registration.rms_pix < 0.15


@pytest.mark.real_data
def test_few_star_field(real_data):
    frames = [real_frame(p) for p in sorted((real_data / "decam-variable-mini").glob("*.fits"))]
    for frame in frames[1:]:
        registration = register(frames[0], frame, CONFIG)
        assert registration.method == "wcs"
        assert registration.rms_pix < 0.3


@pytest.mark.real_data
def test_impossible_pairs_fail_with_a_reason(real_data):
    surveys = real_data / "crosssurvey-hostphot"
    des, ps1 = real_frame(surveys / "DES_r.fits"), real_frame(surveys / "PS1_r.fits")
    with pytest.raises(TooFewStarsError, match="n_reference=2"):
        register(des, ps1, CONFIG)
    faint = sorted((real_data / "m13-orion-lowsnr").glob("*.fits"))
    one, two = (real_frame(path, with_wcs=False) for path in faint)
    with pytest.raises(TooFewStarsError):
        register(one, two, CONFIG)


@pytest.mark.real_data
def test_different_skies_never_match(real_data, kb13475):
    crowd = kb13475[0]["AKB13475I0001"]
    galactic = real_frame(real_data / "2mass-gc-bands" / "gc_2mass_k.fits", with_wcs=False)
    sparse = real_frame(real_data / "goto-zip-small" / "3.fits", with_wcs=False)
    for science, reference in ((crowd, sparse), (crowd, galactic), (sparse, galactic)):
        with pytest.raises((RegistrationError, TooFewStarsError)):
            register(science, reference, CONFIG)
