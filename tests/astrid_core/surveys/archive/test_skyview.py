"""SkyView: images for display, marked as such, which no reference is made of."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.errors import DownloadError
from astrid_core.frame import write_frame
from astrid_core.identity import sha256_file
from astrid_core.simulation.pair import PairConfig, simulate_pair
from astrid_core.stages.bench import Bench
from astrid_core.stages.difference import DifferenceTask, difference
from astrid_core.stages.ingest import ingest_night
from astrid_core.stages.reference import plan_references, reference
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.ingest import LINEARITY
from astrid_core.surveys.protocol import SourceFile
from astrid_core.surveys.registry import open_survey
from tests.archive_server import ArchiveServer, html
from tests.archives import options, tiny_fits
from tests.conftest import S3Store

FORM = "/current/cgi/runquery.pl"
NIGHT = dt.date(2020, 1, 1)


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        server.put(FORM, tiny_fits(1), etag=False, ranges=False)
        yield server


def config_of(archive: ArchiveServer, cache: Path, **skyview: Any) -> SurveyConfig:
    given = {
        "url": archive.url(FORM),
        "surveys": ["DSS2 Red", "SDSSr"],
        "cutouts": [{"field": "m51", "ra": 202.4696, "dec": 47.1952}],
        "pixels": 300,
        "scale_arcsec": 1.5,
        "night": NIGHT,
    }
    return SurveyConfig.model_validate(
        {
            "name": "finding-charts",
            "adapter": "skyview",
            "references": {"name": "none"},
            "archive": options(archive, cache, attempts=2).model_dump(mode="json"),
            "skyview": given | skyview,
        }
    )


def test_an_image_of_every_survey_and_place_comes(archive: ArchiveServer, tmp_path: Path) -> None:
    survey = open_survey(config_of(archive, tmp_path))

    assert survey.nights() == [NIGHT]
    files = list(survey.files(NIGHT))

    assert [file.name for file in files] == [
        "DSS2_Red/m51_300px_1.5as.fits",
        "SDSSr/m51_300px_1.5as.fits",
    ]
    assert all(isinstance(f, SourceFile) and f.path.read_bytes() == tiny_fits(1) for f in files)
    red, _ = sorted(archive.log, key=lambda asked: asked.one("survey"))
    asked = {
        name: red.one(name)
        for name in ("Survey", "Position", "Coordinates", "Pixels", "Size", "Return")
    }
    assert asked == {
        "Survey": "DSS2 Red",
        "Position": "202.4696000,47.1952000",
        "Coordinates": "ICRS",
        "Pixels": "300",
        "Size": "0.125",
        "Return": "FITS",
    }


def test_a_second_run_asks_for_nothing(archive: ArchiveServer, tmp_path: Path) -> None:
    config = config_of(archive, tmp_path)
    list(open_survey(config).files(NIGHT))

    assert len(list(open_survey(config).files(NIGHT))) == 2
    assert len(archive.log) == 2


def test_another_night_has_nothing(archive: ArchiveServer, tmp_path: Path) -> None:
    assert list(open_survey(config_of(archive, tmp_path)).files(dt.date(2020, 1, 2))) == []


def test_a_survey_that_skyview_does_not_have_is_a_failed_row(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    archive.always(FORM, html)

    outcomes = list(ingest_night(open_survey(config_of(archive, tmp_path)), NIGHT, 4.0))

    assert {outcome.row["status"] for outcome in outcomes} == {"failed"}
    assert {outcome.row["error_type"] for outcome in outcomes} == {DownloadError.__name__}
    assert "answers an HTML page instead of the FITS file" in outcomes[0].row["error_message"]
    assert not any(outcome.children for outcome in outcomes)


# --- for display only -------------------------------------------------------------------------


def test_its_observations_are_marked(archive: ArchiveServer, tmp_path: Path) -> None:
    [first, _] = ingest_night(open_survey(config_of(archive, tmp_path)), NIGHT, 4.0)

    [child] = first.children
    assert LINEARITY in child["assumed"]
    assert child["field"] == "field-1"  # as its header says


@pytest.mark.parametrize("names", [{"nights": ["2020-01-01"]}, {"include": ["*"]}])
def test_it_can_name_no_references(
    archive: ArchiveServer, tmp_path: Path, names: dict[str, Any]
) -> None:
    given = config_of(archive, tmp_path).model_dump(mode="json", exclude_none=True)

    with pytest.raises(ValueError, match="a survey for display has no references"):
        SurveyConfig.model_validate(given | {"references": {"name": "set", **names}})


def test_a_marked_frame_is_refused_by_references_and_differences(
    tmp_path: Path, s3_empty: S3Store
) -> None:
    """However it got there: a reference named by hand, a file of another survey's folder."""
    pair = simulate_pair(PairConfig(shape=(128, 128)))
    meta = replace(pair.reference.meta, assumed=(LINEARITY,))
    path = tmp_path / "plate.fits"
    write_frame(replace(pair.reference, meta=meta), path)
    store = s3_empty.open()
    store.put_file("processed_frames/plate.fits", path)
    run = {
        "run_id": uuid4(),
        "observation_id": uuid4(),
        "archive_id": "plate.fits",
        "night": NIGHT,
        "field": "f",
        "filter_band": "r",
        "status": "completed",
        "fwhm_pix": 2.5,
        "depth_flux": 1.0,
        "ellipticity": 0.0,
        "masked_fraction": 0.0,
        "processed_fits_path": "processed_frames/plate.fits",
        "sha256": sha256_file(path),
    }
    [task] = plan_references("mine", "set", [run], [], ReferenceConfig())

    outcome = reference(task, Bench(store, tmp_path, 4.0))

    assert outcome.row["status"] == "failed"
    assert outcome.row["error_type"] == "WrongSurveyError"
    assert "is for display only" in outcome.row["error_message"]
    assert outcome.staged is None

    science = DifferenceTask("mine", run, run, {"run_id": uuid4()}, DifferenceConfig())
    outcome = difference(science, Bench(store, tmp_path, 4.0))
    assert outcome.row["error_type"] == "WrongSurveyError"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cutouts": []}, "at least 1 item"),
        ({"surveys": ["DSS2 Red", "DSS2_Red"]}, "same file name"),
        ({"pixels": 5}, "greater than or equal to 16"),
        ({"cutouts": [{"field": "../up", "ra": 1, "dec": 2}]}, "should match pattern"),
    ],
)
def test_options_are_validated(
    archive: ArchiveServer, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        config_of(archive, tmp_path, **changes)
