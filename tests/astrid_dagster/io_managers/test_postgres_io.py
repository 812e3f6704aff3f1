"""Rows through the real engine: one transaction a partition, people's decisions untouched."""

from typing import Any

import dagster as dg
import psycopg
import pytest
from sqlalchemy import Connection, Engine, select, text

from astrid_core.curation.measuring import declare_gold
from astrid_core.curation.queue import next_items
from astrid_core.curation.strata import QueueConfig
from astrid_core.errors import ConfigurationError, DatabaseRefusedError
from astrid_dagster.io_managers.postgres import column_schema
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import Derived, DerivedRows, TableRows
from astrid_dagster.resources import DatabaseResource
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    GoldItem,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    ReferenceMember,
    ReviewLease,
    SkyObject,
    Survey,
    User,
    ValidationEvent,
)
from tests import review, rows
from tests.asset_graph import (
    ANY_NIGHT,
    SURVEYS,
    Feed,
    cause,
    key,
    load,
    materialize,
    resources,
    source,
    try_to_load,
)

LATER = rows.NIGHT.replace(day=2)
OBSERVATIONS = [
    *(rows.observation_row(number) for number in range(3)),
    rows.observation_row(9, frame_kind="bias"),
    rows.observation_row(0, night=LATER),
    rows.observation_row(0, survey="other"),
]
RUNS = [
    rows.preprocess_row(OBSERVATIONS[0]),
    rows.preprocess_row(OBSERVATIONS[1], status="failed"),
    rows.preprocess_row(OBSERVATIONS[4]),
    rows.preprocess_row(OBSERVATIONS[5]),
]
DIFFERENCE = rows.difference_row(RUNS[0])
CANDIDATES = [rows.candidate_row(DIFFERENCE, 10.0 * n, 20.0) for n in range(3)]
MODEL = rows.model_row()
MODEL_RUN = rows.model_run_row(DIFFERENCE, MODEL)
DETECTIONS = [rows.detection_row(MODEL_RUN, candidate) for candidate in CANDIDATES]
REFERENCE = rows.reference_row("F0")
INGESTED = [
    TableRows(Survey, [rows.survey_row(), rows.survey_row("other")]),
    TableRows(Observation, OBSERVATIONS),
]
DETECTED = [
    TableRows(Model, [MODEL]),
    TableRows(ModelRun, [MODEL_RUN]),
    TableRows(Detection, DETECTIONS, "model_run_id", [MODEL_RUN["run_id"]]),
]
EVERYTHING = [
    *INGESTED,
    TableRows(PreprocessRun, RUNS),
    TableRows(ReferenceFrame, [REFERENCE, rows.reference_row("F1", status="failed")]),
    TableRows(
        ReferenceMember,
        [
            rows.member_row(REFERENCE, RUNS[0]),
            rows.member_row(REFERENCE, RUNS[2], 1),
            rows.member_row(REFERENCE, RUNS[1], 2, weight=0.0, rejected_because="trailed"),
        ],
    ),
    TableRows(DifferenceRun, [DIFFERENCE]),
    TableRows(Candidate, CANDIDATES),
    *DETECTED,
]


def store_all(database: DatabaseResource, *values: TableRows) -> None:
    database.run(lambda connection: [upsert(connection, value) for value in values])


def read(engine: Engine, table: Any) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        query = select(table.__table__).order_by(*table.__table__.primary_key.columns)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_rows_are_written_and_described(engine: Engine) -> None:
    feed = Feed()
    feed.values["observations"] = INGESTED
    (event,) = materialize("observations", feed).asset_materializations_for_node("observations")
    found = {name: value.value for name, value in event.metadata.items()}
    assert found["tables"] == "surveys, observations"
    assert (found["rows of surveys"], found["rows of observations"]) == (2, len(OBSERVATIONS))
    assert found["dagster/table_name"] == "observations"
    schema = {column.name: column for column in found["dagster/column_schema"].columns}
    assert schema["ra"].description == "centre, degrees ICRS; null without WCS"
    assert schema["ra"].constraints.nullable
    assert schema["id"].constraints.unique
    assert len(read(engine, Observation)) == len(OBSERVATIONS)


def test_column_schema_tells_types() -> None:
    types = {column.name: column.type for column in column_schema(Observation).columns}
    assert (types["id"], types["night"], types["observation_time"], types["assumed"]) == (
        "uuid",
        "date",
        "timestamp with time zone",
        "jsonb",
    )


def test_all_tables_or_none(engine: Engine) -> None:
    feed = Feed()
    orphans = TableRows(PreprocessRun, [rows.preprocess_row(rows.observation_row(47))])
    feed.values["preprocess_runs"] = [*INGESTED, orphans]
    result = materialize("preprocess_runs", feed, raise_on_error=False)
    assert DatabaseRefusedError.__name__ in cause(result)
    assert read(engine, Survey) == read(engine, Observation) == []


def test_unknown_column_is_refused(engine: Engine) -> None:
    feed = Feed()
    feed.values["observations"] = [
        INGESTED[0],
        TableRows(Observation, [rows.observation_row(1) | {"colour": "blue"}]),
    ]
    result = materialize("observations", feed, raise_on_error=False)
    assert ConfigurationError.__name__ in cause(result)
    assert read(engine, Survey) == []


def test_database_lost_in_mid_copy_is_survived(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_row, killed = psycopg.Copy.write_row, []

    def kill_once(copy: psycopg.Copy, row: tuple[object, ...]) -> None:
        if not killed and len(row) > 10:
            killed.append(copy.connection.info.backend_pid)
            with engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": killed[0]})
        write_row(copy, row)

    monkeypatch.setattr(psycopg.Copy, "write_row", kill_once)
    feed = Feed()
    feed.values["observations"] = INGESTED
    assert materialize("observations", feed).success
    assert killed
    assert len(read(engine, Observation)) == len(OBSERVATIONS)


# --- what people decided ------------------------------------------------------------------


def judge(engine: Engine, detection: rows.Row) -> None:
    """An expert's verdict."""
    with engine.begin() as connection:
        review.judge(connection, review.expert(connection), detection["id"])


def test_materializing_a_judged_night_again_loses_nothing(
    database: DatabaseResource, engine: Engine
) -> None:
    store_all(database, *EVERYTHING)
    judge(engine, DETECTIONS[1])
    with engine.begin() as connection:
        operator = review.reviewer(connection, "operator")
        review.judge(connection, operator, DETECTIONS[0]["id"], "bogus")
        declare_gold(connection, operator, DETECTIONS[2]["id"], "bogus")
        assert next_items(connection, review.reviewer(connection), 2, QueueConfig())
    tables = (ValidationEvent, DetectionConsensus, GoldItem, ReviewLease, User, Detection)
    before = {table: read(engine, table) for table in tables}
    feed = Feed()
    feed.values["detections"] = DETECTED
    materialize("detections", feed)
    assert {table: read(engine, table) for table in tables} == before
    # Even where the re-run no longer makes it, the verdict and its subject stay.
    feed.values["detections"] = [
        *DETECTED[:2],
        TableRows(Detection, DETECTIONS[:1], "model_run_id", [MODEL_RUN["run_id"]]),
    ]
    materialize("detections", feed)
    found = {row["id"]: row for row in read(engine, Detection)}
    assert found[DETECTIONS[1]["id"]]["status"] == "superseded"
    assert found[DETECTIONS[1]["id"]]["is_validated"]
    assert {table: read(engine, table) for table in tables[:-1]} == {
        table: before[table] for table in tables[:-1]
    }


def test_a_new_model_inherits_verdicts_in_the_same_transaction(
    database: DatabaseResource, engine: Engine
) -> None:
    store_all(database, *EVERYTHING)
    judge(engine, DETECTIONS[1])
    better = rows.model_row("2")
    run = rows.model_run_row(DIFFERENCE, better)
    heirs = [rows.detection_row(run, candidate) for candidate in CANDIDATES]
    feed = Feed()
    feed.values["detections"] = [
        TableRows(Model, [better]),
        TableRows(ModelRun, [run]),
        TableRows(Detection, heirs, "model_run_id", [run["run_id"]]),
    ]
    (event,) = materialize("detections", feed).asset_materializations_for_node("detections")
    assert event.metadata["inherited verdicts"].value == 1
    found = {row["id"]: row["inherited_from"] for row in read(engine, Detection)}
    assert found[heirs[1]["id"]] == DETECTIONS[1]["id"]
    assert found[heirs[0]["id"]] is None
    materialize("detections", feed)
    assert {row["id"]: row["inherited_from"] for row in read(engine, Detection)} == found


# --- loading ------------------------------------------------------------------------------


@pytest.fixture
def loaded(database: DatabaseResource) -> Feed:
    store_all(database, *EVERYTHING)
    return Feed()


def test_observations_of_the_night_with_calibration_frames(loaded: Feed) -> None:
    found = load("observations", loaded)
    assert rows.ids(found, "id") == rows.ids(OBSERVATIONS[:4], "id")
    assert {row["frame_kind"] for row in found} == {"science", "bias"}
    (row,) = (row for row in found if row["id"] == OBSERVATIONS[0]["id"])
    assert {name: row[name] for name in OBSERVATIONS[0]} == OBSERVATIONS[0]


def test_runs_come_with_what_identifies_their_observation(loaded: Feed) -> None:
    found = {row["run_id"]: row for row in load("preprocess_runs", loaded)}
    assert set(found) == {RUNS[0]["run_id"], RUNS[1]["run_id"]}
    row = found[RUNS[0]["run_id"]]
    for name in ("archive_id", "night", "field", "filter_band", "observation_time", "footprint"):
        assert row[name] == OBSERVATIONS[0][name]
    assert row["fwhm_pix"] == 2.5
    (difference,) = load("difference_runs", loaded)
    assert (difference["run_id"], difference["ra"]) == (DIFFERENCE["run_id"], 10.5)
    (judgement,) = load("model_runs", loaded)
    assert judgement["observation_id"] == OBSERVATIONS[0]["id"]


def test_references_with_the_observations_in_them(loaded: Feed) -> None:
    (found,) = load("reference_runs", loaded)
    assert found["run_id"] == REFERENCE["run_id"]
    assert sorted(found["member_observation_ids"]) == rows.ids(
        [OBSERVATIONS[0], OBSERVATIONS[4]], "id"
    )


def test_candidates_and_detections_are_the_active_ones_of_current_runs(
    loaded: Feed, database: DatabaseResource, engine: Engine
) -> None:
    assert rows.ids(load("candidates", loaded), "id") == rows.ids(CANDIDATES, "id")
    assert rows.ids(load("detections", loaded), "id") == rows.ids(DETECTIONS, "id")
    store_all(
        database,
        TableRows(Candidate, CANDIDATES[:1], "difference_run_id", [DIFFERENCE["run_id"]]),
    )
    assert rows.ids(load("candidates", loaded), "id") == [CANDIDATES[0]["id"]]
    store_all(database, TableRows(DifferenceRun, [rows.difference_row(RUNS[0], version="2")]))
    assert load("candidates", loaded) == []


def test_many_nights_of_one_survey(loaded: Feed) -> None:
    """What the references are built from: every night of a survey at once."""
    upstream = source("preprocess_runs", loaded)

    @dg.asset(
        ins={"preprocess_runs": dg.AssetIn(partition_mapping=ANY_NIGHT)},
        io_manager_key="postgres_io",
        partitions_def=SURVEYS,
    )
    def reference_runs(preprocess_runs) -> list[Any]:
        loaded.loaded["all"] = preprocess_runs
        return []

    dg.materialize(
        [upstream, reference_runs],
        selection=[reference_runs],
        resources=resources(),
        partition_key="sim",
    )
    assert rows.ids(loaded.loaded["all"]) == rows.ids(RUNS[:3])
    assert [row["run_id"] for row in loaded.loaded["all"]] == rows.ids(RUNS[:3])


def test_references_of_the_survey_reach_each_of_its_nights(loaded: Feed) -> None:
    upstream = source("reference_runs", loaded)

    @dg.asset(
        ins={"reference_runs": dg.AssetIn(partition_mapping=ANY_NIGHT)},
        io_manager_key="postgres_io",
        partitions_def=source("difference_runs", loaded).partitions_def,
    )
    def difference_runs(reference_runs) -> list[Any]:
        loaded.loaded["references"] = reference_runs
        return []

    dg.materialize(
        [upstream, difference_runs],
        selection=[difference_runs],
        resources=resources(),
        partition_key=key(night=LATER),
    )
    assert rows.ids(loaded.loaded["references"]) == [REFERENCE["run_id"]]


def test_a_table_asset_takes_a_range_of_partitions(engine: Engine) -> None:
    feed = Feed()
    feed.values["observations"] = INGESTED
    asset = source("observations", feed)
    defs = dg.Definitions(
        [asset], jobs=[dg.define_asset_job("range", [asset])], resources=resources()
    )
    tags = {
        "dagster/asset_partition_range_start": "2026-09-01|sim",
        "dagster/asset_partition_range_end": "2026-09-02|sim",
    }
    assert defs.resolve_job_def("range").execute_in_process(tags=tags).success
    assert len(read(engine, Observation)) == len(OBSERVATIONS)


def test_an_asset_without_a_query_says_so(database: DatabaseResource) -> None:
    assert ConfigurationError.__name__ in cause(try_to_load("some_other_asset", Feed()))


def test_rows_may_be_derived_where_they_are_written(
    database: DatabaseResource, engine: Engine
) -> None:
    """What another run committed before is seen, and what is derived commits with it or not."""
    store_all(database, *EVERYTHING)

    def derive(connection: Connection) -> Derived:
        (seen,) = connection.execute(select(Detection.id).where(Detection.id == first)).all()
        named = {"field": "F0", "field_id": first, "survey_id": OBSERVATIONS[0]["survey_id"]}
        found = {"best_detection_id": seen.id, "n_detections": 1, "confidence_score": 0.5}
        return Derived([TableRows(SkyObject, [named | found | {"id": first}])], {"n_seen": 1})

    first = DETECTIONS[0]["id"]
    feed = Feed()
    feed.values["objects"] = DerivedRows(derive)
    (event,) = materialize("objects", feed).asset_materializations_for_node("objects")
    found = {name: value.value for name, value in event.metadata.items()}
    assert (found["n_seen"], found["rows of objects"]) == (1, 1)
    assert found["dagster/table_name"] == "objects"
    assert [row["id"] for row in read(engine, SkyObject)] == [first]
    (loaded,) = load("objects", feed)
    assert loaded["id"] == first
