"""A frozen dataset read back: its rows, and its shards mapped into memory. No torch here.

Only what is asked for is in memory: ten thousand samples are 1.3 GB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from astrid_core.errors import DatasetQualityError, NoSuchItemError
from astrid_core.identity import sha256_file
from astrid_core.training.samples import (
    IMAGE_PLANES,
    SIDE_PIX,
    SampleRecord,
    Samples,
    Split,
    map_images,
    map_masks,
)
from dbschema.models import TrainingDataset, TrainingSample

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]


class ObjectSource(Protocol):
    """What reading asks of the object store."""

    def get_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        """Fetch an object whole and proven."""


class SampleSet(Protocol):
    """Samples whose pixels are had by asking: :class:`Samples` and :class:`StoredSamples`."""

    @property
    def records(self) -> Sequence[SampleRecord]:
        """All of them, in order."""

    def take(self, indices: Sequence[int] | I64) -> Samples:
        """Those at some indices, in memory."""


@dataclass(frozen=True)
class Shard:
    """A shard of a dataset, as its row names it."""

    image_path: str
    image_sha256: str
    mask_path: str
    mask_sha256: str
    n_samples: int
    n_bytes: int


@dataclass(frozen=True)
class StoredDataset:
    """A dataset without its pixels.

    Attributes
    ----------
    row
        Its row of ``training_datasets``.
    places
        (n, 2) of each record's shard, and its index there.
    """

    row: Mapping[str, Any]
    records: Sequence[SampleRecord]
    shards: Sequence[Shard]
    places: I64

    @property
    def id(self) -> UUID:
        """The dataset."""
        return UUID(str(self.row["id"]))

    def require_active(self) -> None:
        """Refuse a dataset that must not be learnt from.

        Raises
        ------
        DatasetQualityError
            If its status is another than ``active``, with the reason it was given.
        """
        if self.row["status"] != "active":
            raise DatasetQualityError(
                f"Training dataset {self.row['name']} version {self.row['version']} "
                f"({self.id}) is {self.row['status']}: {self.row['status_reason']}",
                remedy="Mend what its quality report names, and collect it again.",
            )


@dataclass(frozen=True)
class StoredSamples:
    """Samples in mapped shards; pixels are read when they are taken."""

    records: Sequence[SampleRecord]
    _images: Sequence[F32]
    _masks: Sequence[U8]
    _places: I64

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: Sequence[int] | I64) -> Samples:
        """Those at some indices, in their order, in memory."""
        chosen = np.asarray(indices, dtype=np.int64)
        images = np.empty((len(chosen), len(IMAGE_PLANES), SIDE_PIX, SIDE_PIX), dtype=np.float32)
        masks = np.empty((len(chosen), SIDE_PIX, SIDE_PIX), dtype=np.uint8)
        for number, (shard, index) in enumerate(self._places[chosen]):
            images[number] = self._images[shard][index]
            masks[number] = self._masks[shard][index]
        return Samples(images, masks, [self.records[int(i)] for i in chosen])

    def of_split(self, split: Split) -> "StoredSamples":
        """Those of a split, still in their files."""
        chosen = [i for i, record in enumerate(self.records) if record.split == split]
        return replace(
            self, records=[self.records[i] for i in chosen], _places=self._places[chosen]
        )


def read_dataset(connection: Connection, dataset_id: UUID) -> StoredDataset:
    """A dataset's rows.

    Raises
    ------
    NoSuchItemError
        If there is no such dataset.
    """
    table = TrainingDataset.__table__
    row = connection.execute(select(table).where(table.c.id == dataset_id)).mappings().first()
    if row is None:
        raise NoSuchItemError(
            f"There is no training dataset {dataset_id}.",
            remedy="GET /training/datasets lists them; POST /training/datasets/collect makes one.",
        )
    shards = [Shard(**values) for values in row["shards"]]
    numbers = {shard.image_path: number for number, shard in enumerate(shards)}
    samples = TrainingSample.__table__
    query = select(samples).where(samples.c.dataset_id == dataset_id).order_by(samples.c.position)
    found = connection.execute(query).mappings().all()
    places = [(numbers[one["image_path"]], one["shard_index"]) for one in found]
    return StoredDataset(
        row=dict(row),
        records=[_record(dict(one)) for one in found],
        shards=shards,
        places=np.array(places, dtype=np.int64).reshape(-1, 2),
    )


def open_samples(dataset: StoredDataset, store: ObjectSource, folder: Path) -> StoredSamples:
    """A dataset's samples, their shards fetched and proven.

    Parameters
    ----------
    folder
        Shards are kept here by SHA-256 and fetched once; they are proven every time.

    Raises
    ------
    ObjectMissingError, StoreError
        If a shard cannot be had.
    ObjectCorruptError
        If one is not what was frozen.
    """
    images, masks = [], []
    for shard in dataset.shards:
        image = _fetched(store, shard.image_path, shard.image_sha256, folder)
        mask = _fetched(store, shard.mask_path, shard.mask_sha256, folder)
        images.append(map_images(image, shard.n_samples))
        masks.append(map_masks(mask, shard.n_samples))
    return StoredSamples(dataset.records, images, masks, dataset.places)


def _fetched(store: ObjectSource, key: str, sha256: str, folder: Path) -> Path:
    path = folder / f"{sha256}.npy"
    if path.exists() and sha256_file(path) != sha256:
        path.unlink()  # a damaged cache must not outlive its discovery
    if not path.exists():
        store.get_file(key, path, sha256)
    return path


def _record(row: Mapping[str, Any]) -> SampleRecord:
    return SampleRecord(
        id=row["id"],
        position=row["position"],
        split=row["split"],
        label_source=row["label_source"],
        group_key=row["group_key"],
        sha256=row["sha256"],
        labels=row["labels"],
        metadata=row["metadata"] or {},
    )
