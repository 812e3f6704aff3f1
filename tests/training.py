"""A small dataset, really collected and frozen, as tests of those who use it need one."""

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from sqlalchemy import Connection, insert

from astrid_core.stages.bench import Bench
from astrid_core.storage import ObjectStore
from astrid_core.training.collect import Collection, plan_collection
from astrid_core.training.request import CollectionRequest
from astrid_core.training.samples import F32, U8, SampleRecord
from dbschema.models import TrainingDataset, TrainingSample
from tests import rows
from tests.sky_to_learn_from import store_sky


@dataclass(frozen=True)
class Frozen:
    """What a dataset should give: its pixels and records in their order."""

    id: UUID
    images: F32
    masks: U8
    records: list[SampleRecord]


def freeze_dataset(connection: Connection, store: ObjectStore, n_fields: int = 8) -> Frozen:
    """A dataset of judged detections on made-up frames, in the database and the store."""
    store_sky(connection, store, n_fields)
    request = CollectionRequest(
        name="small",
        survey_ids=[rows.SURVEY],
        start=dt.datetime(2026, 8, 30),
        end=dt.datetime(2026, 9, 10),
    )
    plan = plan_collection(connection, uuid4(), request, "ada", {})
    arrays: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection(plan, Bench(store, Path(folder), 16.0), 0, lambda *_: None)
        for staged in collection.files():
            arrays.append(np.load(staged.path))
            store.put_file(staged.key, staged.path, staged.sha256)
    collected = collection.finish()
    row = collected.dataset_row(connection, None)
    connection.execute(insert(TrainingDataset).values(**row))
    connection.execute(insert(TrainingSample.__table__), collected.sample_rows())
    images, masks = np.concatenate(arrays[::2]), np.concatenate(arrays[1::2])
    return Frozen(row["id"], images, masks, list(collected.records))
