"""Logs: what lines are about is in them, in workers too, and no secret is."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from astrid_core import logs
from astrid_core.parallel import map_frames
from tests.conftest import REPOSITORY


@dataclass(frozen=True)
class Task:
    row: dict[str, str]


def work(task: Task) -> str:
    """Worker: say something."""
    logging.getLogger("astrid_core.stage").warning("looked at %s", task.row["name"])
    return task.row["name"]


def written(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("astrid.x", logging.WARNING, "f", 1, message, arguments, None)
    record.__dict__.update(extra)
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_says_what_it_is_about() -> None:
    with logs.about(survey="sim", night="2026-09-01"), logs.about(observation_id="o", field=None):
        line = written("%d frames\nof a night", 3, fields={"took_ms": 12})
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "astrid.x",
        "message": "3 frames\nof a night",
        "survey": "sim",
        "night": "2026-09-01",
        "observation_id": "o",
        "took_ms": 12,
    }
    assert "survey" not in written("afterwards")


def test_what_it_is_about_cannot_take_the_place_of_what_it_says() -> None:
    with logs.about(message="forged", level="debug"):
        assert written("true")["message"] == "true"


def test_an_error_is_told_with_its_traceback() -> None:
    try:
        raise ValueError("postgresql://me:hunter2@db/astrid is wrong")
    except ValueError:
        line = written("failed", exc_info=sys.exc_info())
    assert "ValueError" in str(line["error"])
    assert "hunter2" not in str(line["error"])


@pytest.mark.parametrize(
    "text",
    [
        "connecting to postgresql+psycopg://astrid:hunter2@127.0.0.1:5432/astrid failed",
        "Authorization: Bearer hunter2",
        "GET /sign-in?link=hunter2&next=/review",
        "{'token=hunter2'}",
        "https://s3/bucket/key?X-Amz-Signature=hunter2&X-Amz-Date=1",
        "smtp://user:hunter2@mail",
    ],
)
def test_secrets_are_taken_out_of_lines_of_either_form(text: str) -> None:
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "%s", (text,), None)
    for formatter in (logs.JsonFormatter(), logs.TextFormatter()):
        line = formatter.format(record)
        assert "hunter2" not in line
        assert "***" in line
    assert "hunter2" not in str(written("x", fields={"said": text}))


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8000/detections", "ratio 3:4@2", "s3://astrid/raw_frames/a.fits"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.without_secrets(text) == text


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("form", ["json", "text", "nonsense"])
def test_lines_of_workers_know_run_and_observation(workers: str, form: str) -> None:
    script = f"from tests.astrid_core.test_logs import main; main({workers})"
    command = [sys.executable, "-c", script]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), logs.FORMAT_VARIABLE: form}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = ran.stderr.splitlines()
    assert len(lines) == 3
    if form != "json":
        assert all("WARNING astrid_core.stage: looked at" in line for line in lines)
        return
    said = sorted((json.loads(line) for line in lines), key=lambda line: line["message"])
    assert [line["observation_id"] for line in said] == ["0", "1", "2"]
    assert {(line["run_id"], line["survey"]) for line in said} == {("run", "sim")}


def main(workers: int) -> None:
    """Three frames, in worker processes or here."""
    logs.set_up()
    tasks = [Task({"name": f"frame {i}", "observation_id": str(i)}) for i in range(3)]
    with logs.about(run_id="run", survey="sim"):
        assert len(list(map_frames(work, tasks, workers))) == 3
