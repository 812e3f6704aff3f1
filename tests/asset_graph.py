"""A small asset graph with the real assets' names, partitions and IO managers.

Its assets yield what a test puts into :class:`Feed`; what they load is kept there.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from astrid_core.identity import sha256_file
from astrid_dagster.io_managers.fits import FitsIOManager
from astrid_dagster.io_managers.postgres import PostgresIOManager
from astrid_dagster.io_managers.values import StoredFile
from astrid_dagster.resources import DatabaseResource, StoreResource
from tests import rows

SURVEYS = dg.StaticPartitionsDefinition(["other", "sim"])
NIGHTS = dg.DailyPartitionsDefinition("2026-09-01", end_date="2026-10-01")
SURVEY_NIGHTS = dg.MultiPartitionsDefinition({"survey": SURVEYS, "night": NIGHTS})
ANY_NIGHT = dg.MultiToSingleDimensionPartitionMapping("survey")

BY_NIGHT = (
    "raw_frames",
    "observations",
    "processed_frames",
    "preprocess_runs",
    "difference_images",
    "difference_runs",
    "cutouts",
    "candidates",
    "model_runs",
    "detections",
    "objects",
)
BY_SURVEY = ("reference_frames", "reference_runs")
IMAGING = {"raw_frames", "processed_frames", "difference_images", "cutouts", "reference_frames"}


class Feed:
    """What assets hand to their IO managers, by asset; empty where nothing is set."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = defaultdict(list)
        self.loaded: dict[str, Any] = {}


def key(survey: str = rows.SURVEY, night: dt.date = rows.NIGHT) -> dg.MultiPartitionKey:
    return dg.MultiPartitionKey({"survey": survey, "night": night.isoformat()})


def resources() -> dict[str, Any]:
    store, database = StoreResource(), DatabaseResource()
    return {
        "fits_io": FitsIOManager(store=store, database=database),
        "postgres_io": PostgresIOManager(database=database),
    }


def source(name: str, feed: Feed) -> dg.AssetsDefinition:
    """Asset that yields what the feed holds for it."""

    @dg.asset(
        name=name,
        io_manager_key="fits_io" if name in IMAGING else "postgres_io",
        partitions_def=SURVEYS if name in BY_SURVEY else SURVEY_NIGHTS,
    )
    def produce() -> Iterator[dg.Output[Any]]:
        yield dg.Output(feed.values[name])

    return produce


def sink(name: str, feed: Feed) -> dg.AssetsDefinition:
    """Asset that loads an asset for its own partition and keeps what came."""

    @dg.asset(
        name=f"reads_{name}",
        ins={"value": dg.AssetIn(name)},
        io_manager_key="postgres_io",
        partitions_def=SURVEYS if name in BY_SURVEY else SURVEY_NIGHTS,
    )
    def consume(value) -> list[Any]:
        feed.loaded[name] = value
        return []

    return consume


def materialize(
    name: str, feed: Feed, partition: str | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """Run one asset for a partition."""
    default = rows.SURVEY if name in BY_SURVEY else key()
    return dg.materialize(
        [source(name, feed)],
        resources=resources(),
        partition_key=partition or default,
        **options,
    )


def try_to_load(name: str, feed: Feed, partition: str | None = None) -> dg.ExecuteInProcessResult:
    """Run an asset that loads another for its own partition."""
    default = rows.SURVEY if name in BY_SURVEY else key()
    consume = sink(name, feed)
    return dg.materialize(
        [source(name, feed), consume],
        selection=[consume],
        resources=resources(),
        partition_key=partition or default,
        raise_on_error=False,
    )


def load(name: str, feed: Feed, partition: str | None = None) -> Any:
    """What an asset of the same partition gets from an upstream asset."""
    assert try_to_load(name, feed, partition).success
    return feed.loaded[name]


def cause(result: dg.ExecuteInProcessResult) -> str:
    """Class names of a failed step's chain of causes."""
    (failure,) = result.get_step_failure_events()
    error = failure.step_failure_data.error
    names = []
    while error is not None:
        names.append(str(error.cls_name))
        error = error.cause
    return " < ".join(names)


def files(folder: Path, *names: str, is_scratch: bool = True) -> Iterator[StoredFile]:
    """A stream of small files, made as they are asked for."""
    for name in names:
        path = folder / name.replace("/", "_")
        path.write_bytes(f"content of {name}".encode() * 100)
        yield StoredFile(name, path, sha256_file(path), is_scratch)
