"""What must hold of proper subtraction whatever the sky: symmetries that no tuning may break."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from registration_frames import exposure, random_stars

from astrid_core.differencing.aligned import AlignedPair, ProperDifference, subtract_aligned
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.frame import Frame
from astrid_core.preprocessing.background import estimate_background
from astrid_core.preprocessing.config import BackgroundConfig

CONFIG = DifferenceConfig()
SIDE = 192
HALO = 45
"""Pixels from the border within which the two runs see another sky."""
INSIDE = np.s_[HALO:-HALO, HALO:-HALO]


def draw_pair(seed: int) -> AlignedPair:
    """Two exposures of one field in different seeing, some stars changed in the first."""
    x, y, flux = random_stars(seed, 60, SIDE + 100.0, faintest=6000.0)
    rng = np.random.default_rng(seed)
    changed = np.where(rng.random(flux.size) < 0.2, flux * rng.uniform(0.5, 2.0, flux.size), flux)
    science = exposure((x, y, changed), 2 * seed, (SIDE, SIDE), fwhm_pix=3.4)
    reference = exposure((x, y, flux), 2 * seed + 1, (SIDE, SIDE), fwhm_pix=2.8)
    return AlignedPair(science, reference)


def subtract(pair: AlignedPair) -> ProperDifference:
    return subtract_aligned(pair, CONFIG)


def both(pair: AlignedPair, change) -> AlignedPair:
    """The pair with the same change made to both frames."""
    return dataclasses.replace(pair, science=change(pair.science), reference=change(pair.reference))


seeds = st.integers(min_value=0, max_value=10_000)
few = settings(max_examples=5, deadline=None)


@few
@given(seeds, st.integers(-20, 20), st.integers(-20, 20))
def test_a_shift_by_whole_pixels_shifts_scorr_by_as_many(seed: int, dx: int, dy: int) -> None:
    pair = draw_pair(seed)

    def shifted(frame: Frame) -> Frame:
        return dataclasses.replace(frame, data=np.roll(frame.data, (dy, dx), axis=(0, 1)))

    moved = subtract(both(pair, shifted)).scorr
    expected = np.roll(subtract(pair).scorr, (dy, dx), axis=(0, 1))
    np.testing.assert_allclose(moved[INSIDE], expected[INSIDE], atol=2e-3)


@few
@given(seeds)
def test_the_other_way_round_flips_the_sign(seed: int) -> None:
    pair = draw_pair(seed)
    back = dataclasses.replace(pair, science=pair.reference, reference=pair.science)
    there, again = subtract(pair).scorr, subtract(back).scorr
    strong = np.abs(there) > 5
    assert (np.sign(again[strong]) == -np.sign(there[strong])).all()

    def without_gain(frame: Frame) -> Frame:
        return dataclasses.replace(frame, meta=dataclasses.replace(frame.meta, source_gain=0.0))

    # The photons of sources are predicted from the reference, whichever that is; without
    # them all is symmetric.
    pair, back = both(pair, without_gain), both(back, without_gain)
    there, again = subtract(pair).scorr, subtract(back).scorr
    np.testing.assert_allclose(again, -there, rtol=1e-3, atol=2e-3)


@few
@given(seeds, st.floats(0.01, 100.0))
def test_another_flux_unit_scales_d_and_leaves_scorr(seed: int, factor: float) -> None:
    pair = draw_pair(seed)

    def scaled(frame: Frame) -> Frame:
        meta = dataclasses.replace(frame.meta, source_gain=frame.meta.source_gain / factor)
        data, variance = frame.data * np.float32(factor), frame.variance * np.float32(factor**2)
        return dataclasses.replace(frame, data=data, variance=variance, meta=meta)

    before, after = subtract(pair), subtract(both(pair, scaled))
    # Single precision rounds at the brightness of the stars that cancel, not of D.
    rounding = 1e-3 * float(np.sqrt(np.median(before.variance)))
    np.testing.assert_allclose(
        after.difference / factor, before.difference, rtol=1e-4, atol=rounding
    )
    np.testing.assert_allclose(after.scorr, before.scorr, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(after.variance / factor**2, before.variance, rtol=1e-3)


@few
@given(seeds, st.floats(-300.0, 300.0))
def test_a_constant_sky_changes_nothing(seed: int, sky: float) -> None:
    pair = draw_pair(seed)
    bad = np.zeros((SIDE, SIDE), dtype=bool)

    def subtracted(frame: Frame, level: float) -> Frame:
        data = frame.data + np.float32(level)
        background, _ = estimate_background(data, bad, BackgroundConfig())
        return dataclasses.replace(frame, data=data - background)

    dark = subtract(both(pair, lambda frame: subtracted(frame, 0.0)))
    bright = subtract(both(pair, lambda frame: subtracted(frame, sky)))
    np.testing.assert_allclose(bright.scorr, dark.scorr, atol=0.02)


@few
@given(seeds, st.integers(60, SIDE - 60), st.integers(60, SIDE - 60), st.integers(1, 4))
def test_the_damage_of_nan_is_confined(seed: int, x: int, y: int, size: int) -> None:
    pair = draw_pair(seed)
    data = pair.science.data.copy()
    data[y : y + size, x : x + size] = np.nan
    broken = dataclasses.replace(pair, science=dataclasses.replace(pair.science, data=data))
    found, whole = subtract(broken), subtract(pair)
    for plane in (found.difference, found.scorr, found.variance):
        assert np.isfinite(plane).all()
    yy, xx = np.indices((SIDE, SIDE))
    far = np.hypot(xx - x - size / 2, yy - y - size / 2) > 30
    np.testing.assert_allclose(found.scorr[far], whole.scorr[far], atol=0.1)


def test_the_invariants_would_notice_a_difference() -> None:
    """The pairs do hold changes: S_corr is far from flat, so that equality says something."""
    assert np.abs(subtract(draw_pair(1)).scorr).max() > 10
