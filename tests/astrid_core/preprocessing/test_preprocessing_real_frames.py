"""Real telescope frames: FWHM as measured on stars by hand, noise as the sky shows it."""

import datetime as dt
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from astrid_core.errors import TooFewStarsError
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame
from astrid_core.preprocessing.background import find_sources
from astrid_core.preprocessing.calibrate import build_calibration
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.process import ProcessedFrame, process_frame
from astrid_core.preprocessing.raw import RawFrame, read_raw
from astrid_core.surveys.config import FolderOptions, SurveyConfig, load_surveys
from astrid_core.surveys.ingest import ingest_file
from astrid_core.surveys.protocol import SourceFile

pytestmark = pytest.mark.real_data

NIGHT = dt.date(2020, 1, 1)


@pytest.fixture
def survey(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> SurveyConfig:
    monkeypatch.setenv("ASTRID_FOLDER_DATA", str(real_data))
    config = load_surveys().surveys["folder"]
    assert config.folder is not None
    options = FolderOptions(**(config.folder.model_dump() | {"checksums": "ignore"}))
    return config.model_copy(update={"folder": options})


def read(path: Path, survey: SurveyConfig) -> RawFrame:
    outcome = ingest_file(SourceFile(path.name, path), survey, NIGHT, 64.0)
    assert outcome.error is None, outcome.error
    return read_raw(path, asdict(outcome.observations[0]), 64.0)


def process(path: Path, survey: SurveyConfig) -> ProcessedFrame:
    return process_frame(read(path, survey), None, PreprocessConfig())


def blank_pull(frame: Frame) -> float:
    bad = (frame.mask & int(UNUSABLE)) != 0
    values = (frame.data / np.sqrt(frame.variance))[~bad & ~find_sources(frame.data, bad, 2.5)]
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


@pytest.mark.parametrize(
    ("name", "fwhm_pix"),
    [
        ("goto-virgo-pair/1.fits", 4.4),
        ("decam-variable-mini/DEC-OBS04a.mini.fits", 4.8),
        ("decam-variable-mini/DEC-OBS18a.mini.fits", 3.8),
        ("eso085-030-apogee/aligned_eso085-030-004.fit", 2.7),
        ("hostile/3122_mpc_4.3_00001.fits", 2.25),
        ("lowell42-asteroid5945/crop/20190326.0151.fits", 2.0),
    ],
)
def test_fwhm_noise_and_masks_on_open_fields(
    real_data: Path, survey: SurveyConfig, name: str, fwhm_pix: float
) -> None:
    done = process(real_data / name, survey)
    assert done.quality.fwhm_pix == pytest.approx(fwhm_pix, rel=0.1)
    assert blank_pull(done.frame) == pytest.approx(1.0, abs=0.06)
    assert done.quality.masked_fraction < 0.05


@pytest.mark.parametrize(("epoch", "fwhm_pix"), [("0001", 3.9), ("0037", 8.5), ("0100", 3.7)])
def test_crowded_field_has_photon_noise_not_confusion(
    real_data: Path, survey: SurveyConfig, epoch: str, fwhm_pix: float
) -> None:
    """Half-maximum widths of single stars; the field has no blank sky to measure noise on."""
    done = process(real_data / f"kb13475-saao1m/AKB13475I{epoch}.fits", survey)
    assert done.frame.meta.unit == "electron"
    assert done.quality.fwhm_pix == pytest.approx(fwhm_pix, rel=0.1)
    assert done.quality.sky_noise == pytest.approx(np.sqrt(done.frame.sky + 25), rel=0.02)
    assert done.quality.masked_fraction < 0.01
    assert done.frame.wcs is None


def test_calibrated_frames_are_flatter_than_raw_ones(real_data: Path, survey: SurveyConfig) -> None:
    crop = real_data / "lowell42-asteroid5945/crop"
    group = [read(crop / f"20190326.{n}.fits", survey) for n in ("0001", "0005", "0010")]
    group += [read(crop / f"20190326.{n}.fits", survey) for n in ("0110", "0112", "0115")]
    science = read(crop / "20190326.0151.fits", survey)
    master = build_calibration(group)
    assert set(master.flats) == {science.meta.filter_band}
    plain = process_frame(science, None, PreprocessConfig()).frame
    done = process_frame(science, master, PreprocessConfig()).frame
    assert done.sky < plain.sky * 1.2
    assert blank_pull(done) == pytest.approx(1.0, abs=0.06)
    assert done.wcs is None


def test_space_image_keeps_its_unit_and_finds_stars_among_galaxies(
    real_data: Path, survey: SurveyConfig
) -> None:
    for path in sorted((real_data / "jwst-nircam-a2744").glob("*.fits")):
        done = process(path, survey)
        assert done.frame.meta.unit == "MJy/sr"
        assert done.frame.meta.source_gain == 0.0
        assert done.quality.fwhm_pix == pytest.approx(2.3, rel=0.1)
        assert blank_pull(done.frame) == pytest.approx(1.0, abs=0.06)
        assert done.quality.zero_point_mag == pytest.approx(28.02, abs=0.02)
        assert done.frame.wcs is not None


def test_satellite_streak_is_masked(real_data: Path, survey: SurveyConfig) -> None:
    frame = process(real_data / "hostile/long.fits", survey).frame
    trail = (frame.mask & int(PixelFlag.TRAIL)) != 0
    along = np.linspace(40, 330, 30)
    assert trail[
        np.rint(np.interp(along, [20, 340], [340, 310])).astype(int), along.astype(int)
    ].all()
    assert trail.mean() < 0.04


def test_frames_without_stars_fail_with_a_remedy(real_data: Path, survey: SurveyConfig) -> None:
    with pytest.raises(TooFewStarsError) as caught:
        process(real_data / "m13-orion-lowsnr/M13_blue_0001.fits", survey)
    assert caught.value.remedy


def test_undeclared_border_is_no_data(real_data: Path, survey: SurveyConfig) -> None:
    frame = process(real_data / "hostile/a8280271.fits", survey).frame
    blank = (frame.mask & int(PixelFlag.NODATA)) != 0
    assert blank.mean() < 0.06
    assert np.median(frame.data[~blank]) == pytest.approx(0, abs=3)
