"""Bulk upsert on a real server: which column is whose."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select, text

from astrid_core.errors import ConfigurationError
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from dbschema.models import (
    Base,
    Candidate,
    DetectionConsensus,
    DifferenceRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    Survey,
    ValidationEvent,
)
from tests import rows

OBSERVATION = rows.observation_row(1)
PROCESSED = rows.preprocess_row(OBSERVATION)
DIFFERENCE = rows.difference_row(PROCESSED)
BASE = [
    TableRows(Survey, [rows.survey_row()]),
    TableRows(Observation, [OBSERVATION]),
    TableRows(PreprocessRun, [PROCESSED]),
    TableRows(DifferenceRun, [DIFFERENCE]),
]


def write(engine: Engine, *values: TableRows) -> None:
    with engine.begin() as connection:
        for one in values:
            upsert(connection, one)


def read(engine: Engine, table: type[Base]) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        query = select(table.__table__).order_by(*table.__table__.primary_key.columns)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_writing_again_changes_nothing_but_the_selection(engine: Engine) -> None:
    write(engine, *BASE)
    first = {one.table: read(engine, one.table) for one in BASE}
    write(engine, *BASE)
    for table, before in first.items():
        (old,), (new,) = before, read(engine, table)
        selected = new.pop("selected_at", None), old.pop("selected_at", None)
        assert new == old
        if selected[0] is not None:
            assert selected[0] > selected[1]


def test_a_row_is_the_whole_truth_about_machine_columns(engine: Engine) -> None:
    write(engine, *BASE)
    failed = rows.preprocess_row(OBSERVATION, status="failed", error_message="no stars")
    write(engine, TableRows(PreprocessRun, [failed]))
    assert read(engine, PreprocessRun)[0]["error_message"] == "no stars"
    assert read(engine, PreprocessRun)[0]["processed_fits_path"] is None
    write(engine, TableRows(PreprocessRun, [PROCESSED]))
    (row,) = read(engine, PreprocessRun)
    assert (row["status"], row["error_type"], row["error_message"]) == ("completed", None, None)


def test_a_failed_frame_beside_completed_ones_gets_the_defaults_it_leaves_out(
    engine: Engine,
) -> None:
    """A night lost all its rows when one of its frames had failed."""
    observations = [rows.observation_row(number) for number in (1, 2, 3)]
    degraded, completed, failed = map(rows.preprocess_row, observations)
    degraded |= {"status": "degraded", "degraded_because": ["undersampled"]}
    failed |= {"status": "failed", "error_type": "TooFewStarsError"}
    failed.pop("degraded_because", None)
    failed.pop("fwhm_pix")
    write(engine, BASE[0], TableRows(Observation, observations))
    for _ in range(2):
        write(engine, TableRows(PreprocessRun, [degraded, failed, completed]))
        found = {row["run_id"]: row for row in read(engine, PreprocessRun)}
        assert found[degraded["run_id"]]["degraded_because"] == ["undersampled"]
        assert found[failed["run_id"]]["degraded_because"] == []
        assert found[failed["run_id"]]["fwhm_pix"] is None
        assert found[completed["run_id"]]["fwhm_pix"] == completed["fwhm_pix"]


def test_duration_is_kept_where_none_is_given(engine: Engine) -> None:
    write(engine, *BASE)
    for again in (
        PROCESSED | {"wall_s": None},
        {k: v for k, v in PROCESSED.items() if k != "wall_s"},
    ):
        write(engine, TableRows(PreprocessRun, [again]))
        assert read(engine, PreprocessRun)[0]["wall_s"] == 1.5
    write(engine, TableRows(PreprocessRun, [PROCESSED | {"wall_s": 2.5}]))
    assert read(engine, PreprocessRun)[0]["wall_s"] == 2.5


def test_rows_read_from_the_table_can_be_written_again(engine: Engine) -> None:
    write(engine, *BASE)
    (before,) = read(engine, PreprocessRun)
    write(engine, TableRows(PreprocessRun, [before]))
    (after,) = read(engine, PreprocessRun)
    assert after.pop("selected_at") > before.pop("selected_at")
    assert after == before


def test_children_no_longer_found_are_superseded_and_come_back(engine: Engine) -> None:
    other_observation = rows.observation_row(2)
    other_processed = rows.preprocess_row(other_observation)
    other = rows.difference_row(other_processed)
    write(engine, *BASE)
    write(
        engine,
        TableRows(Observation, [other_observation]),
        TableRows(PreprocessRun, [other_processed]),
        TableRows(DifferenceRun, [other]),
    )
    a, b = (rows.candidate_row(DIFFERENCE, x, 5.0) for x in (10.0, 20.0))
    elsewhere = rows.candidate_row(other, 10.0, 5.0)
    write(engine, TableRows(Candidate, [a, b, elsewhere]))

    def statuses(*found: rows.Row) -> dict[UUID, str]:
        parents = [DIFFERENCE["run_id"]]
        write(engine, TableRows(Candidate, found, "difference_run_id", parents))
        return {row["id"]: row["status"] for row in read(engine, Candidate)}

    assert statuses(a) == {a["id"]: "active", b["id"]: "superseded", elsewhere["id"]: "active"}
    assert statuses() == {a["id"]: "superseded", b["id"]: "superseded", elsewhere["id"]: "active"}
    assert statuses(a, b) == {a["id"]: "active", b["id"]: "active", elsewhere["id"]: "active"}


def test_reports_what_it_did(engine: Engine) -> None:
    write(engine, *BASE)
    a, b = (rows.candidate_row(DIFFERENCE, x, 5.0) for x in (10.0, 20.0))
    parents = [DIFFERENCE["run_id"]]
    with engine.begin() as connection:
        upsert(connection, TableRows(Candidate, [a, b]))
        done = upsert(connection, TableRows(Candidate, [b], "difference_run_id", parents))
    assert (done.table, done.n_rows, done.n_superseded) == ("candidates", 1, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (TableRows(Survey, [rows.survey_row() | {"colour": 1}]), "no column colour"),
        (TableRows(Survey, [{"id": UUID(int=1), "name": "x"}]), "lack adapter, config"),
        (TableRows(Survey, [rows.survey_row(), {"id": UUID(int=1)}]), "Some rows of surveys lack"),
        (TableRows(Survey, [rows.survey_row(), rows.survey_row()]), "Two rows of surveys"),
        (TableRows(ValidationEvent, [{"verdict": "real"}]), "for people to decide"),
        (TableRows(DetectionConsensus, [{"label": "real"}]), "for people to decide"),
        (
            TableRows(
                Candidate,
                [rows.candidate_row(DIFFERENCE, 1, 1)],
                "difference_run_id",
                [UUID(int=7)],
            ),
            "which parent_ids does not name",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused(engine: Engine, values: TableRows, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        write(engine, *BASE, values)
    assert read(engine, Survey) == []


def test_a_hundred_thousand_rows_in_seconds(engine: Engine) -> None:
    write(engine, *BASE)
    many = [
        rows.candidate_row(DIFFERENCE, float(i % 1000), float(i // 1000)) for i in range(100_000)
    ]
    started, waited = time.process_time(), time.monotonic()
    write(engine, TableRows(Candidate, many, "difference_run_id", [DIFFERENCE["run_id"]]))
    own, wall = time.process_time() - started, time.monotonic() - waited
    print(f"100 000 candidates: {wall:.1f} s, of which {own:.1f} s are our own CPU")
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Candidate)) == 100_000
    assert own < 10


def test_two_writers_of_the_same_rows_do_not_deadlock(engine: Engine) -> None:
    model, other = rows.model_row("1"), rows.model_row("2")
    write(engine, *BASE)

    def work(order: list[rows.Row]) -> None:
        for _ in range(10):
            write(engine, TableRows(Model, order))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, [model, other]), pool.submit(work, [other, model])]:
            done.result()
    assert len(read(engine, Model)) == 2


def test_nothing_temporary_is_left_in_the_session(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert(connection, BASE[0])
        upsert(connection, BASE[0])
        assert (
            connection.scalar(text("SELECT count(*) FROM pg_class WHERE relname ~ 'staging'")) == 0
        )
    assert read(engine, ModelRun) == []
