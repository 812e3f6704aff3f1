"""Real telescope images through the deployed graph: events found where they are known to be."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astrid_core.identity import sha256_file, survey_id
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    IngestRun,
    Observation,
    PreprocessRun,
)
from tests.conftest import REAL_DATA_VARIABLE, REPOSITORY, S3Store
from tests.deployment import Deployment, deploy

# One fixture takes all data sets through the pipeline: minutes on a busy machine.
pytestmark = [pytest.mark.real_data, pytest.mark.timeout(900)]

SURVEYS = ("kb13475:2013-08-03", "kb13475-reversed:2013-08-10", "lowell-early", "hostile")
"""Of the microlensing event only the nights of its peak and near its baseline."""
PEAK, BASELINE = "AKB13475I0100", "AKB13475I0180"


@dataclass(frozen=True)
class Found:
    """What the deployment's tables say after the surveys' nights."""

    deployment: Deployment
    truth: dict[str, Any]

    def rows(self, table: type, survey: str) -> dict[str, list[dict]]:
        """Rows of a table that belong to a survey, by the observation's file name."""
        names = {
            row["id"]: Path(row["archive_id"]).name
            for row in self.deployment.rows(Observation)
            if row["survey_id"] == survey_id(survey)
        }
        differences = {
            row["run_id"]: row["observation_id"] for row in self.deployment.rows(DifferenceRun)
        }
        found: dict[str, list[dict]] = {name: [] for name in names.values()}
        for row in self.deployment.rows(table):
            observation = row.get("observation_id") or differences.get(row.get("difference_run_id"))
            if observation in names:
                found[names[observation]].append(row)
        return found


@pytest.fixture(scope="module")
def found(
    real_data: Path, postgres_server: EmbeddedPostgres, s3: S3Store, empty_mlflow: Path
) -> Iterator[Found]:
    """The surveys taken from files to detections, in a process of their own."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.ensure_database(name)
    surveys_file = REPOSITORY / "tests" / "real_surveys.yaml"
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        deploy(
            postgres_server.url_of(name), s3, Path(folder), surveys_file, empty_mlflow
        ) as deployment,
    ):
        patch.setenv(REAL_DATA_VARIABLE, str(real_data))
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.nights", *SURVEYS],
            cwd=REPOSITORY,
            env=dict(os.environ),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        yield Found(deployment, json.loads((real_data / "truth.json").read_text()))
    postgres_server.drop_database(name)


def nearest(rows: list[dict], place: dict[str, float]) -> tuple[dict, float]:
    """The row nearest a place, and its distance in pixels."""
    distance = [np.hypot(row["x_pix"] - place["x"], row["y_pix"] - place["y"]) for row in rows]
    return rows[int(np.argmin(distance))], min(distance)


@pytest.mark.parametrize(
    ("survey", "name", "is_negative"),
    [("kb13475", PEAK, False), ("kb13475-reversed", BASELINE, True)],
)
def test_the_microlensing_event_is_the_strongest_detection_with_its_sign(
    found: Found, survey: str, name: str, is_negative: bool
) -> None:
    place = found.truth["kb13475-saao1m"]["frames"][name]
    candidates = found.rows(Candidate, survey)[f"{name}.fits"]
    event, distance_pix = nearest(candidates, place)
    assert distance_pix < 1.0
    assert event["is_negative"] == is_negative
    assert abs(event["scorr_peak"]) == max(abs(row["scorr_peak"]) for row in candidates)
    detections = found.rows(Detection, survey)[f"{name}.fits"]
    (judged,) = [row for row in detections if row["candidate_id"] == event["id"]]
    assert judged["confidence_score"] > 0.9


def test_the_asteroid_is_found_in_calibrated_frames(found: Found) -> None:
    """Calibrated with the night's own bias and flats; the last two frames are the reference."""
    frames = found.truth["lowell42-asteroid5945/crop"]["frames"]
    calibrated = found.rows(PreprocessRun, "lowell-early")
    candidates = found.rows(Candidate, "lowell-early")
    n_found = 0
    for number in ("0126", "0140", "0151", "0165"):
        name = f"20190326.{number}.fits"
        assert len(calibrated[name][0]["calibration_ids"]) >= 6
        positive = [row for row in candidates[name] if not row["is_negative"]]
        if positive:
            n_found += nearest(positive, frames[number])[1] < 2.0
    assert n_found >= 3


def test_every_hostile_file_is_a_row_and_what_was_stored_is_the_file(
    found: Found, real_data: Path
) -> None:
    files = {path.name: path for path in (real_data / "hostile").iterdir() if path.is_file()}
    runs = [r for r in found.deployment.rows(IngestRun) if r["survey_id"] == survey_id("hostile")]
    assert {Path(run["source"]).name for run in runs} == set(files)
    for run in runs:
        if run["status"] == "failed":
            assert run["error_type"].endswith("Error")
            assert Path(run["source"]).name in run["error_message"]
        else:
            assert run["sha256"] == sha256_file(files[Path(run["source"]).name])
    stored = found.rows(Observation, "hostile")
    assert sum(map(len, found.rows(PreprocessRun, "hostile").values())) == len(stored)


def test_no_frame_ends_without_a_row_and_no_failure_without_its_reason(found: Found) -> None:
    for survey in (name.partition(":")[0] for name in SURVEYS):
        for table in (PreprocessRun, DifferenceRun):
            for name, rows in found.rows(table, survey).items():
                for row in rows:
                    if row["status"] == "failed":
                        assert row["error_type"], name
                        assert "Unexpected" not in row["error_message"], row["error_message"]
