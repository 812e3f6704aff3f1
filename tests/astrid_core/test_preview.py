"""Preview pictures: readable PNG whatever the pixels, north up, marks where they belong."""

import io

import numpy as np
import pytest
from PIL import Image

from astrid_core.preview import common_limits, difference_panels, diverging, stretch


def panels(ny: int = 64, nx: int = 96, marks=(), fill=None) -> Image.Image:
    rng = np.random.default_rng(1)
    planes = [rng.normal(size=(ny, nx)).astype(np.float32) for _ in range(4)]
    if fill is not None:
        planes = [np.full((ny, nx), fill, dtype=np.float32) for _ in range(4)]
    return Image.open(io.BytesIO(difference_panels(*planes, marks, panel_pix=96)))


def test_four_panels_side_by_side_keep_the_frame_s_aspect() -> None:
    picture = panels()
    assert picture.width == 4 * 96 + 3 * 4
    assert picture.height == 64 + 14


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf])
def test_frames_without_a_usable_pixel_still_give_a_picture(value: float) -> None:
    assert panels(fill=value).size == (4 * 96 + 12, 78)


def test_a_mark_is_drawn_around_its_candidate_with_y_upwards() -> None:
    plain, marked = panels(), panels(marks=[(20.0, 50.0, False)])
    changed = np.argwhere(np.any(np.array(plain) != np.array(marked), axis=2))
    in_first = changed[changed[:, 1] < 96]
    y, x = in_first.mean(axis=0)
    assert x == pytest.approx(20.5, abs=1.0)
    assert y == pytest.approx(14 + 64 - 50.5, abs=1.5)


def test_stretch_is_monotone_and_spans_the_levels() -> None:
    levels = stretch(np.linspace(-1, 2, 50, dtype=np.float32), 0.0, 1.0)
    assert (np.diff(levels.astype(int)) >= 0).all()
    assert levels[0] == 0
    assert levels[-1] == 255


def test_diverging_map_is_blue_below_and_red_above_zero() -> None:
    below, above = diverging(np.array([[-5.0, 5.0]], dtype=np.float32), 5.0)[0]
    assert below[2] > below[0]
    assert above[0] > above[2]


def test_common_limits_reach_past_the_noise() -> None:
    low, high = common_limits(np.random.default_rng(2).normal(size=(50, 50)).astype(np.float32))
    assert low < 0 < high
