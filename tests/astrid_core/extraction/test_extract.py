"""Extraction against planted changes and made-up artefacts."""

import dataclasses
import datetime as dt
from uuid import UUID

import numpy as np
import pytest

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage, DifferenceQuality
from astrid_core.extraction.config import FILTER_NAMES, ExtractionConfig
from astrid_core.extraction.extract import Extraction, extract_candidates
from astrid_core.flags import CandidateFlag, PixelFlag
from astrid_core.frame import Frame, FrameMeta
from astrid_core.psf import Psf
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair
from astrid_core.simulation.recovery import recover

ALIGNED = AlignmentQuality(flux_ratio=1.0, n_matched=100, registration_rms_pix=0.02)
ROUND = 1.5


def subtract(pair: SimulatedPair) -> DifferenceImage:
    return assemble_difference(
        AlignedPair(pair.science, pair.reference), ALIGNED, DifferenceConfig()
    )


@pytest.fixture(scope="module")
def clean() -> tuple[SimulatedPair, DifferenceImage, Extraction]:
    pair = simulate_pair(PairConfig(seed=3, snr_range=(3, 200)))
    difference = subtract(pair)
    return pair, difference, extract_candidates(difference, pair.science, ExtractionConfig())


def test_planted_changes_are_found_and_nothing_else(clean):
    pair, difference, found = clean
    positions = [(c.x_pix, c.y_pix, c.is_negative) for c in found.candidates]
    result = recover(pair.truth, positions, difference.psf.fwhm_pix)
    assert result.recovered[3:] == result.planted[3:]
    assert result.n_bogus <= 1
    assert {c.is_negative for c in found.candidates} == {True, False}


def test_positions_fluxes_and_errors_are_true(clean):
    pair, _, found = clean
    truth = pair.truth
    pulls, ratios, offsets = [], [], []
    for c in found.candidates:
        distance = np.hypot(truth["x_pix"] - c.x_pix, truth["y_pix"] - c.y_pix)
        k = int(distance.argmin())
        if distance[k] < 1.5 and truth["snr_true"][k] > 12:
            pulls.append((c.flux - truth["delta_flux"][k]) / c.flux_err)
            ratios.append(c.flux / truth["delta_flux"][k])
            offsets.append(distance[k])
    assert len(pulls) > 15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.35)
    assert np.mean(ratios) == pytest.approx(1.0, abs=3 * np.std(ratios) / np.sqrt(len(ratios)))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)
    assert np.median(offsets) < 0.1


def test_sources_are_sorted_numbered_and_repeatable(clean):
    pair, difference, found = clean
    strengths = [abs(c.scorr_peak) for c in found.candidates]
    assert strengths == sorted(strengths, reverse=True)
    assert all(c.scorr_peak * (-1 if c.is_negative else 1) >= 5 for c in found.candidates)
    assert set(found.filter_counts) == {*FILTER_NAMES, "overflow"}
    again = extract_candidates(difference, pair.science, ExtractionConfig())
    assert again == found


def test_cosmic_rays_go_and_can_be_kept_by_name():
    pair = simulate_pair(PairConfig(seed=5, n_cosmic_rays=25, flag_artefacts=False, n_stars=50))
    difference = subtract(pair)
    strict = extract_candidates(difference, pair.science, ExtractionConfig())
    lenient = extract_candidates(
        difference, pair.science, ExtractionConfig(disabled_filters={"sharp"})
    )
    assert strict.filter_counts["sharp"] > 0
    assert "sharp" not in lenient.filter_counts
    assert len(lenient.candidates) > len(strict.candidates)
    doubtful = [c for c in strict.candidates if c.flags & CandidateFlag.SHARP]
    assert doubtful, "doubtful ones are flagged and kept"


def test_few_candidates_are_kept_and_the_rest_counted(clean):
    pair, difference, found = clean
    some = extract_candidates(difference, pair.science, ExtractionConfig(max_candidates=5))
    assert len(some.candidates) <= 5
    assert some.filter_counts["overflow"] > 0
    assert some.candidates[0].flux == pytest.approx(found.candidates[0].flux)


# --- made-up difference images ------------------------------------------------------------

META = FrameMeta(
    observation_id=UUID(int=1),
    survey="made-up",
    night=dt.date(2025, 1, 1),
    field="f",
    filter_band="r",
    observation_time=None,
    exposure_s=None,
)
QUALITY = DifferenceQuality(1.0, 1.0, 10, 0.1, 1.0, 0.0, 2.355 * ROUND, 50.0)


def gaussian_psf(shape: tuple[int, int]) -> Psf:
    axis = np.arange(21) - 10
    profile = np.exp(-0.5 * (axis / ROUND) ** 2)
    stamp = np.outer(profile, profile)
    stamp /= stamp.sum()
    return Psf(stamp[None].astype(np.float32), 0, shape, 2.355 * ROUND, 0.0, 50)


def made_up(light: np.ndarray, sigma: float = 1.0, seed: int = 0) -> tuple[DifferenceImage, Frame]:
    """A difference image of given light with white noise, and its matched S_corr."""
    from scipy.signal import fftconvolve

    psf = gaussian_psf(light.shape)
    noise = np.random.default_rng(seed).normal(0, sigma, light.shape)
    d = (light + noise).astype(np.float32)
    stamp = psf.centre().astype(float)
    power = (stamp**2).sum()
    scorr = fftconvolve(d, stamp, mode="same") / (sigma * np.sqrt(power))
    variance = np.full(light.shape, sigma**2, np.float32)
    mask = np.zeros(light.shape, np.uint16)
    image = DifferenceImage(
        difference=d,
        scorr=scorr.astype(np.float32),
        variance=variance,
        mask=mask,
        psf=psf,
        reference=np.zeros_like(d),
        meta=META,
        wcs=None,
        quality=QUALITY,
    )
    return image, Frame(d, variance, mask, psf, META)


def plant(light: np.ndarray, x: int, y: int, flux: float) -> None:
    stamp = gaussian_psf((200, 200)).centre()
    light[y - 10 : y + 11, x - 10 : x + 11] += flux * stamp


def test_a_streak_is_one_candidate_even_where_it_breaks():
    light = np.zeros((200, 200))
    for t in np.linspace(0, 150, 400):
        if not 70 < t < 90:
            light[int(30 + 0.8 * t), int(20 + t)] += 20.0
    image, science = made_up(light)
    found = extract_candidates(image, science, ExtractionConfig())
    assert len(found.candidates) == 1
    assert found.candidates[0].flags & CandidateFlag.TRAIL
    assert found.filter_counts["trail_part"] > 0


def test_a_dipole_is_one_flagged_candidate():
    light = np.zeros((200, 200))
    plant(light, 98, 100, 300.0)
    plant(light, 102, 100, -240.0)
    image, science = made_up(light)
    found = extract_candidates(image, science, ExtractionConfig())
    assert len(found.candidates) == 1
    assert found.candidates[0].flags & CandidateFlag.DIPOLE
    assert not found.candidates[0].is_negative
    assert found.filter_counts["dipole_partner"] == 1


def test_opposite_changes_apart_are_no_dipole():
    light = np.zeros((200, 200))
    plant(light, 80, 100, 300.0)
    plant(light, 120, 100, -300.0)
    image, science = made_up(light)
    found = extract_candidates(image, science, ExtractionConfig())
    assert [c.flags & CandidateFlag.DIPOLE for c in found.candidates] == [0, 0]


def test_a_masked_source_goes_and_one_beside_a_mask_is_flagged():
    light = np.zeros((200, 200))
    plant(light, 60, 60, 300.0)
    plant(light, 140, 140, 300.0)
    image, science = made_up(light)
    mask = image.mask.copy()
    mask[57:64, 60:70] = PixelFlag.SATURATED
    mask[137:144, 143] = PixelFlag.BAD
    image = dataclasses.replace(image, mask=mask)
    found = extract_candidates(image, science, ExtractionConfig())
    assert found.filter_counts["masked"] >= 1
    assert len(found.candidates) == 1
    assert found.candidates[0].flags & CandidateFlag.NEAR_MASKED
    assert found.candidates[0].flux == pytest.approx(300.0, rel=0.1)


def test_a_bad_column_through_a_bright_source_costs_precision_not_the_source():
    light = np.zeros((200, 200))
    plant(light, 100, 100, 300.0)
    image, science = made_up(light)
    mask = image.mask.copy()
    mask[:, 100] = PixelFlag.BAD
    image = dataclasses.replace(image, mask=mask)
    found = extract_candidates(image, science, ExtractionConfig())
    (candidate,) = found.candidates
    assert found.filter_counts["duplicate"] == 1, "the column cuts the peak in two"
    assert candidate.flags & CandidateFlag.NEAR_MASKED
    assert abs(candidate.flux - 300.0) < 4 * candidate.flux_err


def test_edges_are_filtered_in_the_band_and_flagged_beyond():
    light = np.zeros((200, 200))
    plant(light, 100, 12, 300.0)
    plant(light, 100, 180, 300.0)
    image, science = made_up(light)
    mask = image.mask.copy()
    mask[:14] = PixelFlag.EDGE
    found = extract_candidates(dataclasses.replace(image, mask=mask), science, ExtractionConfig())
    assert found.filter_counts["edge"] == 1
    (kept,) = found.candidates
    assert kept.flags & CandidateFlag.NEAR_EDGE


def test_a_degraded_frame_flags_its_candidates():
    light = np.zeros((200, 200))
    plant(light, 100, 100, 300.0)
    image, science = made_up(light)
    image = dataclasses.replace(image, degraded_because=("sigma of S_corr 1.9",))
    (candidate,) = extract_candidates(image, science, ExtractionConfig()).candidates
    assert candidate.flags & CandidateFlag.DEGRADED_FRAME


def test_nothing_is_found_where_nothing_is():
    image, science = made_up(np.zeros((300, 300)))
    found = extract_candidates(image, science, ExtractionConfig())
    assert found.candidates == ()
    assert sum(found.filter_counts.values()) == 0


def test_own_photons_are_in_the_flux_error():
    light = np.zeros((200, 200))
    plant(light, 100, 100, 3000.0)
    image, science = made_up(light)
    noisy = dataclasses.replace(science, meta=dataclasses.replace(META, source_gain=0.1))
    unknown = dataclasses.replace(science, meta=dataclasses.replace(META, source_gain=0.0))
    with_photons = extract_candidates(image, noisy, ExtractionConfig()).candidates[0]
    without = extract_candidates(image, unknown, ExtractionConfig()).candidates[0]
    stamp = image.psf.centre()
    sky = 1.0 / np.sqrt((stamp**2).sum())
    assert without.flux_err == pytest.approx(sky, rel=0.02)
    photons = 30_000.0 * (stamp**3).sum() / (stamp**2).sum() ** 2
    assert with_photons.flux_err == pytest.approx(np.sqrt(sky**2 + photons), rel=0.02)
