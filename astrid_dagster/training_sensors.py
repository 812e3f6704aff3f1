"""Sensors of training: new datasets are trained on, promotions re-judge, dead runs are closed."""

from collections.abc import Sequence
from uuid import UUID

import dagster as dg
from sqlalchemy import Connection, select

from astrid_core.identity import derive_id
from astrid_core.settings import get_settings
from astrid_core.training.config import TRAINING_PARTITIONS
from astrid_core.training.request import CollectionRequest
from astrid_dagster.assets.training import promotion
from astrid_dagster.jobs import redetect, train_model
from astrid_dagster.partitions import NIGHT, SURVEY, training_partitions
from astrid_dagster.resources import DatabaseResource
from dbschema.models import DifferenceRun, Observation, Survey, TrainingDataset, TrainingRun

_SENSOR = "sensor train_on_new_datasets"


@dg.sensor(
    job=train_model,
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=60,
    description="Trains on the newest version of every dataset that is active and that nothing "
    "was trained on yet: one run each. Off until somebody switches it on.",
)
def train_on_new_datasets(
    context: dg.SensorEvaluationContext, database: DatabaseResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask for a training of each new dataset."""
    found = database.run(untrained_datasets)
    if not found:
        return dg.SkipReason("every active dataset has its training run")
    runs = {dataset: str(derive_id("training_run", dataset)) for dataset in found}
    known = context.instance.get_dynamic_partitions(TRAINING_PARTITIONS)
    new = [run for run in runs.values() if run not in known]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=str(dataset), partition_key=run, run_config=run_config(dataset))
            for dataset, run in runs.items()
        ],
        dynamic_partitions_requests=[training_partitions.build_add_request(new)] if new else [],
    )


def untrained_datasets(connection: Connection) -> list[UUID]:
    """Active newest versions without a training run, in the order they were frozen."""
    newest = (
        select(TrainingDataset.id)
        .distinct(TrainingDataset.name)
        .order_by(TrainingDataset.name, TrainingDataset.version.desc())
    )
    query = (
        select(TrainingDataset.id)
        .where(
            TrainingDataset.status == "active",
            TrainingDataset.id.in_(newest),
            ~select(TrainingRun.id).where(TrainingRun.dataset_id == TrainingDataset.id).exists(),
        )
        .order_by(TrainingDataset.created_at)
    )
    return list(connection.scalars(query))


def run_config(dataset: UUID) -> dict[str, object]:
    """Run configuration of a training that the sensor asks for."""
    config = {"dataset_id": str(dataset), "reason": "new active dataset", "requested_by": _SENSOR}
    return {"ops": {"training_runs": {"config": config}}}


@dg.asset_sensor(
    asset_key=promotion.key,
    job=redetect,
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=30,
    description="After a promotion that asked for it, judges the nights of the dataset's surveys "
    "and window anew: one run each. Off until somebody switches it on.",
)
def redetect_after_promotion(
    context: dg.SensorEvaluationContext,
    asset_event: dg.EventLogEntry,
    database: DatabaseResource,
) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Ask for detections of the nights that a promotion concerns."""
    event = asset_event.asset_materialization
    assert event is not None  # noqa: S101  an asset sensor is told of nothing else
    said = {name: value.value for name, value in event.metadata.items()}
    if said.get("decision") != "promoted" or not said.get("re_detect"):
        return dg.SkipReason("nothing was promoted that asked for it")
    dataset = UUID(str(said["dataset"]))
    nights = database.run(lambda connection: nights_of(connection, dataset))
    context.log.info(f"{len(nights)} nights are judged anew after promotion {said['promotion']}")
    return [
        dg.RunRequest(
            run_key=f"{said['promotion']}|{survey}|{night}",
            partition_key=dg.MultiPartitionKey({SURVEY: survey, NIGHT: night}),
        )
        for survey, night in nights
    ]


def nights_of(connection: Connection, dataset: UUID) -> list[tuple[str, str]]:
    """Survey and night of every difference image in a dataset's window."""
    params = connection.scalar(
        select(TrainingDataset.collection_params).where(TrainingDataset.id == dataset)
    )
    request = CollectionRequest.model_validate(params)
    query = (
        select(Survey.name, Observation.night)
        .join(Observation, Observation.survey_id == Survey.id)
        .join(DifferenceRun, DifferenceRun.observation_id == Observation.id)
        .where(
            Survey.name.in_(request.survey_ids),
            Observation.observation_time >= request.start,
            Observation.observation_time < request.end,
        )
        .distinct()
        .order_by(Survey.name, Observation.night)
    )
    return [(survey, night.isoformat()) for survey, night in connection.execute(query)]


def _close(context: dg.RunStatusSensorContext, database: DatabaseResource) -> None:
    from astrid_core.training.closing import close_run

    run = context.dagster_run
    why = f"Dagster run {run.run_id} of {run.job_name} ended as {run.status.value} without a word."
    for run_id in close_run(database.engine(), get_settings().mlflow_uri, run.run_id, why):
        context.log.warning(f"training run {run_id} is marked failed: {why}")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.FAILURE,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks training runs failed, here and in MLflow, whose Dagster run died.",
)
def close_failed_trainings(context: dg.RunStatusSensorContext, database: DatabaseResource) -> None:
    """Close what a failed run left running."""
    _close(context, database)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The same of Dagster runs that somebody stopped.",
)
def close_canceled_trainings(
    context: dg.RunStatusSensorContext, database: DatabaseResource
) -> None:
    """Close what a stopped run left running."""
    _close(context, database)
