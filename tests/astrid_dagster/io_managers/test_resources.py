"""Resources: lazy, without secrets in what Dagster shows."""

import json
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import text, update

from astrid_core.curation.objects import ObjectConfig
from astrid_core.curation.sightings import associate_night
from astrid_core.errors import DatabaseError
from astrid_core.settings import get_settings
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.resources import ChampionResource, DatabaseResource, RunLedger, StoreResource
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    Model,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    SkyObject,
    Survey,
)
from dbschema.session import make_engine
from dbschema.transactions import in_transaction
from tests import rows
from tests.asset_graph import Feed, materialize
from tests.rows import add


def test_runs_done_before(database: DatabaseResource) -> None:
    observations = [rows.observation_row(number) for number in range(4)]
    runs = [
        rows.preprocess_row(observation, status=status)
        for observation, status in zip(
            observations, ("completed", "degraded", "failed", "completed"), strict=True
        )
    ]
    values = [
        TableRows(Survey, [rows.survey_row()]),
        TableRows(Observation, observations),
        TableRows(PreprocessRun, runs),
    ]
    database.run(lambda connection: [upsert(connection, value) for value in values])
    ledger = RunLedger(database=database)
    asked = [runs[2]["run_id"], runs[1]["run_id"], uuid4(), runs[0]["run_id"]]
    assert ledger.completed(PreprocessRun, asked) == {
        runs[1]["run_id"]: "degraded",
        runs[0]["run_id"]: "completed",
    }
    found = ledger.completed_rows(PreprocessRun, asked)
    assert list(found) == [runs[1]["run_id"], runs[0]["run_id"]]
    assert found[runs[0]["run_id"]].items() >= runs[0].items()
    assert ledger.completed(PreprocessRun, []) == {}
    row = ledger.row(PreprocessRun, runs[2]["run_id"])
    assert row is not None
    assert row["status"] == "failed"
    assert ledger.row(PreprocessRun, uuid4()) is None
    # Rows of the ledger can be handed back as they are: that selects the runs again.
    again = TableRows(PreprocessRun, list(found.values()))
    database.run(lambda connection: upsert(connection, again))


def test_where_objects_were_seen(database: DatabaseResource) -> None:
    observations = [rows.observation_row(number, field="F0", footprint=None) for number in (0, 1)]
    reference, model = rows.reference_row("F0"), rows.model_row()
    with database.engine().begin() as connection:
        add(connection, Survey, rows.survey_row())
        add(connection, Model, model)
        add(connection, ReferenceFrame, reference)
        for number, observation in enumerate(observations):
            processed = rows.preprocess_row(observation)
            difference = rows.difference_row(processed, reference_id=reference["run_id"])
            run = rows.model_run_row(difference, model)
            candidates = [rows.candidate_row(difference, 40.0 + number, y) for y in (20.0, 90.0)]
            detections = [
                rows.detection_row(
                    run, candidate, confidence_score=score, x_reference_pix=1.0, y_reference_pix=y
                )
                for candidate, score, y in zip(candidates, (0.9, 0.1), (20.0, 90.0), strict=True)
            ]
            add(connection, Observation, observation)
            add(connection, PreprocessRun, processed)
            add(connection, DifferenceRun, difference)
            add(connection, ModelRun, run)
            add(connection, Candidate, *candidates)
            add(connection, Detection, *detections)
        found = associate_night(connection, rows.SURVEY, rows.NIGHT, ObjectConfig())
        add(connection, SkyObject, *found.objects)
        add(connection, ObjectDetection, *found.links)
    ledger = RunLedger(database=database)
    # Of each frame the detection worth an object, not the other; of the frames asked for.
    mine = observations[1]["id"]
    assert ledger.changes([mine]) == [{"observation_id": mine, "x_pix": 41.0, "y_pix": 20.0}]
    assert len(ledger.changes([one["id"] for one in observations])) == 2
    assert ledger.changes([]) == []
    for table in (Detection, ObjectDetection):
        with database.engine().begin() as connection:
            connection.execute(update(table).values(status="superseded"))
        assert ledger.changes([mine]) == []
        with database.engine().begin() as connection:
            connection.execute(update(table).values(status="active"))


def test_nothing_is_opened_until_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "S3_ENDPOINT", "MLFLOW_URI"):
        monkeypatch.delenv(f"ASTRID_{name}", raising=False)
    get_settings.cache_clear()
    StoreResource()
    ChampionResource()
    RunLedger(database=DatabaseResource())


def test_no_secret_in_configuration_or_events(
    environment: None, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = [
        get_settings().s3_secret_access_key.get_secret_value(),
        str(make_engine(get_settings().database_url.get_secret_value()).url.password),
    ]
    feed = Feed()
    feed.values["observations"] = [TableRows(Survey, [rows.survey_row()])]
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize("observations", feed, instance=instance)
        told = [event.to_json() for event in instance.all_logs(result.run_id)]
        told.append(json.dumps(result.dagster_run.run_config))
    told.extend(capfd.readouterr())
    told.append(repr(StoreResource().open()) + repr(DatabaseResource().engine()))
    for secret in secrets:
        assert secret not in "".join(told)


def test_database_that_is_down_is_a_typed_error() -> None:
    engine = make_engine("postgresql://me:hunter2@127.0.0.1:9/none")
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:9.*is up") as caught:
        in_transaction(
            engine, lambda connection: connection.execute(text("SELECT 1")), 2, longest_wait_s=0.1
        )
    assert "hunter2" not in str(caught.value)
