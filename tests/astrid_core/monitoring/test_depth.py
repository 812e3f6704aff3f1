"""Injected depth against what is known: the pair simulator's truth, and the noise itself."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame
from astrid_core.monitoring.depth import DepthConfig, DepthMeasurement, measure_depth
from astrid_core.monitoring.depth_plot import depth_png
from astrid_core.monitoring.depth_summary import DepthSummary, shortfalls, summarise, to_json
from astrid_core.monitoring.intervals import wilson_interval
from astrid_core.monitoring.surroundings import environments, special_positions
from astrid_core.preprocessing.catalogue import find_stars, without_masked
from astrid_core.preprocessing.config import CatalogueConfig
from astrid_core.simulation.injection import matched_filter_snr
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair
from astrid_core.simulation.recovery import SNR_BINS, match_changes

ZERO_POINT_MAG = 27.0
SEEDS = (0, 1, 2)


def catalogued(frame: Frame) -> Frame:
    """The frame with a measured catalogue and a zero point, as processing gives it."""
    stars = find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())
    meta = dataclasses.replace(frame.meta, zero_point_mag=ZERO_POINT_MAG)
    return dataclasses.replace(frame, stars=stars, meta=meta)


@lru_cache
def pair_of(seed: int, n_transients: int) -> SimulatedPair:
    pair = simulate_pair(
        PairConfig(
            seed=seed,
            shape=(512, 512),
            n_stars=200,
            n_galaxies=40,
            n_transients=n_transients,
            negative_fraction=0.0,
            shift_pix=(1.3, -0.7),
        )
    )
    return dataclasses.replace(pair, science=catalogued(pair.science))


def measured(pair: SimulatedPair, seed: int, **config: object) -> DepthMeasurement:
    return measure_depth(
        pair.science,
        pair.reference,
        1.0,
        np.random.default_rng(seed),
        DepthConfig(**config),
        DifferenceConfig(),
        ExtractionConfig(),
    )


@lru_cache
def quiet(seed: int) -> DepthMeasurement:
    """Depth where nothing truly changed."""
    return measured(pair_of(seed, 0), seed)


@lru_cache
def quiet_summary() -> DepthSummary:
    return summary_of([quiet(seed) for seed in SEEDS])


def summary_of(measurements: list[DepthMeasurement]) -> DepthSummary:
    return summarise([to_json(one) for one in measurements], np.random.default_rng(0))


def test_completeness_agrees_with_the_simulator_s_own_changes() -> None:
    """Sources the pair simulator planted are found as often as those injected on top."""
    truth_found = np.zeros((len(SNR_BINS), 2), dtype=int)
    injected_found = np.zeros_like(truth_found)
    for seed in SEEDS[:2]:
        pair = pair_of(seed, 60)
        one = measured(pair, 10 + seed, special_fraction=0.0)
        back = [(s.x_pix, s.y_pix, s.is_negative) for s in one.unmatched]
        match = match_changes(pair.truth, back, pair.science.psf.fwhm_pix)
        hit = np.isin(np.arange(len(pair.truth)), match)
        # What an injection hides beside itself was not for the simulator to be found.
        gap = np.hypot(
            pair.truth["x_pix"][:, None] - one.planted["x_pix"],
            pair.truth["y_pix"][:, None] - one.planted["y_pix"],
        )
        alone = gap.min(axis=1) > 12
        for index, (low, high) in enumerate(SNR_BINS):
            ours = (pair.truth["snr_true"] >= low) & (pair.truth["snr_true"] < high) & alone
            truth_found[index] += hit[ours].sum(), ours.sum()
            theirs = (one.planted["snr_true"] >= low) & (one.planted["snr_true"] < high)
            injected_found[index] += one.planted["is_recovered"][theirs].sum(), theirs.sum()
        # Whatever is unmatched is one of the simulator's, but for at most one per Mpix.
        assert (match < 0).sum() <= 1
    assert injected_found[:, 1].min() >= 8
    for (k, n), (m, total) in zip(truth_found, injected_found, strict=True):
        ours, theirs = wilson_interval(int(k), int(n)), wilson_interval(int(m), int(total))
        assert ours.low <= theirs.high
        assert theirs.low <= ours.high


def test_m50_is_where_the_noise_puts_it() -> None:
    summary = quiet_summary()
    blank = summary.environments["blank"]
    assert blank.n_injected > 120
    # The peak of S_corr is the largest of several correlated pixels, less what the pixel
    # grid loses: within .3 of S/N_true, the threshold is where half is found.
    assert blank.snr50.value == pytest.approx(5.0, abs=0.3 + 2 * blank.snr50.error)
    pair = pair_of(0, 0)
    x, y, flux = 200.0, 200.0, np.geomspace(200, 3000, 400)
    blank_frame = dataclasses.replace(pair.science, data=np.zeros_like(pair.science.data))
    snr = [
        matched_filter_snr(blank_frame, x, y, float(one), reference=pair.reference) for one in flux
    ]
    expected = ZERO_POINT_MAG - 2.5 * np.log10(np.interp(5.0, snr, flux))
    assert blank.m50.value == pytest.approx(expected, abs=0.05 + 2 * blank.m50.error)
    assert 0 < blank.m50.error < 0.1


def test_bright_sources_on_blank_sky_are_found_and_nothing_else_is() -> None:
    summary = quiet_summary()
    by_low = {one.low: one for one in summary.environments["blank"].by_snr}
    assert by_low[10.0].completeness == 1.0
    assert by_low[7.0].completeness_high > 0.985
    assert shortfalls(summary) == ()
    assert summary.n_unmatched <= 1 + summary.searched_mpix
    assert summary.searched_mpix == pytest.approx(3 * 0.512**2, rel=0.05)
    assert summary.masked_fraction < 0.05


def test_hosts_and_stars_are_asked_as_well_and_kept_apart() -> None:
    summary = quiet_summary()
    counts = {name: depth.n_injected for name, depth in summary.environments.items()}
    assert min(counts.values()) >= 15
    assert sum(counts.values()) == summary.n_injected


def test_environments_are_the_simulator_s() -> None:
    truth = pair_of(1, 150).truth
    before = pair_of(1, 0).science  # the same sky without the changes
    ours = environments(before, truth["x_pix"], truth["y_pix"], truth["delta_flux"])
    agree = ours == truth["environment"]
    # Faint stars and galaxies below the catalogue's limit count in the truth alone.
    assert agree[truth["environment"] == "blank"].mean() > 0.9
    assert agree[truth["environment"] == "star"].mean() > 0.7


def test_special_positions_are_on_hosts_and_beside_stars() -> None:
    pair = pair_of(1, 0)
    special = special_positions(pair.science, 6, np.random.default_rng(0))
    assert len(special) == 12
    kinds = environments(pair.science, special[:, 0], special[:, 1], np.ones(len(special)))
    assert (kinds == "star").sum() >= 6
    assert "blank" not in kinds[1::2]


def test_near_saturation_is_near_a_star() -> None:
    frame = pair_of(1, 0).science
    mask = frame.mask.copy()
    mask[100:104, 100:104] = PixelFlag.SATURATED
    frame = dataclasses.replace(frame, mask=mask, stars=frame.stars[:0])
    kinds = environments(frame, np.array([108.0, 140.0]), np.array([101.0, 101.0]), np.ones(2))
    assert kinds.tolist() == ["star", "blank"]


def test_the_same_seed_gives_the_same_injections_and_another_others() -> None:
    pair = pair_of(0, 0)
    one, again, other = quiet(0), measured(pair, 0), measured(pair, 1)
    assert np.array_equal(one.planted["x_pix"], again.planted["x_pix"])
    assert np.array_equal(one.planted["is_recovered"], again.planted["is_recovered"])
    assert not np.array_equal(one.planted["x_pix"][:20], other.planted["x_pix"][:20])


def test_masked_injections_are_not_counted() -> None:
    pair = pair_of(0, 0)
    mask = pair.reference.mask.copy()
    mask[:, :256] |= np.uint16(PixelFlag.NODATA)
    stars = without_masked(pair.reference.stars, mask)
    reference = dataclasses.replace(pair.reference, mask=mask, stars=stars)
    half = measured(dataclasses.replace(pair, reference=reference), 0)
    assert half.n_masked > 15
    assert half.planted["x_pix"].min() > 250
    assert half.masked_fraction == pytest.approx(0.53, abs=0.03)


def test_a_pipeline_that_misses_bright_sources_is_told_on() -> None:
    summary = summary_of([blinded(quiet(seed)) for seed in SEEDS])
    assert any(text.startswith("S/N 10 to inf") for text in shortfalls(summary))


def test_one_source_missed_of_few_is_chance() -> None:
    one = quiet(0)
    planted = one.planted[one.planted["environment"] == "blank"][:3].copy()
    planted["snr_true"], planted["is_recovered"] = 8.0, [True, True, False]
    assert shortfalls(summary_of([dataclasses.replace(one, planted=planted)])) == ()


def blinded(measurement: DepthMeasurement) -> DepthMeasurement:
    """The measurement of a pipeline that loses every tenth source."""
    planted = measurement.planted.copy()
    planted["is_recovered"][::10] = False
    return dataclasses.replace(measurement, planted=planted)


def test_without_zero_point_there_is_no_magnitude() -> None:
    rows = [to_json(quiet(seed)) | {"zero_point_mag": None} for seed in SEEDS]
    summary = summarise(rows, np.random.default_rng(0))
    blank = summary.environments["blank"]
    assert blank.m50 is None
    assert blank.by_magnitude == ()
    assert summary.unmatched_by_magnitude == ()
    assert blank.snr50 is not None
    assert depth_png("night", {"r": summary}, 5.0).startswith(b"\x89PNG")


def test_the_picture_is_a_function_of_its_content() -> None:
    summary = quiet_summary()
    assert depth_png("night", {"r": summary}, 5.0) == depth_png("night", {"r": summary}, 5.0)
