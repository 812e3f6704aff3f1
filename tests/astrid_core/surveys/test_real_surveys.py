"""Real telescope images: every file ends as the table says, none stops the others."""

import datetime as dt
import warnings
from pathlib import Path

import pytest

from astrid_core.identity import sha256_file
from astrid_core.surveys.config import SurveyConfig, SurveysFile, load_surveys
from astrid_core.surveys.ingest import IngestOutcome, ObservationRecord, ingest_file
from astrid_core.surveys.registry import open_survey

pytestmark = pytest.mark.real_data

SURVEYS_FILE = Path(__file__).parents[2] / "real_surveys.yaml"

OUTCOMES: dict[str, dict[str, str | int]] = {
    # Number of observations, or the error that was raised.
    "hostile": {
        "3122_mpc_4.3_00001.fits": 1,
        "a8280271.fits": 1,
        "blank.fits": "NotAnImageError",
        "bpm_fl15_20180731.fits.fz": "NotAnImageError",
        "checksum_false.fits": "BadFitsError",
        "image.fits": 1,
        "j94f05bgq_flt.fits": "NotAnImageError",
        "long.fits": 1,
        "m13.fits": 1,
        "m13_gzip.fits": 1,
        "m13_rice.fits": 1,
        "random_groups.fits": "NotAnImageError",
        "test0.fits": 4,
        "zerowidth.fits": "NotAnImageError",
    },
    "dss-plates": {"HorseHead.fits": 1, "dss.14.29.56-62.41.05.fits.gz": 1, "dss_hd219829.fits": 1},
    "sdss-frame": {"frame-r-001000-1-0100.fits.bz2": 1},
    "decam-saturated": {
        "c4d_181104_072440_ood_g_ls9.S4.fits": "NotAnImageError",
        "c4d_181104_072440_ooi_g_ls9.S4.fits": 1,
        "c4d_181104_072440_oow_g_ls9.S4.fits": "NotAnImageError",
        "c4d_181214_050844_ood_g_ls9.S9.fits": "NotAnImageError",
        "c4d_181214_050844_ooi_g_ls9.S9.fits": 1,
        "c4d_181214_050844_oow_g_ls9.S9.fits": "NotAnImageError",
    },
    "crosssurvey": {"DES_r.fits": 1, "PS1_r.fits": 1, "SDSS_r.fits": 1},
    "twomass-gc": {"gc_2mass_h.fits": 1, "gc_2mass_k.fits": 1},
    "goto-virgo": {"1.fits": 1, "2.fits": 1},
    "goto-zip": {"3.fits": 1, "4.fits": 1},
    "eso085-030": {"aligned_eso085-030-004.fit": 1, "aligned_eso085-030-005.fit": 1},
    "m13-orion": {"M13_blue_0001.fits": 1, "M13_blue_0002.fits": 1},
    "lowell-full": {"20190326.0001.fits.gz": 1, "20190326.0151.fits": 1},
}
REFERENCES = {
    "kb13475": ["AKB13475I0180.fits"],
    "kb13475-reversed": ["AKB13475I0100.fits"],
    "lowell-early": ["20190326.0180.fits", "20190326.0192.fits"],
    "lowell-late": ["20190326.0126.fits", "20190326.0140.fits"],
    "jwst-a2744": ["jw01324001001-01324-o001_t001_nircam_clear-f200w_i2d_stamp.fits"],
    "goto-virgo": ["2.fits"],
    "goto-zip": ["4.fits"],
    "decam-variable": ["DEC-OBS18a.mini.fits", "DEC-OBS18b.mini.fits"],
    "decam-saturated": ["c4d_181104_072440_ooi_g_ls9.S4.fits"],
    "eso085-030": ["aligned_eso085-030-004.fit"],
    "m13-orion": ["M13_blue_0001.fits"],
    "crosssurvey": ["PS1_r.fits"],
    "hostile": [],
}


_INGESTED: dict[str, dict[str, IngestOutcome]] = {}


@pytest.fixture(scope="module")
def surveys(real_data: Path) -> SurveysFile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTRID_REAL_DATA", str(real_data))
        return load_surveys(SURVEYS_FILE)


def _ingested(config: SurveyConfig) -> dict[str, IngestOutcome]:
    """Outcomes of all files of a survey by name; each survey is ingested once."""
    if config.name not in _INGESTED:
        _INGESTED[config.name] = _ingest_all(config)
    return _INGESTED[config.name]


def _ingest_all(config: SurveyConfig) -> dict[str, IngestOutcome]:
    survey = open_survey(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may be printed
        return {
            source.name: ingest_file(source, config, night, 256.0)
            for night in survey.nights()
            for source in survey.files(night)
        }


def _record(surveys: SurveysFile, survey: str, name: str) -> ObservationRecord:
    [record] = _ingested(surveys.surveys[survey])[name].observations
    return record


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_every_file_ends_ingested_or_failed_readably(surveys, name):
    config = surveys.surveys[name]
    found = _ingested(config)
    assert {
        source: type(outcome.error).__name__ if outcome.error else len(outcome.observations)
        for source, outcome in found.items()
    } == OUTCOMES[name]
    assert config.folder is not None
    for source, outcome in found.items():
        path = Path(config.folder.root) / source
        assert outcome.sha256 == sha256_file(path)
        assert (outcome.status == "failed") == (outcome.error is not None)
        if outcome.error is not None:
            assert path.name in outcome.error.message
            assert outcome.error.remedy


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_references_are_the_frames_the_survey_names(surveys, name):
    config = surveys.surveys[name]
    records = [r for outcome in _ingested(config).values() for r in outcome.observations]
    references = [r for r in records if config.is_reference(r.night, r.archive_id)]
    assert sorted(r.archive_id for r in references) == REFERENCES[name]
    science = [r for r in records if r.frame_kind == "science"]
    for reference in references:
        # Every science frame finds a reference of its own field and filter.
        assert {(r.field, r.filter_band) for r in science} == {
            (reference.field, reference.filter_band)
        }


def test_every_configured_survey_opens_and_plans(surveys):
    for config in surveys.surveys.values():
        plan = open_survey(config).plan(surveys.partitions_start)
        assert plan.nights
        assert config.name in plan.describe()


def test_kb13475(surveys):
    found = _ingested(surveys.surveys["kb13475"])
    records = [record for outcome in found.values() for record in outcome.observations]
    assert [str(record.night) for record in records] == [
        "2013-06-27",
        "2013-07-17",
        "2013-07-22",
        "2013-07-30",
        "2013-08-03",
        "2013-08-10",
    ]
    first = records[0]
    assert first.observation_time == _utc("2013-06-27T23:15:42.022500")
    assert (first.gain_e_adu, first.read_noise_e, first.saturation_adu) == (1.9, 5.0, 65000.0)
    assert (first.field, first.filter_band, first.ra) == ("KB13475", "I", None)
    assert {tuple(record.assumed) for record in records} == {()}


def test_lowell_pointing_written_as_text_is_no_wcs(surveys):
    found = _ingested(surveys.surveys["lowell-early"])
    records = [record for outcome in found.values() for record in outcome.observations]
    kinds = [record.frame_kind for record in records]
    assert (kinds.count("bias"), kinds.count("flat"), kinds.count("science")) == (3, 3, 6)
    assert {record.ra for record in records} == {None}
    assert {record.filter_band for record in records if record.frame_kind != "bias"} == {"VR"}
    assert {str(record.night) for record in records} == {"2019-03-25"}
    assert {(r.gain_e_adu, r.read_noise_e) for r in records} == {(4.95, 9.3)}


def test_jwst_epochs_are_half_a_year_apart(surveys):
    found = _ingested(surveys.surveys["jwst-a2744"])
    first, second = (outcome.observations[0] for outcome in found.values())
    assert first.mjd_tai == pytest.approx(59759.4145 + 37 / 86400, abs=1e-3)
    assert second.mjd_tai == pytest.approx(59885.5766 + 37 / 86400, abs=1e-3)
    assert (first.unit, first.gain_e_adu) == ("MJy/sr", None)
    assert (first.ra, first.dec) == (pytest.approx(3.5265, abs=1e-3), pytest.approx(-30.3657, 1e-4))


def test_decam_dates_come_from_the_exposures_names(surveys):
    found = _ingested(surveys.surveys["decam-variable"])
    nights = {name: str(o.observations[0].night) for name, o in found.items()}
    assert nights == {
        "DEC-OBS04a.mini.fits": "2018-08-03",
        "DEC-OBS04b.mini.fits": "2018-08-03",
        "DEC-OBS18a.mini.fits": "2016-08-17",
        "DEC-OBS18b.mini.fits": "2016-08-17",
    }


def test_nothing_is_invented_for_a_header_that_says_nothing(surveys):
    record = _record(surveys, "goto-zip", "3.fits")
    assert (record.observation_time, record.mjd_tai, record.exposure_s) == (None, None, None)
    assert (record.gain_e_adu, record.ra, record.filter_band) == (None, None, "unknown")
    assert set(record.assumed) == {
        "checksums",
        "exposure_s",
        "filter_band",
        "frame_kind",
        "gain_e_adu",
        "observation_time",
        "read_noise_e",
        "saturation_adu",
        "unit",
    }


def test_plates(surveys):
    horse_head = _record(surveys, "dss-plates", "HorseHead.fits")
    assert horse_head.exposure_s == 3900.0
    assert horse_head.observation_time == _utc("1990-12-22T14:21:30")
    assert (horse_head.unit, horse_head.gain_e_adu) == ("density", None)
    assert horse_head.assumed == ["frame_kind", "linearity"]
    palomar = _record(surveys, "dss-plates", "dss_hd219829.fits")
    assert palomar.observation_time is None  # its header says 09:60
    assert palomar.assumed == ["frame_kind", "linearity", "observation_time"]
    assert palomar.field != horse_head.field  # both call their object 'data'


def test_sdss_exposure_is_a_string_and_its_time_tai(surveys):
    record = _record(surveys, "sdss-frame", "frame-r-001000-1-0100.fits.bz2")
    assert record.exposure_s == 53.907456
    assert record.mjd_tai == pytest.approx(4445991495.33 / 86400 + 53.907456 / 2 / 86400, abs=1e-6)
    assert (record.unit, record.zero_point_mag) == ("nanomaggy", 22.5)


def test_wfpc2_extensions_are_separate_fields(surveys):
    records = _ingested(surveys.surveys["hostile"])["test0.fits"].observations
    assert [r.archive_id for r in records] == [f"test0.fits[SCI,{n}]" for n in (1, 2, 3, 4)]
    assert len({r.field for r in records}) == 4
    assert records[0].ra is None  # CTYPE of the first is UNITLESS, LINE
    assert records[1].ra == pytest.approx(215.59, abs=0.01)


def test_the_same_image_in_three_packings_is_one_pointing(surveys):
    found = _ingested(surveys.surveys["hostile"])
    records = [found[f"m13{suffix}.fits"].observations[0] for suffix in ("", "_rice", "_gzip")]
    assert len({(r.field, r.healpix, r.width_pix, r.unit) for r in records}) == 1
    assert len({r.id for r in records}) == 3
