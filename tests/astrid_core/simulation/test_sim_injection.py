"""Injections are where, how bright and how noisy they say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame
from astrid_core.simulation.injection import inject_sources, matched_filter_snr, plan_injections
from astrid_core.simulation.matched_filter import matched_filter
from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.pair import PairConfig, simulate_pair


@pytest.fixture(scope="module")
def frames() -> tuple[Frame, Frame]:
    pair = simulate_pair(PairConfig(shape=(384, 384), n_stars=100, n_transients=0))
    return pair.science, pair.reference


def test_plan_is_spaced_log_uniform_and_reproducible(frames: tuple[Frame, Frame]) -> None:
    science, reference = frames
    plan = plan_injections(science, np.random.default_rng(1), reference=reference)
    again = plan_injections(science, np.random.default_rng(1), reference=reference)
    assert np.array_equal(plan, again)
    positions = np.stack([plan["x_pix"], plan["y_pix"]], axis=1)
    assert KDTree(positions).query(positions, k=2)[0][:, 1].min() >= 34.0
    assert positions.min() >= 20
    assert positions.max() <= 363
    assert 3 <= plan["snr_true"].min() <= plan["snr_true"].max() <= 50
    assert np.log(plan["snr_true"]).mean() == pytest.approx(np.log(150) / 2, abs=0.4)
    for row in plan[:5]:
        snr = matched_filter_snr(
            science, row["x_pix"], row["y_pix"], row["flux"], reference=reference
        )
        assert snr == pytest.approx(row["snr_true"], rel=1e-6)


def test_preferred_positions_come_first_and_keep_their_distance(
    frames: tuple[Frame, Frame],
) -> None:
    science, _ = frames
    preferred = np.array([[100.3, 90.2], [110.0, 95.0], [250.0, 250.0], [2.0, 200.0]])
    plan = plan_injections(science, np.random.default_rng(1), preferred=preferred)
    positions = np.stack([plan["x_pix"], plan["y_pix"]], axis=1)
    assert positions[:2].tolist() == preferred[[0, 2]].tolist()
    assert KDTree(positions).query(positions, k=2)[0][:, 1].min() >= 34.0
    plain = plan_injections(science, np.random.default_rng(1))
    assert len(plain) - 6 <= len(plan) <= len(plain) + 2


def test_plan_avoids_masked_pixels(frames: tuple[Frame, Frame]) -> None:
    science, _ = frames
    mask = science.mask.copy()
    mask[:, :200] = PixelFlag.BAD
    plan = plan_injections(replace(science, mask=mask), np.random.default_rng(1))
    assert len(plan) > 5
    assert plan["x_pix"].min() > 200


def test_a_noisier_reference_lowers_the_snr(frames: tuple[Frame, Frame]) -> None:
    science, reference = frames
    alone = matched_filter_snr(science, 100, 100, 3000.0)
    against = matched_filter_snr(science, 100, 100, 3000.0, reference=reference)
    noisy = replace(reference, variance=4 * reference.variance)
    assert alone > against > matched_filter_snr(science, 100, 100, 3000.0, reference=noisy)


def test_injected_flux_is_unbiased_with_photon_noise(frames: tuple[Frame, Frame]) -> None:
    science, _ = frames
    x, y = np.full(200, 150.3), np.full(200, 120.8)
    rng = np.random.default_rng(3)
    totals = [
        float((inject_sources(science, x[:1], y[:1], [2000.0], rng).data - science.data).sum())
        for _ in x
    ]
    assert np.mean(totals) == pytest.approx(2000.0, rel=5e-3)
    # Poisson: the variance of the total equals its mean.
    assert np.var(totals) == pytest.approx(2000.0, rel=0.4)


def test_injection_leaves_its_input_alone_and_clips_at_saturation(
    frames: tuple[Frame, Frame],
) -> None:
    science, _ = frames
    limited = replace(science, meta=replace(science.meta, saturation=20000.0))
    before = limited.data.copy()
    bright = inject_sources(limited, [200.0], [200.0], [1e6], np.random.default_rng(0))
    assert np.array_equal(limited.data, before)
    assert not limited.mask[200, 200]
    assert bright.mask[200, 200] & PixelFlag.SATURATED
    assert bright.data.max() == pytest.approx(20000.0 - science.sky)


def test_unknowable_gain_adds_no_photon_noise(frames: tuple[Frame, Frame]) -> None:
    science, _ = frames
    blind = replace(science, meta=replace(science.meta, source_gain=0.0))
    one = inject_sources(blind, [90.0], [90.0], [500.0], np.random.default_rng(0))
    two = inject_sources(blind, [90.0], [90.0], [500.0], np.random.default_rng(1))
    assert np.array_equal(one.data, two.data)


def test_fading_is_not_an_injection(frames: tuple[Frame, Frame]) -> None:
    with pytest.raises(ValueError, match="reference"):
        inject_sources(frames[0], [9.0], [9.0], [-5.0], np.random.default_rng(0))


P_N = MoffatPsf((64, 64), 3.2).to_psf().centre()
P_R = MoffatPsf((64, 64), 2.7).to_psf().centre()


@given(
    snr=st.floats(1, 200),
    variance=st.floats(10, 5000),
    ratio=st.floats(0.01, 3),
    gain=st.sampled_from([0.0, 1.0, 4.2]),
    is_negative=st.booleans(),
    light=st.floats(0, 1e5),
)
@settings(max_examples=40, deadline=None)
def test_flux_for_snr_inverts_snr(snr, variance, ratio, gain, is_negative, light) -> None:
    filt = matched_filter(P_N, variance, P_R, ratio * variance, ratio)
    flux = filt.flux_for_snr(snr, is_negative=is_negative, source_gain=gain, light_variance=light)
    signed = -flux if is_negative else flux
    assert filt.snr(signed, gain, light) == pytest.approx(snr, rel=1e-9)


def test_filter_without_reference_is_the_psf_itself() -> None:
    filt = matched_filter(P_N, 400.0)
    expected = P_N / (P_N.astype(float) ** 2).sum()
    assert np.allclose(filt.science, expected, atol=1e-6 * expected.max())
    assert filt.background_variance == pytest.approx(400.0 / (P_N.astype(float) ** 2).sum())


def test_filter_kernels_answer_one_to_a_unit_source_and_carry_their_variance() -> None:
    filt = matched_filter(P_N, 400.0, P_R, 200.0)
    assert (filt.science**2).sum() * 400 + (filt.reference**2).sum() * 200 == pytest.approx(
        filt.background_variance, rel=1e-3
    )
    inset = (filt.science.shape[0] - P_N.shape[0]) // 2
    middle = slice(inset, inset + P_N.shape[0])
    assert (filt.science[middle, middle] * P_N).sum() == pytest.approx(1.0, abs=1e-4)
