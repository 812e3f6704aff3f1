"""The warp against truth, against its own slow definition, and against scipy."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registration_frames import exposure, paint, random_stars
from scipy.ndimage import map_coordinates

from astrid_core.differencing import resample as resampling
from astrid_core.differencing.kernels import LOBES, kernel, tabulated_kernel
from astrid_core.differencing.resample import make_plan, measure_geometry, resample
from astrid_core.differencing.transform import Polynomial, invert
from astrid_core.differencing.warp import filled_planes, kernel_autocovariance, warp_frame
from astrid_core.flags import PixelFlag


@dataclass(frozen=True)
class Affine:
    """A known registration."""

    mapping: Polynomial
    shape: tuple[int, int] = (256, 256)

    @classmethod
    def of(cls, angle_deg: float = 0.0, dx: float = 0.0, dy: float = 0.0, scale: float = 1.0):
        angle = np.radians(angle_deg)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.array([[cos, -sin], [sin, cos]])
        centre = np.array([127.5, 127.5])
        return cls(Polynomial.affine(matrix, centre + np.array([dx, dy]) - matrix @ centre))

    def to_reference(self, x, y):
        return self.mapping(x, y)

    def to_science(self, x, y):
        return invert(self.mapping, x, y, (127.5, 127.5))


CASES = [
    Affine.of(dx=0.5, dy=0.5),
    Affine.of(dx=3.3, dy=-7.1),
    Affine.of(angle_deg=0.05, dx=12.3, dy=4.7),
    Affine.of(angle_deg=1.0, dx=2.2, dy=0.4),
    Affine.of(angle_deg=90.1, dx=1.2, dy=0.7),
    Affine.of(angle_deg=23.0, dx=-4.2, dy=3.7),
    Affine(Polynomial.affine(np.array([[-1.0, 0.001], [0.001, 1.0]]), np.array([256.3, 0.8]))),
]


@pytest.mark.parametrize("stretch", [1.0, 1.7])
def test_the_kernel_by_its_table_is_the_kernel(stretch: float) -> None:
    t = np.linspace(-1.2 * LOBES * stretch, 1.2 * LOBES * stretch, 100_001)
    assert tabulated_kernel(t, stretch) == pytest.approx(kernel(t, stretch), abs=3e-7)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(np.round(case.mapping.terms, 2)[0]))
@pytest.mark.parametrize(("fwhm", "limit"), [(2.5, 0.013), (4.0, 0.0015)])
def test_stars_stay_stars(case, fwhm, limit):
    x, y = np.meshgrid(np.arange(40, 220, 31.37), np.arange(40, 220, 29.71))
    x, y = x.ravel(), y.ravel()
    flux = np.full(len(x), 1e4)
    source = paint((256, 256), *case.to_reference(x, y), flux, fwhm).astype(np.float32)
    truth = paint((256, 256), x, y, flux, fwhm)
    warped = resample(source, measure_geometry(case.to_reference, (256, 256)))
    inside = np.zeros((256, 256), dtype=bool)
    sx, sy = case.to_reference(x, y)
    for px, py, rx, ry in zip(x, y, sx, sy, strict=True):
        if 14 < rx < 241 and 14 < ry < 241:
            inside[round(py) - 8 : round(py) + 9, round(px) - 8 : round(px) + 9] = True
    assert inside.sum() > 1000
    assert np.abs(warped - truth)[inside].max() / truth.max() < limit


@pytest.mark.parametrize("case", CASES[:4])
def test_matrix_products_equal_the_plain_sum(case):
    """Equals Σ_jk K(Y − j) K(X − k) I[j, k] up to the sheared order of the two passes."""
    rng = np.random.default_rng(5)
    image = rng.normal(size=(256, 256)).astype(np.float32)
    image = np.asarray(np.real(_low_pass(image)), dtype=np.float32)
    warped = resample(image, measure_geometry(case.to_reference, (256, 256)))
    for px, py in rng.integers(40, 216, (40, 2)):
        x, y = (float(value) for value in case.to_reference(np.array(px), np.array(py)))
        k = np.arange(int(np.floor(x)) - LOBES + 1, int(np.floor(x)) + LOBES + 1)
        j = np.arange(int(np.floor(y)) - LOBES + 1, int(np.floor(y)) + LOBES + 1)
        wx, wy = kernel(x - k), kernel(y - j)
        expected = wy @ image[np.ix_(j, k)] @ wx / wx.sum() / wy.sum()
        assert warped[py, px] == pytest.approx(expected, abs=0.003 * float(image.std()))


def _low_pass(image):
    spectrum = np.fft.fft2(image)
    fy, fx = np.meshgrid(*(np.fft.fftfreq(side) for side in image.shape), indexing="ij")
    return np.fft.ifft2(spectrum * np.exp(-((np.hypot(fx, fy) / 0.15) ** 2)))


def test_whole_pixel_shift_is_exact():
    image = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    warped = resample(image, measure_geometry(lambda x, y: (x + 3, y - 7), (256, 256)))
    np.testing.assert_allclose(warped[40:200, 40:200], image[33:193, 43:203], atol=1e-6)


def test_curved_maps_are_followed():
    """A distortion of 3 px over the frame: tiles are quadratics, not shifts."""

    def bent(x, y):
        return x + 3e-5 * (x - 128) ** 2, y + 2e-5 * (x - 128) * (y - 128) + 0.4

    x, y, flux = np.array([60.2, 128.0, 201.7]), np.array([70.1, 133.3, 199.4]), np.full(3, 1e4)
    source = paint((256, 256), *bent(x, y), flux, 3.5).astype(np.float32)
    warped = resample(source, measure_geometry(bent, (256, 256)))
    for px, py in zip(x, y, strict=True):
        box = np.s_[round(py) - 8 : round(py) + 9, round(px) - 8 : round(px) + 9]
        rows, columns = np.mgrid[box]
        assert (warped[box] * columns).sum() / warped[box].sum() == pytest.approx(px, abs=0.005)
        assert (warped[box] * rows).sum() / warped[box].sum() == pytest.approx(py, abs=0.005)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.05, 1.6])
def test_flux_is_conserved(scale):
    frame = exposure((np.array([128.3]), np.array([120.9]), np.array([1e6])), seed=1, fwhm_pix=5.0)
    frame = replace(frame, data=paint((256, 256), [128.3], [120.9], [1e6], 5.0).astype("f4"))
    warped = warp_frame(frame, Affine.of(angle_deg=0.3, dx=0.4, dy=0.2, scale=scale), (256, 256))
    assert warped.data.sum() == pytest.approx(1e6, rel=2e-3)


def test_noise_is_what_the_stamp_says():
    rng = np.random.default_rng(2)
    frame = exposure(random_stars(0, 30, 350), seed=2)
    noise = rng.normal(size=(512, 512)).astype(np.float32)
    frame = replace(
        frame,
        data=noise,
        variance=np.ones_like(noise),
        mask=np.zeros(noise.shape, dtype=np.uint16),
        stars=frame.stars[:0],
    )
    warped = warp_frame(frame, Affine.of(dx=0.5, dy=0.3), (512, 512))
    centre = warped.data[20:-20, 20:-20].astype(float)
    stamp = warped.kernel_autocovariance
    middle = stamp.shape[0] // 2
    assert stamp.sum() == pytest.approx(1.0)
    for dy, dx in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]:
        a = centre[dy:, dx:]
        b = centre[: centre.shape[0] - dy, : centre.shape[1] - dx]
        assert (a * b).mean() == pytest.approx(stamp[middle + dy, middle + dx], abs=0.01)
    blocks = centre[:460, :460].reshape(46, 10, 46, 10).sum(axis=(1, 3))
    assert blocks.var() / 100 == pytest.approx(warped.variance.mean(), rel=0.1)
    assert warped.pixel_variance.mean() == pytest.approx(centre.var(), rel=0.02)


def test_variance_follows_its_source():
    frame = exposure(random_stars(0, 30, 350), seed=2)
    ramp = np.linspace(100, 300, 256, dtype=np.float32)[None, :].repeat(256, axis=0)
    warped = warp_frame(replace(frame, variance=ramp), Affine.of(dx=10.0), (256, 256))
    np.testing.assert_allclose(warped.variance[:, :230], ramp[:, 10:240], rtol=1e-3)


def test_bad_pixels_do_not_spread():
    frame = exposure(random_stars(0, 30, 350), seed=3)
    spoilt, mask = frame.data.copy(), frame.mask.copy()
    spoilt[100, 80], mask[100, 80] = 1e6, PixelFlag.COSMIC
    spoilt[:, 150], mask[:, 150] = np.nan, PixelFlag.BAD
    case = Affine.of(dx=0.5, dy=0.5)
    clean = warp_frame(frame, case, (256, 256))
    warped = warp_frame(replace(frame, data=spoilt, mask=mask), case, (256, 256))
    assert np.isfinite(warped.data).all()
    flagged = warped.mask != clean.mask
    assert flagged.sum() < 12 + 4 * 256 + 1
    assert warped.mask[100, 80] & PixelFlag.COSMIC
    assert warped.mask[99, 79] & PixelFlag.COSMIC
    untouched = ~flagged
    sky = np.abs(clean.data) < 60
    assert np.abs(warped.data - clean.data)[untouched & sky].max() < 5 * np.sqrt(200)


def test_outside_is_nodata_and_the_rim_is_edge():
    frame = exposure(random_stars(0, 30, 350), seed=4)
    warped = warp_frame(frame, Affine.of(dx=20.0), (256, 256))
    assert (warped.mask[:, 236:] == PixelFlag.NODATA).all()
    assert (warped.data[:, 236:] == 0).all()
    assert (warped.mask[30:200, 232:236] & PixelFlag.EDGE).all()
    assert not warped.mask[30:200, 10:225].any()
    assert warped.coverage == pytest.approx(236 / 256)
    elsewhere = warp_frame(frame, Affine.of(dx=5000.0), (256, 256))
    assert elsewhere.coverage == 0
    assert not elsewhere.data.any()


def test_catalogue_moves_with_the_pixels():
    frame = exposure(random_stars(0, 60, 350), seed=5)
    case = Affine.of(angle_deg=0.2, dx=11.0, dy=-3.0)
    warped = warp_frame(frame, case, (256, 256))
    x, y = case.to_reference(warped.stars["x_pix"], warped.stars["y_pix"])
    distance = np.hypot(x[:, None] - frame.stars["x_pix"], y[:, None] - frame.stars["y_pix"])
    assert distance.min(axis=1).max() < 1e-3


@given(
    density=st.floats(0.0, 0.9),
    seed=st.integers(0, 1000),
    flag=st.sampled_from([PixelFlag.BAD, PixelFlag.COSMIC, PixelFlag.NODATA]),
)
@settings(max_examples=25, deadline=None)
def test_filling_leaves_no_bad_value(density, seed, flag):
    rng = np.random.default_rng(seed)
    frame = _SMALL
    bad = rng.random(frame.shape) < density
    data = np.where(bad, np.nan, frame.data).astype(np.float32)
    mask = np.where(bad, flag, 0).astype(np.uint16)
    filled, variance = filled_planes(replace(frame, data=data, mask=mask))
    assert np.isfinite(filled).all()
    assert (variance > 0).all()
    np.testing.assert_array_equal(filled[~bad], frame.data[~bad])


_SMALL = exposure(random_stars(0, 30, 350), seed=6, shape=(64, 64))


@given(
    dx=st.floats(-40, 40),
    dy=st.floats(-40, 40),
    angle=st.floats(-180, 180),
    ny=st.integers(1, 90),
    nx=st.integers(1, 90),
)
@settings(max_examples=40, deadline=None)
def test_any_shape_and_turn_gives_finite_pixels(dx, dy, angle, ny, nx):
    warped = warp_frame(_SMALL, Affine.of(angle_deg=angle, dx=dx - 96, dy=dy - 96), (ny, nx))
    assert warped.data.shape == warped.variance.shape == warped.mask.shape == (ny, nx)
    assert np.isfinite(warped.data).all()
    assert (warped.variance > 0).all()


def test_autocovariance_of_no_warp_is_a_spike():
    stamp = kernel_autocovariance(measure_geometry(lambda x, y: (x, y), (128, 128)))
    assert stamp[6, 6] == pytest.approx(1.0, abs=1e-6)


def test_both_paths_agree(monkeypatch):
    image = np.asarray(np.real(_low_pass(np.random.default_rng(1).normal(size=(256, 256)))))
    geometry = measure_geometry(CASES[2].to_reference, (256, 256))
    assert make_plan(geometry).is_separable
    by_products = resample(image.astype(np.float32), geometry)
    monkeypatch.setattr(resampling, "MAX_NODES", 0)
    one_by_one = resample(image.astype(np.float32), geometry)
    difference = (by_products - one_by_one)[30:-30, 30:-30]
    assert np.abs(difference).max() < 2e-3 * image.std()


def test_faster_than_a_cubic_spline():
    """The benchmark has the true factor; here only that it is no slower by far."""
    image = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    case = Affine.of(angle_deg=0.02, dx=3.4, dy=1.2)
    y, x = np.mgrid[0:512, 0:512].astype(float)

    def ours():
        return resample(image, measure_geometry(case.to_reference, (512, 512)))

    def theirs():
        at = case.to_reference(x, y)
        return map_coordinates(image, [at[1], at[0]], order=3, output=np.float32)

    assert _best_time(ours) < _best_time(theirs)


def _best_time(function, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
