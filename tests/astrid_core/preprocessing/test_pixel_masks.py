import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from preprocessing_frames import exposure, star_field
from scipy.ndimage import binary_dilation

from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.config import CatalogueConfig, CosmicsConfig, MaskConfig, PsfConfig
from astrid_core.preprocessing.cosmics import find_cosmics
from astrid_core.preprocessing.defects import (
    bad_columns,
    blank_pixels,
    border,
    dark_pixels,
    detected_saturation,
    grow_saturation,
    hot_in_dark,
)
from astrid_core.preprocessing.psf import measure_psf
from astrid_core.preprocessing.trails import find_trails
from astrid_core.simulation.artefacts import add_cosmic_rays

SHAPE = (256, 256)
NONE = np.zeros(SHAPE, dtype=bool)


def noise(seed: int, sigma: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, SHAPE).astype(np.float32)


# --- blank, border, saturated ---------------------------------------------------------------


def test_nan_and_zero_padding_are_blank_but_lone_zeros_are_not() -> None:
    data = np.random.default_rng(1).integers(-2, 3, SHAPE).astype(np.float32)
    data[:, :10] = 0
    data[100:140, 100:140] = 0
    data[5, 50] = np.nan
    blank = blank_pixels(data)
    assert blank[:, :10].all()
    assert blank[100:140, 100:140].all()
    assert blank[5, 50]
    assert blank.mean() < 0.07


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, (12, 15), elements=st.floats(-10, 10, width=32) | st.just(np.nan)))
def test_blank_is_at_least_what_is_not_finite(data: np.ndarray) -> None:
    blank = blank_pixels(data)
    assert blank.shape == data.shape
    assert blank[~np.isfinite(data)].all()
    assert not blank[np.isfinite(data) & (data != 0)].any()


def test_undeclared_overscan_is_found_and_a_gradient_is_not() -> None:
    sky = noise(2, 5) + 500 + np.linspace(0, 200, 256)[None, :]
    with_border = sky.copy()
    with_border[:, :12] = 20
    with_border[-7:] = 20
    found = border(with_border, NONE, 5.0)
    assert found[:, :12].all()
    assert found[-7:].all()
    assert found.sum() == 12 * 256 + 7 * 244
    assert not border(sky, NONE, 5.0).any()


def test_pile_up_is_saturation_and_a_bright_star_is_not() -> None:
    scene = 100 + star_field(3, flux=(1e3, 1e6))
    assert detected_saturation(scene, NONE) is None
    full = np.minimum(scene, 4000)
    level = detected_saturation(full, NONE)
    assert level is not None
    assert 3900 < level < 4000


def test_saturation_grows_further_along_bleeding() -> None:
    saturated = NONE.copy()
    saturated[60:200, 100:103] = True
    grown = grow_saturation(saturated, 2)
    assert grown[195:207, 101].all()
    assert grown[150, 98:105].all()
    assert not grown[150, 94]
    assert not grow_saturation(NONE, 2).any()


# --- columns and dark pixels ----------------------------------------------------------------


def test_bad_columns_are_found_among_stars() -> None:
    data = (exposure(4, star_field(4), gain=1.0) - 500).astype(np.float32)
    data[:, 30] += 20
    data[100:, 90] -= 150
    data[60] += 25
    found = bad_columns(data, np.full(SHAPE, 22.9), NONE, MaskConfig())
    assert found[:, 30].all()
    assert found[128:, 90].all()
    assert found[60].all()
    assert found.mean() < 0.02


def test_stars_alone_are_no_bad_columns() -> None:
    for seed in range(3):
        scene = star_field(seed, n_stars=400)
        data = (exposure(seed, scene, gain=1.0) - 500).astype(np.float32)
        assert bad_columns(data, np.full(SHAPE, 22.9), NONE, MaskConfig()).mean() < 0.004


def test_dark_pixels_are_found_and_negative_noise_is_not() -> None:
    data = noise(5)
    data[20, 30] = -12
    found = dark_pixels(data, np.ones(SHAPE), NONE, 8.0)
    assert found[20, 30]
    assert found.sum() == 1


# --- cosmic rays ------------------------------------------------------------------------------


@pytest.mark.parametrize("fwhm_pix", [1.9, 2.5, 4.0])
def test_cosmic_rays_are_found_and_stars_left_alone(fwhm_pix: float) -> None:
    scene = star_field(6, n_stars=150, fwhm_pix=fwhm_pix, flux=(3e3, 1e6))
    clean = exposure(6, scene, gain=1.0) - 500
    electrons = clean.copy()
    hits = add_cosmic_rays(electrons, 40, np.random.default_rng(6))
    data, variance = electrons.astype(np.float32), np.full(SHAPE, 525, np.float32)
    mask = np.zeros(SHAPE, np.uint16)
    stars = find_stars(data, variance, mask, CatalogueConfig())
    psf = measure_psf(data, variance, mask, stars, PsfConfig())
    found = find_cosmics(data, variance, NONE, psf, 1.0, CosmicsConfig())
    bright = hits & (electrons - clean > 10 * np.sqrt(525 + np.maximum(scene, 0)))
    assert found[bright].mean() > 0.8
    around = binary_dilation(hits, structure=np.ones((3, 3)))
    assert (found & ~around).sum() <= 2


@pytest.mark.parametrize("defect", ["pixel", "column"])
def test_a_hit_beside_a_narrow_defect_is_found(defect: str) -> None:
    """L.A.Cosmic does not look next to what it is told to leave out."""
    scene = star_field(8, n_stars=80)
    data = (exposure(8, scene, gain=1.0) - 500).astype(np.float32)
    variance, mask = np.full(SHAPE, 525, np.float32), np.zeros(SHAPE, np.uint16)
    stars = find_stars(data, variance, mask, CatalogueConfig())
    psf = measure_psf(data, variance, mask, stars, PsfConfig())
    rows = np.arange(20, SHAPE[0] - 20, 15)
    bad = np.zeros(SHAPE, dtype=bool)
    bad[rows if defect == "pixel" else slice(None), 60] = True
    data[rows, 61] += 4000
    data[bad] = -1e4
    found = find_cosmics(data, variance, bad, psf, 1.0, CosmicsConfig())
    assert found[rows, 61].all()
    assert not found[bad].any()
    found[rows, 61] = False
    assert found.sum() <= 2


def test_a_frame_full_of_hits_is_left_alone() -> None:
    scene = star_field(7, n_stars=80)
    data = (exposure(7, scene, gain=1.0) - 500).astype(np.float32)
    variance, mask = np.full(SHAPE, 525, np.float32), np.zeros(SHAPE, np.uint16)
    stars = find_stars(data, variance, mask, CatalogueConfig())
    psf = measure_psf(data, variance, mask, stars, PsfConfig())
    speckled = data.copy()
    speckled[::6, ::6] += 2000
    found = find_cosmics(speckled, variance, NONE, psf, 1.0, CosmicsConfig())
    assert not found.any()


# --- trails -----------------------------------------------------------------------------------


def trailed(seed: int, strength: float, length: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Star field in units of noise with a trail, and the pixels it is bright on."""
    rng = np.random.default_rng(seed)
    angle, rho = rng.uniform(0, np.pi), rng.uniform(-30, 30)
    y, x = np.mgrid[0:256, 0:256] - 127.5
    across = x * np.cos(angle) + y * np.sin(angle) - rho
    along = -x * np.sin(angle) + y * np.cos(angle)
    on = (along > -128) & (along < -128 + 256 * length)
    light = strength * np.exp(-0.5 * (across / 1.5) ** 2) * on
    data = (exposure(seed, star_field(seed), gain=1.0) - 500) / np.sqrt(525) + light
    return data.astype(np.float32), (np.abs(across) < 1.5) & on


@pytest.mark.parametrize("strength", [3.0, 6.0, 30.0])
def test_a_trail_is_masked(strength: float) -> None:
    for seed in range(3):
        data, on = trailed(seed, strength)
        found = find_trails(data, np.ones(SHAPE), NONE, 3.2, MaskConfig())
        assert found[on].mean() > 0.85
        assert found.mean() < 0.12


def test_a_trail_that_ends_inside_is_masked_to_its_end() -> None:
    data, on = trailed(11, 6.0, length=0.6)
    found = find_trails(data, np.ones(SHAPE), NONE, 3.2, MaskConfig())
    assert found[on].mean() > 0.85
    assert found.mean() < 0.1


def test_a_field_without_trail_has_none() -> None:
    for seed in range(8):
        data = (exposure(seed, star_field(seed, n_stars=40 + 60 * seed), gain=1.0) - 500) / 22.9
        assert not find_trails(data, np.ones(SHAPE), NONE, 3.2, MaskConfig()).any()


def test_a_dark_without_hot_pixels_marks_none():
    assert not hot_in_dark(np.zeros((12, 9), dtype=np.float32), 1.0, 5.0).any()
    dark = np.zeros((12, 9), dtype=np.float32)
    dark[4, 5] = 50.0
    assert np.argwhere(hot_in_dark(dark, 1.0, 5.0)).tolist() == [[4, 5]]
