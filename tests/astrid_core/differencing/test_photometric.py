"""Flux ratio, residual shift and background against simulated truth."""

from dataclasses import replace

import numpy as np
import pytest
from registration_frames import exposure, measured, paint, random_stars

from astrid_core.differencing.photometric import match_photometry
from astrid_core.differencing.registration import register
from astrid_core.differencing.registration_config import PhotometryConfig, RegistrationConfig
from astrid_core.differencing.warp import warp_frame
from astrid_core.errors import TooFewStarsError
from astrid_core.simulation.pair import PairConfig, simulate_pair

CONFIG = PhotometryConfig()


def bright(frame, flux=3000.0):
    stars = frame.stars[frame.stars["flux"] > flux]
    return stars["x_pix"], stars["y_pix"]


@pytest.mark.parametrize(("science_fwhm", "reference_fwhm"), [(3.0, 3.0), (4.6, 2.6), (2.6, 4.6)])
def test_ratio_does_not_know_the_seeing(science_fwhm, reference_fwhm):
    ratios = []
    for seed in range(3):
        pair = simulate_pair(
            PairConfig(
                seed=seed,
                shape=(400, 400),
                n_stars=150,
                star_flux_range=(3e3, 1e6),
                n_transients=5,
                fwhm_science_pix=science_fwhm,
                fwhm_reference_pix=reference_fwhm,
                flux_ratio=1.7,
            )
        )
        match = match_photometry(pair.science, pair.reference, *bright(pair.science), CONFIG)
        ratios.append(match.flux_ratio / 1.7)
        assert match.flux_ratio_err / 1.7 < 0.005
        assert match.largest_shift_pix < 0.03
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.003)
    assert np.ptp(ratios) < 0.01


def test_crowding_cancels():
    pair = simulate_pair(
        PairConfig(seed=1, shape=(400, 400), n_stars=900, fwhm_science_pix=5.0, flux_ratio=0.7)
    )
    match = match_photometry(pair.science, pair.reference, *bright(pair.science), CONFIG)
    assert match.flux_ratio == pytest.approx(0.7, rel=0.003)
    assert match.n_stars > 100


def test_whole_chain_on_measured_stars():
    pair = simulate_pair(
        PairConfig(seed=2, shape=(400, 400), shift_pix=(7.3, -4.6), rotation_deg=0.05)
    )
    science, reference = measured(pair.science), measured(pair.reference)
    registration = register(science, reference, RegistrationConfig())
    warped = warp_frame(reference, registration, science.shape)
    frame = measured(warped.as_frame(reference, reference.psf, science.wcs))
    stars = registration.x_science, registration.y_science
    match = match_photometry(science, frame, *stars, CONFIG)
    assert abs(match.flux_ratio - 1) < 3 * match.flux_ratio_err + 0.003
    assert match.largest_shift_pix < 0.05
    pulls = (match.star_ratio - match.ratio_at(match.star_x, match.star_y)) / match.star_ratio_err
    assert 0.5 < 1.4826 * np.median(np.abs(pulls)) < 1.4


def test_residual_shift_is_measured_and_taken_out():
    stars = random_stars(3, 150, 350)
    x, y, flux = stars[0], stars[1], 5 * stars[2]
    science = exposure((x, y, flux), seed=1)
    moved = exposure((x + 0.13, y - 0.08, flux), seed=2)
    match = match_photometry(science, moved, *bright(science), CONFIG)
    dx, dy = match.shift_at(np.array(128.0), np.array(128.0))
    assert dx == pytest.approx(0.13, abs=0.015)
    assert dy == pytest.approx(-0.08, abs=0.015)
    registration = register(science, moved, RegistrationConfig())
    nudged = replace(registration, mapping=lambda x, y: (x, y)).corrected(match.shift_at)
    there = nudged.to_reference(np.array([100.0]), np.array([100.0]))
    assert there[0][0] == pytest.approx(100.13, abs=0.03)


def test_a_gradient_of_transparency_is_followed():
    x, y, flux = random_stars(5, 500, 350)
    flux = 10 * flux
    reference = exposure((x, y, flux), seed=2)
    science = exposure((x, y, flux * (1 + 0.1 * (x - 128) / 128)), seed=1)
    match = match_photometry(science, reference, *bright(science), CONFIG)
    assert match.ratio.order >= 1
    ends = match.ratio_at(np.array([20.0, 236.0]), np.array([128.0, 128.0]))
    np.testing.assert_allclose(ends, [1 - 0.084, 1 + 0.084], atol=0.015)
    scaled = match.apply(reference)
    box = np.s_[100:150, 200:250]
    assert scaled.variance[box].mean() == pytest.approx(200 * 1.075**2, rel=0.03)


def test_variables_and_bad_pixels_do_not_count():
    x, y, flux = random_stars(6, 150, 350)
    flux = 5 * flux
    varied = flux * np.where(np.arange(len(flux)) % 6 == 0, 1.8, 1.0)
    science, reference = exposure((x, y, varied), seed=1), exposure((x, y, flux), seed=2)
    match = match_photometry(science, reference, *bright(science), CONFIG)
    assert match.flux_ratio == pytest.approx(1.0, abs=0.01)
    assert match.n_stars < len(match.star_x)


def test_background_is_matched_without_the_sources():
    x, y, flux = random_stars(7, 120, 350)
    science, reference = exposure((x, y, flux), seed=1), exposure((x, y, flux), seed=2)
    plane = np.linspace(-6, 9, 256, dtype=np.float32)[None, :].repeat(256, axis=0)
    transient = paint((256, 256), [128.0], [128.0], [4000.0], 3.0)
    data = science.data + plane + transient.astype(np.float32)
    match = match_photometry(replace(science, data=data), reference, *bright(science), CONFIG)
    left = match.background - plane
    assert np.abs(left[20:-20, 40:-40]).max() < 2.5
    assert np.sqrt((left**2).mean()) < 1.2


def test_tiny_units_are_no_problem():
    """JWST counts in MJy/sr: values of 1e-3."""
    x, y, flux = random_stars(8, 120, 350)
    science, reference = exposure((x, y, flux), seed=1), exposure((x, y, flux), seed=2)
    tiny = [
        replace(
            frame,
            data=frame.data * np.float32(1e-6),
            variance=frame.variance * np.float32(1e-12),
            meta=replace(frame.meta, source_gain=1e6),
        )
        for frame in (science, reference)
    ]
    normal = match_photometry(science, reference, *bright(science), CONFIG)
    small = match_photometry(tiny[0], tiny[1], *bright(science), CONFIG)
    assert small.flux_ratio == pytest.approx(normal.flux_ratio, rel=1e-4)
    np.testing.assert_allclose(small.background * 1e6, normal.background, atol=0.05)


def test_too_few_stars_say_so():
    frame = exposure(random_stars(9, 40, 350), seed=1)
    with pytest.raises(TooFewStarsError, match="n_stars=0"):
        match_photometry(frame, frame, np.array([1.0]), np.array([1.0]), CONFIG)
