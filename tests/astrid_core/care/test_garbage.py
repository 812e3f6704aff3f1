"""Removing what nothing needs, and nothing else, whatever goes on meanwhile."""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, insert

from astrid_core.care.garbage import STALE_SCRATCH, WITHOUT_ROW, Busy, busy_with, sweep_objects
from astrid_core.care.naming import named_objects
from astrid_core.care.objects import Grace
from astrid_core.identity import sha256_file
from astrid_core.storage import ObjectStore
from dbschema.models import Observation, Survey
from dbschema.transactions import transaction
from tests import rows
from tests.care import put
from tests.conftest import S3Store

AT_ONCE = Grace(dt.timedelta(0), dt.datetime.now(dt.UTC) + dt.timedelta(days=365))
NIGHT = "sim/2026-09-01"


@pytest.fixture
def store(s3_empty: S3Store) -> ObjectStore:
    return s3_empty.open()


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        connection.execute(insert(Survey).values(**rows.survey_row()))
    yield engine
    engine.dispose()


def observe(engine: Engine, store: ObjectStore, number: int, folder: Path) -> str:
    """Store a raw frame, commit its row; its key."""
    row = rows.observation_row(number)
    sha256 = put(store, row["raw_fits_path"], str(number).encode(), folder)
    with transaction(engine) as connection:
        connection.execute(insert(Observation).values(**row | {"raw_sha256": sha256}))
    return row["raw_fits_path"]


def test_only_what_nothing_needs_is_removed(
    engine: Engine, store: ObjectStore, tmp_path: Path
) -> None:
    named = observe(engine, store, 1, tmp_path)
    kept = {
        named,
        "models/trained.safetensors",
        "mlflow/1/2/artifacts/card.json",
        "holiday/photo.jpg",
        "processed_frames/sim/2026-09-02/busy.fits",
        "reference_frames/other/2026-09-02/busy.fits",
        "training_samples/under-way.npy",
        "scratch/going-on/step/value.json",
    }
    gone = {
        f"processed_frames/{NIGHT}/died.fits",
        "cutouts/sim/2026-09-03/died.fits",
        "scratch/ended/step/value.json",
    }
    for key in (kept | gone) - {named}:
        put(store, key, b"12345", tmp_path)
    runs = [("going-on", "2026-09-02|sim"), ("too", "other")]
    busy = busy_with(runs, ["sim", "other"])

    def sweep(*, dry_run: bool, grace: Grace = AT_ONCE) -> dict[str, int]:
        swept = sweep_objects(engine, store, grace, lambda: busy, dry_run=dry_run)
        assert swept.spared == 0
        assert swept.n_bytes.total() == 5 * swept.n_objects.total()
        return dict(swept.n_objects)

    assert sweep(dry_run=False, grace=Grace()) == {}, "all of it is young"
    counted = {WITHOUT_ROW: 2, STALE_SCRATCH: 1}
    assert sweep(dry_run=True) == counted
    assert set(store.iterate()) == kept | gone
    assert sweep(dry_run=False) == counted
    assert set(store.iterate()) == kept
    assert sweep(dry_run=False) == {}
    assert set(store.iterate()) == kept
    busy = Busy()
    assert sweep(dry_run=False) == {WITHOUT_ROW: 3, STALE_SCRATCH: 1}
    assert set(store.iterate()) == {
        key for key in kept if key.startswith(("raw", "mod", "ml", "ho"))
    }


def test_a_run_that_does_not_say_what_it_is_about_may_need_anything() -> None:
    busy = busy_with([("run", None)], ["sim"])
    assert busy.needs(f"cutouts/{NIGHT}/x.fits")
    assert busy.needs("training_samples/x.npy")
    assert busy.needs("scratch/run/step/value.json")
    assert not busy.needs("scratch/other/step/value.json")
    # A key of a dynamic partition, a dataset's, is none of a night either.
    assert busy_with([("run", str(uuid4()))], ["sim"]).is_anything
    assert not busy_with([("run", "2026-09-02|sim")], ["sim"]).needs(f"cutouts/{NIGHT}/x.fits")


def test_what_is_named_or_needed_by_now_is_spared(
    engine: Engine, store: ObjectStore, tmp_path: Path
) -> None:
    """Between the first look and the second a row is committed, and a run begins."""
    row = rows.observation_row(7)
    sha256 = put(store, row["raw_fits_path"], b"7", tmp_path)
    put(store, "cutouts/sim/2026-09-05/needed.fits", b"x", tmp_path)
    looks: list[Busy] = []

    def busy() -> Busy:
        if looks:
            with transaction(engine) as connection:
                connection.execute(insert(Observation).values(**row | {"raw_sha256": sha256}))
        looks.append(Busy(nights=frozenset({("sim", "2026-09-05")} if looks else ())))
        return looks[-1]

    swept = sweep_objects(engine, store, AT_ONCE, busy, dry_run=False)
    assert swept.n_objects.total() == 0
    assert swept.spared == 2
    assert len(list(store.iterate())) == 2


def test_writers_lose_nothing_though_they_find_what_others_left(
    engine: Engine, store: ObjectStore, tmp_path: Path
) -> None:
    """Objects of a run that died are old when the next run finds them and names them, late.

    Times are seconds here that are days in earnest; Dagster is not asked at all.
    """
    grace, refresh, late = 4.0, 1.5, 0.7
    writing = replace(store, refresh_after_s=refresh)
    numbers = list(range(20))
    files: dict[int, Path] = {}
    for number in numbers:
        files[number] = tmp_path / str(number)
        files[number].write_bytes(str(number).encode())
        store.put_file(rows.observation_row(number)["raw_fits_path"], files[number])
    time.sleep(grace)
    over = threading.Event()
    removed: list[int] = []

    def sweep() -> None:
        while not over.is_set():
            swept = sweep_objects(
                engine, store, Grace(dt.timedelta(seconds=grace)), Busy, dry_run=False
            )
            removed.append(swept.n_objects.total())

    def write(some: list[int]) -> None:
        for number in some:
            row = rows.observation_row(number)
            row["raw_sha256"] = sha256_file(files[number])
            writing.ensure_file(row["raw_fits_path"], files[number], row["raw_sha256"])
            time.sleep(late)
            with transaction(engine) as connection:
                connection.execute(insert(Observation).values(**row))

    threads = [threading.Thread(target=write, args=(numbers[i:10:2],)) for i in range(2)]
    sweeper = threading.Thread(target=sweep)
    for thread in (*threads, sweeper):
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(grace)
    over.set()
    sweeper.join()
    with engine.connect() as connection:
        named = {found.key: found.sha256 for found in named_objects(connection)}
    assert len(named) == 10
    assert {key: store.digest(key) for key in store.iterate()} == named
    assert sum(removed) >= 10
