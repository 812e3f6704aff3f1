import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.detection.planes import preprocess
from astrid_core.flags import UNUSABLE, PixelFlag


def images(seed: int = 0, shape: tuple[int, int] = (20, 30)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    draw = lambda: rng.normal(0, 50, shape).astype(np.float32)  # noqa: E731
    return {
        "science": draw(),
        "science_variance": np.full(shape, 100.0, np.float32),
        "reference": draw(),
        "difference": draw(),
        "difference_variance": np.full(shape, 225.0, np.float32),
        "mask": np.zeros(shape, np.uint16),
    }


def test_planes_are_arcsinh_of_signal_over_noise():
    given_images = images()
    planes = preprocess(**given_images)
    assert planes.shape == (4, 20, 30)
    assert planes.dtype == np.float32
    np.testing.assert_allclose(planes[0], np.arcsinh(given_images["science"] / 10), rtol=1e-6)
    np.testing.assert_allclose(planes[1], np.arcsinh(given_images["reference"] / 10), rtol=1e-6)
    np.testing.assert_allclose(planes[2], np.arcsinh(given_images["difference"] / 15), rtol=1e-6)
    assert (planes[3] == 1).all()


def test_unchanged_star_has_the_same_value_in_science_and_reference():
    given_images = images()
    given_images["reference"] = given_images["science"].copy()
    planes = preprocess(**given_images)
    np.testing.assert_array_equal(planes[0], planes[1])


@given(bit=st.sampled_from([flag for flag in PixelFlag if flag & UNUSABLE]))
def test_unusable_pixels_are_invalid_and_zero(bit: PixelFlag):
    given_images = images()
    given_images["mask"][4, 5] = bit
    planes = preprocess(**given_images)
    assert (planes[:, 4, 5] == 0).all()
    assert planes[3].sum() == 20 * 30 - 1


@pytest.mark.parametrize(
    ("plane", "value"),
    [
        ("science", np.nan),
        ("reference", np.nan),
        ("difference", np.inf),
        ("science_variance", 0.0),
        ("difference_variance", np.nan),
        ("difference_variance", -1.0),
    ],
)
def test_pixels_without_data_or_noise_are_invalid(plane: str, value: float):
    given_images = images()
    given_images[plane][7, 8] = value
    planes = preprocess(**given_images)
    assert np.isfinite(planes).all()
    assert (planes[:, 7, 8] == 0).all()


def test_edge_pixels_stay_valid():
    given_images = images()
    given_images["mask"][0] = PixelFlag.EDGE
    assert (preprocess(**given_images)[3] == 1).all()
