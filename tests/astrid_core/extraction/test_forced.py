"""Forced photometry of planted changes, of nothing, and where nothing can be measured."""

import dataclasses

import numpy as np
import pytest

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.forced import ForcedFlux, force_photometry
from astrid_core.flags import ForcedFlag, PixelFlag, flag_names
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair

MAX_MASKED = ExtractionConfig().max_masked_weight
SEEDS = (0, 1, 2)
Field = tuple[SimulatedPair, DifferenceImage]


@pytest.fixture(scope="module")
def fields() -> list[Field]:
    """Warped pairs, unequal in seeing, sky and flux scale."""
    pairs = [
        simulate_pair(
            PairConfig(
                seed=seed,
                n_stars=250,
                n_transients=60,
                snr_range=(1, 100),
                shift_pix=(4.3, -2.2),
                flux_ratio=0.8,
            )
        )
        for seed in SEEDS
    ]
    return [(p, subtract_frames(p.science, p.reference, DifferenceConfig())) for p in pairs]


def measure(field: Field, x, y) -> list[ForcedFlux]:
    pair, image = field
    return force_photometry(image, pair.reference, np.asarray(x), np.asarray(y), MAX_MASKED)


def test_planted_fluxes_are_measured_without_bias(fields: list[Field]):
    pulls, ratios = [], []
    for field in fields:
        truth = field[0].truth
        for one in measure(field, truth["x_pix"], truth["y_pix"]):
            if one.flux is None or one.flags & ForcedFlag.EDGE:
                continue
            planted, snr = truth["delta_flux"][one.index], truth["snr_true"][one.index]
            if not truth["is_negative"][one.index]:
                pulls.append((one.flux - planted) / one.flux_err)
            if snr > 12:
                ratios.append(one.flux / planted)
    print(f"{len(pulls)} pulls: mean {np.mean(pulls):+.3f}, sigma {np.std(pulls):.3f}; ", end="")
    print(f"{len(ratios)} ratios beyond S/N 12: {np.mean(ratios):.4f}")
    assert len(pulls) > 100
    assert len(ratios) > 60
    assert np.mean(pulls) == pytest.approx(0.0, abs=3 / np.sqrt(len(pulls)))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.01)


def test_where_nothing_is_the_mean_is_zero(fields: list[Field]):
    """The reason why positions are not refined: a fit that may wander is biased high."""
    pulls = []
    for seed, field in enumerate(fields):
        pair, _ = field
        x, y = np.random.default_rng(seed).uniform(20, 490, (2, 1500))
        stars, truth = pair.science.stars, pair.truth
        to_star = np.hypot(x[:, None] - stars["x_pix"], y[:, None] - stars["y_pix"]).min(axis=1)
        to_change = np.hypot(x[:, None] - truth["x_pix"], y[:, None] - truth["y_pix"]).min(axis=1)
        blank = (to_star > 12) & (to_change > 20)
        pulls += [
            one.flux / one.flux_err
            for one in measure(field, x[blank], y[blank])
            if one.flux is not None and one.flux_err and not one.flags
        ]
    print(f"{len(pulls)} empty places: mean {np.mean(pulls):+.4f}, sigma {np.std(pulls):.4f}")
    assert len(pulls) > 1500
    # Positions a few pixels apart share noise: the mean is less certain than 1/√n.
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.1)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.05)


def test_the_reference_s_flux_is_on_the_science_scale(fields: list[Field]):
    pair, _ = fields[0]
    stars = pair.science.stars[pair.science.stars["is_star"] == 1][:20]
    found = measure(fields[0], stars["x_pix"], stars["y_pix"])
    ratios = [one.reference_flux / stars["flux"][one.index] for one in found if one.reference_flux]
    assert len(ratios) > 10
    # The PSF's stamp leaves out a percent of a Moffat's wings.
    assert np.median(ratios) == pytest.approx(0.99, abs=0.02)
    assert all(one.reference_flux_err > 0 for one in found if one.reference_flux)


def test_positions_off_the_frame_have_no_row(fields: list[Field]):
    x = [-0.6, -0.4, 511.4, 511.6, 100.0, np.nan]
    y = [10.0, 10.0, 10.0, 10.0, 600.0, 10.0]
    found = measure(fields[0], x, y)
    assert [one.index for one in found] == [1, 2]
    lost = ForcedFlag.MASKED | ForcedFlag.NEAR_MASKED
    assert all(one.flags & lost for one in found), "half the PSF lies outside"
    assert measure(fields[0], [], []) == []


def test_masked_pixels_cost_the_flux_or_flag_it(fields: list[Field]):
    pair, image = fields[0]
    mask = image.mask.copy()
    mask[95:106, 95:106] |= np.uint16(PixelFlag.SATURATED)
    mask[200:203, 203] |= np.uint16(PixelFlag.BAD)
    broken = dataclasses.replace(image, mask=mask, degraded_because=("out of range",))
    gone, near = measure((pair, broken), [100.0, 200.0], [100.0, 200.0])
    assert (gone.flux, gone.flux_err) == (None, None)
    assert flag_names(gone.flags, ForcedFlag) == ["masked", "degraded_frame"]
    assert gone.reference_flux is not None
    assert near.flux is not None
    assert flag_names(near.flags, ForcedFlag) == ["near_masked", "degraded_frame"]


def test_without_a_usable_reference_there_is_no_reference_flux(fields: list[Field]):
    pair, image = fields[0]
    mask = np.full_like(pair.reference.mask, int(PixelFlag.NODATA))
    blind = dataclasses.replace(pair, reference=dataclasses.replace(pair.reference, mask=mask))
    unplaced = dataclasses.replace(image, to_reference=None)
    for field in ((blind, image), (pair, unplaced)):
        (one,) = measure(field, [200.0], [200.0])
        assert one.flux is not None
        assert (one.reference_flux, one.reference_flux_err) == (None, None)
        assert one.flags & ForcedFlag.REFERENCE_MASKED
