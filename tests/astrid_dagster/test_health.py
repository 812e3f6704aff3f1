"""Health of training data: measured, kept, told; and the sensor that has data collected anew."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import numpy as np
import pytest
from mlflow import MlflowClient
from sqlalchemy import insert, select, update

from astrid_core.monitoring.health import measure_health, stability_index
from astrid_core.settings import get_settings
from astrid_dagster.assets.health import measure_training_data_health
from astrid_dagster.io_managers.postgres import PostgresIOManager
from astrid_dagster.resources import AlertsResource, DatabaseResource, TrainingLedger
from astrid_dagster.sensors import collect_again
from dbschema.models import Alert, Detection, DifferenceRun, TrainingDataHealth, TrainingDataset
from tests.conftest import S3Store
from tests.deployment import Deployment, deploy
from tests.sky_to_learn_from import store_sky

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def deployment(
    migrated_url: str, s3: S3Store, empty_mlflow: Path, tmp_path: Path
) -> Iterator[Deployment]:
    surveys = Path(__file__).parents[2] / "astrid_core/surveys/surveys.yaml"
    with deploy(migrated_url, s3, tmp_path, surveys, empty_mlflow) as made:
        with made.engine.begin() as connection:
            store_sky(connection, made.store, n_fields=3)
        yield made


def materialize() -> dg.ExecuteInProcessResult:
    database = DatabaseResource()
    return dg.materialize(
        [measure_training_data_health],
        resources={
            "training": TrainingLedger(database=database),
            "alerts": AlertsResource(database=database),
            "postgres_io": PostgresIOManager(database=database),
        },
    )


def test_a_bad_week_is_kept_logged_and_told_once(deployment: Deployment) -> None:
    assert materialize().success
    (good,) = deployment.rows(TrainingDataHealth)
    assert good["n_validated"] == 27
    assert good["quality_score"] > 0.9
    assert deployment.rows(Alert) == []
    with deployment.engine.begin() as connection:
        connection.execute(update(DifferenceRun).values(masked_fraction=0.6))
    for _ in range(2):
        assert materialize().success
    (bad,) = deployment.rows(TrainingDataHealth)
    assert bad["quality_score"] < 0.5
    (alert,) = deployment.rows(Alert)
    assert alert["kind"] == "training_data_quality"
    assert alert["n_seen"] == 2
    assert [one["channel"] for one in alert["deliveries"]] == ["log"]
    with deployment.engine.begin() as connection:
        connection.execute(update(DifferenceRun).values(masked_fraction=0.0))
    assert materialize().success
    with deployment.engine.connect() as connection:
        assert connection.scalar(select(Alert.resolved_at)) is not None
    client = MlflowClient(get_settings().mlflow_uri)
    experiment = client.get_experiment_by_name("astrid-training-data")
    logged = client.search_runs([experiment.experiment_id])
    assert len(logged) == 4
    assert {run.info.status for run in logged} == {"FINISHED"}
    assert {run.info.run_name for run in logged} == {f"training_data_health_{bad['day']}"}


def test_health_without_a_verdict_is_no_fault(deployment: Deployment) -> None:
    with deployment.engine.begin() as connection:
        later = measure_health(connection, NOW + dt.timedelta(days=30))
    assert later.quality is None
    assert later.sightings() == []
    assert later.row()["quality_score"] is None


def test_drift_is_a_change_of_confidences(deployment: Deployment) -> None:
    even, high = np.full(10, 20.0), np.array([1.0] * 9 + [200.0])
    assert stability_index(even, even) == pytest.approx(0)
    assert stability_index(high, even) > 0.25
    assert stability_index(even[:] * 0.1, even) is None
    with deployment.engine.begin() as connection:
        drift = measure_health(connection, NOW).drift
    assert drift.n_judged == 27
    assert drift.n_contradicted == 0
    assert not drift.has_drifted


def test_outgrown_data_is_collected_again_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = DatabaseResource()

    def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        return collect_again(context, database=database)

    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(instance), dg.SkipReason)
        with deployment.engine.begin() as connection:
            old = _dataset(created_at=NOW - dt.timedelta(days=2))
            connection.execute(insert(TrainingDataset).values(**old))
        assert isinstance(tick(instance), dg.SkipReason)
        few = get_settings().model_copy(update={"retrain_min_labels": 20})
        monkeypatch.setattr("astrid_dagster.sensors.get_settings", lambda: few)
        result = tick(instance)
        (request,) = result.run_requests
        config = request.run_config["ops"]["collect_dataset"]["config"]
        assert config["request"]["name"] == "grown"
        assert "27 labels are new" in config["request"]["description"]
        assert "end" not in config["request"]
        assert result.dynamic_partitions_requests[0].partition_keys == [request.partition_key]
        assert isinstance(tick(instance, result.cursor), dg.SkipReason)
    with deployment.engine.connect() as connection:
        assert connection.scalar(select(Detection.id).limit(1)) is not None


def _dataset(**changes: Any) -> dict[str, Any]:
    asked = {"name": "grown", "survey_ids": ["sim"], "end": "2026-09-10T00:00:00Z"}
    return {
        "id": uuid4(),
        "name": "grown",
        "collection_params": asked,
        "total_samples": 10,
        "anomaly_ratio": 0.5,
        "quality_score": 0.9,
        "created_by": "ada",
        "status": "active",
        "version": 1,
        "digest": "d",
        "code_version": "1",
        "shards": [],
        "n_by_split": {},
        "n_dropped": {},
        "quality": {},
        "audit": {},
    } | changes
