from uuid import UUID

import numpy as np
import pytest
from preprocessing_frames import exposure, raw_frame

from astrid_core.errors import CalibrationError
from astrid_core.preprocessing.calibrate import MasterCalibration, build_calibration, calibrate
from astrid_core.preprocessing.raw import RawFrame, trim
from astrid_core.preprocessing.variance import noise_model

SHAPE = (64, 64)
BIAS = 1000.0


def pattern() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:64]
    return 1 + 0.2 * np.sin(x / 9.0) * np.cos(y / 7.0)


def frames(n: int = 5) -> list[RawFrame]:
    rng = np.random.default_rng(1)
    bias = [raw_frame(BIAS + rng.normal(0, 2, SHAPE), kind="bias") for _ in range(n)]
    flat = [
        raw_frame(BIAS + rng.poisson(2e4 * (1 + 0.1 * k) * pattern()), kind="flat")
        for k in range(n)
    ]
    return bias + flat


def test_masters_recover_bias_and_response() -> None:
    master = build_calibration(frames())
    assert master.bias is not None
    assert master.bias.mean() == pytest.approx(BIAS, abs=0.2)
    response = master.flats["r"]
    expected = pattern() / np.median(pattern())
    assert np.std(response / expected - 1) < 0.005
    assert np.median(response) == pytest.approx(1.0, abs=1e-3)


def test_a_cosmic_ray_in_one_flat_is_clipped() -> None:
    group = frames()
    group[-1].data[10, 10] += 5e4
    response = build_calibration(group).flats["r"]
    assert response[10, 10] == pytest.approx(float(pattern()[10, 10]), rel=0.03)


def test_calibrated_science_is_flat_and_its_noise_goes_through_the_flat() -> None:
    scene = np.full(SHAPE, 4000.0)
    data = exposure(1, scene, sky_e=0, gain=2.0, flat=pattern(), bias_adu=BIAS)
    calibrated = calibrate(raw_frame(data), build_calibration(frames(20)), 0.97)
    corrected = calibrated.raw.data
    assert np.corrcoef(corrected.ravel(), pattern().ravel())[0, 1] == pytest.approx(0, abs=0.1)
    assert np.median(corrected) == pytest.approx(2000 * np.median(pattern()), rel=0.01)
    sky = np.full(SHAPE, np.median(corrected), np.float32)
    noise = noise_model(calibrated, sky, np.zeros(SHAPE, bool), 64)
    bright, dark = pattern() > 1.15, pattern() < 0.85
    assert noise.variance[dark].mean() > 1.25 * noise.variance[bright].mean()
    pull = (corrected - sky) * 2.0 / np.sqrt(noise.variance)
    assert np.std(pull) == pytest.approx(1.0, abs=0.06)


def test_dark_current_is_scaled_by_exposure() -> None:
    rng = np.random.default_rng(2)
    bias = [raw_frame(np.full(SHAPE, BIAS), kind="bias")]
    dark = [
        raw_frame(BIAS + rng.poisson(300, SHAPE), kind="dark", exposure_s=30.0) for _ in range(3)
    ]
    master = build_calibration(bias + dark)
    assert master.dark is not None
    assert master.dark.mean() == pytest.approx(10, rel=0.02)
    result = calibrate(raw_frame(np.full(SHAPE, BIAS + 700.0)), master, 0.97)
    assert np.median(result.raw.data) == pytest.approx(100, abs=10)
    assert result.dark_level is not None


def test_flats_of_another_filter_are_not_used_and_that_is_said() -> None:
    result = calibrate(raw_frame(np.ones(SHAPE), filter_band="g"), build_calibration(frames()), 1)
    assert result.response is None
    assert "flat" in result.raw.meta.assumed


def test_flats_above_an_unknown_zero_are_no_flats() -> None:
    only_flats = [frame for frame in frames() if frame.kind == "flat"]
    assert build_calibration(only_flats).flats == {}


@pytest.mark.parametrize("changed", [{"instrument": "other"}, {"detector": "2"}])
def test_frames_of_different_detectors_do_not_mix(changed: dict[str, str]) -> None:
    with pytest.raises(CalibrationError):
        build_calibration([*frames(), raw_frame(np.ones(SHAPE), kind="bias", **changed)])
    master = build_calibration(frames())
    with pytest.raises(CalibrationError):
        calibrate(raw_frame(np.ones(SHAPE), **changed), master, 0.97)


def test_shapes_must_agree() -> None:
    with pytest.raises(CalibrationError) as caught:
        calibrate(raw_frame(np.ones((64, 60))), build_calibration(frames()), 0.97)
    assert caught.value.details["calibration"] == SHAPE
    with pytest.raises(CalibrationError):
        build_calibration([*frames(), raw_frame(np.ones((60, 64)), kind="bias")])


def test_science_frames_are_no_calibration_and_none_is_an_error() -> None:
    with pytest.raises(CalibrationError):
        build_calibration([raw_frame(np.ones(SHAPE))])
    with pytest.raises(CalibrationError):
        build_calibration([])


def test_saturation_is_judged_on_raw_counts() -> None:
    data = np.full(SHAPE, BIAS + 100.0)
    data[5, 6] = 60_000
    master = MasterCalibration("camera", "1", SHAPE, bias=np.full(SHAPE, BIAS, np.float32))
    result = calibrate(raw_frame(data, saturation=60_500.0), master, 0.97)
    assert result.saturated[5, 6]
    assert result.saturated.sum() == 1


def test_overscan_is_subtracted_and_trimmed_with_the_header() -> None:
    data = np.full((40, 70), 300.0)
    data[:, 60:] = np.arange(40)[:, None] + 100.0
    data[:, :4] = 0
    raw = raw_frame(data, header={"BIASSEC": "[61:70,1:40]", "TRIMSEC": "[5:60,1:40]"})
    trimmed = trim(raw)
    assert trimmed.data.shape == (40, 56)
    assert trimmed.data[:, 0] == pytest.approx(200.0 - np.arange(40))
    assert raw.data.shape == (40, 70)


def test_sections_of_another_shape_are_ignored_and_that_is_said() -> None:
    raw = raw_frame(np.ones(SHAPE), header={"TRIMSEC": "[18:1382,1:1370]"})
    trimmed = trim(raw)
    assert trimmed.data.shape == SHAPE
    assert "overscan" in trimmed.meta.assumed


def test_observation_ids_are_recorded_in_order() -> None:
    ids = [UUID(int=k) for k in (3, 1, 2)]
    group = [raw_frame(np.ones(SHAPE), kind="bias", observation_id=i) for i in ids]
    assert build_calibration(group).observation_ids == tuple(sorted(ids, key=str))


@pytest.mark.parametrize("section", ["[2:3,2:3]", "[1:60,1:7]"])
def test_a_section_that_leaves_no_sky_is_not_applied(section):
    raw = raw_frame(np.ones(SHAPE), header={"TRIMSEC": section})
    trimmed = trim(raw)
    assert trimmed.data.shape == SHAPE
    assert "overscan" in trimmed.meta.assumed
