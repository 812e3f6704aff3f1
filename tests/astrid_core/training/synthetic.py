"""Samples of a sky so simple that a few steps must learn something: blobs and hot pixels."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import Connection, insert

from astrid_core.identity import derive_id, sha256_file
from astrid_core.storage import ObjectStore
from astrid_core.training.request import CollectionRequest
from astrid_core.training.samples import (
    IGNORED,
    SIDE_PIX,
    SampleRecord,
    Samples,
    Split,
    dataset_digest,
    pixels_sha256,
)
from dbschema.models import TrainingDataset, TrainingSample
from tests import rows
from tests.review import store_detections

FWHM = 3.0
SPLITS: tuple[Split, ...] = ("train", "train", "train", "val", "test")
N_GROUPS = 6
SHARD = 32


def make_samples(n: int, seed: int = 0) -> Samples:
    """Real changes are round, bogus ones single hot pixels; every fifth is to test by."""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, 5, SIDE_PIX, SIDE_PIX), np.float32)
    masks = np.zeros((n, SIDE_PIX, SIDE_PIX), np.uint8)
    records = []
    yy, xx = np.indices((SIDE_PIX, SIDE_PIX)) - SIDE_PIX // 2
    for index in range(n):
        is_real = bool((index // len(SPLITS)) % 2)
        snr = float(rng.uniform(4, 25))
        dx, dy = rng.uniform(-0.5, 0.5, 2)
        distance2 = (xx - dx) ** 2 + (yy - dy) ** 2
        blob = 0.5 * snr * np.exp(-4 * np.log(2) * distance2 / FWHM**2)
        change = blob if is_real else np.where((xx == 0) & (yy == 0), 2 * snr, 0.0)
        science = change + rng.normal(0, 1, change.shape)
        images[index, 0] = np.arcsinh(science)
        images[index, 1] = np.arcsinh(rng.normal(0, 1, change.shape))
        images[index, 2] = np.arcsinh(science)
        images[index, 3] = blob
        images[index, 4] = 1
        near = distance2 <= (3 * FWHM) ** 2
        masks[index][near] = IGNORED
        masks[index][distance2 <= FWHM**2] = int(is_real)
        split = SPLITS[index % len(SPLITS)]
        records.append(make_record(index, split, is_real, snr, (100 + dx, 200 + dy), images, masks))
    return Samples(images, masks, records)


def make_record(
    index: int,
    split: Split,
    is_real: bool,
    snr: float,
    position: tuple[float, float],
    images: np.ndarray,
    masks: np.ndarray,
) -> SampleRecord:
    frame = derive_id("frame", split, index % 4)
    return SampleRecord(
        id=derive_id("synthetic", index),
        position=index,
        split=split,
        label_source="human",
        group_key=f"{split}-{index // len(SPLITS) // 2 % N_GROUPS}",
        sha256=pixels_sha256(images[index], masks[index]),
        labels={
            "is_anomaly": is_real,
            "anomaly_type": None,
            "confidence": 1.0,
            "reviewer_notes": [],
            "label_source": "human",
        },
        metadata={
            "survey": "sim",
            "night": "2026-09-01",
            "field": "F0",
            "fwhm_pix": FWHM,
            "x_pix": position[0],
            "y_pix": position[1],
            "snr": snr,
            "scorr_peak": snr,
            "detection_type": "candidate",
            "strata": ["random"],
            "mpix": 0.25,
            "made_from": {"difference": {"run_id": str(frame)}},
        },
    )


def frame_ids(records: Sequence[SampleRecord]) -> set[str]:
    return {r.metadata["made_from"]["difference"]["run_id"] for r in records}


def store_dataset(
    connection: Connection, store: ObjectStore, samples: Samples, folder: Path, **changes: object
) -> UUID:
    """A frozen dataset of samples: rows, detections they are of, shards of 32 in the store."""
    dataset_id = uuid4()
    detections = store_detections(connection, [0.5] * len(samples))
    observation = rows.observation_row(0)["id"]
    shards, sample_rows = [], []
    for start in range(0, len(samples), SHARD):
        part = samples.take(range(start, min(start + SHARD, len(samples))))
        shard = {"n_samples": len(part), "n_bytes": part.images.nbytes + part.masks.nbytes}
        for name, array in (("image", part.images), ("mask", part.masks)):
            path = folder / f"{dataset_id}-{start}-{name}.npy"
            np.save(path, array, allow_pickle=False)
            sha256 = sha256_file(path)
            key = f"training_samples/{sha256}.npy"
            store.put_file(key, path, sha256)
            shard |= {f"{name}_path": key, f"{name}_sha256": sha256}
        shards.append(shard)
        sample_rows += [
            {
                "dataset_id": dataset_id,
                "detection_id": detections[record.position],
                "image_path": shard["image_path"],
                "mask_path": shard["mask_path"],
                "labels": dict(record.labels),
                "metadata": dict(record.metadata),
                "observation_id": observation,
                "position": record.position,
                "shard_index": index,
                "sha256": record.sha256,
                "split": record.split,
                "group_key": record.group_key,
                "label_source": record.label_source,
            }
            for index, record in enumerate(part.records)
        ]
    values: dict[str, object] = {
        "id": dataset_id,
        "name": "synthetic",
        "collection_params": CollectionRequest(
            name="synthetic",
            survey_ids=("sim",),
            start=dt.datetime(2026, 8, 30, tzinfo=dt.UTC),
            end=dt.datetime(2026, 9, 30, tzinfo=dt.UTC),
        ).model_dump(mode="json"),
        "total_samples": len(samples),
        "anomaly_ratio": float(samples.is_real.mean()),
        "quality_score": 1.0,
        "created_by": "test",
        "version": 1,
        "digest": dataset_digest(samples.records),
        "code_version": "1",
        "shards": shards,
        "n_by_split": {},
        "n_dropped": {},
        "quality": {},
        "audit": {},
    }
    connection.execute(insert(TrainingDataset).values(**(values | changes)))
    connection.execute(insert(TrainingSample), sample_rows)
    return dataset_id
