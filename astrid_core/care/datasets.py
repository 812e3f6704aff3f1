"""Frozen training datasets: whole, and what they were when they were frozen."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Connection, select

from astrid_core.care.reading import count
from astrid_core.care.report import Checked, Statement, checked
from astrid_core.training.samples import dataset_digest
from astrid_core.training.stored import StoredDataset, read_dataset
from dbschema.models import TrainingDataset, TrainingRun

WHOLE = Statement(
    "whole_dataset",
    "Every dataset has all its samples, each in its shard, and the digest it was frozen with",
    "Do not train on it: collect it again under the same name, or restore from a backup.",
)
TRAINED = Statement(
    "whole_training",
    "Every completed training run made a model, and every failed one says why",
    "Train again: astrid train DATASET_ID.",
)


def check_datasets(connection: Connection) -> list[Checked]:
    """All of it."""
    ids = list(connection.scalars(select(TrainingDataset.id).order_by(TrainingDataset.id)))
    n_runs = count(connection, TrainingRun)
    return [
        checked(WHOLE, len(ids), _half_datasets(connection, ids)),
        checked(TRAINED, n_runs, _half_trainings(connection)),
    ]


def _half_datasets(connection: Connection, ids: list[UUID]) -> Iterator[str]:
    for dataset_id in ids:
        for problem in _problems(connection, dataset_id):
            yield f"{dataset_id}: {problem}"


def _problems(connection: Connection, dataset_id: UUID) -> Iterator[str]:
    try:
        dataset = read_dataset(connection, dataset_id)
    except KeyError as error:
        yield f"a sample names {error}, which is none of its shards"
        return
    n_labelled = sum(record.label_source != "injection" for record in dataset.records)
    if n_labelled != dataset.row["total_samples"]:
        yield f"{n_labelled} of {dataset.row['total_samples']} samples"
    if [record.position for record in dataset.records] != list(range(len(dataset.records))):
        yield "positions of samples have gaps"
    if sorted(map(tuple, dataset.places.tolist())) != _places_of(dataset):
        yield "samples and places in shards are not one to one"
    if dataset_digest(dataset.records) != dataset.row["digest"]:
        yield "its rows do not have the digest it was frozen with"


def _places_of(dataset: StoredDataset) -> list[tuple[int, int]]:
    return [
        (number, index)
        for number, shard in enumerate(dataset.shards)
        for index in range(shard.n_samples)
    ]


def _half_trainings(connection: Connection) -> Iterator[str]:
    query = select(TrainingRun.id, TrainingRun.status).where(
        ((TrainingRun.status == "completed") & TrainingRun.model_id.is_(None))
        | ((TrainingRun.status == "failed") & TrainingRun.error_type.is_(None))
    )
    for row in connection.execute(query):
        yield f"training run {row.id} is {row.status} and lacks what that takes"
