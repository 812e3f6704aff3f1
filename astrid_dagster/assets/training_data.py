"""training_samples and training_datasets: validated detections, frozen to learn from.

A partition is a dataset. Its pixels are stored first, shard by shard; then all its rows appear
at once. MLflow is told afterwards, by an asset of its own that never fails for MLflow's sake.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dagster as dg
from pydantic import Field, ValidationError
from sqlalchemy import Connection

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.errors import AstridError, ConfigurationError, ModelUnavailableError
from astrid_core.settings import get_settings
from astrid_core.training.audit import Finding
from astrid_core.training.collect import COLLECTION_VERSION, Collected, Collection
from astrid_core.training.dataset_tracking import log_dataset
from astrid_core.training.pictures import dataset_png, samples_png
from astrid_core.training.quality import ANOMALY_RATIO, MIN_IMAGE_QUALITY
from astrid_core.training.request import COLLECTION_OP, CollectionRequest
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    Progress,
    fits_out,
    inline_picture,
    open_bench,
    schema_of,
    table_out,
)
from astrid_dagster.io_managers.values import Derived, DerivedRows, StoredFile, TableRows
from astrid_dagster.partitions import configured_surveys, dataset_partitions
from astrid_dagster.resources import StoreResource, TrainingLedger
from dbschema.models import TrainingDataset, TrainingSample

_OF_DATASET = "training_datasets"
_ANOMALY_CHECK = "anomaly_ratio_in_range"
_IMAGE_CHECK = "images_good_enough"
_LABEL_CHECK = "labels_consistent"
_LEAK_CHECK = "nothing_leaks"
_MIN_CONSISTENCY = 0.8


class CollectionConfig(dg.Config):
    """What is asked for."""

    request: dict[str, Any] = Field(
        description="As POST /training/datasets/collect takes it: name and survey_ids; and if "
        "wanted start, end, confidence_threshold, max_samples, description, seed, sampling, "
        "injections_per_frame."
    )
    requested_by: str = Field(default="dagster", max_length=255, description="Who asks.")

    def parsed(self) -> CollectionRequest:
        """The request, checked.

        Raises
        ------
        ConfigurationError
            If it is none; the message names each field.
        """
        try:
            return CollectionRequest.model_validate(self.request)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'request'}: {one['msg']}"
                for one in error.errors()
            )
            raise ConfigurationError(
                f"The request for a training dataset is not valid: {problems}.",
                remedy="Correct these fields in the run's configuration.",
            ) from error


@dg.multi_asset(
    name=COLLECTION_OP,
    partitions_def=dataset_partitions,
    deps=[
        # Rows are asked for by survey and window, which no mapping of partitions can say.
        dg.AssetDep("detections", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("labels"),
    ],
    outs={
        "training_samples": fits_out(
            "Image stacks and masks of a dataset's samples, in shards named by their content.",
            tags.TRAINING,
            COLLECTION_VERSION,
        ),
        _OF_DATASET: table_out(
            "Frozen sets of samples with labels, splits, lineage, quality and leak audit, and "
            "the rows of their samples.",
            tags.TRAINING,
            COLLECTION_VERSION,
        ),
    },
    check_specs=[
        dg.AssetCheckSpec(
            _ANOMALY_CHECK,
            asset=_OF_DATASET,
            description=f"{ANOMALY_RATIO[0]} to {ANOMALY_RATIO[1]} of the samples are real.",
        ),
        dg.AssetCheckSpec(
            _IMAGE_CHECK,
            asset=_OF_DATASET,
            description=f"Image quality is {MIN_IMAGE_QUALITY} or better.",
        ),
        dg.AssetCheckSpec(
            _LABEL_CHECK,
            asset=_OF_DATASET,
            description=f"Label consistency is {_MIN_CONSISTENCY} or better.",
        ),
        dg.AssetCheckSpec(
            _LEAK_CHECK,
            asset=_OF_DATASET,
            description="Nothing that is tested by was learnt from.",
        ),
    ],
)
def collect_training_data(
    context: dg.AssetExecutionContext,
    config: CollectionConfig,
    store: StoreResource,
    training: TrainingLedger,
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Plan, cut, audit, and hand on the rows for one final transaction."""
    surveys = configured_surveys().surveys
    try:
        dataset_id = UUID(context.partition_key)
        plan = training.plan_collection(
            dataset_id,
            config.parsed(),
            config.requested_by,
            {name: DifferenceConfig(**one.differencing) for name, one in surveys.items()},
        )
    except ValueError as error:
        raise dg.Failure(
            f"The partition {context.partition_key!r} is no id of a dataset. "
            "Add a UUID as partition, or ask the API, which makes one.",
            allow_retries=False,
        ) from error
    context.log.info(f"{plan.n_samples} samples on {len(plan.tasks)} frames")

    progress = Progress(context.log, len(plan.tasks), "frames cut")
    with open_bench(store) as bench:
        collection = Collection(plan, bench, get_settings().workers, progress.report)
        yield dg.Output(
            (StoredFile(s.key, s.path, s.sha256, s.is_scratch) for s in collection.files()),
            "training_samples",
        )
    collected = collection.finish()
    yield dg.Output(
        DerivedRows(lambda connection: _derive(connection, collected, context.run.run_id)),
        _OF_DATASET,
    )
    yield from _checks(collected)


def _derive(connection: Connection, collected: Collected, run_id: str) -> Derived:
    row = collected.dataset_row(connection, run_id)
    rows = [TableRows(TrainingDataset, [row]), TableRows(TrainingSample, collected.sample_rows())]
    return Derived(rows=rows, metadata=_describe(row, collected))


def _describe(row: dict[str, Any], collected: Collected) -> dict[str, Any]:
    title = f"{row['name']} version {row['version']}"
    examples = list(collected.examples)
    return {
        "dataset": title,
        "status": row["status"],
        "why": row["status_reason"] or "the quality gate is open",
        "total_samples": row["total_samples"],
        "anomaly_ratio": row["anomaly_ratio"],
        "quality_score": row["quality_score"],
        "digest": row["digest"],
        "load it": dg.MetadataValue.md(f'`train, val, test = load_training_data("{row["id"]}")`'),
        "splits": _split_table(row["n_by_split"]),
        "left out": _table(
            [{"why": why, "detections": n} for why, n in sorted(row["n_dropped"].items())],
            why="string",
            detections="int",
        ),
        "audit": _table(
            [
                {"check": one.check, "found": one.n_found, "passed": one.passed}
                for one in collected.findings
            ],
            check="string",
            found="int",
            passed="bool",
        ),
        "made of": inline_picture(
            "splits, S/N, nights, surveys", dataset_png(title, collected.records, collected.quality)
        ),
        "samples": inline_picture("science, reference, D, mask", samples_png(title, examples)),
    }


def _split_table(n_by_split: dict[str, Any]) -> dg.TableMetadataValue:
    return _table(
        [
            {"split": split, "labelled by": source, **labels}
            for split, by_source in sorted(n_by_split.items())
            for source, labels in sorted(by_source.items())
        ],
        split="string",
        **{"labelled by": "string"},
        real="int",
        bogus="int",
    )


def _table(records: list[dict[str, Any]], **columns: str) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord(record) for record in records],
        schema=schema_of(**columns),
    )


def _checks(collected: Collected) -> Iterator[dg.AssetCheckResult]:
    quality = collected.quality
    low, high = ANOMALY_RATIO
    leaks = [one for one in collected.findings if one.blocks and not one.passed]
    yield _check(
        _ANOMALY_CHECK, low <= quality.anomaly_ratio <= high, f"{quality.anomaly_ratio:.3f} real"
    )
    yield _check(
        _IMAGE_CHECK,
        quality.image_quality_score >= MIN_IMAGE_QUALITY,
        f"image quality {quality.image_quality_score:.3f}",
    )
    yield _check(
        _LABEL_CHECK,
        quality.label_consistency >= _MIN_CONSISTENCY,
        f"label consistency {quality.label_consistency:.3f}, "
        f"{quality.n_suspected or 0} labels suspected",
    )
    yield _check(_LEAK_CHECK, not leaks, _leaks(leaks))


def _leaks(leaks: list[Finding]) -> str:
    return "; ".join(f"{one.n_found} {one.detail}" for one in leaks) or "no leak found"


def _check(name: str, passed: bool, description: str) -> dg.AssetCheckResult:
    """A warning at most: what forbids training is the dataset's status, a row."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=_OF_DATASET,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
    )


# --- MLflow -------------------------------------------------------------------------------


@dg.asset(
    partitions_def=dataset_partitions,
    deps=[_OF_DATASET],
    group_name=tags.TRAINING,
    owners=[tags.OWNER],
    kinds={"mlflow"},
    code_version=COLLECTION_VERSION,
    description="The MLflow run training_data_<id> of each dataset: counts, quality, pictures, "
    "input. Where MLflow does not answer it is made later, by the sensor log_training_data.",
)
def dataset_tracking(
    context: dg.AssetExecutionContext, store: StoreResource, training: TrainingLedger
) -> dg.MaterializeResult[Any]:
    """Log a dataset, or say why not."""
    dataset_id = UUID(context.partition_key)
    try:
        run_id = log_dataset(get_settings().mlflow_uri, store.open(), training.dataset(dataset_id))
    except ModelUnavailableError as error:
        context.log.warning(f"not logged, to be tried again: {error}")
        return dg.MaterializeResult(metadata={"logged": False, "why": _why(error)})
    training.note_logged(dataset_id, run_id)
    return dg.MaterializeResult(metadata={"logged": True, "mlflow run": run_id})


def _why(error: AstridError) -> str:
    return str(error)[:1000]
