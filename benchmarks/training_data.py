"""Ten thousand samples: what collecting them takes, and how fast they are read again.

Run ``python -m benchmarks.training_data``. It starts PostgreSQL, an S3 server and the API in a
temporary folder (about 4 GB), fills them with judged detections on frames of 512 × 512 pixels,
and prints

* time and memory of the collection, and the shares of database, store and pixels (in one
  process, where they can be told apart; then with worker processes);
* what ``AstrIDTrainingDataset`` delivers with 0 and 2 workers, beside the same arrays read from
  an uncompressed npz, as the ratio of medians.
"""

import argparse
import contextlib
import datetime as dt
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psutil
import torch
from astropy.wcs import WCS
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, event, insert
from torch.utils.data import DataLoader, Dataset

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import KnownUser, add_user, issue_api_key
from astrid_core.sky import healpix_index
from astrid_core.stages.bench import Bench
from astrid_core.storage import ObjectStore
from astrid_core.training.client import load_training_data
from astrid_core.training.collect import Collected, Collection, plan_collection
from astrid_core.training.dataset import AstrIDTrainingDataset, collate
from astrid_core.training.request import CollectionRequest
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema import migrate
from dbschema.models import (
    Candidate,
    Detection,
    Model,
    Survey,
    TrainingDataset,
    TrainingSample,
)
from dbschema.session import make_engine
from tests import rows
from tests.review import judge
from tests.serving import served
from tests.sky_to_learn_from import make_pair, store_pair, wcs_of

SIDE = 512
N_FIELDS, STEP_PIX, MARGIN_PIX = 40, 64, 48
FIRST_NIGHT = dt.date(2026, 9, 1)
BATCH = 64
_SAMPLE_S = 0.05


def main() -> None:
    """Fill, collect, load and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5, help="epochs the medians are taken over")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="astrid-bench-") as name, services(Path(name)) as here:
        begun = time.perf_counter()
        # Cells and nights that are held out in one way only leave six in ten.
        n_frames = fill(here, round(arguments.samples / 0.5))
        print(f"{n_frames} frames with judged detections in {time.perf_counter() - begun:.0f} s")
        for workers in (0, 2):
            dataset = collect(here, arguments.samples, workers)
        load(here, dataset, arguments.repeats)


# --- services -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Here:
    """Where everything is."""

    folder: Path
    engine: Engine
    store: ObjectStore
    timed: "TimedStore"
    api_url: str
    user: KnownUser
    key: str


class TimedStore(ObjectStore):
    """The store, and the seconds spent in it: by this process, which workers could not share."""

    seconds = 0.0

    def get_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        """Fetch an object."""
        with self._timed():
            super().get_file(key, path, sha256)

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> str:
        """Store a file."""
        with self._timed():
            return super().put_file(key, path, sha256)

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        TimedStore.seconds += time.perf_counter() - begun


@contextlib.contextmanager
def services(folder: Path) -> Iterator[Here]:
    """Database, store and API of their own."""
    keys = secrets.token_hex(8), secrets.token_hex(16)
    with (
        EmbeddedPostgres(folder / "postgres", secrets.token_urlsafe(24)) as postgres,
        EmbeddedObjectStore(folder / "store", *keys) as server,
    ):
        postgres.ensure_database("bench")
        url = postgres.url_of("bench")
        migrate.upgrade(url)
        engine = make_engine(url)
        settings = ApiSettings(
            database_url=SecretStr(url),
            s3_endpoint=server.endpoint,
            s3_bucket="bench",
            s3_access_key_id=SecretStr(keys[0]),
            s3_secret_access_key=SecretStr(keys[1]),
        )
        with engine.begin() as connection:
            user = add_user(connection, "bench", "operator", is_expert=True)
            key = issue_api_key(connection, user, "bench").secret.get_secret_value()
        at = server.endpoint, "bench", SecretStr(keys[0]), SecretStr(keys[1])
        store = ObjectStore(*at)
        store.ensure_bucket()
        app = create_app(settings)
        with served(app) as address:
            yield Here(folder, engine, store, TimedStore(*at), address, user, key)
        app.state.services.engine.dispose()
        engine.dispose()


# --- what there is to collect -------------------------------------------------------------


def fill(here: Here, n_detections: int) -> int:
    """Judged detections on noise with sources; how many frames it took."""
    steps = np.arange(MARGIN_PIX, SIDE - MARGIN_PIX, STEP_PIX)
    per_frame = len(steps) ** 2
    n_frames = max(-(-n_detections // per_frame), 3 * N_FIELDS)
    rng = np.random.default_rng(1)
    model = rows.model_row()
    with here.engine.begin() as connection:
        rows.add(connection, Survey, rows.survey_row())
        rows.add(connection, Model, model)
    for number in range(n_frames):
        night = FIRST_NIGHT + dt.timedelta(days=number // N_FIELDS)
        x, y = (axis.ravel() + rng.uniform(-5, 5, per_frame) for axis in np.meshgrid(steps, steps))
        real = rng.random(per_frame) < 0.5
        field_number = number % N_FIELDS
        pair = make_pair(field_number, night, number, SIDE, list(zip(x, y, strict=True)))
        with here.engine.begin() as connection:
            run = store_pair(connection, here.store, field_number, night, pair, model)
            wcs = wcs_of(field_number, SIDE)
            _store_detections(connection, here.user, run, wcs, x, y, real)
    return n_frames


def _store_detections(
    connection: Connection,
    user: KnownUser,
    runs: tuple[dict[str, Any], dict[str, Any]],
    wcs: WCS,
    x: Any,
    y: Any,
    real: Any,
) -> None:
    differenced, run = runs
    candidates, detections = [], []
    for x_pix, y_pix, is_real in zip(x, y, real, strict=True):
        ra, dec = (float(angle) for angle in wcs.all_pix2world(x_pix, y_pix, 0))
        place = {"ra": ra, "dec": dec, "healpix": healpix_index(ra, dec)}
        candidate = rows.candidate_row(differenced, float(x_pix), float(y_pix), **place)
        score = 0.8 if is_real else 0.2
        candidates.append(candidate)
        detections.append(rows.detection_row(run, candidate, confidence_score=score, **place))
    connection.execute(insert(Candidate), candidates)
    connection.execute(insert(Detection), detections)
    for detection, is_real in zip(detections, real, strict=True):
        judge(connection, user, detection["id"], "real" if is_real else "bogus")


# --- collecting ---------------------------------------------------------------------------


@dataclass
class Clock:
    """Seconds spent in the database, measured statement by statement."""

    seconds: float = 0.0
    _begun: float = field(default=0.0, repr=False)

    @contextlib.contextmanager
    def on(self, engine: Engine) -> Iterator[None]:
        """Listen to an engine."""

        def before(*_: Any) -> None:
            self._begun = time.perf_counter()

        def after(*_: Any) -> None:
            self.seconds += time.perf_counter() - self._begun

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)
        yield
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)


@contextlib.contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Greatest resident memory of this process and its workers, over what it was, MiB."""
    me, found, stop = psutil.Process(), {"mib": 0.0}, threading.Event()
    before = me.memory_info().rss

    def watch() -> None:
        while not stop.wait(_SAMPLE_S):
            family = [me, *(c for c in me.children(recursive=True) if "python" in c.name())]
            total = 0
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            found["mib"] = max(found["mib"], (total - before) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    stop.set()
    thread.join()


def collect(here: Here, max_samples: int, workers: int) -> UUID:
    """Collect, print what it took, and give the dataset's id."""
    request = CollectionRequest(
        name="bench",
        survey_ids=[rows.SURVEY],
        start=dt.datetime(2026, 8, 30),
        end=dt.datetime(2027, 8, 1),
        max_samples=100_000,
    )
    clock = Clock()
    TimedStore.seconds = 0.0
    begun = time.perf_counter()
    with peak_memory() as peak, clock.on(here.engine):
        collected = _collect(here, request, workers)
    total = time.perf_counter() - begun
    n = len(collected.records)
    print(
        f"\n{n} samples of {len(collected.plan.tasks)} frames, workers {workers}: {total:.1f} s "
        f"({1000 * total / n:.1f} ms each), peak {peak['mib']:.0f} MiB over the start; "
        f"{collected.status[0]}"
    )
    if n < max_samples:
        print(f"only {n} of {max_samples} asked for")
    if workers == 0:
        store = TimedStore.seconds
        pixels = total - clock.seconds - store
        print(
            f"shares: database {clock.seconds / total:.0%}, store {store / total:.0%}, "
            f"pixels, audit and quality {pixels / total:.0%}"
        )
    return collected.plan.dataset_id


def _collect(here: Here, request: CollectionRequest, workers: int) -> Collected:
    with here.engine.begin() as connection:
        plan = plan_collection(connection, uuid4(), request, "bench", {})
    store = here.store if workers else here.timed
    with tempfile.TemporaryDirectory(dir=here.folder) as scratch:
        bench = Bench(store, Path(scratch), 16.0)
        collection = Collection(plan, bench, workers, lambda *_: None)
        for staged in collection.files():
            store.put_file(staged.key, staged.path, staged.sha256)
            staged.path.unlink()
    collected = collection.finish()
    with here.engine.begin() as connection:
        connection.execute(
            insert(TrainingDataset).values(**collected.dataset_row(connection, None))
        )
        samples = TrainingSample.metadata.tables[TrainingSample.__tablename__]
        connection.execute(insert(samples), collected.sample_rows())
    return collected


# --- loading ------------------------------------------------------------------------------


class _Arrays(Dataset[dict[str, torch.Tensor]]):
    """The peer: the same pixels, out of an npz that was read whole."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self._images, self._masks = arrays["images"], arrays["masks"]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image, mask = self._images[index].copy(), self._masks[index].copy()
        return {"image": torch.from_numpy(image), "mask": torch.from_numpy(mask)}


def load(here: Here, dataset: UUID, repeats: int) -> None:
    """Epochs of the train split in random order, beside the same from npz."""
    begun = time.perf_counter()
    train, _, _ = load_training_data(dataset, here.api_url, here.key, here.folder / "cache")
    listed = time.perf_counter() - begun
    train.fetch()
    fetched = time.perf_counter() - begun - listed
    path = here.folder / "train.npz"
    train.export(path, "npz")
    print(
        f"\n{len(train)} samples of the train split ({path.stat().st_size / 1e9:.2f} GB): records "
        f"in {listed:.1f} s, pixels fetched in {fetched:.1f} s"
    )
    peer = _Arrays(path)
    for workers in (0, 2):
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(_epoch(train, workers))
            theirs.append(_epoch(peer, workers))
        mine, other = statistics.median(ours), statistics.median(theirs)
        print(
            f"workers {workers}: {mine:.0f} samples/s, npz in memory {other:.0f}; "
            f"ratio of medians {mine / other:.2f}"
        )


def _epoch(samples: AstrIDTrainingDataset | _Arrays, workers: int) -> float:
    """Samples per second of an epoch in random order."""
    made = collate if isinstance(samples, AstrIDTrainingDataset) else None
    loader: DataLoader[Any] = DataLoader(
        samples, batch_size=BATCH, shuffle=True, num_workers=workers, collate_fn=made
    )
    begun = time.perf_counter()
    n = sum(len(batch["image"]) for batch in loader)
    return n / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
