"""The schedule and the failure sensor, by what they do."""

import datetime as dt
import http.server
import json
import threading
from pathlib import Path

import dagster as dg
import pytest
import yaml

from astrid_core.settings import get_settings
from astrid_dagster.schedules import every_noon
from astrid_dagster.sensors import failure_report, report_failed_runs


def surveys_file(folder: Path, nightly: bool, start: str = "2020-01-01", **entry: int) -> Path:
    entry = {"adapter": "simulated", "references": {"name": "set"}, "nightly": nightly, **entry}
    path = folder / "surveys.yaml"
    path.write_text(yaml.safe_dump({"partitions_start": start, "surveys": {"simulated": entry}}))
    return path


def tick(day: int = 12) -> object:
    noon = dt.datetime(2025, 9, day, 12, tzinfo=dt.UTC)
    with dg.build_schedule_context(scheduled_execution_time=noon) as context:
        return every_noon(context)


def test_nightly_surveys_are_asked_for_last_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", str(surveys_file(tmp_path, nightly=True)))
    (request,) = tick()
    assert request.partition_key == "2025-09-11|simulated"
    assert request.run_key == "simulated|2025-09-11"


def test_late_nights_are_asked_for_again_every_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = surveys_file(tmp_path, nightly=True, start="2025-09-09", late_nights=5)
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", str(path))

    first, second = tick(12), tick(13)

    # The nights before partitions_start do not exist.
    nights = [request.partition_key for request in first]
    assert nights == [f"2025-09-{day:02d}|simulated" for day in (11, 10, 9)]
    keys = [request.run_key for request in (*first, *second)]
    assert len(keys) == len(set(keys)) == 7


def test_without_nightly_surveys_the_tick_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", str(surveys_file(tmp_path, nightly=False)))
    assert isinstance(tick(), dg.SkipReason)


@dg.op
def broken() -> None:
    raise ValueError("the disk is full")


@dg.job
def broken_job() -> None:
    broken()


@pytest.fixture
def failed():
    with dg.DagsterInstance.ephemeral() as instance:
        result = broken_job.execute_in_process(instance=instance, raise_on_error=False)
        yield dg.build_run_status_sensor_context(
            sensor_name="report_failed_runs",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()


def test_a_failed_run_is_reported_with_its_error(failed) -> None:
    report = failure_report(failed)
    assert report["job"] == "broken_job"
    assert "the disk is full" in report["text"]
    assert report["run_id"] in report["text"]


def test_a_failed_run_is_posted_where_people_asked(failed, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("DATABASE_URL", "S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"ASTRID_{name}", "unused")
    monkeypatch.setenv("ASTRID_MLFLOW_URI", "unused")
    monkeypatch.setenv("ASTRID_ALERT_URL", f"http://127.0.0.1:{server.server_port}/hook")
    get_settings.cache_clear()
    try:
        report_failed_runs(failed)
    finally:
        get_settings.cache_clear()
        server.shutdown()
    (report,) = received
    assert report["job"] == "broken_job"
    assert "the disk is full" in report["error"]
