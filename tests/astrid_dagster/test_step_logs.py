"""Lines of Dagster's steps as JSON: Dagster's own and ours, with what they are about."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg

from astrid_core.logs import FORMAT_VARIABLE
from astrid_dagster.logs import set_up_logs, step_fields
from tests.conftest import REPOSITORY

NIGHTS = dg.MultiPartitionsDefinition(
    {
        "survey": dg.StaticPartitionsDefinition(["sim"]),
        "night": dg.StaticPartitionsDefinition(["2026-09-01"]),
    }
)


@dg.asset(partitions_def=NIGHTS)
def frames(context: dg.AssetExecutionContext) -> Iterator[dg.Output[int]]:
    """Says something by Dagster's log, and by Python's."""
    context.log.info("by Dagster's log")
    logging.getLogger("astrid_core.stage").info("by our own")
    yield dg.Output(1)
    logging.getLogger("astrid_core.stage").warning("after the output")


def run() -> None:
    """Materialize it here."""
    set_up_logs()
    key = dg.MultiPartitionKey({"survey": "sim", "night": "2026-09-01"})
    assert dg.materialize([frames], partition_key=key).success


def lines_of(form: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.astrid_dagster.test_step_logs"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), FORMAT_VARIABLE: form},
        check=True,
    )
    return ran.stderr.splitlines()


def test_every_line_is_json_and_knows_run_survey_and_night() -> None:
    said = [json.loads(line) for line in lines_of("json")]
    ours = {line["message"]: line for line in said if line["logger"] == "astrid_core.stage"}
    assert set(ours) == {"by our own", "after the output"}
    (by_dagster,) = [line for line in said if "by Dagster's log" in line["message"]]
    for line in (*ours.values(), by_dagster):
        assert line["survey"] == "sim"
        assert line["night"] == "2026-09-01"
        assert line["step"] == "frames"
        assert line["run_id"] == by_dagster["run_id"]
    assert any("RUN_SUCCESS" in line["message"] for line in said)


def test_a_tick_of_a_sensor_has_no_run_and_is_logged() -> None:
    record = logging.LogRecord("dagster", logging.INFO, "f", 1, "No new verdict.", (), None)
    record.__dict__["dagster_meta"] = {"repository_name": "r", "name": "refresh_labels"}
    assert step_fields(record) == {"tick": "refresh_labels"}


def test_as_text_it_is_as_dagster_has_it() -> None:
    lines = lines_of("text")
    assert any("dagster - INFO" in line and "by Dagster's log" in line for line in lines)
    assert not any("by our own" in line for line in lines), "its level is above that by default"


if __name__ == "__main__":
    run()
