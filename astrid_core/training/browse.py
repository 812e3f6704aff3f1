"""Training datasets to look at: lists a page at a time, one dataset, its samples, lineage.

Pages go by the last row's key, as those of ``curation.browse`` do.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, RowMapping, literal, select, tuple_

from astrid_core.curation.browse import check_limit
from astrid_core.curation.details import DetectionDetails, detection_details
from astrid_core.errors import NoSuchItemError, TrainingDataError
from astrid_core.training.manifest import DatasetHead, PlacedSample, ShardFiles
from astrid_core.training.pixels import SamplePlace
from astrid_core.training.samples import LabelSource, SampleRecord, Split
from dbschema.models import Observation, Survey, TrainingDataset, TrainingSample

DatasetStatus = Literal["active", "provisional", "quality_failed"]


class DatasetFilter(BaseModel):
    """Which datasets to list; what is left out does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(
        default=None, max_length=255, pattern=r"^[^\x00]*$", description="Name, of all versions."
    )
    status: DatasetStatus | None = Field(default=None, description="Only active ones are learnt.")
    survey: str | None = Field(
        default=None, max_length=200, pattern=r"^[^\x00]*$", description="One that was asked for."
    )


class SampleFilter(BaseModel):
    """Which samples of a dataset to list; what is left out does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split | None = Field(default=None, description="Split.")
    label_source: LabelSource | None = Field(default=None, description="Who says what it is.")


@dataclass(frozen=True)
class ListedDataset:
    """A dataset as lists show it; see :class:`~dbschema.training_models.TrainingDataset`.

    Attributes
    ----------
    n_by_split
        Split → label source → how many real and bogus.
    """

    id: UUID
    name: str
    version: int
    description: str | None
    status: str
    status_reason: str | None
    total_samples: int
    n_by_split: dict[str, Any]
    anomaly_ratio: float
    quality_score: float
    digest: str
    created_at: dt.datetime
    created_by: str


@dataclass(frozen=True)
class DatasetDetails(ListedDataset):
    """A dataset, without its samples.

    Attributes
    ----------
    collection_params
        The request that it answers.
    n_dropped
        Reason → detections that were left out.
    audit
        Each check for leaks, and what it found.
    """

    collection_params: dict[str, Any]
    code_version: str
    snapshot_id: UUID | None
    n_dropped: dict[str, Any]
    audit: dict[str, Any]
    dagster_run_id: str | None
    mlflow_run_id: str | None


@dataclass(frozen=True)
class DatasetQuality:
    """The quality report of a dataset, and what follows from it."""

    id: UUID
    status: str
    status_reason: str | None
    total_samples: int
    anomaly_ratio: float
    quality_score: float
    quality: dict[str, Any]
    audit: dict[str, Any]


@dataclass(frozen=True)
class DatasetCursor:
    """The last row of a page: the next one starts below it."""

    created_at: dt.datetime
    dataset_id: UUID


@dataclass(frozen=True)
class ListedSample:
    """A sample as lists show it; see :class:`~astrid_core.training.samples.SampleRecord`."""

    id: UUID
    position: int
    split: str
    label_source: str
    group_key: str
    sha256: str
    detection_id: UUID | None
    observation_id: UUID
    labels: dict[str, Any]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class SampleLineage:
    """A sample, the dataset that froze it, and all that it was made from.

    Attributes
    ----------
    partition
        Dagster's partition of the observation: night and survey.
    frozen
        Run ids and object hashes as they were when it was frozen.
    detection
        What is recorded of its detection now; None for an injection.
    """

    sample: ListedSample
    dataset: ListedDataset
    partition: str
    frozen: dict[str, Any]
    detection: DetectionDetails | None


def require_surveys(connection: Connection, names: Sequence[str]) -> None:
    """Make sure that there are surveys of these names.

    Raises
    ------
    TrainingDataError
        If not; it names those that there are.
    """
    known = connection.scalars(select(Survey.name).order_by(Survey.name)).all()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise TrainingDataError(
            f"There is no survey {', '.join(map(repr, unknown))}; there "
            + (f"are {', '.join(known)}." if known else "is none yet."),
            remedy="Name surveys that GET /surveys lists, or ingest nights of theirs first.",
        )


def list_datasets(
    connection: Connection,
    wanted: DatasetFilter,
    after: DatasetCursor | None = None,
    limit: int = 50,
) -> tuple[list[ListedDataset], DatasetCursor | None]:
    """A page of datasets, the latest first, and where the next page starts.

    Raises
    ------
    ValueError
        If ``limit`` is not from 1 to :data:`~astrid_core.curation.browse.MAX_PAGE`.
    """
    check_limit(limit)
    query = select(*_columns(ListedDataset))
    if wanted.name is not None:
        query = query.where(TrainingDataset.name == wanted.name)
    if wanted.status is not None:
        query = query.where(TrainingDataset.status == wanted.status)
    if wanted.survey is not None:
        asked_for = TrainingDataset.collection_params["survey_ids"]
        query = query.where(asked_for.contains([wanted.survey]))
    key = (TrainingDataset.created_at, TrainingDataset.id)
    if after is not None:
        query = query.where(tuple_(*key) < _literals(after.created_at, after.dataset_id))
    query = query.order_by(*(column.desc() for column in key)).limit(limit)
    page = [ListedDataset(**row) for row in connection.execute(query).mappings()]
    if len(page) < limit:
        return page, None
    return page, DatasetCursor(page[-1].created_at, page[-1].id)


def dataset_details(connection: Connection, dataset_id: UUID) -> DatasetDetails:
    """A dataset.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    return DatasetDetails(**_dataset(connection, dataset_id, _columns(DatasetDetails)))


def dataset_quality(connection: Connection, dataset_id: UUID) -> DatasetQuality:
    """The quality report of a dataset.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    return DatasetQuality(**_dataset(connection, dataset_id, _columns(DatasetQuality)))


def dataset_head(connection: Connection, dataset_id: UUID) -> DatasetHead:
    """The first line of a dataset's manifest.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    names = ("id", "name", "version", "status", "status_reason", "digest", "shards")
    row = _dataset(connection, dataset_id, [getattr(TrainingDataset, name) for name in names])
    shards = tuple(
        ShardFiles(**{name: one[name] for name in ShardFiles.__dataclass_fields__})
        for one in row["shards"]
    )
    n_samples = sum(shard.n_samples for shard in shards)
    return DatasetHead(**{**row, "shards": shards}, n_samples=n_samples)


def shard_key(connection: Connection, dataset_id: UUID, sha256: str) -> str:
    """Object key of a file of a dataset.

    Raises
    ------
    NoSuchItemError
        If there is no such dataset, or it has no such file.
    """
    row = _dataset(connection, dataset_id, [TrainingDataset.shards])
    for shard in row["shards"]:
        for kind in ("image", "mask"):
            if shard[f"{kind}_sha256"] == sha256:
                return str(shard[f"{kind}_path"])
    raise NoSuchItemError(
        f"Dataset {dataset_id} has no file {sha256}.",
        remedy=f"Take the files' SHA-256 from /training/datasets/{dataset_id}/manifest.",
    )


def list_samples(
    connection: Connection,
    dataset_id: UUID,
    wanted: SampleFilter,
    after: int | None = None,
    limit: int = 50,
) -> tuple[list[ListedSample], int | None]:
    """A page of a dataset's samples by position, and the position after which the next starts.

    Raises
    ------
    NoSuchItemError
        If there is no such dataset.
    ValueError
        If ``limit`` is not from 1 to :data:`~astrid_core.curation.browse.MAX_PAGE`.
    """
    check_limit(limit)
    _dataset(connection, dataset_id, [TrainingDataset.id])
    query = select(*_sample_columns()).where(TrainingSample.dataset_id == dataset_id)
    if wanted.split is not None:
        query = query.where(TrainingSample.split == wanted.split)
    if wanted.label_source is not None:
        query = query.where(TrainingSample.label_source == wanted.label_source)
    if after is not None:
        query = query.where(TrainingSample.position > after)
    query = query.order_by(TrainingSample.position).limit(limit)
    page = [ListedSample(**row) for row in connection.execute(query).mappings()]
    return page, page[-1].position if len(page) == limit else None


def placed_samples(
    connection: Connection, dataset: DatasetHead, after: int, limit: int
) -> list[PlacedSample]:
    """Samples of a dataset whose position is above ``after``, by position, with their places."""
    columns = TrainingSample.__table__.columns
    record = [columns[name] for name in SampleRecord.__dataclass_fields__]
    query = (
        select(*record, columns["image_path"], columns["shard_index"])
        .where(columns["dataset_id"] == dataset.id, columns["position"] > after)
        .order_by(columns["position"])
        .limit(limit)
    )
    shards = _shard_numbers(connection, dataset.id)
    placed = []
    for row in connection.execute(query).mappings():
        values = {name: row[name] for name in SampleRecord.__dataclass_fields__}
        where = shards[row["image_path"]], row["shard_index"]
        placed.append(PlacedSample(SampleRecord(**values), *where))
    return placed


def sample_place(connection: Connection, dataset_id: UUID, position: int) -> SamplePlace:
    """Where the pixels of a dataset's sample are.

    Raises
    ------
    NoSuchItemError
        If there is no such sample.
    """
    query = select(
        TrainingSample.image_path,
        TrainingSample.mask_path,
        TrainingSample.shard_index,
        TrainingSample.sha256,
    ).where(TrainingSample.dataset_id == dataset_id, TrainingSample.position == position)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NoSuchItemError(
            f"Dataset {dataset_id} has no sample {position}.",
            remedy=f"List the samples at /training/datasets/{dataset_id}/samples.",
        )
    return SamplePlace(*row)


def sample_lineage(connection: Connection, sample_id: UUID) -> SampleLineage:
    """A sample with its whole lineage.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    query = (
        select(
            *_sample_columns(),
            TrainingSample.dataset_id,
            Observation.night,
            Survey.name.label("survey"),
        )
        .join(Observation, Observation.id == TrainingSample.observation_id)
        .join(Survey, Survey.id == Observation.survey_id)
        .where(TrainingSample.id == sample_id)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NoSuchItemError(
            f"There is no training sample {sample_id}.", remedy="List the samples of a dataset."
        )
    sample = ListedSample(**{name: row[name] for name in ListedSample.__dataclass_fields__})
    dataset = _dataset(connection, row["dataset_id"], _columns(ListedDataset))
    return SampleLineage(
        sample=sample,
        dataset=ListedDataset(**dataset),
        partition=f"{row['night']}|{row['survey']}",
        frozen=dict(sample.metadata.get("made_from", {})),
        detection=None
        if sample.detection_id is None
        else detection_details(connection, sample.detection_id),
    )


def _columns(view: type[Any]) -> list[Any]:
    return [getattr(TrainingDataset, name) for name in view.__dataclass_fields__]


def _sample_columns() -> list[Any]:
    columns = TrainingSample.__table__.columns
    return [columns[name] for name in ListedSample.__dataclass_fields__]


def _dataset(connection: Connection, dataset_id: UUID, columns: Sequence[Any]) -> RowMapping:
    query = select(*columns).where(TrainingDataset.id == dataset_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NoSuchItemError(
            f"There is no training dataset {dataset_id}.",
            remedy="List them at /training/datasets; one that is being collected is at "
            f"/training/collections/{dataset_id}.",
        )
    return row


def _shard_numbers(connection: Connection, dataset_id: UUID) -> dict[str, int]:
    shards = _dataset(connection, dataset_id, [TrainingDataset.shards])["shards"]
    return {shard["image_path"]: number for number, shard in enumerate(shards)}


def _literals(*values: object) -> Any:
    return tuple_(*(literal(value) for value in values))
