"""Collecting: what is taken, what its pixels and masks are, and that it is the same each time."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, create_engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from astrid_core.detection.planes import planes_reader
from astrid_core.detection.windows import cut_windows
from astrid_core.errors import DatasetFrozenError, EmptyDatasetError, TooFewGroupsError
from astrid_core.stages.bench import Bench
from astrid_core.storage import ObjectStore
from astrid_core.training.audit import KnownModel, audit, sky_of
from astrid_core.training.collect import Collected, Collection, draw_samples, plan_collection
from astrid_core.training.cutting import Positions, truth_mask
from astrid_core.training.request import CollectionRequest
from astrid_core.training.samples import NETWORK_PLANES, SIDE_PIX, dataset_digest, pixels_sha256
from astrid_core.training.splits import Place
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.migrate import upgrade
from dbschema.models import (
    Detection,
    DifferenceRun,
    ForcedPhotometry,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    ReferenceMember,
    TrainingDataset,
    TrainingSample,
)
from dbschema.transactions import transaction_at
from tests import rows
from tests.conftest import copy_of, make_bucket
from tests.review import expert, judge, store_object
from tests.sky_to_learn_from import FWHM, NIGHTS, PLACES, Sky, make_pair, store_sky

REQUEST = CollectionRequest(
    name="first",
    survey_ids=[rows.SURVEY],
    start=dt.datetime(2026, 8, 30),
    end=dt.datetime(2026, 9, 10),
)


@pytest.fixture(scope="module")
def store(s3_server: EmbeddedObjectStore) -> ObjectStore:
    return make_bucket(s3_server, f"test-{uuid4().hex[:12]}").open()


@pytest.fixture(scope="module")
def judged(postgres_server: EmbeddedPostgres, store: ObjectStore) -> Iterator[tuple[str, Sky]]:
    """A database with a judged sky, to copy."""
    name = f"test_{uuid4().hex[:12]}"
    postgres_server.ensure_database(name)
    url = postgres_server.url_of(name)
    upgrade(url)
    with transaction_at(url) as connection:
        sky = store_sky(connection, store)
    yield name, sky
    postgres_server.drop_database(name)


@pytest.fixture
def engine(postgres_server: EmbeddedPostgres, judged: tuple[str, Sky]) -> Iterator[Engine]:
    """A copy of it, this test's own."""
    with copy_of(postgres_server, judged[0]) as url:
        engine = create_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
def bare_engine(migrated_url: str) -> Iterator[Engine]:
    """A database in which nothing is."""
    engine = create_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sky(judged: tuple[str, Sky]) -> Sky:
    return judged[1]


def collect(
    engine: Engine,
    store: ObjectStore,
    folder: Path,
    request: CollectionRequest = REQUEST,
    dataset_id: UUID | None = None,
) -> tuple[Collected, dict[str, np.ndarray]]:
    """A collection without Dagster, and its arrays by object key."""
    with engine.begin() as connection:
        plan = plan_collection(connection, dataset_id or uuid4(), request, "ada", {})
    folder.mkdir(exist_ok=True)
    collection = Collection(plan, Bench(store, folder, 16.0), 0, lambda *_: None)
    arrays = {staged.key: np.load(staged.path) for staged in collection.files()}
    return collection.finish(), arrays


def freeze(engine: Engine, collected: Collected) -> dict[str, Any]:
    with engine.begin() as connection:
        row = collected.dataset_row(connection, None)
        connection.execute(insert(TrainingDataset).values(**row))
        table = TrainingSample.__table__
        connection.execute(insert(table), collected.sample_rows())
    return row


def test_validated_detections_become_samples_of_what_the_network_sees(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    collected, arrays = collect(engine, store, tmp_path / "a")
    row = freeze(engine, collected)
    assert row["status"] == "active", row["status_reason"]
    n_dropped = sum(row["n_dropped"].values())
    assert row["total_samples"] + n_dropped == 8 * len(NIGHTS) * len(PLACES)
    assert row["anomaly_ratio"] == pytest.approx(2 / 3, abs=0.05)
    assert {"train", "val", "test"} == set(row["n_by_split"])
    assert all(finding.passed for finding in collected.findings)
    place_of = {d: (at, i) for at, ds in sky.detections.items() for i, d in enumerate(ds)}
    for sample, record in zip(collected.sample_rows(), collected.records, strict=True):
        (number, night), index = place_of[sample["detection_id"]]
        image = arrays[sample["image_path"]][sample["shard_index"]]
        mask = arrays[sample["mask_path"]][sample["shard_index"]]
        assert sample["sha256"] == pixels_sha256(image, mask)
        science, difference = sky.frames[number, night]
        x, y = (np.array([v]) for v in PLACES[index])
        shown = cut_windows(planes_reader(science, difference), science.shape, x, y, SIDE_PIX)[0]
        assert np.array_equal(image[list(NETWORK_PLANES)], shown)
        centre = mask[SIDE_PIX // 2, SIDE_PIX // 2]
        assert centre == (0 if index == 1 else 1)
        assert np.all(mask[image[4] == 0] == 255)
        assert record.labels["is_anomaly"] is (index != 1)
        made_from = record.metadata["made_from"]
        assert made_from["difference"]["key"] == f"difference_images/{number}-{night}.fits"
        assert made_from["raw"]["sha256"]
        assert len(made_from["verdicts"]) == 1


def test_the_same_request_gives_the_same_digest_and_one_label_changed_another(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    first, arrays = collect(engine, store, tmp_path / "a")
    freeze(engine, first)
    renamed = REQUEST.model_copy(update={"name": "other"})
    second, again = collect(engine, store, tmp_path / "b", renamed)
    assert dataset_digest(first.records) == dataset_digest(second.records)
    assert arrays.keys() == again.keys()
    third, _ = collect(engine, store, tmp_path / "c")
    assert freeze(engine, third)["version"] == 2
    changed = next(r for r in first.records if r.split == "train" and r.is_real)
    with engine.begin() as connection:
        for _ in range(2):  # two experts against the one who judged
            judge(connection, expert(connection), UUID(changed.metadata["detection_id"]), "bogus")
    fourth, _ = collect(engine, store, tmp_path / "d")
    assert dataset_digest(fourth.records) != dataset_digest(first.records)


def test_a_frozen_dataset_stays_as_it_is(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    collected, _ = collect(engine, store, tmp_path / "a")
    row = freeze(engine, collected)
    table = TrainingSample.__table__
    for change in (update(table).values(split="train"), delete(table)):
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(change)
    with pytest.raises(DatasetFrozenError, match="never changed"):
        collect(engine, store, tmp_path / "b", dataset_id=row["id"])


def test_unvalidated_ones_serve_only_where_nothing_is_validated(
    bare_engine: Engine, store: ObjectStore, tmp_path: Path
) -> None:
    with bare_engine.begin() as connection:
        sky = store_sky(connection, store, n_fields=2, judged=False, confidence=0.95)
        measure_all(connection, sky)
    collected, _ = collect(bare_engine, store, tmp_path / "a")
    status, reason = collected.status
    assert status == "provisional"
    assert "model's own" in str(reason)
    assert {r.label_source for r in collected.records} == {"model"}
    assert {r.split for r in collected.records} == {"train"}
    assert len(collected.records) == 2 * len(NIGHTS) * len(PLACES)
    with bare_engine.begin() as connection:
        detection = UUID(collected.records[0].metadata["detection_id"])
        judge(connection, expert(connection), detection, "bogus")
    with pytest.raises(TooFewGroupsError):
        collect(bare_engine, store, tmp_path / "b")


def test_the_models_word_is_no_positive_without_forced_photometry(
    bare_engine: Engine, store: ObjectStore, tmp_path: Path
) -> None:
    with bare_engine.begin() as connection:
        sky = store_sky(connection, store, n_fields=2, judged=False, confidence=0.95)
        measure_all(connection, sky)
        faint, masked = (sky.detections[0, NIGHTS[0]][place] for place in (0, 2))
        for detection, snr in ((faint, -4.9), (masked, None)):
            of_it = ForcedPhotometry.object_id == (
                select(ObjectDetection.object_id)
                .where(ObjectDetection.detection_id == detection)
                .scalar_subquery()
            )
            connection.execute(update(ForcedPhotometry).where(of_it).values(snr=snr))
    collected, _ = collect(bare_engine, store, tmp_path / "a")
    taken = {UUID(r.metadata["detection_id"]) for r in collected.records}
    everything = {one for found in sky.detections.values() for one in found}
    assert everything - taken == {faint, masked}


@pytest.mark.parametrize("doubt", ["science", "reference", "instrument", "none", "rejected"])
def test_the_model_has_no_say_where_instruments_differ(
    bare_engine: Engine, store: ObjectStore, tmp_path: Path, doubt: str
) -> None:
    """Doubts: which side was made linear, or a reference of another instrument."""
    with bare_engine.begin() as connection:
        sky = store_sky(connection, store, n_fields=2, judged=False, confidence=0.95)
        measure_all(connection, sky)
        changes: dict[str, Any] = {"night": NIGHTS[0] - dt.timedelta(days=30)}
        if doubt == "reference":
            changes["assumed"] = ["linearised"]
        if doubt in ("instrument", "rejected"):
            changes["instrument"] = "another"
        early = rows.observation_row(50, field="F0", **changes)
        processed, reference = rows.preprocess_row(early), rows.reference_row("F0")
        member = rows.member_row(reference, processed, weight=0.0 if doubt == "rejected" else 1.0)
        for table, row in (
            (Observation, early),
            (PreprocessRun, processed),
            (ReferenceFrame, reference),
            (ReferenceMember, member),
        ):
            rows.add(connection, table, row)
        of_field = select(Observation.id).where(Observation.field == "F0")
        connection.execute(
            update(DifferenceRun)
            .where(DifferenceRun.observation_id.in_(of_field))
            .values(reference_id=reference["run_id"])
        )
        if doubt == "science":
            science = update(Observation).where(
                Observation.field == "F0", Observation.id != early["id"]
            )
            connection.execute(science.values(assumed=["linearised"]))
    collected, _ = collect(bare_engine, store, tmp_path / "a")
    fields = {r.metadata["field"] for r in collected.records}
    assert fields == ({"F0", "F1"} if doubt in ("none", "rejected") else {"F1"})


def measure_all(connection: Connection, sky: Sky) -> None:
    """An object of every detection, measured at S/N 8 on its own image."""
    for found in sky.detections.values():
        for detection in found:
            store_object(connection, [detection], [4.0])


def test_nothing_to_take_is_said_with_three_remedies(
    bare_engine: Engine, store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(EmptyDatasetError) as caught:
        collect(bare_engine, store, tmp_path / "a")
    for remedy in ("dates", "confidence_threshold", "detection ran"):
        assert remedy in str(caught.value)


def test_sampling_keeps_what_was_asked_for(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    few = REQUEST.model_copy(update={"max_samples": 40, "sampling": "balanced"})
    collected, _ = collect(engine, store, tmp_path / "a", few)
    n_sampled = len(collected.records) + sum(
        n for why, n in collected.dropped.items() if why != "more than max_samples"
    )
    assert n_sampled == 40
    assert collected.dropped["more than max_samples"] == 8 * len(NIGHTS) * len(PLACES) - 40


@pytest.mark.parametrize(
    ("sampling", "n_bogus", "n_real", "max_samples", "expected"),
    [
        ("balanced", 100, 10, 1000, (10, 10)),
        ("balanced", 100, 100, 40, (20, 20)),
        ("within_4", 100, 10, 1000, (40, 10)),
        ("within_4", 10, 100, 1000, (10, 40)),
        ("within_4", 100, 10, 25, (20, 5)),
        ("within_4", 24, 48, 30, (10, 20)),
        ("within_4", 24, 48, 1000, (24, 48)),
        ("within_4", 10, 0, 1000, (0, 0)),
    ],
)
def test_labels_are_sampled_towards_balance(
    sampling: str, n_bogus: int, n_real: int, max_samples: int, expected: tuple[int, int]
) -> None:
    @dataclass(frozen=True)
    class One:
        detection_id: UUID
        is_real: bool

    found: Any = [One(UUID(int=n), n < n_real) for n in range(n_real + n_bogus)]
    request = REQUEST.model_copy(update={"sampling": sampling, "max_samples": max_samples})
    taken = draw_samples(found, request)
    assert (sum(not o.is_real for o in taken), sum(o.is_real for o in taken)) == expected


def test_a_frame_that_cannot_be_read_costs_its_own_samples(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    before, _ = collect(engine, store, tmp_path / "a")
    gone = before.records[0].metadata
    key = gone["made_from"]["difference"]["key"]
    store.get_file(key, kept := tmp_path / "kept.fits")
    store.delete(key)
    after, _ = collect(engine, store, tmp_path / "b")
    store.put_file(key, kept)
    lost = [r for r in before.records if r.metadata["observation_id"] == gone["observation_id"]]
    assert len(after.records) == len(before.records) - len(lost)
    assert sum(n for why, n in after.dropped.items() if "ObjectMissingError" in why) == len(lost)


def test_a_source_seen_by_two_runs_is_one_sample(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    collected, _ = collect(engine, store, tmp_path / "a")
    shown = {r.metadata["detection_id"] for r in collected.records}
    with engine.begin() as connection:
        detection = (
            connection.execute(select(Detection.__table__).where(Detection.id == UUID(min(shown))))
            .mappings()
            .one()
        )
        twin = dict(detection) | {"id": uuid4(), "x_pix": detection["x_pix"] + 0.4}
        twin |= {"is_validated": False, "n_verdicts": 0}
        rows.add(connection, Detection, twin)
        judge(connection, expert(connection), twin["id"], "real")
    again, _ = collect(engine, store, tmp_path / "b")
    assert len(again.records) == len(collected.records)
    assert again.dropped["seen by another run"] == 1


# --- masks and audit ----------------------------------------------------------------------


def test_the_mask_says_real_bogus_quiet_or_nothing() -> None:
    _, difference = make_pair(0, NIGHTS[0], seed=3)
    known = Positions.of([(*PLACES[0], True), (*PLACES[1], False)])
    mask = truth_mask(difference, known)
    (x0, y0), (x1, y1), (x2, y2) = ((round(x), round(y)) for x, y in PLACES)
    assert mask[y0, x0] == 1
    assert mask[y1, x1] == 0
    assert mask[y2, x2] == 255  # loud, and nobody said what it is
    yy, xx = np.indices(mask.shape)
    loud = np.abs(difference.scorr) >= 3
    ly, lx = np.nonzero(loud)
    near = ((yy[..., None] - ly) ** 2 + (xx[..., None] - lx) ** 2).min(axis=-1) <= (3 * FWHM) ** 2
    discs = np.zeros_like(near)
    for x, y in PLACES[:2]:
        discs |= (xx - x) ** 2 + (yy - y) ** 2 <= FWHM**2
    assert np.all(mask[~near] == 0)
    assert np.all(mask[near & ~discs] == 255)


def test_a_planted_leak_is_found_however_it_is_turned(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    collected, arrays = collect(engine, store, tmp_path / "a")
    samples = collected.sample_rows()
    images = np.stack([arrays[s["image_path"]][s["shard_index"]] for s in samples])
    splits = [record.split for record in collected.records]
    places = [
        Place("s", f"f{i}", r.metadata["night"], None, None, None)
        for i, r in enumerate(collected.records)
    ]
    clean = audit(collected.records, places, sky_of(images), [], {})
    assert all(finding.passed for finding in clean)
    learnt, tested = splits.index("train"), splits.index("test")
    for turn in (lambda a: a, lambda a: np.rot90(a, 1, (1, 2)), lambda a: a[:, :, ::-1]):
        planted = images.copy()
        rng = np.random.default_rng(1)
        planted[learnt] = turn(images[tested]) + rng.normal(0, 0.05, images[tested].shape)
        found = audit(collected.records, places, sky_of(planted), [], {})
        by_check = {finding.check: finding for finding in found}
        assert by_check["no image is in two splits"].n_found == 1


def test_what_a_model_was_trained_on_is_told_and_blocks_nothing(
    engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path
) -> None:
    collected, arrays = collect(engine, store, tmp_path / "a")
    samples = collected.sample_rows()
    images = np.stack([arrays[s["image_path"]][s["shard_index"]] for s in samples])
    tested = [r for r in collected.records if r.split == "test"]
    knows = KnownModel.of("m", {"data": {"dataset": {"groups": [tested[0].group_key]}}})
    of_seeds = KnownModel.of("b", {"data": {"first_seed": 5, "skies": {"train": 3}}})
    places = [Place("s", "f", "n", None, None, None) for _ in collected.records]
    found = audit(collected.records, places, sky_of(images), [knows, of_seeds], {rows.SURVEY: 7})[
        -2:
    ]
    same = sum(r.group_key == tested[0].group_key for r in tested)
    assert [finding.n_found for finding in found] == [same, len(tested)]
    assert not any(finding.blocks for finding in found)


def test_rows_are_json(engine: Engine, store: ObjectStore, sky: Sky, tmp_path: Path) -> None:
    collected, _ = collect(engine, store, tmp_path / "a")
    for sample in collected.sample_rows():
        json.dumps([sample["labels"], sample["metadata"]], allow_nan=False)
