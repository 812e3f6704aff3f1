"""Training samples: what one is, and how many of them lie in files.

What belongs here: the form of samples in memory and in shards, and their hashes. What does
not: where they come from (``collect``), who may learn from which (``splits``), how a
notebook gets them (``client``). Nothing here needs a database, Dagster or torch.

A shard is a pair of plain ``.npy`` files, images and masks, in the same order. They are
named by their SHA-256, can be mapped into memory, and are never pickled.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from astrid_core.errors import ObjectCorruptError

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

Split = Literal["train", "val", "test"]
LabelSource = Literal["human", "model", "injection"]

IMAGE_PLANES = ("science", "reference", "difference", "scorr", "validity")
"""Planes of a sample's image, in order. Science, reference and difference are as
:func:`astrid_core.detection.planes.preprocess` gives them to the network, arcsinh of the value
over its noise; S_corr is in units of its noise; validity is 0 or 1. Invalid pixels are 0."""

NETWORK_PLANES = (0, 1, 2, 4)
"""Those of them that the network reads, in its order."""

SIDE_PIX = 80
"""Side of a sample: a window of the network, 64 px, and 8 px all around to move it in. The
pixel nearest the sample's position lies at index ``SIDE_PIX // 2`` of both axes."""

IGNORED = 255
"""Mask value of pixels that say nothing."""


@dataclass(frozen=True)
class SampleRecord:
    """All of a sample but its pixels.

    Attributes
    ----------
    labels
        ``is_anomaly`` (bool), ``anomaly_type`` (subtype or None), ``confidence`` (0 to 1: the
        share of verdicts that are the label, or the model's confidence in it),
        ``reviewer_notes`` (list of str), ``label_source``.
    metadata
        ``survey``, ``night``, ``field``, ``filter_band``, ``observation_time``, ``x_pix``,
        ``y_pix``, ``ra``, ``dec``, ``fwhm_pix``, ``snr``, ``scorr_peak``,
        ``confidence_score``, ``is_negative``, ``detection_type``, ``object_id``, ``strata`` (why
        the queue put it before people), ``made_from`` (run ids and object hashes of all that it
        was made from), ``mpix`` (10^6 searched pixels of its difference image).
    group_key
        Sky cell (or field) that is never divided between splits.
    """

    id: UUID
    position: int
    split: Split
    label_source: LabelSource
    group_key: str
    sha256: str
    labels: Mapping[str, Any]
    metadata: Mapping[str, Any]

    @property
    def is_real(self) -> bool:
        """Whether it is labelled real."""
        return bool(self.labels["is_anomaly"])


@dataclass(frozen=True)
class Samples:
    """Some samples of a dataset, their pixels in memory or mapped from files.

    Attributes
    ----------
    images
        (n, 5, s, s) float32, planes in the order of ``IMAGE_PLANES``.
    masks
        (n, s, s) uint8: 1 real, 0 bogus or quiet sky, 255 ignored.
    records
        n of them, in the same order.
    """

    images: F32
    masks: U8
    records: Sequence[SampleRecord]

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "Samples":
        """Those at some indices, in their order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Samples(
            self.images[chosen], self.masks[chosen], [self.records[int(i)] for i in chosen]
        )

    def where(self, wanted: Sequence[bool] | NDArray[np.bool_]) -> "Samples":
        """Those wanted, in their order."""
        return self.take(np.flatnonzero(np.asarray(wanted, dtype=bool)))

    def of_split(self, split: Split) -> "Samples":
        """Those of a split."""
        return self.where([record.split == split for record in self.records])

    @property
    def is_real(self) -> NDArray[np.bool_]:
        """(n,) labelled real."""
        return np.array([record.is_real for record in self.records], dtype=bool)

    @property
    def groups(self) -> NDArray[np.str_]:
        """(n,) group keys."""
        return np.array([record.group_key for record in self.records], dtype=np.str_)

    def values(self, name: str) -> NDArray[np.float64]:
        """(n,) of a number in the metadata, NaN where it is not known."""
        found = (record.metadata.get(name) for record in self.records)
        return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def pixels_sha256(image: F32, mask: U8) -> str:
    """SHA-256 of a sample's pixels, image then mask, each in C order and little-endian."""
    digest = hashlib.sha256(np.ascontiguousarray(image, dtype="<f4").tobytes())
    digest.update(np.ascontiguousarray(mask, dtype=np.uint8).tobytes())
    return digest.hexdigest()


def dataset_digest(records: Sequence[SampleRecord]) -> str:
    """SHA-256 of a dataset's content: pixels, labels, lineage and splits; not of its name or id.

    The same samples give the same digest, whenever and under whatever name they are collected.
    """
    lines = sorted(
        json.dumps(
            [r.sha256, r.split, r.group_key, r.label_source, dict(r.labels), dict(r.metadata)],
            sort_keys=True,
            separators=(",", ":"),
            default=str,
        )
        for r in records
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def map_images(path: Path, n_samples: int) -> F32:
    """Images (n, 5, s, s) of a shard's file, mapped.

    Raises
    ------
    ObjectCorruptError
        If it is no such file.
    """
    return map_array(path, (n_samples, len(IMAGE_PLANES), SIDE_PIX, SIDE_PIX), np.float32)


def map_masks(path: Path, n_samples: int) -> U8:
    """Masks (n, s, s) of a shard's file, mapped.

    Raises
    ------
    ObjectCorruptError
        If it is no such file.
    """
    return map_array(path, (n_samples, SIDE_PIX, SIDE_PIX), np.uint8)


def map_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """An ``.npy`` file mapped into memory, read-only, after a look at its header.

    Raises
    ------
    ObjectCorruptError
        If it is no such array.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # NumPy reads a header as Python's own words, whose parts raise what they like.
        raise ObjectCorruptError(
            f"{path} is no array of training samples: {error}",
            remedy="Remove the file: it is fetched again.",
        ) from error
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ObjectCorruptError(
            f"{path} holds {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}.",
            remedy="Remove the file: it is fetched again.",
        )
    return np.asarray(array)
