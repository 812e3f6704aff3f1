"""The simulated survey as an archive: lazy, reproducible, ingestible, silent on the truth."""

import datetime as dt
import os
import signal
from functools import partial

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.errors import ConfigurationError, WorkerDiedError
from astrid_core.identity import sha256_file
from astrid_core.parallel import IN_THIS_PROCESS, FramePool
from astrid_core.simulation.config import FILTERS
from astrid_core.simulation.scene import render_exposure
from astrid_core.simulation.survey import SimulatedSurvey, archive_name, parse_archive_name
from astrid_core.surveys.config import ReferenceSet, SurveyConfig, load_surveys
from astrid_core.surveys.ingest import ingest_file
from astrid_core.surveys.protocol import SourceFile, Survey, UnfetchedFile
from astrid_core.surveys.registry import open_survey

NIGHT = dt.date(2025, 9, 11)


def survey_config(**options: object) -> SurveyConfig:
    simulated = {"n_fields": 2, "shape": (128, 160), **options}
    return SurveyConfig(
        name="sky",
        adapter="simulated",
        longitude_deg=-70.8,
        references=ReferenceSet(name="a"),
        simulated=simulated,
    )


class DiesOnTheSecond(FramePool):
    """A pool of one process, which the second exposure kills whenever it is tried."""

    def __init__(self) -> None:
        super().__init__(workers=1)

    def map(self, function, items):
        return super().map(partial(render_or_die, render=function), items)


def render_or_die(exposure, render):
    if exposure[0] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return render(exposure)


def test_files_are_rendered_one_at_a_time_and_removed() -> None:
    survey = SimulatedSurvey(survey_config())
    paths, names = [], []
    for source in survey.files(NIGHT):
        assert source.path.exists()
        assert all(not path.exists() for path in paths)
        paths.append(source.path)
        names.append(source.name)
    assert names == ["sim-f00-20250911-r.fits", "sim-f01-20250911-r.fits"]
    assert not paths[-1].parent.exists()


def test_processes_render_the_same_files() -> None:
    def digests(pool: FramePool) -> dict[str, str]:
        files = SimulatedSurvey(survey_config(n_fields=5), pool).files(NIGHT)
        return {file.name: sha256_file(file.path) for file in files}

    alone = digests(IN_THIS_PROCESS)
    assert list(digests(FramePool(workers=2)).items()) == list(alone.items())
    assert len(set(alone.values())) == 5


def test_an_exposure_whose_process_dies_is_a_file_that_did_not_come() -> None:
    files = SimulatedSurvey(survey_config(n_fields=3), DiesOnTheSecond()).files(NIGHT)
    first, second, third = ((file, type(file)) for file in files)
    assert (first[1], third[1]) == (SourceFile, SourceFile)
    assert isinstance(second[0], UnfetchedFile)
    assert second[0].name == "sim-f01-20250911-r.fits"
    assert isinstance(second[0].error, WorkerDiedError)


def test_leaving_early_removes_the_folder_too() -> None:
    files = SimulatedSurvey(survey_config()).files(NIGHT)
    path = next(files).path
    files.close()
    assert not path.parent.exists()


def test_bytes_are_reproducible_and_hold_the_exposure() -> None:
    survey = SimulatedSurvey(survey_config())
    digests = [[sha256_file(f.path) for f in survey.files(NIGHT)] for _ in range(2)]
    assert digests[0] == digests[1]
    source = next(files := survey.files(NIGHT))
    with fits.open(source.path, checksum=True) as hdus:
        assert np.array_equal(hdus[0].data, render_exposure(survey.scene, 0, NIGHT).adu)
        assert len(hdus) == 1
    files.close()


def test_unknown_night_is_empty() -> None:
    assert list(SimulatedSurvey(survey_config()).files(dt.date(1999, 1, 1))) == []


def test_it_is_a_survey_and_its_files_are_ingested() -> None:
    config = survey_config(filters=("r", "g"))
    survey = open_survey(config)
    assert isinstance(survey, Survey)
    assert survey.config is config
    assert len(survey.nights()) == 7
    for night in (survey.nights()[0], survey.nights()[-1]):
        outcomes = [ingest_file(file, config, night, 256.0) for file in survey.files(night)]
        assert len(outcomes) == 4
        for outcome in outcomes:
            assert outcome.error is None
            record = outcome.observations[0]
            assert record.night == night
            assert record.frame_kind == "science"
            assert record.gain_e_adu == survey.scene.gain_e_adu
            assert record.ra is not None
            assert not record.assumed


def test_packaged_survey_opens_with_ten_fields() -> None:
    survey = open_survey(load_surveys().surveys["simulated"])
    assert isinstance(survey, SimulatedSurvey)
    assert survey.scene.n_fields >= 10
    assert survey.scene.longitude_deg == survey.config.longitude_deg
    references = [night for night in survey.nights() if survey.config.is_reference(night, "x")]
    assert references == list(survey.scene.reference_nights)


def test_wrong_options_name_survey_and_key() -> None:
    with pytest.raises(ConfigurationError, match=r"'sky'.*n_feelds"):
        SimulatedSurvey(survey_config(n_feelds=3))


@given(
    field=st.integers(0, 199),
    night=st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
    band=st.sampled_from(FILTERS),
)
def test_archive_names_are_read_back(field: int, night: dt.date, band: str) -> None:
    assert parse_archive_name(archive_name(field, night, band)) == (field, night, band)


@given(st.text(max_size=40))
def test_other_names_are_not_ours(name: str) -> None:
    parsed = parse_archive_name(name)
    assert parsed is None or archive_name(*parsed) == name.split("[", 1)[0]


def test_impossible_dates_are_not_ours() -> None:
    assert parse_archive_name("sim-f01-20251345-r.fits") is None
