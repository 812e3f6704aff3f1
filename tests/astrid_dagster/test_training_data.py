"""Training datasets as assets: frozen at once or not at all, and told to MLflow apart."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sqlalchemy import func, select, update

from astrid_core.settings import get_settings
from astrid_core.training.config import TRAINING_PARTITIONS
from astrid_dagster.assets.training import promotion, training_runs
from astrid_dagster.assets.training_data import collect_training_data, dataset_tracking
from astrid_dagster.io_managers.fits import FitsIOManager
from astrid_dagster.io_managers.postgres import PostgresIOManager
from astrid_dagster.resources import (
    DatabaseResource,
    StoreResource,
    TrackingResource,
    TrainingLedger,
)
from astrid_dagster.sensors import log_late_datasets
from dbschema.models import Promotion, TrainingDataset, TrainingRun, TrainingSample
from tests import rows
from tests.asset_graph import cause
from tests.conftest import S3Store
from tests.deployment import Deployment, deploy
from tests.sky_to_learn_from import store_sky

REQUEST = {
    "name": "first",
    "survey_ids": [rows.SURVEY],
    "start": "2026-08-30T00:00:00",
    "end": "2026-09-10T00:00:00",
}


@pytest.fixture(scope="module")
def deployment(
    request: pytest.FixtureRequest,
    postgres_server: Any,
    s3: S3Store,
    empty_mlflow: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """A deployment with a sky that people have judged."""
    name = f"test_{uuid4().hex[:12]}"
    postgres_server.ensure_database(name)
    folder = tmp_path_factory.mktemp("training")
    surveys = Path(__file__).parents[2] / "astrid_core/surveys/surveys.yaml"
    with deploy(postgres_server.url_of(name), s3, folder, surveys, empty_mlflow) as made:
        with made.engine.begin() as connection:
            store_sky(connection, made.store)
        yield made
    postgres_server.drop_database(name)


def run(
    partition: str, request: dict[str, Any], instance: dg.DagsterInstance, **resources: Any
) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("training_dataset", [partition])
    store, database = StoreResource(), DatabaseResource()
    config = {"request": request, "requested_by": "ada"}
    return dg.materialize(
        [collect_training_data, dataset_tracking],
        partition_key=partition,
        instance=instance,
        run_config={"ops": {"collect_dataset": {"config": config}}},
        resources={
            "store": store,
            "training": TrainingLedger(database=database),
            "fits_io": FitsIOManager(store=store, database=database),
            "postgres_io": PostgresIOManager(database=database),
            **resources,
        },
        raise_on_error=False,
    )


@dataclass(frozen=True)
class Collected:
    """A dataset that several tests look at, and the run that collected it."""

    partition: str
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def first(deployment: Deployment) -> Collected:
    partition = str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(partition, REQUEST, instance)
    assert result.success, cause(result)
    return Collected(partition, result)


def count(deployment: Deployment) -> tuple[int, int]:
    with deployment.engine.connect() as connection:
        return tuple(  # type: ignore[return-value]
            connection.scalar(select(func.count()).select_from(table))
            for table in (TrainingDataset, TrainingSample)
        )


def dataset(deployment: Deployment, partition: str) -> Any:
    with deployment.engine.connect() as connection:
        query = select(TrainingDataset.__table__).where(TrainingDataset.id == partition)
        return connection.execute(query).one()


def test_a_dataset_is_frozen_shown_and_told_to_mlflow(
    deployment: Deployment, first: Collected
) -> None:
    partition, result = first.partition, first.result
    row = dataset(deployment, partition)
    assert row.status == "active"
    assert row.created_by == "ada"
    assert row.dagster_run_id == result.run_id
    assert row.collection_params["survey_ids"] == [rows.SURVEY]
    for shard in row.shards:
        assert deployment.store.exists(shard["image_path"])
        assert deployment.store.exists(shard["mask_path"])
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks == dict.fromkeys(
        ("anomaly_ratio_in_range", "images_good_enough", "labels_consistent", "nothing_leaks"),
        True,
    )
    events = result.asset_materializations_for_node("collect_dataset")
    shown = {e.asset_key.path[-1]: e.metadata for e in events}["training_datasets"]
    assert partition in shown["load it"].value
    assert shown["made of"].value.startswith("![")
    client = MlflowClient(get_settings().mlflow_uri)
    logged = client.get_run(row.mlflow_run_id)
    assert logged.info.run_name == f"training_data_{partition}"
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["total_samples"] == row.total_samples
    assert logged.data.metrics["anomaly_ratio"] == pytest.approx(row.anomaly_ratio)
    assert logged.data.metrics["data_quality_score"] == pytest.approx(row.quality_score)
    assert logged.data.params["validation_threshold"] == "0.7"
    assert logged.data.params["time_range_days"] == "11"
    assert logged.data.params["survey_sources"] == rows.SURVEY
    assert logged.inputs.dataset_inputs[0].dataset.digest == row.digest[:36]
    assert {f.path for f in client.list_artifacts(logged.info.run_id)} == {
        "audit.json",
        "dataset.png",
        "quality.json",
        "samples.png",
    }


def test_mlflow_down_fails_no_collection_and_is_told_later(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = str(uuid4())
    good = get_settings()
    with dg.DagsterInstance.ephemeral() as instance:
        down = good.model_copy(update={"mlflow_uri": "http://127.0.0.1:9"})
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            patch.setattr("astrid_dagster.assets.training_data.get_settings", lambda: down)
            result = run(partition, REQUEST | {"name": "late"}, instance)
        assert result.success, cause(result)
        assert dataset(deployment, partition).mlflow_run_id is None
        context = dg.build_sensor_context(instance=instance)
        monkeypatch.setattr("astrid_dagster.sensors._LATE_S", 0)
        database = DatabaseResource()
        requests = list(log_late_datasets(context, database=database))
        assert [request.partition_key for request in requests] == [partition]
        store = StoreResource()
        again = dg.materialize(
            [dataset_tracking],
            partition_key=partition,
            instance=instance,
            resources={"store": store, "training": TrainingLedger(database=database)},
            selection=[dataset_tracking],
        )
        assert again.success
    assert dataset(deployment, partition).mlflow_run_id is not None


def test_an_interrupted_collection_leaves_nothing_to_see(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count(deployment)
    with dg.DagsterInstance.ephemeral() as instance, monkeypatch.context() as patch:
        patch.setattr("astrid_core.training.collect.SHARD_SAMPLES", 4)
        real, calls = np.save, []

        def dying(*args: Any, **kwargs: Any) -> None:
            calls.append(args)
            if len(calls) == 5:
                raise KeyboardInterrupt
            real(*args, **kwargs)

        patch.setattr("astrid_core.training.collect.np.save", dying)
        assert not run(str(uuid4()), REQUEST | {"name": "cut off"}, instance).success
    assert len(calls) == 5
    assert count(deployment) == before


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (REQUEST | {"survey_ids": ["nowhere"]}, "EmptyDatasetError", "confidence_threshold"),
        (REQUEST | {"max_samples": 0}, "ConfigurationError", "max_samples"),
        (REQUEST | {"end": "2026-09-02T00:00:00"}, "TooFewGroupsError", "at least 5 groups"),
    ],
)
def test_what_cannot_be_collected_says_why(
    deployment: Deployment, request_: dict[str, Any], error: str, words: str
) -> None:
    before = count(deployment)
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(str(uuid4()), request_, instance)
    assert not result.success
    assert error in cause(result)
    failure = result.get_step_failure_events()[0].step_failure_data.error
    text = str(failure) + str(failure.cause)
    assert words in text
    assert count(deployment) == before


def test_a_partition_that_is_no_id_is_refused(deployment: Deployment) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run("my dataset", REQUEST, instance)
    assert not result.success
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert "no id of a dataset" in str(failure)


def test_the_same_request_is_the_same_content(deployment: Deployment, first: Collected) -> None:
    partition = str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(partition, REQUEST, instance).success
    one, other = dataset(deployment, first.partition), dataset(deployment, partition)
    assert one.digest == other.digest
    assert (one.version, other.version) == (1, 2)
    assert one.created_at < other.created_at <= dt.datetime.now(dt.UTC)


def test_a_dataset_is_trained_on_and_the_model_decided_about(
    deployment: Deployment, first: Collected
) -> None:
    run_id = str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(TRAINING_PARTITIONS, [run_id])
        few = {"steps": 4, "validate_every": 2, "batch_size": 8}
        asked = {"dataset_id": first.partition, "training": few, "reason": "a test"}
        result = dg.materialize(
            [training_runs, promotion],
            partition_key=run_id,
            instance=instance,
            run_config={"ops": {"training_runs": {"config": asked}}},
            resources={"database": DatabaseResource(), "tracking": TrackingResource()},
            raise_on_error=False,
        )
        assert result.success, cause(result)
    (row,) = (row for row in deployment.rows(TrainingRun) if str(row["id"]) == run_id)
    assert (str(row["id"]), row["status"], row["reason"]) == (run_id, "completed", "a test")
    assert row["parent_model_id"] is not None
    (decided,) = deployment.rows(Promotion)
    assert decided["model_id"] == row["model_id"]
    assert decided["decision"] in ("kept", "promoted")
    client = MlflowClient(get_settings().mlflow_uri)
    tracked = client.get_run(row["mlflow_run_id"])
    assert (tracked.info.status, tracked.info.run_name) == ("FINISHED", f"training_{run_id}")
    assert tracked.data.tags["dagster_run_id"] == result.run_id == row["dagster_run_id"]
    assert mlflow.active_run() is None
    champion = client.get_model_version_by_alias("astrid-realbogus", "champion")
    assert (str(champion.version) == "1") == (decided["decision"] == "kept")


@pytest.fixture
def provisional(deployment: Deployment, first: Collected) -> Iterator[str]:
    """The dataset, for a test one that is not good."""
    it = update(TrainingDataset).where(TrainingDataset.id == first.partition)
    bad = {"status": "quality_failed", "status_reason": "too few are real"}
    with deployment.engine.begin() as connection:
        connection.execute(it.values(**bad))
    yield first.partition
    with deployment.engine.begin() as connection:
        connection.execute(it.values(status="active", status_reason=None))


def test_a_provisional_dataset_is_not_trained_on(deployment: Deployment, provisional: str) -> None:
    run_id = str(uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(TRAINING_PARTITIONS, [run_id])
        result = dg.materialize(
            [training_runs],
            partition_key=run_id,
            instance=instance,
            run_config={"ops": {"training_runs": {"config": {"dataset_id": provisional}}}},
            resources={"database": DatabaseResource(), "tracking": TrackingResource()},
            raise_on_error=False,
        )
    assert not result.success
    assert "DatasetQualityError" in cause(result)
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert "too few are real" in str(failure) + str(failure.cause)
    (row,) = (row for row in deployment.rows(TrainingRun) if str(row["id"]) == run_id)
    tracked = MlflowClient(get_settings().mlflow_uri).get_run(row["mlflow_run_id"])
    assert (row["status"], tracked.info.status) == ("failed", "FAILED")
    assert mlflow.active_run() is None
