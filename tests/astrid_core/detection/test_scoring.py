"""Windows, discs, components: tested with a network whose answer is known at every pixel."""

import datetime as dt
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from astrid_core.detection.card import Architecture, Calibration, ModelCard
from astrid_core.detection.components import unclaimed_peaks
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.judging import calibrate, disc_means, judge_positions
from astrid_core.detection.planes import planes_reader
from astrid_core.detection.scoring import detect
from astrid_core.detection.unet import RealBogusModel
from astrid_core.detection.windows import cut_windows
from astrid_core.differencing.difference import DifferenceImage, DifferenceQuality
from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame, FrameMeta
from astrid_core.psf import Psf

FWHM = 3.0
SHAPE = (150, 170)
CONFIG = DetectionConfig(device="cpu", batch_size=8)


class Pointwise(torch.nn.Module):
    """Log-odds from D alone, pixel by pixel: 3 · arcsinh(|D| / σ) − 6."""

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return 3 * planes[:, 2:3].abs() - 6


class At(NamedTuple):
    x_pix: float
    y_pix: float


@pytest.fixture
def model() -> RealBogusModel:
    card = ModelCard(
        name="pointwise",
        sha256="0" * 64,
        architecture=Architecture(),
        threshold=0.5,
        component_threshold=0.6,
        calibration=Calibration(slope=0.5, intercept=-1.0),
        component_calibration=Calibration(slope=0.5, intercept=-2.0),
        component_bogus_per_mpix=1.0,
        data={},
        training={},
        figures={},
    )
    return RealBogusModel(Pointwise(), card, "0" * 64, torch.device("cpu"))


def make_pair(
    sources: list[tuple[float, float, float]], shape: tuple[int, int] = SHAPE
) -> tuple[Frame, DifferenceImage]:
    """Blank frames whose D holds Gaussian blobs (x, y, peak in σ)."""
    yy, xx = np.indices(shape)
    blobs = np.zeros(shape)
    for x, y, peak in sources:
        blobs += peak * np.exp(-4 * np.log(2) * ((xx - x) ** 2 + (yy - y) ** 2) / FWHM**2)
    meta = FrameMeta(
        UUID(int=1), "test", dt.date(2025, 9, 1), "f", "r", None, None, instrument="none"
    )
    psf = Psf(np.ones((1, 1, 1), np.float32), 0, shape, FWHM, 0.0, 30)
    noise = np.random.default_rng(2).normal(0, 1, (2, *shape)).astype(np.float32)
    ones, mask = np.ones(shape, np.float32), np.zeros(shape, np.uint16)
    difference = (blobs + 0.3 * noise[0]).astype(np.float32)
    science = Frame(difference + noise[1], ones, mask, psf, meta)
    quality = DifferenceQuality(1.0, 1.0, 30, 0.02, 1.0, 0.0, FWHM, 5.0)
    return science, DifferenceImage(
        difference, difference * 2, ones, mask.copy(), psf, noise[1], meta, None, quality
    )


def test_candidates_come_first_in_order_with_calibrated_mean_log_odds(model):
    science, difference = make_pair([(40.3, 50.6, 60.0), (120.0, 30.0, -60.0)])
    candidates = [At(120.0, 30.0), At(40.3, 50.6), At(80.0, 80.0)]
    found = detect(model, science, difference, candidates, CONFIG)
    assert [source.candidate_index for source in found] == [0, 1, 2]
    assert {source.detection_type for source in found} == {"candidate"}
    assert found[0].is_negative
    assert not found[1].is_negative
    assert found[0].confidence_score > 0.7
    assert found[1].confidence_score > 0.7
    assert found[2].confidence_score < 0.1
    assert (found[1].x_pix, found[1].y_pix) == (40.3, 50.6)
    assert (found[1].x_peak_pix, found[1].y_peak_pix) == (40, 51)

    yy, xx = np.indices(SHAPE)
    disc = (xx - 40.3) ** 2 + (yy - 50.6) ** 2 <= FWHM**2
    mean = (3 * np.abs(np.arcsinh(difference.difference[disc])) - 6).mean()
    assert found[1].confidence_score == pytest.approx(expit(0.5 * mean - 1.0), abs=1e-5)


def test_components_are_found_where_no_candidate_is(model):
    science, difference = make_pair([(40.3, 50.6, 60.0), (120.0, 30.0, -80.0), (90.0, 120.0, 40.0)])
    found = detect(model, science, difference, [(40.3, 50.6)], CONFIG)
    components = [source for source in found if source.detection_type == "component"]
    assert len(components) == 2
    brightest, other = components
    assert (brightest.x_pix, brightest.y_pix) == pytest.approx((120, 30), abs=0.3)
    assert (other.x_pix, other.y_pix) == pytest.approx((90, 120), abs=0.3)
    assert brightest.is_negative
    assert not other.is_negative
    assert (brightest.x_peak_pix, brightest.y_peak_pix) == (120, 30)
    assert (other.x_peak_pix, other.y_peak_pix) == (90, 120)
    assert all(source.candidate_index is None for source in components)


def test_components_are_believed_as_far_as_the_expected_density_allows(model):
    science, difference = make_pair([(60.0, 60.0, 60.0)])
    card = model.card.model_copy(update={"component_bogus_per_mpix": 20.0})
    crowded = replace(model, card=card)
    (even,) = detect(model, science, difference, [], CONFIG)
    (rare,) = detect(crowded, science, difference, [], CONFIG)
    twentyfold = CONFIG.model_copy(update={"expected_components_per_mpix": 20.0})
    (again,) = detect(crowded, science, difference, [], twentyfold)
    assert logit(even.confidence_score) - logit(rare.confidence_score) == pytest.approx(
        np.log(20), abs=0.02
    )
    assert again.confidence_score == pytest.approx(even.confidence_score, abs=1e-5)


def test_a_component_of_a_candidate_is_that_candidate(model):
    science, difference = make_pair([(60.0, 60.0, 60.0)])
    assert len(detect(model, science, difference, [(62.0, 61.0)], CONFIG)) == 1
    assert len(detect(model, science, difference, [(70.0, 60.0)], CONFIG)) == 2


def test_masked_and_single_hot_pixels_make_no_component(model):
    science, difference = make_pair([(60.0, 60.0, 60.0)])
    difference.difference[100, 100] = 500.0
    assert len(detect(model, science, difference, [], CONFIG)) == 1
    difference.mask[50:70, 50:70] = PixelFlag.SATURATED
    assert detect(model, science, difference, [], CONFIG) == ()


def test_the_network_alone_finds_nothing_where_s_corr_is_quiet(model):
    science, difference = make_pair([(60.0, 60.0, 60.0)])
    quiet = replace(difference, scorr=np.clip(difference.scorr, -3.9, 3.9))
    assert len(detect(model, science, difference, [], CONFIG)) == 1
    assert detect(model, science, quiet, [], CONFIG) == ()


def test_a_peak_the_network_doubts_is_no_component(model):
    science, difference = make_pair([(60.0, 60.0, 60.0), (100.0, 100.0, 4.0)])
    assert difference.scorr[100, 100] > CONFIG.component_min_scorr
    (found,) = detect(model, science, difference, [], CONFIG)
    assert (found.x_peak_pix, found.y_peak_pix) == (60, 60)


@given(
    peaks=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 49)), max_size=12),
    seed=st.integers(0, 2**16),
)
def test_unclaimed_peaks_are_maxima_that_keep_their_distance(peaks, seed):
    rng = np.random.default_rng(seed)
    scorr = rng.normal(0, 1, (50, 60)).astype(np.float32)
    for x, y in peaks:
        scorr[y, x] = rng.choice([-1, 1]) * rng.uniform(5, 50)
    known = np.array([20.0, 40.0]), np.array([25.0, 10.0])
    x, y = unclaimed_peaks(scorr, known, FWHM, CONFIG)
    significance = np.abs(scorr[y, x])
    assert (np.diff(significance) <= 0).all()
    assert (significance >= CONFIG.component_min_scorr).all()
    for own, (px, py) in enumerate(zip(x, y, strict=True)):
        apart = np.hypot(np.delete(x, own) - px, np.delete(y, own) - py)
        assert (apart > FWHM).all()
        assert (np.hypot(known[0] - px, known[1] - py) > FWHM).all()
    yy, xx = np.nonzero(np.abs(scorr) >= CONFIG.component_min_scorr)
    claimed = np.concatenate([np.stack([x, y], 1), np.stack(known, 1)])
    near = np.hypot(xx[:, None] - claimed[:, 0], yy[:, None] - claimed[:, 1]).min(axis=1)
    strongest = np.argsort(-np.abs(scorr[yy, xx]))[:1]
    assert (near[strongest] <= FWHM).all(), "the most significant pixel is never passed over"


def test_the_most_significant_peaks_are_looked_at(model):
    places = [(20.0 + 30 * i, 30.0 + 40 * j, 30.0 + 10 * i + j) for i in range(4) for j in range(3)]
    science, difference = make_pair(places)
    found = detect(model, science, difference, [], CONFIG.model_copy(update={"max_components": 3}))
    assert {round(source.x_pix) for source in found} == {110}


def test_empty_sky_and_no_candidates_give_nothing(model):
    science, difference = make_pair([])
    assert detect(model, science, difference, [], CONFIG) == ()


def test_frames_smaller_than_a_window_and_candidates_at_their_edge(model):
    science, difference = make_pair([(1.0, 2.0, 60.0)], shape=(40, 30))
    corner, outside = detect(model, science, difference, [(1.0, 2.0), (29.4, 39.4)], CONFIG)
    assert corner.confidence_score > 0.7
    assert (outside.x_peak_pix, outside.y_peak_pix) == (29, 39)


def test_a_wholly_masked_candidate_is_judged_all_the_same(model):
    science, difference = make_pair([(60.0, 60.0, 60.0)])
    mask = difference.mask.copy()
    mask[50:70, 50:70] = PixelFlag.BAD
    (judged,) = detect(model, science, replace(difference, mask=mask), [(60.0, 60.0)], CONFIG)
    assert judged.confidence_score == pytest.approx(expit(0.5 * -6 - 1.0), abs=1e-6)


def test_scores_do_not_depend_on_the_batch(model):
    science, difference = make_pair([(40.3, 50.6, 60.0), (120.0, 130.0, 80.0)])
    at = [(40.3, 50.6), (10.0, 10.0), (100.0, 70.0)]
    one = detect(model, science, difference, at, CONFIG)
    other = detect(model, science, difference, at, DetectionConfig(device="cpu", batch_size=2))
    assert one == other


@given(x=st.floats(-50, 80), y=st.floats(-50, 80))
def test_windows_hold_the_frame_where_it_is_and_zero_elsewhere(x, y):
    image = np.arange(1, 30 * 40 + 1, dtype=np.float32).reshape(30, 40)
    planes_of = lambda rows, columns: np.stack([image[rows, columns]] * 4)  # noqa: E731
    (cut,) = cut_windows(planes_of, (30, 40), np.array([x]), np.array([y]), 16)
    padded = np.zeros((230, 240), np.float32)
    padded[100:130, 100:140] = image
    y0, x0 = round(y) - 8 + 100, round(x) - 8 + 100
    np.testing.assert_array_equal(cut[2], padded[y0 : y0 + 16, x0 : x0 + 16])


def test_disc_means_leave_invalid_pixels_out():
    logits = np.zeros((1, 16, 16), np.float32)
    logits[0, 8, 8], logits[0, 8, 9] = 5.0, -100.0
    validity = np.ones((1, 16, 16), np.float32)
    validity[0, 8, 9] = 0
    at = np.array([20.0])
    n_valid = sum(
        1
        for dx in range(-2, 3)
        for dy in range(-2, 3)
        if dx * dx + dy * dy <= 4 and (dx, dy) != (1, 0)
    )
    assert disc_means(logits, validity, at, at, 2.0)[0] == pytest.approx(5.0 / n_valid)


@given(
    scores=st.lists(st.floats(-30, 30), min_size=2, max_size=20),
    slope=st.floats(0.01, 5),
    intercept=st.floats(-5, 5),
)
def test_calibration_is_monotone_and_a_probability(scores, slope, intercept):
    ordered = np.sort(scores)
    confidence = calibrate(ordered, Calibration(slope=slope, intercept=intercept))
    assert (np.diff(confidence) >= 0).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_judging_nothing_gives_nothing(model):
    science, difference = make_pair([])
    none = np.empty(0)
    planes_of = planes_reader(science, difference)
    assert judge_positions(model, planes_of, SHAPE, none, none, 3.0, 8).shape == (0,)
