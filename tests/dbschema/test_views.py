"""The views that name what is current, on a real server."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select

from dbschema.models import (
    Base,
    DifferenceRun,
    ExtractionRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    Survey,
)
from dbschema.session import make_engine
from dbschema.views import (
    current_difference_runs,
    current_extraction_runs,
    current_model_runs,
    current_preprocess_runs,
    current_reference_frames,
    observation_status,
)
from tests import rows

EARLY, LATE = (dt.datetime(2026, 9, day, tzinfo=dt.UTC) for day in (2, 3))


@pytest.fixture
def connection(migrated_url: str) -> Iterator[Connection]:
    engine = make_engine(migrated_url)
    with engine.begin() as connection:
        connection.execute(insert(Survey), [rows.survey_row()])
        yield connection
    engine.dispose()


def add(connection: Connection, table: type[Base], *values: rows.Row) -> None:
    for row in values:
        connection.execute(insert(table).values(**row))


def current(connection: Connection, view: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(view)).mappings()]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["completed", "completed"], 1),
        (["degraded", "failed"], 0),
        (["failed", "completed"], 1),
        (["failed", "failed"], 1),
        (["completed", "degraded"], 1),
    ],
)
def test_newest_good_run_is_current_else_the_newest_failed(
    connection: Connection, statuses: list[str], expected: int
) -> None:
    observation = rows.observation_row(1)
    add(connection, Observation, observation)
    runs = [
        rows.preprocess_row(observation, str(version), status=status, selected_at=when)
        for version, (status, when) in enumerate(zip(statuses, (EARLY, LATE), strict=True))
    ]
    add(connection, PreprocessRun, *runs)
    (row,) = current(connection, current_preprocess_runs)
    assert row["run_id"] == runs[expected]["run_id"]
    assert row["observation_id"] == observation["id"]


def test_selecting_an_older_run_again_makes_it_current(connection: Connection) -> None:
    observation = rows.observation_row(1)
    add(connection, Observation, observation)
    old = rows.preprocess_row(observation, "1", created_at=EARLY, selected_at=LATE)
    new = rows.preprocess_row(observation, "2", created_at=LATE, selected_at=EARLY)
    add(connection, PreprocessRun, old, new)
    assert current(connection, current_preprocess_runs)[0]["run_id"] == old["run_id"]


def test_references_by_set_field_and_filter(connection: Connection) -> None:
    good = rows.reference_row("F0", version="1", selected_at=EARLY)
    degraded = rows.reference_row("F0", version="2", status="degraded", selected_at=LATE)
    failed = rows.reference_row("F0", version="3", status="failed", selected_at=LATE)
    only_degraded = rows.reference_row("F1", status="degraded")
    only_failed = rows.reference_row("F2", status="failed")
    other_set = rows.reference_row("F0", version="4") | {"set_name": "shallow"}
    add(connection, ReferenceFrame, good, degraded, failed, only_degraded, only_failed, other_set)
    assert rows.ids(current(connection, current_reference_frames)) == rows.ids(
        [good, only_degraded, other_set]
    )


def test_status_is_that_of_the_furthest_stage(connection: Connection) -> None:
    raw, failed, subtracted, judged = observations = [rows.observation_row(i) for i in range(4)]
    add(connection, Observation, *observations)
    add(connection, PreprocessRun, rows.preprocess_row(failed, status="failed"))
    processed = rows.preprocess_row(subtracted)
    add(connection, PreprocessRun, processed)
    add(connection, DifferenceRun, rows.difference_row(processed, status="no_reference"))
    model = rows.model_row()
    add(connection, Model, model)
    processed = rows.preprocess_row(judged)
    difference = rows.difference_row(processed, status="degraded")
    judgement = rows.model_run_row(difference, model)
    add(connection, PreprocessRun, processed)
    add(connection, DifferenceRun, difference)
    add(connection, ExtractionRun, rows.extraction_row(difference))
    found = {row["observation_id"]: row for row in current(connection, observation_status)}
    assert found[judged["id"]]["stage"] == "extraction"
    add(connection, ModelRun, judgement)
    found = {row["observation_id"]: row for row in current(connection, observation_status)}
    assert {key: (row["stage"], row["status"]) for key, row in found.items()} == {
        raw["id"]: ("ingest", "completed"),
        failed["id"]: ("preprocess", "failed"),
        subtracted["id"]: ("difference", "no_reference"),
        judged["id"]: ("model", "completed"),
    }
    assert found[failed["id"]]["error_type"] == "BadFitsError"
    assert found[judged["id"]]["run_id"] == judgement["run_id"]


def test_judgements_outlive_a_newer_difference_image_searches_do_not(
    connection: Connection,
) -> None:
    observation, model = rows.observation_row(1), rows.model_row()
    processed = rows.preprocess_row(observation)
    old = rows.difference_row(processed, "1", selected_at=EARLY)
    add(connection, Observation, observation)
    add(connection, Model, model)
    add(connection, PreprocessRun, processed)
    add(connection, DifferenceRun, old)
    add(connection, ExtractionRun, rows.extraction_row(old))
    judged = rows.model_run_row(old, model)
    add(connection, ModelRun, judged)
    new = rows.difference_row(processed, "2", selected_at=LATE)
    add(connection, DifferenceRun, new)
    assert current(connection, current_difference_runs)[0]["run_id"] == new["run_id"]
    assert current(connection, current_extraction_runs) == []
    assert rows.ids(current(connection, current_model_runs)) == [judged["run_id"]]
