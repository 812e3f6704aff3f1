"""A dataset in MLflow: one finished run that says what it is and names its content.

Asked after the dataset is frozen, and again later where MLflow did not answer: a collection
never waits for it, and no run is left running.
"""

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, func, select, update

from astrid_core.detection.registry import experiment_id, mlflow_client, mlflow_errors
from astrid_core.training.pictures import dataset_png, samples_png
from astrid_core.training.quality import QualityReport
from astrid_core.training.samples import SampleRecord, map_images, map_masks
from astrid_core.training.stored import StoredDataset
from astrid_core.training.tracking import DIGEST_CHARS, Tracked, tracked
from dbschema.models import TrainingDataset

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from astrid_core.storage import ObjectStore

EXPERIMENT = "astrid-training-data"
_DATASET_TAG = "astrid.dataset_id"
_EXAMPLES = 10


def unlogged(connection: Connection, older_than_s: float) -> list[UUID]:
    """Datasets of some age that MLflow does not know, the oldest first."""
    age = func.now() - TrainingDataset.created_at
    return list(
        connection.scalars(
            select(TrainingDataset.id)
            .where(
                TrainingDataset.mlflow_run_id.is_(None),
                age > dt.timedelta(seconds=older_than_s),
            )
            .order_by(TrainingDataset.created_at)
        )
    )


def note_logged(connection: Connection, dataset_id: UUID, mlflow_run_id: str) -> None:
    """Keep the MLflow run of a dataset: all that is ever changed of it."""
    connection.execute(
        update(TrainingDataset)
        .where(TrainingDataset.id == dataset_id)
        .values(mlflow_run_id=mlflow_run_id)
    )


def log_dataset(
    mlflow_uri: str,
    store: "ObjectStore",
    dataset: StoredDataset,
) -> str:
    """Log a dataset once; its MLflow run, finished.

    Raises
    ------
    ModelUnavailableError
        If MLflow does not answer.
    """
    row = dataset.row
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        known = client.search_runs(
            [experiment_id(client, EXPERIMENT)],
            f"tags.`{_DATASET_TAG}` = '{row['id']}' and attributes.status = 'FINISHED'",
            max_results=1,
        )
        if known:
            return str(known[0].info.run_id)
        tags = {_DATASET_TAG: str(row["id"]), "astrid.digest": row["digest"]}
        with tracked(mlflow_uri, f"training_data_{row['id']}", tags, EXPERIMENT) as run:
            _log(run, store, row, dataset.records)
    return run.run_id


def log_health(mlflow_uri: str, day: dt.date, metrics: Mapping[str, float]) -> str:
    """Log the health of a day: a finished run of its own.

    Raises
    ------
    ModelUnavailableError
        If MLflow does not answer.
    """
    with mlflow_errors(mlflow_uri):
        name, tags = f"training_data_health_{day}", {"astrid.day": str(day)}
        with tracked(mlflow_uri, name, tags, EXPERIMENT) as run:
            run.figures(metrics)
    return run.run_id


def _log(
    run: Tracked,
    store: "ObjectStore",
    row: Mapping[str, Any],
    records: Sequence[SampleRecord],
) -> None:
    quality = QualityReport(**row["quality"])
    client, run_id = run.client, run.run_id
    run.figures(metrics_of(row, quality))
    run.params(params_of(row, quality))
    client.log_dict(run_id, dict(row["quality"]), "quality.json")
    client.log_dict(run_id, dict(row["audit"]), "audit.json")
    _log_input(client, run_id, row)
    title = f"{row['name']} version {row['version']}"
    with tempfile.TemporaryDirectory() as folder:
        pictures = {
            "dataset.png": dataset_png(title, records, quality),
            "samples.png": samples_png(title, _examples(store, row, records, Path(folder))),
        }
        for name, picture in pictures.items():
            path = Path(folder) / name
            path.write_bytes(picture)
            client.log_artifact(run_id, str(path))


def metrics_of(row: Mapping[str, Any], quality: QualityReport) -> dict[str, float]:
    """Numbers that MLflow plots, the specification's names first."""
    counts = {
        f"n_{split}_{source}_{label}": float(n)
        for split, by_source in row["n_by_split"].items()
        for source, by_label in by_source.items()
        for label, n in by_label.items()
    }
    surveys = {
        f"survey_{name}": float(sum(labels.values()))
        for name, labels in quality.survey_coverage.items()
    }
    return {
        "total_samples": float(row["total_samples"]),
        "anomaly_ratio": quality.anomaly_ratio,
        "data_quality_score": quality.quality_score,
        "image_quality_score": quality.image_quality_score,
        "label_consistency": quality.label_consistency,
        "n_suspected_labels": float(quality.n_suspected or 0),
        "n_nights": float(len(quality.temporal_distribution)),
        **counts,
        **surveys,
    }


def params_of(row: Mapping[str, Any], quality: QualityReport) -> dict[str, str]:
    """What was asked for."""
    asked = row["collection_params"]
    start, end = (np.datetime64(asked[name].removesuffix("Z")) for name in ("start", "end"))
    days = (end - start) / np.timedelta64(1, "D")
    return {
        "collection_date": row["created_at"].isoformat(),
        "validation_threshold": str(asked["confidence_threshold"]),
        "time_range_days": f"{days:g}",
        "survey_sources": ",".join(sorted(quality.survey_coverage)),
        "dataset_name": row["name"],
        "dataset_version": str(row["version"]),
        "status": str(row["status"]),
        "digest": row["digest"],
    }


def _log_input(client: "MlflowClient", run_id: str, row: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput

    dataset = Dataset(
        name=f"{row['name']} version {row['version']}"[:500],
        digest=row["digest"][:DIGEST_CHARS],
        source_type="astrid",
        source=json.dumps({"dataset_id": str(row["id"]), "digest": row["digest"]}),
        profile=json.dumps({"total_samples": row["total_samples"]}),
    )
    client.log_inputs(run_id, datasets=[DatasetInput(dataset=dataset)])


def _examples(
    store: "ObjectStore", row: Mapping[str, Any], records: Sequence[SampleRecord], folder: Path
) -> list[tuple[SampleRecord, Any, Any]]:
    """At most ten samples of the first shard, evenly spread."""
    shard = row["shards"][0]
    n = int(shard["n_samples"])
    image_path, mask_path = folder / "images.npy", folder / "masks.npy"
    store.get_file(shard["image_path"], image_path, shard["image_sha256"])
    store.get_file(shard["mask_path"], mask_path, shard["mask_sha256"])
    images = map_images(image_path, n)
    masks = map_masks(mask_path, n)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _EXAMPLES)).astype(int))
    return [(records[i], np.array(images[i]), np.array(masks[i])) for i in chosen.tolist()]
