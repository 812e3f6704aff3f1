"""A dataset as it travels: which files its pixels lie in, and every sample's record.

Written as JSON lines, the dataset first and then its samples in order, so that neither side
need hold all of it. Nothing here needs a database, Dagster or torch.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

from astrid_core.errors import ObjectCorruptError
from astrid_core.training.samples import SampleRecord

_REMEDY = "Ask for the dataset again; if it persists, server and client are of different versions."


@dataclass(frozen=True)
class ShardFiles:
    """A pair of files of a dataset, images and masks in the same order, by their SHA-256."""

    image_sha256: str
    mask_sha256: str
    n_samples: int


@dataclass(frozen=True)
class PlacedSample:
    """A sample's record, and where its pixels are.

    Attributes
    ----------
    shard
        Number of its pair of files in the dataset, from 0.
    index
        Place in both files, from 0.
    """

    record: SampleRecord
    shard: int
    index: int


@dataclass(frozen=True)
class DatasetHead:
    """What a dataset is, without its samples.

    Attributes
    ----------
    status, status_reason
        ``active``; else why no training takes it.
    digest
        SHA-256 of pixels, labels and splits.
    """

    id: UUID
    name: str
    version: int
    status: str
    status_reason: str | None
    digest: str
    n_samples: int
    shards: tuple[ShardFiles, ...]


@dataclass(frozen=True)
class Manifest:
    """A dataset and its samples, in their order."""

    head: DatasetHead
    samples: tuple[PlacedSample, ...]


def to_line(item: DatasetHead | PlacedSample) -> str:
    """One line of a manifest, its end included."""
    return json.dumps(asdict(item), separators=(",", ":"), default=str) + "\n"


def read_manifest(lines: Iterable[str | bytes]) -> Manifest:
    """Read what :func:`to_line` wrote.

    Raises
    ------
    ObjectCorruptError
        If it is no manifest, or ends too early.
    """
    remaining = (json.loads(line) for line in lines if line.strip())
    try:
        head: dict[str, Any] = next(remaining, {})
        shards = tuple(_known(ShardFiles, shard) for shard in head["shards"])
        dataset = _known(DatasetHead, head | {"id": UUID(head["id"]), "shards": shards})
        samples = tuple(_sample(line) for line in remaining)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ObjectCorruptError(f"This is no manifest: {error!r}.", remedy=_REMEDY) from error
    if len(samples) != dataset.n_samples:
        raise ObjectCorruptError(
            f"The manifest of dataset {dataset.id} ends after {len(samples)} of "
            f"{dataset.n_samples} samples.",
            remedy=_REMEDY,
        )
    return Manifest(dataset, samples)


def _sample(line: Mapping[str, Any]) -> PlacedSample:
    record = dict(line["record"])
    record["id"] = UUID(record["id"])
    return PlacedSample(_known(SampleRecord, record), line["shard"], line["index"])


def _known(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """A dataclass of those values that it has a name for: a newer server may send more."""
    return kind(**{one.name: given[one.name] for one in fields(kind)})
