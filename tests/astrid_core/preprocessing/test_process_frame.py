from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from preprocessing_frames import exposure, raw_frame, star_field
from pydantic import ValidationError

from astrid_core.errors import CalibrationError, NotAnImageError, TooFewStarsError
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame, read_frame, write_frame
from astrid_core.preprocessing.background import find_sources
from astrid_core.preprocessing.calibrate import build_calibration
from astrid_core.preprocessing.config import PreprocessConfig, QualityLimits
from astrid_core.preprocessing.photometry import zero_point
from astrid_core.preprocessing.process import PREPROCESS_VERSION, process_frame
from astrid_core.preprocessing.quality import FrameQuality, limits_missed
from astrid_core.preprocessing.raw import RawFrame
from astrid_core.simulation.conditions import conditions_of
from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.scene import render_exposure
from dbschema.models import PreprocessRun

SHAPE = (384, 384)
CONFIG = PreprocessConfig()


def raw(seed: int = 1, n_stars: int = 130, **changes: object) -> RawFrame:
    scene = star_field(seed, n_stars=n_stars, shape=SHAPE)
    return raw_frame(exposure(seed, scene), **changes)  # type: ignore[arg-type]


def pull(frame: Frame) -> np.ndarray:
    """Blank-sky pixels in units of the variance plane."""
    bad = (frame.mask & int(UNUSABLE)) != 0
    sources = find_sources(frame.data, bad, 2.5)
    return (frame.data / np.sqrt(frame.variance))[~bad & ~sources]


def robust(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_blank_sky_scatters_as_the_variance_plane_says(seed: int) -> None:
    frame = process_frame(raw(seed), None, CONFIG).frame
    assert robust(pull(frame)) == pytest.approx(1.0, abs=0.05)
    assert np.median(pull(frame)) == pytest.approx(0.0, abs=0.05)


def test_frame_is_in_electrons_with_its_quality() -> None:
    done = process_frame(raw(zero_point_mag=25.0), None, CONFIG)
    frame, quality = done.frame, done.quality
    assert frame.meta.unit == "electron"
    assert frame.meta.source_gain == 1.0
    assert frame.meta.zero_point_mag == pytest.approx(25.0 + 2.5 * np.log10(2.0))
    assert frame.sky == pytest.approx(500, rel=0.02)
    assert quality.sky_noise == pytest.approx(np.sqrt(525), rel=0.02)
    assert quality.fwhm_pix == pytest.approx(3.3, abs=0.1)
    noise_pixels = 1 / float((frame.psf.centre() ** 2).sum())
    assert quality.depth_flux == pytest.approx(
        5 * quality.sky_noise * np.sqrt(noise_pixels), rel=1e-4
    )
    assert quality.depth_mag == pytest.approx(
        frame.meta.zero_point_mag - 2.5 * np.log10(quality.depth_flux)
    )
    assert quality.masked_fraction < 0.01
    assert done.degraded_because == ()


def test_fluxes_are_electrons() -> None:
    frame = process_frame(raw(4, n_stars=150), None, CONFIG).frame
    scene = star_field(4, n_stars=150, shape=SHAPE)
    star = frame.stars[frame.stars["is_star"] == 1][3]
    x, y = round(star["x_pix"]), round(star["y_pix"])
    box = (slice(y - 6, y + 7), slice(x - 6, x + 7))
    assert frame.data[box].sum() == pytest.approx(scene[box].sum(), rel=0.05)


def test_the_same_frame_gives_the_same_bytes_and_input_is_untouched(tmp_path) -> None:
    frame = raw()
    before = frame.data.copy()
    for name in ("a.fits", "b.fits"):
        write_frame(process_frame(frame, None, CONFIG).frame, tmp_path / name)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    assert (frame.data == before).all()
    assert read_frame(tmp_path / "a.fits").psf.n_stars > 8


def test_every_kind_of_pixel_gets_its_flag() -> None:
    frame = raw(5)
    data = frame.data.copy()
    data[:, 200] += 60
    data[:, :20] = np.nan
    bright = np.unravel_index(np.nan_to_num(data).argmax(), data.shape)
    saturation = float(data[bright]) * 0.5
    data[100:103, 300] += 800
    done = process_frame(
        replace(frame, data=np.minimum(data, saturation), saturation_adu=saturation), None, CONFIG
    )
    mask = done.frame.mask
    assert (mask[:, 200] & PixelFlag.BAD).all()
    assert (mask[:, :20] & PixelFlag.NODATA).all()
    assert mask[bright] & PixelFlag.SATURATED
    assert (mask[100:103, 300] & PixelFlag.COSMIC).any()
    assert mask[190, 22] & PixelFlag.EDGE
    assert mask[0, 190] & PixelFlag.EDGE
    assert not mask[190, 190]
    assert np.isfinite(done.frame.data).all()
    assert (done.frame.variance > 0).all()


def test_calibrated_frame_masks_dead_pixels_and_is_flat() -> None:
    y, x = np.mgrid[0:384, 0:384]
    flat = 1 - 0.3 * ((x - 192) ** 2 + (y - 192) ** 2) / (2 * 192**2)
    flat[50:54, 60:63] = 0.1
    rng = np.random.default_rng(6)
    group = [raw_frame(1000 + rng.normal(0, 2, SHAPE), kind="bias") for _ in range(5)]
    group += [raw_frame(1000 + rng.poisson(2e4 * flat), kind="flat") for _ in range(5)]
    data = exposure(6, star_field(6, 130, shape=SHAPE), flat=flat, bias_adu=1000)
    done = process_frame(raw_frame(data), build_calibration(group), CONFIG)
    assert (done.frame.mask[50:54, 60:63] & PixelFlag.BAD).all()
    assert robust(pull(done.frame)) == pytest.approx(1.0, abs=0.05)
    assert np.ptp(done.frame.variance[::50, ::50]) > 50


def test_simulated_survey_exposure_is_processed_to_its_truth() -> None:
    scene = SceneConfig()
    night = scene.nights[0]
    exposed = render_exposure(scene, 0, night)
    conditions = conditions_of(scene, 0, night, exposed.filter_band)
    header = exposed.header
    done = process_frame(
        raw_frame(
            exposed.adu,
            gain=header["GAIN"],
            read_noise=header["RDNOISE"],
            saturation=header["SATURATE"],
        ),
        None,
        CONFIG,
    )
    truth = conditions.psf
    assert done.frame.sky == pytest.approx(conditions.sky_e, rel=0.03)
    assert done.quality.fwhm_pix == pytest.approx(np.hypot(truth.fwhm_pix, 0.75), rel=0.05)
    assert robust(pull(done.frame)) == pytest.approx(1.0, abs=0.05)
    assert done.quality.masked_fraction < 0.05


def test_blank_and_starless_frames_are_typed_errors() -> None:
    with pytest.raises(NotAnImageError):
        process_frame(raw_frame(np.zeros(SHAPE)), None, CONFIG)
    with pytest.raises(NotAnImageError):
        process_frame(raw_frame(np.full(SHAPE, np.nan)), None, CONFIG)
    with pytest.raises(TooFewStarsError):
        process_frame(raw(7, n_stars=0), None, CONFIG)


def test_a_calibration_that_leaves_nothing_is_blamed_and_not_the_frame() -> None:
    strange = np.full(SHAPE, 1000.0)
    strange[:-4] = np.nan
    bias = raw_frame(strange, kind="bias", observation_id=UUID(int=77))
    with pytest.raises(CalibrationError) as told:
        process_frame(raw(8), build_calibration([bias]), CONFIG)
    assert str(UUID(int=77)) in told.value.remedy
    assert float(told.value.details["usable_fraction"]) < 0.05
    with pytest.raises(NotAnImageError):  # the frame is blank whatever the bias
        process_frame(raw_frame(np.zeros(SHAPE)), build_calibration([bias]), CONFIG)


def quality(**changes: float) -> FrameQuality:
    good = FrameQuality(3.0, 0.1, 500.0, 22.0, None, None, 300.0, 60, 0.01)
    return replace(good, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"fwhm_pix": 1.4}, "undersampled"),
        ({"fwhm_pix": 20.0}, "seeing"),
        ({"ellipticity": 0.8}, "elongated"),
        ({"n_stars": 2}, "few_psf_stars"),
        ({"masked_fraction": 0.4}, "masked"),
    ],
)
def test_each_limit_has_a_name_and_a_figure(changes: dict[str, float], name: str) -> None:
    assert limits_missed(quality(), QualityLimits()) == ()
    (reason,) = limits_missed(quality(**changes), QualityLimits())
    assert reason.startswith(f"{name} (")


def test_quality_has_exactly_the_columns_of_the_table() -> None:
    columns = {column.name for column in PreprocessRun.__table__.columns}
    assert set(FrameQuality.__dataclass_fields__) <= columns


@pytest.mark.parametrize(
    ("stated", "unit", "cards", "factor", "expected"),
    [
        (25.0, "adu", {}, 4.0, 25.0 + 2.5 * np.log10(4.0)),
        (None, "adu", {}, 4.0, None),
        (None, "nanomaggy", {}, 1.0, 22.5),
        (None, "Jy", {}, 1.0, 8.90),
        (None, "MJy/sr", {"PIXAR_SR": 2.29e-14}, 1.0, 8.90 - 2.5 * np.log10(2.29e-8)),
        (None, "MJy/sr", {}, 1.0, None),
    ],
)
def test_zero_points(stated, unit, cards, factor, expected) -> None:
    found = zero_point(stated, unit, raw_frame(np.ones((2, 2)), header=cards).header, factor)
    assert found == (None if expected is None else pytest.approx(expected))


def test_configuration_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        PreprocessConfig(psf={"max_starz": 3})
    with pytest.raises(ValidationError):
        PreprocessConfig(psf={"max_order": 5})
    assert PREPROCESS_VERSION
