"""Subtraction of whole frames against simulated truth."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from astrid_core.differencing.aligned import AlignedPair, subtract_aligned, tile_side
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference, robust_sigma
from astrid_core.differencing.config import DifferenceConfig, MaskGrowth
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.masking import fill_unusable, grow_mask
from astrid_core.differencing.subtract import blank_sky, subtract_frames, with_measured_noise
from astrid_core.differencing.wings import match_wings
from astrid_core.errors import RegistrationError, TooFewStarsError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame
from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.config import CatalogueConfig, PsfConfig
from astrid_core.preprocessing.psf import measure_psf
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair
from astrid_core.simulation.recovery import recover

CONFIG = DifferenceConfig()
ALIGNED = AlignmentQuality(flux_ratio=1.0, n_matched=100, registration_rms_pix=0.02)
SHIFTED = PairConfig(seed=1, shift_pix=(11.3, -7.6), rotation_deg=0.3)


def measured(frame: Frame) -> Frame:
    """A frame as preprocessing would hand it on: catalogue and PSF from its own pixels."""
    planes = frame.data, frame.variance, frame.mask
    stars = find_stars(*planes, CatalogueConfig(), frame.meta.source_gain)
    psf = measure_psf(*planes, stars, PsfConfig(), frame.meta.source_gain)
    return dataclasses.replace(frame, stars=stars, psf=psf)


@lru_cache(maxsize=4)
def pair_of(config: PairConfig) -> tuple[SimulatedPair, Frame, Frame]:
    pair = simulate_pair(config)
    return pair, measured(pair.science), measured(pair.reference)


@lru_cache(maxsize=4)
def difference_of(config: PairConfig) -> DifferenceImage:
    _, science, reference = pair_of(config)
    return subtract_frames(science, reference, CONFIG)


def near(positions: np.ndarray, shape: tuple[int, int], size: int) -> np.ndarray:
    marks = np.zeros(shape, dtype=bool)
    ny, nx = shape
    y = np.clip(np.rint(positions["y_pix"]).astype(int), 0, ny - 1)
    x = np.clip(np.rint(positions["x_pix"]).astype(int), 0, nx - 1)
    marks[y, x] = True
    return np.asarray(maximum_filter(marks, size))


def unchanged(pair: SimulatedPair, difference: DifferenceImage) -> np.ndarray:
    return ~near(pair.truth, difference.shape, 21) & (difference.mask == 0)


def false_peaks(pair: SimulatedPair, difference: DifferenceImage) -> int:
    score = np.abs(difference.scorr)
    peaks = (score == maximum_filter(score, 5)) & (score >= 5)
    return int((peaks & unchanged(pair, difference)).sum())


# --- aligned pairs with true PSFs ---------------------------------------------------------


def test_blank_sky_of_ideal_pairs_is_unit_normal():
    blank, stars, false = [], [], 0
    for seed in range(5):
        pair = simulate_pair(PairConfig(seed=seed, shape=(384, 384), n_stars=60))
        difference = assemble_difference(AlignedPair(pair.science, pair.reference), ALIGNED, CONFIG)
        still = unchanged(pair, difference)
        on_star = near(pair.science.stars, difference.shape, 7)
        blank.append(robust_sigma(difference.scorr[still & ~on_star]))
        stars.append(robust_sigma(difference.scorr[still & on_star]))
        false += false_peaks(pair, difference)
    assert np.mean(blank) == pytest.approx(1.0, abs=0.02)
    assert np.mean(stars) == pytest.approx(1.0, abs=0.05)
    assert false <= 1


def test_tiles_follow_the_variation_of_the_psf():
    steady = simulate_pair(PairConfig(shape=(512, 512), n_stars=5))
    varying = simulate_pair(PairConfig(shape=(512, 512), n_stars=5, psf_variation=0.1))
    assert tile_side([steady.science.psf], CONFIG) == 512
    assert tile_side([varying.science.psf], CONFIG) < 512


def test_tiles_do_not_change_the_result():
    pair = simulate_pair(PairConfig(seed=2, shape=(300, 300), n_stars=60))
    aligned = AlignedPair(pair.science, pair.reference)
    whole = subtract_aligned(aligned, CONFIG)
    tiled = subtract_aligned(aligned, DifferenceConfig(tile_pix=150))
    inner = np.s_[40:-40, 40:-40]
    assert np.abs(whole.scorr - tiled.scorr)[inner].max() < 0.02
    np.testing.assert_allclose(tiled.psf.centre(), whole.psf.centre(), atol=1e-6)


def test_threads_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch):
    pair = simulate_pair(PairConfig(seed=2, shape=(300, 300), n_stars=60))
    aligned = AlignedPair(pair.science, pair.reference)
    results = []
    for threads in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(subtract_aligned(aligned, DifferenceConfig(tile_pix=150)))
    alone, together = results
    np.testing.assert_array_equal(together.scorr, alone.scorr)
    np.testing.assert_array_equal(together.difference, alone.difference)
    np.testing.assert_array_equal(together.psf.centre(), alone.psf.centre())


def test_psf_of_d_follows_position():
    pair = simulate_pair(PairConfig(seed=2, shape=(300, 300), n_stars=20, psf_variation=0.1))
    psf = subtract_aligned(AlignedPair(pair.science, pair.reference), CONFIG).psf
    assert psf.order == pair.science.psf.order
    assert psf.at(10, 10).max() != pytest.approx(psf.at(290, 290).max(), rel=0.02)
    assert psf.at(10, 10).sum() == pytest.approx(1.0, abs=1e-4)


# --- the whole way ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        SHIFTED,
        PairConfig(seed=2, shift_pix=(-6.4, 3.5), rotation_deg=3.0, flux_ratio=1.7),
        PairConfig(
            seed=3,
            shift_pix=(40.5, -25.2),
            with_wcs=False,
            n_galaxies=30,
            saturation_e=3e4,
            n_cosmic_rays=10,
            n_bad_columns=1,
            fwhm_science_pix=2.7,
            fwhm_reference_pix=3.3,
        ),
    ],
    ids=["shifted", "rotated-and-scaled", "no-wcs-with-defects"],
)
def test_warped_references_leave_noise_and_changes(config: PairConfig):
    pair, science, _ = pair_of(config)
    difference = difference_of(config)
    quality = difference.quality
    still = unchanged(pair, difference)
    on_star = near(pair.science.stars, difference.shape, 7)
    assert 0.95 < robust_sigma(difference.scorr[still & ~on_star]) < 1.05
    assert 0.93 < robust_sigma(difference.scorr[still & on_star]) < 1.10
    assert false_peaks(pair, difference) <= 2
    assert quality.flux_ratio == pytest.approx(config.flux_ratio, rel=0.02)
    assert quality.registration_rms_pix < 0.2
    assert difference.degraded_because == ()

    found = extract_candidates(difference, science, ExtractionConfig())
    positions = [(c.x_pix, c.y_pix, c.is_negative) for c in found.candidates]
    seen = (difference.mask[_pixels(pair.truth)] == 0).nonzero()
    result = recover(pair.truth[seen], positions, difference.psf.fwhm_pix)
    assert result.recovered[4] >= 0.95 * result.planted[4]
    assert result.n_bogus <= 2


def _pixels(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.rint(truth["y_pix"]).astype(int), np.rint(truth["x_pix"]).astype(int)


def test_fluxes_are_the_planted_ones():
    ratios = []
    for config in (SHIFTED, PairConfig(seed=2, shift_pix=(-6.4, 3.5), rotation_deg=3.0)):
        pair, science, _ = pair_of(config)
        found = extract_candidates(difference_of(config), science, ExtractionConfig())
        truth = pair.truth
        for c in found.candidates:
            distance = np.hypot(truth["x_pix"] - c.x_pix, truth["y_pix"] - c.y_pix)
            k = int(distance.argmin())
            if distance[k] < 1.5 and truth["snr_true"][k] > 12:
                ratios.append(c.flux / truth["delta_flux"][k])
    assert len(ratios) > 20
    scatter = np.std(ratios) / np.sqrt(len(ratios))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02 + 2 * scatter)


def test_whiteness_of_d():
    pair, *_ = pair_of(SHIFTED)
    difference = difference_of(SHIFTED)
    sky = unchanged(pair, difference) & ~near(pair.science.stars, difference.shape, 9)
    d = difference.difference
    for lag in (1, 2):
        both = sky[:, lag:] & sky[:, :-lag]
        assert abs((d[:, lag:][both] * d[:, :-lag][both]).mean() / d[sky].var()) < 0.02


def test_the_other_way_round_has_the_other_sign():
    pair, science, reference = pair_of(SHIFTED)
    back = subtract_frames(reference, science, CONFIG)
    strong = pair.truth[pair.truth["snr_true"] > 20]
    inside = (strong["x_reference_pix"] > 12) & (strong["x_reference_pix"] < 499)
    inside &= (strong["y_reference_pix"] > 12) & (strong["y_reference_pix"] < 499)
    for row in strong[inside]:
        x, y = round(row["x_reference_pix"]), round(row["y_reference_pix"])
        there = difference_of(SHIFTED).scorr[round(row["y_pix"]), round(row["x_pix"])]
        assert np.sign(back.scorr[y, x]) == -np.sign(there)


def test_it_is_repeatable_and_leaves_its_inputs_alone():
    _, science, reference = pair_of(SHIFTED)
    before = science.data.copy(), reference.data.copy(), reference.mask.copy()
    again = subtract_frames(science, reference, CONFIG)
    np.testing.assert_array_equal(again.scorr, difference_of(SHIFTED).scorr)
    np.testing.assert_array_equal(science.data, before[0])
    np.testing.assert_array_equal(reference.data, before[1])
    np.testing.assert_array_equal(reference.mask, before[2])


def test_what_the_reference_does_not_cover_is_no_data():
    config = PairConfig(seed=4, shift_pix=(120.4, 30.2))
    difference = difference_of(config)
    missing = (difference.mask & PixelFlag.NODATA) != 0
    assert missing.mean() == pytest.approx(1 - difference.quality.overlap_fraction, abs=0.01)
    assert 0.2 < missing.mean() < 0.35
    for plane in (difference.difference, difference.scorr, difference.reference):
        assert (plane[missing] == 0).all()
    border = maximum_filter(missing, 5) & ~missing
    assert ((difference.mask[border] & PixelFlag.EDGE) != 0).all()
    assert 0.95 < difference.quality.scorr_sigma < 1.1


def test_nan_and_bad_pixels_spoil_nothing_around():
    pair, science, reference = pair_of(SHIFTED)
    data, mask = science.data.copy(), science.mask.copy()
    data[200:205, 200:205] = np.nan
    data[:, 300] = 1e6
    mask[:, 300] |= np.uint16(PixelFlag.BAD)
    broken = dataclasses.replace(science, data=data, mask=mask)
    difference = subtract_frames(broken, reference, CONFIG)
    for plane in (difference.difference, difference.scorr, difference.variance):
        assert np.isfinite(plane).all()
    assert (difference.variance > 0).all()
    assert (difference.mask[200:205, 200:205] & PixelFlag.NODATA).all()
    assert false_peaks(pair, difference) <= 2


def test_a_wrong_variance_degrades_and_is_not_hidden():
    _, science, reference = pair_of(SHIFTED)
    wrong = dataclasses.replace(science, variance=science.variance * np.float32(0.2))
    difference = subtract_frames(wrong, reference, CONFIG)
    assert difference.quality.scorr_sigma > 1.25
    assert any("sigma of S_corr" in reason for reason in difference.degraded_because)


def test_measured_noise_replaces_a_wrong_variance():
    pair = simulate_pair(PairConfig(seed=5, n_stars=60))
    science = dataclasses.replace(pair.science, variance=pair.science.variance * np.float32(0.2))
    aligned = with_measured_noise(AlignedPair(science, pair.reference))
    assert np.median(aligned.science.variance) == pytest.approx(
        np.median(pair.science.variance), rel=0.05
    )
    assert 0.5 < blank_sky(pair.science).mean() < 0.999
    difference = assemble_difference(aligned, ALIGNED, CONFIG)
    assert difference.quality.scorr_sigma == pytest.approx(1.0, abs=0.06)


def test_failures_are_typed():
    _, science, reference = pair_of(SHIFTED)
    with pytest.raises(TooFewStarsError):
        subtract_frames(dataclasses.replace(science, stars=science.stars[:2]), reference, CONFIG)
    gone = np.full(science.shape, PixelFlag.NODATA, dtype=np.uint16)
    blind = AlignedPair(dataclasses.replace(science, mask=gone), reference)
    with pytest.raises(RegistrationError, match="no usable pixel"):
        assemble_difference(blind, ALIGNED, CONFIG)


def test_wings_are_added_where_stars_show_them():
    """A PSF cut too narrow gets its wings back; a true one is left alone."""
    config = PairConfig(seed=6, n_stars=150, beta=2.5, fwhm_science_pix=3.0)
    pair = simulate_pair(config)
    stars = pair.science.stars
    true = pair.reference.psf
    kept = match_wings(pair.science, pair.reference, stars["x_pix"], stars["y_pix"])
    assert kept.flux_factor == pytest.approx(1.0, abs=0.02)
    half = true.terms.shape[-1] // 2
    radius = np.hypot(*(np.indices(true.terms.shape[1:]) - half))
    cut = np.where(radius < 4, true.terms, 0)
    cut /= cut[0].sum()
    narrow = dataclasses.replace(
        pair.reference, psf=dataclasses.replace(true, terms=cut.astype(np.float32))
    )
    mended = match_wings(pair.science, narrow, stars["x_pix"], stars["y_pix"])
    ring = (radius > 5) & (radius < 8)
    middle = mended.psf.terms.shape[-1] // 2
    window = slice(middle - half, middle + half + 1)
    assert mended.psf.centre()[window, window][ring].sum() > 0.3 * true.centre()[ring].sum()


# --- masks --------------------------------------------------------------------------------


def test_filling_makes_the_difference_smooth():
    rng = np.random.default_rng(0)
    reference = rng.normal(0, 1, (60, 60)).astype(np.float32)
    science = reference + 5
    science[30, 30], reference[10, 40] = 1e5, np.nan
    bad_n, bad_r = np.zeros((2, 60, 60), dtype=bool)
    bad_n[30, 30] = bad_r[10, 40] = True
    n, r = fill_unusable(science, reference, bad_n, bad_r, 3.0)
    assert np.abs(n - r - 5).max() < 1e-3
    bad_n[20:25, 20:25] = bad_r[20:25, 20:25] = True
    science[20:25, 20:25] = np.nan
    n, r = fill_unusable(science, reference, bad_n, bad_r, 3.0)
    assert np.isfinite(n).all()
    assert np.isfinite(r).all()


def test_masks_grow_by_kind():
    mask = np.zeros((120, 120), dtype=np.uint16)
    mask[60, 60] = PixelFlag.COSMIC
    mask[30:33, 90:93] = PixelFlag.SATURATED
    mask[100:, :10] = PixelFlag.NODATA
    grown = grow_mask(mask, np.zeros((120, 120), dtype=np.float32), 20.0, 4.0, MaskGrowth())
    assert grown[60, 62] & PixelFlag.COSMIC
    assert not grown[60, 63] & PixelFlag.COSMIC
    assert grown[105, 12] & PixelFlag.EDGE
    assert not grown[105, 5] & PixelFlag.EDGE
    assert grown[0, 50] & PixelFlag.EDGE


@pytest.mark.parametrize("inside", [0.0, 6e4])
def test_a_saturated_star_is_masked_to_the_end_of_its_wings(inside):
    """Whatever its saturated pixels hold: a processed frame has zeros there."""
    y, x = np.indices((160, 160)) - 80
    radius = np.hypot(x, y)
    saturated = radius < 6
    mask = np.where(saturated, np.uint16(PixelFlag.SATURATED), np.uint16(0))
    wings = 8000.0 * (np.maximum(radius, 1) / 6.0) ** -3
    for light in (wings, wings / 10):
        brightness = np.where(saturated, inside, light).astype(np.float32)
        grown = grow_mask(mask, brightness, 20.0, 4.0, MaskGrowth(saturation_residual=0.1))
        masked = (grown & np.uint16(PixelFlag.SATURATED)) != 0
        # A tenth of the wings sinks below the noise of 20 where they are 200.
        end = 6.0 * (light[80, 86] / 200.0) ** (1 / 3)
        assert masked[radius < end].all()
        assert not masked[radius > end + 0.5 * 4.0 + 2.5].any()


def test_a_bleed_does_not_hide_the_wings_of_its_star():
    y, x = np.indices((200, 200)) - 100
    saturated = (np.hypot(x, y) < 6) | ((np.abs(x) < 2) & (np.abs(y) < 25))
    mask = np.where(saturated, np.uint16(PixelFlag.SATURATED), np.uint16(0))
    wings = 8000.0 * (np.maximum(np.hypot(x, y), 1) / 6.0) ** -3
    brightness = np.where(saturated, 0.0, wings).astype(np.float32)
    masked = grow_mask(mask, brightness, 20.0, 4.0, MaskGrowth()) & int(PixelFlag.SATURATED)
    assert masked[100, 100 + 12]
