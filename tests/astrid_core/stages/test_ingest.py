"""Ingest as a stage: rows and objects of a night's files, whatever the files are called."""

import datetime as dt
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrid_core.errors import AstridError
from astrid_core.stages import ingest as stage
from astrid_core.stages.ingest import ingest_files
from astrid_core.stages.outcome import failure_row
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.protocol import SourceFile, UnfetchedFile

NIGHT = dt.date(2020, 1, 1)
CONFIG = SurveyConfig.model_validate(
    {
        "name": "mine",
        "adapter": "folder",
        "folder": {"root": "/nowhere"},
        "nights": {"all": NIGHT},
        "references": {"name": "none"},
    }
)


def _source(folder: Path, name: bytes = b"a.fits", shown: str = "a.fits") -> SourceFile:
    path = folder / os.fsdecode(name)
    sky = np.random.default_rng(4).normal(100, 5, (16, 20)).astype(np.float32)
    fits.PrimaryHDU(sky).writeto(path)
    return SourceFile(shown, path)


def test_a_name_that_is_listed_twice_costs_the_second_file_only(tmp_path):
    source = _source(tmp_path)
    gone = UnfetchedFile("a.fits", AstridError("It did not come."))
    outcomes = list(ingest_files(CONFIG, NIGHT, [source, source, gone], 1.0))
    assert [outcome.row["status"] for outcome in outcomes] == ["completed", "failed", "failed"]
    assert [outcome.row["source"] for outcome in outcomes] == ["a.fits", "a.fits (2)", "a.fits (3)"]
    assert "more than once" in outcomes[1].row["error_message"]
    assert len({outcome.row["run_id"] for outcome in outcomes}) == 3
    assert sum(len(outcome.children) for outcome in outcomes) == 1


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        (b"a.S4.fits.gz", ".fits.gz"),
        (b"c4d.S4.fits", ".S4.fits"),
        (b"a.<script>.fits", ".fits"),
        (b"a.\x01\n.fits", ".fits"),
        (b"a." + b"b" * 240 + b".fits", ".fits"),
        (b"\xff.fits", ".fits"),
    ],
)
def test_keys_hold_nothing_of_a_name_that_stores_may_not_take(tmp_path, name, suffix):
    [outcome] = ingest_files(CONFIG, NIGHT, [_source(tmp_path, name)], 1.0)
    assert outcome.staged is not None
    assert outcome.staged.key == f"raw_frames/mine/2020-01-01/{outcome.row['run_id']}{suffix}"


def test_a_name_that_no_index_takes_fails_its_file(tmp_path):
    [outcome] = ingest_files(CONFIG, NIGHT, [_source(tmp_path, shown="a/" * 600)], 1.0)
    assert outcome.row["error_type"] == "BadFitsError"
    assert "name of 1200 characters" in outcome.row["error_message"]


def test_what_nobody_foresaw_costs_one_file(tmp_path, monkeypatch):
    def fails(*_: object) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(stage, "ingest_file", fails)
    [outcome] = ingest_files(CONFIG, NIGHT, [_source(tmp_path)], 1.0)
    assert outcome.row["error_type"] == "RuntimeError"
    assert "nobody foresaw it" in outcome.row["error_message"]
    assert not outcome.children


def test_messages_are_text_that_everything_takes():
    row = failure_row({}, AstridError("Of \x1b[2J\0\ud800é" + "x" * 9000))
    assert row["error_message"].startswith(r"Of \x1b[2J\x00\ud800éxxx")
    assert len(row["error_message"]) == 4000
