import numpy as np
import pytest
from preprocessing_frames import exposure, raw_frame, star_field
from scipy.ndimage import gaussian_filter

from astrid_core.preprocessing.background import estimate_background, find_sources
from astrid_core.preprocessing.calibrate import Calibrated, calibrate
from astrid_core.preprocessing.config import BackgroundConfig
from astrid_core.preprocessing.noise import noise_map, pixel_noise, total_noise, white_noise
from astrid_core.preprocessing.variance import Noise, noise_model

ALL = np.ones((256, 256), dtype=bool)


def modelled(frame: Calibrated) -> tuple[Noise, np.ndarray]:
    data = frame.raw.data
    background, sources = estimate_background(data, ~np.isfinite(data), BackgroundConfig())
    return noise_model(frame, background, sources, 128), background


@pytest.mark.parametrize("measure", [pixel_noise, white_noise, total_noise])
def test_noise_of_white_pixels_on_a_gradient(measure) -> None:
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 50, 256)[None, :]
    assert measure(rng.normal(0, 3, (256, 256)) + ramp, ALL) == pytest.approx(3.0, rel=0.02)


def test_noise_of_integer_pixels() -> None:
    data = np.rint(np.random.default_rng(2).normal(0, 1.3, (256, 256)))
    assert white_noise(data, ALL) == pytest.approx(np.sqrt(1.3**2 + 1 / 12), rel=0.02)


def test_noise_of_correlated_pixels_is_found_beyond_the_correlation() -> None:
    data = gaussian_filter(np.random.default_rng(3).normal(0, 5, (256, 256)), 0.6)
    assert total_noise(data, ALL) == pytest.approx(float(data.std()), rel=0.03)
    assert white_noise(data, ALL) < 0.75 * data.std()


def test_noise_in_a_crowded_field_is_not_the_crowding() -> None:
    scene = star_field(4, n_stars=1500, flux=(500, 3e4))
    data = exposure(4, scene, gain=1.0)
    truth = np.sqrt(525.0)
    faint = scene < np.percentile(scene, 60)
    assert white_noise(data, faint) == pytest.approx(truth, rel=0.06)
    assert pixel_noise(data, faint) > 1.1 * truth


def test_too_few_pixels_have_no_noise() -> None:
    assert np.isnan(white_noise(np.zeros((5, 5)), np.ones((5, 5), dtype=bool)))


def test_noise_map_follows_coverage() -> None:
    rng = np.random.default_rng(5)
    sigma = np.where(np.arange(256)[None, :] < 128, 1.0, 2.0) * np.ones((256, 1))
    noise = noise_map(rng.normal(0, 1, (256, 256)) * sigma, ALL, 64)
    assert noise[:, :40].mean() == pytest.approx(1.0, rel=0.1)
    assert noise[:, -40:].mean() == pytest.approx(2.0, rel=0.1)


def test_background_keeps_a_big_galaxy_in_the_image() -> None:
    y, x = np.mgrid[0:512, 0:512]
    galaxy = 400 * np.exp(-np.hypot(x - 256, y - 256) / 25)
    sky = 1000 + 0.1 * x
    data = np.random.default_rng(6).poisson(sky + galaxy).astype(np.float32)
    background, sources = estimate_background(data, np.zeros(data.shape, bool), BackgroundConfig())
    error = background - sky
    assert np.abs(error).max() < 8
    assert np.abs(error[sources == 0]).mean() < 2
    assert sources[256, 256]
    assert (data - background)[200:312, 200:312].sum() == pytest.approx(
        galaxy[200:312, 200:312].sum(), rel=0.1
    )


def test_source_mask_leaves_sky_in_a_crowded_field() -> None:
    scene = star_field(7, n_stars=3000, flux=(500, 3e4))
    residual = exposure(7, scene, gain=1.0) - 500
    sources = find_sources(residual.astype(np.float32), np.zeros(scene.shape, bool), 2.5)
    assert 0.1 < sources.mean() <= 0.6


def test_variance_is_sky_and_read_noise_where_gain_is_known() -> None:
    frame = calibrate(raw_frame(exposure(8, star_field(8))), None, 0.97)
    noise, background = modelled(frame)
    assert noise.unit == "electron"
    assert noise.units_per_raw == 2.0
    assert np.median(noise.variance) == pytest.approx(525, rel=0.02)
    assert noise.assumed == ()
    assert np.median(background) == pytest.approx(250, rel=0.01)


def test_unstated_read_noise_is_measured_and_said() -> None:
    data = exposure(9, star_field(9), sky_e=50, read_noise=12)
    noise, _ = modelled(calibrate(raw_frame(data, read_noise=None), None, 0.97))
    assert noise.read_noise == pytest.approx(12, rel=0.1)
    assert noise.assumed == ("read_noise",)


def test_photon_transfer_replaces_an_unknown_gain() -> None:
    data = exposure(10, star_field(10), sky_e=2000, read_noise=0)
    noise, _ = modelled(calibrate(raw_frame(data, gain=None, read_noise=None), None, 0.97))
    assert noise.unit == "adu"
    assert noise.source_gain == pytest.approx(2.0, rel=0.05)
    assert set(noise.assumed) == {"gain", "read_noise"}


def test_a_gain_that_pixels_contradict_is_not_believed() -> None:
    """Stacks keep the header of one exposure."""
    stack = np.mean([exposure(k, star_field(11)) for k in range(8)], axis=0)
    noise, _ = modelled(calibrate(raw_frame(stack), None, 0.97))
    assert "gain" in noise.assumed
    assert np.median(noise.variance) == pytest.approx(525 / 4 / 8, rel=0.08)


def test_surface_brightness_has_no_source_noise() -> None:
    rng = np.random.default_rng(12)
    data = rng.normal(0.002, 0.003, (256, 256))
    raw = raw_frame(data, gain=None, read_noise=None, unit="MJy/sr")
    noise, _ = modelled(calibrate(raw, None, 0.97))
    assert noise.unit == "MJy/sr"
    assert noise.source_gain == 0.0
    assert np.sqrt(np.median(noise.variance)) == pytest.approx(0.003, rel=0.03)
