"""training_runs and promotion: a model learnt from a dataset, and whether it judges from now on.

The core keeps a training run's row and its MLflow run as it goes on, so that people see it
while it does; what Dagster adds is the queue, the GPU and the lineage.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

import dagster as dg
from pydantic import Field, ValidationError

from astrid_core.detection.registry import MODEL_EXPERIMENT
from astrid_core.errors import ConfigurationError
from astrid_core.settings import get_settings
from astrid_core.training.config import TRAINING_VERSION, TrainingConfig
from astrid_dagster import tags
from astrid_dagster.partitions import training_partitions
from astrid_dagster.resources import DatabaseResource, TrackingResource

_REPORT_EVERY = 50


class TrainingRunConfig(dg.Config):
    """What to train on, how and why."""

    dataset_id: str = Field(description="Training dataset, which must be active.")
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Settings of astrid_core.training.config.TrainingConfig other than its "
        "defaults, such as steps or start_from.",
    )
    reason: str = Field(default="asked for by hand", min_length=1, description="Why.")
    requested_by: str = Field(default="dagster", min_length=1, description="Who or what asks.")


class PromotionConfig(dg.Config):
    """What follows from a promotion."""

    re_detect: bool = Field(
        default=False,
        description="After a promotion judge the nights of the dataset's window anew; needs the "
        "sensor redetect_after_promotion switched on.",
    )


def training_config(values: dict[str, Any]) -> TrainingConfig:
    """Settings of a training run, checked.

    Raises
    ------
    ConfigurationError
        If one is unknown or out of its range.
    """
    try:
        return TrainingConfig(**values)
    except ValidationError as error:
        raise ConfigurationError(
            f"The training cannot be configured so: {error}",
            remedy="Correct ops > training_runs > config > training.",
        ) from error


@dg.asset(
    partitions_def=training_partitions,
    # Which dataset is in the run's configuration; no mapping of partitions can say.
    deps=[dg.AssetDep("training_datasets", partition_mapping=dg.AllPartitionMapping())],
    group_name=tags.TRAINING,
    owners=[tags.OWNER],
    kinds={"pytorch", "mlflow", "postgres"},
    code_version=TRAINING_VERSION,
    op_tags=tags.GPU_TAGS,
    pool=tags.GPU_POOL,
    description="A U-Net trained on a frozen dataset, calibrated, evaluated on its test split "
    "beside plain S_corr and the champion, and registered. An interrupted run goes on from its "
    "checkpoint.",
)
def training_runs(
    context: dg.AssetExecutionContext,
    config: TrainingRunConfig,
    database: DatabaseResource,
    tracking: TrackingResource,
) -> dg.MaterializeResult[Any]:
    """Train; the partition is the training run's id."""
    # Imported here: torch takes seconds, and the code location loads without it.
    from astrid_core.training.fitting import Progress
    from astrid_core.training.runs import Order, Workplace, train_on_dataset

    order = Order(
        run_id=UUID(context.partition_key),
        dataset_id=UUID(config.dataset_id),
        config=training_config(config.training),
        reason=config.reason,
        requested_by=config.requested_by,
        dagster_run_id=context.run.run_id,
    )

    def report(now: Progress) -> None:
        if now.validation is not None:
            seen = now.validation
            context.log.info(
                f"step {now.step} of {now.steps}: val loss {seen.loss:.4f}, average precision "
                f"{seen.average_precision:.4f}"
            )
        elif now.step % _REPORT_EVERY == 0:
            context.log.info(f"step {now.step} of {now.steps}: loss {now.loss:.4f}")

    place = Workplace.of(database.engine(), get_settings())
    with tracking.run(context, MODEL_EXPERIMENT) as mlflow_run_id:
        trained = train_on_dataset(replace(order, mlflow_run_id=mlflow_run_id), place, report)
    evaluation = trained.evaluation
    return dg.MaterializeResult(
        metadata={
            "dataset": config.dataset_id,
            "reason": config.reason,
            "model": f"{trained.model.name} version {trained.model.version}",
            "model sha256": trained.model.sha256,
            "mlflow run": trained.mlflow_run_id,
            "best step": trained.fitted.best_step,
            "stopped early": trained.fitted.stopped_early,
            "test samples": evaluation.n_real + evaluation.n_bogus,
            "average precision": dg.MetadataValue.json(evaluation.to_json()["average_precision"]),
            "figures": dg.MetadataValue.json(evaluation.to_json()),
        }
    )


@dg.asset(
    partitions_def=training_partitions,
    deps=[training_runs],
    group_name=tags.TRAINING,
    owners=[tags.OWNER],
    kinds={"mlflow", "postgres"},
    code_version=TRAINING_VERSION,
    description="Whether the trained model is champion from now on: surely better than the "
    "champion on the same frozen test split, nowhere much worse. The row of promotions says why.",
)
def promotion(
    context: dg.AssetExecutionContext, config: PromotionConfig, database: DatabaseResource
) -> dg.MaterializeResult[Any]:
    """Compare with the champion of now, and decide."""
    from astrid_core.training.promotion import RULE
    from astrid_core.training.runs import Workplace, promote_run

    place = Workplace.of(database.engine(), get_settings())
    row = promote_run(UUID(context.partition_key), place, RULE)
    context.log.info(f"{row['decision']}: {row['reason']}")
    return dg.MaterializeResult(
        metadata={
            "decision": row["decision"],
            "reason": row["reason"],
            "promotion": str(row["id"]),
            "dataset": str(row["dataset_id"]),
            "re_detect": config.re_detect,
            "comparison": dg.MetadataValue.json(row["comparison"]),
        }
    )
