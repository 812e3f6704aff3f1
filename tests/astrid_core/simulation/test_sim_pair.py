"""Simulated pairs: what they claim to be true, measured on their pixels."""

from dataclasses import replace

import numpy as np
import pytest

from astrid_core.flags import PixelFlag
from astrid_core.simulation.injection import shifted
from astrid_core.simulation.matched_filter import matched_filter
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair
from astrid_core.simulation.stamps import cut_stamp

EMPTY = PairConfig(shape=(256, 256), n_stars=0, n_transients=0)


def test_same_seed_same_pixels_other_seed_others() -> None:
    config = PairConfig(shape=(128, 128), n_stars=30, n_transients=3)
    first, again = simulate_pair(config), simulate_pair(config)
    other = simulate_pair(replace(config, seed=1))
    assert np.array_equal(first.science.data, again.science.data)
    assert np.array_equal(first.reference.data, again.reference.data)
    assert np.array_equal(first.truth, again.truth)
    assert not np.array_equal(first.science.data, other.science.data)


def test_variance_plane_is_true_on_blank_sky() -> None:
    pair = simulate_pair(replace(EMPTY, n_stars=0, sky_e=300.0, read_noise_e=8.0))
    for frame in (pair.science, pair.reference):
        pull = frame.data / np.sqrt(frame.variance)
        assert pull.mean() == pytest.approx(0.0, abs=4 / 256)
        assert pull.std() == pytest.approx(1.0, abs=0.01)
        lag = (pull[:, 1:] * pull[:, :-1]).mean()
        assert abs(lag) < 4 / 256


def test_psf_photometry_recovers_star_fluxes() -> None:
    """Bright stars, weighted least squares with the true PSF: unbiased to 0.5 %."""
    config = PairConfig(
        shape=(384, 384), n_stars=60, n_transients=0, star_flux_range=(2e4, 2e5), psf_variation=0.05
    )
    for frame in (simulate_pair(config).science, simulate_pair(config).reference):
        stars = frame.stars[frame.stars["is_star"] == 1]
        half = frame.psf.terms.shape[1] // 2
        ratios = []
        for star in stars:
            x, y = star["x_pix"], star["y_pix"]
            model = shifted(frame.psf.at(x, y), x - round(x), y - round(y))
            data = cut_stamp(frame.data, round(x), round(y), half)
            core = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) < 6
            ratios.append((data * model)[core].sum() / (model**2)[core].sum() / star["flux"])
        assert len(ratios) > 20
        assert np.median(ratios) == pytest.approx(1.0, abs=5e-3)


def measured_change(pair: SimulatedPair, config: PairConfig, row: np.void) -> float:
    """Flux of a change by the optimal filter, for frames on one grid."""
    science, reference = pair.science, pair.reference
    filt = matched_filter(
        science.psf.centre(),
        float(science.variance[0, 0]),
        reference.psf.centre(),
        config.flux_ratio**2 * float(reference.variance[0, 0]),
        config.flux_ratio,
    )
    x, y = row["x_pix"], row["y_pix"]
    column, line, half = round(x), round(y), filt.science.shape[0] // 2
    dx, dy = x - column, y - line
    there = cut_stamp(science.data, column, line, half)
    then = config.flux_ratio * cut_stamp(reference.data, column, line, half)
    kernels = shifted(filt.science, dx, dy), shifted(filt.reference, dx, dy)
    return float((kernels[0] * there).sum() - (kernels[1] * then).sum())


def test_snr_true_is_the_scatter_of_the_optimal_filter() -> None:
    pulls = []
    for seed in range(100, 106):
        config = PairConfig(seed=seed, n_stars=0, flux_ratio=0.8, n_transients=60)
        pair = simulate_pair(config)
        for row in pair.truth:
            sigma = abs(row["delta_flux"]) / row["snr_true"]
            pulls.append((measured_change(pair, config, row) - row["delta_flux"]) / sigma)
    n = len(pulls)
    assert n > 300
    assert np.mean(pulls) == pytest.approx(0.0, abs=4 / np.sqrt(n))
    assert np.std(pulls) == pytest.approx(1.0, abs=4 / np.sqrt(2 * n))


def test_truth_is_spread_as_asked() -> None:
    config = PairConfig(n_transients=60, n_galaxies=60, host_fraction=0.4, negative_fraction=0.4)
    truth = simulate_pair(config).truth
    assert len(truth) == 60
    assert truth["snr_true"].min() >= 3
    assert truth["snr_true"].max() <= 50
    assert 10 < truth["is_negative"].sum() < 40
    assert np.all((truth["delta_flux"] < 0) == truth["is_negative"])
    assert (truth["environment"] == "host").sum() > 10
    distance = np.hypot(
        truth["x_pix"][:, None] - truth["x_pix"], truth["y_pix"][:, None] - truth["y_pix"]
    )
    assert distance[~np.eye(60, dtype=bool)].min() >= config.min_separation_pix


def test_shifted_rotated_scaled_reference_sees_the_same_sky() -> None:
    config = PairConfig(
        shape=(384, 384), n_stars=80, n_transients=0, star_flux_range=(3e4, 3e5),
        shift_pix=(13.4, -8.7), rotation_deg=4.0, scale=1.03, flux_ratio=0.7,
    )  # fmt: skip
    pair = simulate_pair(config)
    science, reference = pair.science, pair.reference
    assert science.wcs is not None
    assert reference.wcs is not None
    x, y = pair.to_reference.apply(science.stars["x_pix"], science.stars["y_pix"])
    ra, dec = science.wcs.all_pix2world(science.stars["x_pix"], science.stars["y_pix"], 0)
    by_wcs = reference.wcs.all_world2pix(ra, dec, 0)
    assert np.hypot(by_wcs[0] - x, by_wcs[1] - y).max() < 1e-3
    back = pair.to_reference.inverse().apply(x, y)
    assert np.hypot(back[0] - science.stars["x_pix"], back[1] - science.stars["y_pix"]).max() < 1e-9
    # The transformed positions are where the reference frame has its light.
    n_seen = 0
    for star, rx, ry in zip(science.stars, x, y, strict=True):
        if star["is_star"] and 20 < rx < 363 and 20 < ry < 363:
            stamp = cut_stamp(reference.data, round(rx), round(ry), 5)
            offset = np.mgrid[-5:6, -5:6]
            weight = stamp * np.exp(-((offset**2).sum(axis=0)) / 8)
            cx = (weight * offset[1]).sum() / weight.sum()
            assert cx == pytest.approx(rx - round(rx), abs=0.35)
            peak = reference.psf.at(rx, ry).max() * star["flux"] / 0.7
            assert stamp.max() == pytest.approx(peak, rel=0.35)
            n_seen += 1
    assert n_seen > 20


def test_artefacts_are_flagged_or_left_to_be_found() -> None:
    config = replace(EMPTY, n_cosmic_rays=20, n_bad_columns=2)
    flagged = simulate_pair(config).science
    assert (flagged.mask & PixelFlag.COSMIC).any()
    assert (flagged.mask & PixelFlag.BAD).sum() == 2 * 256
    hidden = simulate_pair(replace(config, flag_artefacts=False)).science
    assert not hidden.mask.any()
    assert np.array_equal(hidden.data, flagged.data)


def test_saturated_stars_are_clipped_and_flagged() -> None:
    config = PairConfig(
        shape=(256, 256), n_stars=40, n_transients=0, star_flux_range=(1e5, 3e6), saturation_e=3e4
    )
    frame = simulate_pair(config).science
    full = (frame.mask & PixelFlag.SATURATED) != 0
    assert full.any()
    assert frame.data.max() == pytest.approx(3e4 - frame.sky)
    assert np.all(frame.data[full] == frame.data.max())


def test_gradient_is_left_in_the_science_frame_only() -> None:
    pair = simulate_pair(replace(EMPTY, gradient_e=60.0))
    halves = pair.science.data[:, 192:].mean() - pair.science.data[:, :64].mean()
    assert halves == pytest.approx(60 * 0.75, abs=2)
    level = pair.reference.data[:, 192:].mean() - pair.reference.data[:, :64].mean()
    assert abs(level) < 2


def test_jitter_moves_each_source_of_the_reference_on_its_own():
    steady = simulate_pair(PairConfig(seed=3, shape=(256, 256), n_transients=3))
    strayed = simulate_pair(PairConfig(seed=3, shape=(256, 256), n_transients=3, jitter_pix=0.1))
    np.testing.assert_array_equal(steady.science.data, strayed.science.data)
    np.testing.assert_array_equal(steady.truth["x_pix"], strayed.truth["x_pix"])
    one, other = (
        pair.reference.stars[np.argsort(pair.reference.stars["flux"])] for pair in (steady, strayed)
    )
    same = np.isin(one["flux"], other["flux"])
    moved = one["x_pix"][same] - other["x_pix"][np.isin(other["flux"], one["flux"])]
    assert np.std(moved) == pytest.approx(0.1, rel=0.2)
    assert abs(moved.mean()) < 0.03
