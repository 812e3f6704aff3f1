"""The algebra of one tile against a slow direct expression, and against statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from astrid_core.differencing.noise import autocorrelation_of_blank_sky
from astrid_core.differencing.tiles import plan_tiles
from astrid_core.differencing.zogy import (
    Side,
    difference_psfs,
    taper_psf,
    transfer,
    zogy_tile,
)


def gaussian(sigma: float, size: int = 31, angle: float = 0.0, ratio: float = 1.0) -> np.ndarray:
    y, x = np.indices((size, size)) - size // 2
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    stamp = np.exp(-0.5 * (u**2 + (v / ratio) ** 2) / sigma**2)
    return stamp / stamp.sum()


N = Side(gaussian(1.7, angle=0.4, ratio=0.85), 900.0, 0.0)
R = Side(gaussian(1.2), 100.0, 0.0)


def noise_pair(seed: int, side: int = 288) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    science = rng.normal(0, np.sqrt(N.variance), (side, side)).astype(np.float32)
    reference = rng.normal(0, np.sqrt(R.variance), (side, side)).astype(np.float32)
    return science, reference


def add_source(image: np.ndarray, psf: np.ndarray, x: int, y: int, flux: float) -> None:
    half = psf.shape[0] // 2
    image[y - half : y + half + 1, x - half : x + half + 1] += flux * psf


def slow_zogy(science, reference, n: Side, r: Side):
    """ZOGY as the paper writes it, in complex double precision, variances convolved directly.

    D: eq. 13 divided by F_D (eq. 15); S: eq. 12 with F_n = F_r = 1; V: eqs. 26-29.
    """
    shape = science.shape

    def centred(stamp):
        half = stamp.shape[0] // 2
        image = np.zeros(shape)
        image[: stamp.shape[0], : stamp.shape[1]] = stamp
        return np.fft.fft2(np.roll(image, (-half, -half), axis=(0, 1)))

    p_n, p_r = centred(taper_psf(n.psf)), centred(taper_psf(r.psf))
    f_n, f_r = np.fft.fft2(science.astype(float)), np.fft.fft2(reference.astype(float))
    den = n.variance * abs(p_r) ** 2 + r.variance * abs(p_n) ** 2
    f_d = 1 / np.sqrt(n.variance + r.variance)
    difference = np.fft.ifft2((p_r * f_n - p_n * f_r) / np.sqrt(den)).real / f_d
    k_n = np.conj(p_n) * abs(p_r) ** 2 / den
    k_r = np.conj(p_r) * abs(p_n) ** 2 / den
    score = np.fft.ifft2(k_n * f_n - k_r * f_r).real
    kernel_n, kernel_r = np.fft.ifft2(k_n).real, np.fft.ifft2(k_r).real
    variance = n.variance * (kernel_n**2).sum() + r.variance * (kernel_r**2).sum()
    if r.gain > 0:
        full = np.fft.ifft2(f_r * np.fft.fft2(kernel_r**2)).real
        variance = variance + np.maximum(full, 0) / r.gain
    return difference, score / np.sqrt(variance)


@pytest.mark.parametrize("gain_r", [0.0, 4.0])
def test_equals_the_slow_expression_of_the_paper(gain_r: float):
    science, reference = noise_pair(0, 160)
    for image, psf in ((science, N.psf), (reference, R.psf)):
        add_source(image, psf, 80, 70, 20_000.0)
    add_source(science, N.psf, 50, 100, 3_000.0)
    r = Side(R.psf, R.variance, gain_r)
    result = zogy_tile(science.astype(float), reference.astype(float), N, r)
    difference, scorr = slow_zogy(science, reference, N, r)
    np.testing.assert_allclose(result.difference, difference, atol=1e-7)
    np.testing.assert_allclose(result.scorr, scorr, atol=3e-4)


def test_kernels_are_not_swapped():
    """k_n carries the science PSF: a star of N scores highest on its own pixel.

    With the PSFs swapped (a known bug of public codes) unequal, shifted PSFs move it.
    """
    shifted = np.roll(N.psf, 2, axis=1)
    science, reference = np.zeros((128, 128), np.float32), np.zeros((128, 128), np.float32)
    add_source(science, shifted, 60, 64, 1000.0)
    result = zogy_tile(science, reference, Side(shifted, 900.0, 0.0), R)
    y, x = np.unravel_index(result.scorr.argmax(), result.scorr.shape)
    assert (x, y) == (60, 64)


def test_noise_alone_is_white_and_unit_normal():
    sigmas, correlations = [], []
    for seed in range(5):
        result = zogy_tile(*noise_pair(seed, 576), N, R)
        sigmas.append(result.scorr.std())
        d = result.difference / np.sqrt(result.variance)
        assert d.std() == pytest.approx(1.0, abs=0.01)
        for lag in (1, 2):
            correlations.append((d[:, lag:] * d[:, :-lag]).mean())
            correlations.append((d[lag:] * d[:-lag]).mean())
    assert np.mean(sigmas) == pytest.approx(1.0, abs=0.01)
    assert np.abs(np.mean(np.reshape(correlations, (5, 4)), axis=0)).max() < 0.005


def test_second_call_and_single_precision_agree():
    science, reference = noise_pair(3)
    add_source(science, N.psf, 100, 100, 1e5)
    first = zogy_tile(science, reference, N, R)
    again = zogy_tile(science, reference, N, R)
    np.testing.assert_allclose(again.scorr, first.scorr, rtol=0, atol=1e-6)
    double = zogy_tile(science.astype(float), reference.astype(float), N, R)
    assert np.abs(double.scorr - first.scorr).max() < 0.01
    assert first.scorr.dtype == first.difference.dtype == first.variance.dtype == np.float32


def test_swapping_the_images_changes_the_sign_and_nothing_else():
    science, reference = noise_pair(4)
    add_source(science, N.psf, 150, 120, 5e3)
    there = zogy_tile(science, reference, N, R)
    back = zogy_tile(reference, science, R, N)
    np.testing.assert_allclose(back.scorr, -there.scorr, atol=2e-4)
    np.testing.assert_allclose(back.difference, -there.difference, atol=2e-2)


def test_flux_on_d_is_the_science_flux():
    """A source that appears in N has its flux in D with P_D, whatever the two PSFs."""
    blank = np.zeros((200, 200), np.float32)
    for n, r in ((N, R), (R, N), (N, Side(gaussian(2.6), 2000.0, 0.0))):
        science = blank.copy()
        add_source(science, n.psf, 100, 90, 1000.0)
        result = zogy_tile(science, blank, n, r)
        (psf,) = difference_psfs(n, r, [n.psf])
        half = psf.shape[0] // 2
        stamp = result.difference[90 - half : 91 + half, 100 - half : 101 + half]
        flux = (stamp * psf).sum() / (psf**2).sum()
        assert flux == pytest.approx(1000.0, rel=2e-3)
        error = np.sqrt(result.variance[90, 100] / (psf**2).sum())
        assert flux / error == pytest.approx(result.scorr[90, 100], rel=5e-3)


def test_nothing_is_left_of_a_star_that_did_not_change():
    science, reference = np.zeros((160, 160), np.float32), np.zeros((160, 160), np.float32)
    add_source(science, N.psf, 80, 80, 1e5)
    add_source(reference, R.psf, 80, 80, 1e5)
    result = zogy_tile(science, reference, N, R)
    assert np.abs(result.scorr).max() < 0.5
    assert np.abs(result.difference).max() < 2e-3 * (1e5 * N.psf.max())


def test_correlated_noise_keeps_scorr_unit_normal():
    """A smoothed reference: with its spectrum σ is 1, taken for white it is not."""
    rng = np.random.default_rng(5)
    kernel = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    science = rng.normal(0, 10, (384, 384)).astype(np.float32)
    reference = fftconvolve(rng.normal(0, 30, (384, 384)), kernel, mode="same")
    correlation = fftconvolve(kernel, kernel)
    n = Side(N.psf, 100.0, 0.0)
    known = Side(N.psf, 900.0, 0.0, correlation)
    pixel = float(reference.var())
    taken_for_white = Side(N.psf, pixel, 0.0)
    inner = np.s_[40:-40, 40:-40]
    reference = reference.astype(np.float32)
    assert zogy_tile(science, reference, n, known).scorr[inner].std() == pytest.approx(1, abs=0.03)
    assert zogy_tile(science, reference, n, taken_for_white).scorr[inner].std() > 1.3


def test_blank_sky_autocovariance_recovers_a_kernel():
    rng = np.random.default_rng(6)
    kernel = np.outer([0.2, 0.6, 0.2], [0.2, 0.6, 0.2])
    data = fftconvolve(rng.normal(0, 3, (300, 280)), kernel, mode="same").astype(np.float32)
    usable = rng.random(data.shape) > 0.2
    truth = fftconvolve(kernel, kernel)
    measured = autocorrelation_of_blank_sky(data, usable)
    assert measured is not None
    np.testing.assert_allclose(measured[3:6, 3:6], (truth / truth.max())[1:4, 1:4], atol=0.06)
    assert autocorrelation_of_blank_sky(data, np.zeros_like(usable)) is None


def test_variance_maps_follow_the_sky():
    rng = np.random.default_rng(7)
    level = np.linspace(100, 900, 288)[None, :].repeat(288, axis=0)
    science = (rng.normal(size=level.shape) * np.sqrt(level)).astype(np.float32)
    reference = rng.normal(0, 10, level.shape).astype(np.float32)
    n = Side(N.psf, 500.0, 0.0)
    scorr = zogy_tile(science, reference, n, R, variance_n=level.astype(np.float32)).scorr
    for part in (scorr[:, 20:100], scorr[:, -100:-20]):
        assert part.std() == pytest.approx(1.0, abs=0.05)


def test_source_noise_is_predicted_from_the_reference():
    """Photon noise of a bright star is in S_corr's variance, that of a transient is not."""
    rng = np.random.default_rng(8)
    star = np.zeros((128, 128))
    add_source(star, N.psf, 64, 64, 2e5)
    steady = Side(N.psf, 100.0, 1.0)
    peaks = []
    for _ in range(60):
        science = rng.poisson(star + 100).astype(np.float32) - 100
        reference = rng.poisson(star + 100).astype(np.float32) - 100
        peaks.append(zogy_tile(science, reference, steady, steady).scorr[64, 64])
    assert np.std(peaks) == pytest.approx(1.0, abs=0.25)
    transient = star.astype(np.float32)
    result = zogy_tile(transient, np.zeros_like(transient), steady, steady)
    assert result.variance[64, 64] == pytest.approx(200.0, rel=0.01)


def test_shift_error_lowers_the_significance_of_registration_residuals():
    science, reference = np.zeros((128, 128), np.float32), np.zeros((128, 128), np.float32)
    add_source(science, N.psf, 64, 64, 2e4)
    add_source(reference, N.psf, 64, 64, 2e4)
    n = Side(N.psf, 100.0, 0.0)
    moved = np.roll(reference, 1, axis=1) * 0.1 + reference * 0.9
    plain = zogy_tile(science, moved, n, n)
    astrometric = zogy_tile(science, moved, n, n, shift_sigma_pix=(0.1, 0.1))
    assert np.abs(plain.scorr).max() > 5
    assert np.abs(astrometric.scorr).max() < 3


@given(
    size=st.sampled_from([9, 15, 31]),
    ny=st.integers(40, 70),
    nx=st.integers(40, 70),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_transfer_equals_the_padded_transform(size: int, ny: int, nx: int, seed: int):
    stamp = np.random.default_rng(seed).normal(size=(size, size))
    image = np.zeros((ny, nx))
    image[:size, :size] = stamp
    slow = np.fft.rfft2(np.roll(image, (-(size // 2), -(size // 2)), axis=(0, 1)))
    np.testing.assert_allclose(transfer(stamp, (ny, nx), np.float64), slow, atol=1e-9)


@given(
    ny=st.integers(1, 900),
    nx=st.integers(1, 900),
    tile=st.integers(64, 512),
    margin=st.integers(0, 40),
)
@settings(max_examples=60, deadline=None)
def test_tiles_cover_every_pixel_once(ny: int, nx: int, tile: int, margin: int):
    count = np.zeros((ny, nx), dtype=int)
    image = np.arange(ny * nx, dtype=float).reshape(ny, nx)
    for one in plan_tiles((ny, nx), tile, margin):
        count[one.core] += 1
        np.testing.assert_array_equal(one.core_of(one.cut(image)), image[one.core])
        assert max(s.stop - s.start for s in one.core) <= tile
    assert (count == 1).all()
