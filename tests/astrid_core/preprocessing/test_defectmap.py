"""The defect map: what stays on the detector is found, what stays on the sky is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from preprocessing_frames import exposure, raw_frame, star_field

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.flags import PixelFlag
from astrid_core.preprocessing.calibrate import MasterCalibration, calibrate
from astrid_core.preprocessing.config import DefectMapConfig, PreprocessConfig
from astrid_core.preprocessing.defectmap import DefectMap, Standouts, find_defects, find_standouts
from astrid_core.preprocessing.process import process_frame

CONFIG = DefectMapConfig()
SHAPE = (256, 256)
NOISE_E = np.sqrt(500.0 + 25.0)
FAINT = 4e3, 1e5


def planted(seed, n, low, high):
    """(ny, nx) electrons of n warm pixels, low to high σ of a frame's noise."""
    rng = np.random.default_rng(seed)
    warm = np.zeros(SHAPE)
    places = rng.choice(SHAPE[0] * SHAPE[1], n, replace=False)
    warm.flat[places] = rng.uniform(low, high, n) * NOISE_E
    return warm


def standouts(seed, light):
    counts = exposure(seed, light)
    return find_standouts(calibrate(raw_frame(counts), None, 0.97))


def of_fields(n, warm, **sky):
    """Exposures of n fields with one detector."""
    return [standouts(i, star_field(100 + i, **sky) + warm) for i in range(n)]


SKIES = [
    {"n_stars": 60, "fwhm_pix": 3.2},
    {"n_stars": 900, "fwhm_pix": 3.2},
    {"n_stars": 300, "fwhm_pix": 2.2},
]


@pytest.mark.parametrize(("sky", "least"), list(zip(SKIES, [0.9, 0.5, 0.8], strict=True)))
def test_faint_warm_pixels_are_found_and_nothing_else(sky, least):
    warm = planted(1, 60, 6.0, 8.0)
    found = find_defects(of_fields(6, warm, **sky), CONFIG)
    true = np.flatnonzero(warm)
    assert np.isin(found, true).all()
    assert np.isin(true, found).mean() > least


@pytest.mark.parametrize("sky", SKIES, ids=["sparse", "crowded", "sharp"])
@pytest.mark.parametrize("n_pointings", [3, 8])
def test_a_good_detector_has_no_defects(sky, n_pointings):
    assert len(find_defects(of_fields(n_pointings, 0.0, **sky), CONFIG)) == 0


@pytest.mark.parametrize(
    ("fwhm_pix", "dither_pix"),
    [(3.2, 0), (6.0, 0), (2.6, 1), (6.0, 1), (2.2, 5), (3.2, 5), (2.2, 8)],
)
def test_no_star_is_a_defect_even_where_it_stays_in_place(fwhm_pix, dither_pix):
    scene = star_field(5, n_stars=200, fwhm_pix=fwhm_pix, shape=(280, 280))
    frames = [
        standouts(i, scene[i % 4 * dither_pix :, i % 3 * dither_pix :][:256, :256])
        for i in range(8)
    ]
    assert len(find_defects(frames, CONFIG)) == 0


def test_what_two_of_six_exposures_show_is_no_defect():
    hits = planted(2, 40, 200.0, 400.0)
    frames = [standouts(i, star_field(100 + i) + (hits if i < 2 else 0)) for i in range(6)]
    assert len(find_defects(frames, CONFIG)) == 0


def test_many_bright_defects_do_not_hide_faint_ones():
    faint = planted(3, 30, 7.0, 9.0)
    bright = planted(4, 400, 50.0, 500.0)
    bright[faint > 0] = 0
    found = find_defects(of_fields(6, faint + bright), CONFIG)
    assert np.isin(np.flatnonzero(faint), found).mean() > 0.85


def test_blank_pixels_and_blank_exposures_tell_nothing():
    counts = exposure(0, star_field(100))
    counts[:, :20] = np.nan
    seen = find_standouts(calibrate(raw_frame(counts), None, 0.97))
    assert seen.n_usable == 256 * 234
    assert (seen.pixels % 256 >= 22).all()
    blank = find_standouts(calibrate(raw_frame(np.full(SHAPE, np.nan)), None, 0.97))
    assert len(blank.pixels) == blank.n_usable == 0
    warm = planted(1, 20, 8.0, 10.0)
    assert len(find_defects([*of_fields(6, warm), blank], CONFIG)) > 15


@given(
    st.lists(st.sets(st.integers(0, 63), max_size=8), min_size=3, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_exposures_does_not_matter(listings, random):
    frames = [Standouts((8, 8), np.array(sorted(one), dtype=np.int64), 64) for one in listings]
    found = find_defects(frames, CONFIG)
    random.shuffle(frames)
    np.testing.assert_array_equal(find_defects(frames, CONFIG), found)


def test_maps_are_told_apart_by_their_pixels_and_shape():
    pixels = np.array([3, 17])
    same = DefectMap((8, 8), pixels), DefectMap((8, 8), pixels.astype(np.int32))
    assert same[0].digest == same[1].digest
    others = DefectMap((4, 16), pixels), DefectMap((8, 8), np.array([3, 18]))
    assert len({one.digest for one in (same[0], *others)}) == 3
    assert np.flatnonzero(same[0].plane()).tolist() == [3, 17]


def test_most_warm_pairs_that_make_candidates_make_none_after():
    """Two side by side, 6 to 8 σ each: too much like a star for one frame."""
    warm = planted(6, 300, 6.0, 8.0)
    warm += np.roll(warm, 1, axis=1)
    sky = {"n_stars": 150, "fwhm_pix": 2.2, "flux": FAINT}
    found = DefectMap(SHAPE, find_defects(of_fields(10, warm, **sky), CONFIG))
    config = PreprocessConfig()
    scene = star_field(100, **sky)
    reference = process_frame(raw_frame(exposure(50, scene)), None, config).frame
    counts = {}
    for name, defects in (("before", None), ("after", found)):
        raw = raw_frame(exposure(51, scene + warm))
        frame = process_frame(raw, None, config, defects).frame
        image = subtract_frames(frame, reference, DifferenceConfig())
        counts[name] = len(extract_candidates(image, frame, ExtractionConfig()).candidates)
    assert counts["before"] >= 10
    assert counts["after"] <= counts["before"] / 4


def test_defects_are_bad_where_the_exposure_has_the_maps_shape():
    raw = raw_frame(exposure(0, star_field(100)))
    config = PreprocessConfig()
    fitting = DefectMap(SHAPE, np.array([100 * 256 + 77]))
    other = DefectMap((128, 512), np.array([100 * 256 + 77]))
    assert process_frame(raw, None, config, fitting).frame.mask[100, 77] & PixelFlag.BAD
    assert not process_frame(raw, None, config, other).frame.mask[100, 77] & PixelFlag.BAD


def test_a_pixel_hot_in_the_dark_is_bad_though_its_dark_is_subtracted():
    dark = np.full(SHAPE, 0.05, dtype=np.float32)
    dark[60, 60] = 8.0  # adu/s: 480 adu in an exposure whose noise is 11
    dark[90, 90] = 0.2
    master = MasterCalibration("camera", "1", SHAPE, dark=dark)
    raw = raw_frame(exposure(0, star_field(100) + 2.0 * 60.0 * dark))
    mask = process_frame(raw, master, PreprocessConfig()).frame.mask
    assert mask[60, 60] & PixelFlag.BAD
    assert not mask[90, 90] & PixelFlag.BAD
