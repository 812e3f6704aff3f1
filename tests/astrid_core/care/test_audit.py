"""The audit: silent where all is well, and each kind of harm found as what it is."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, select, text

from astrid_core.care.audit import audit
from astrid_core.care.naming import NAMINGS, NO_OBJECT, PREFIXES, named_among, undeclared
from astrid_core.care.objects import Grace
from astrid_core.care.report import AuditReport
from astrid_core.storage import ObjectStore
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.migrate import upgrade
from dbschema.models import Base, Observation
from dbschema.transactions import transaction_at
from tests.care import make_world, put
from tests.conftest import make_bucket

AT_ONCE = Grace(dt.timedelta(0))


@dataclass(frozen=True)
class World:
    """The small world, in a transaction that is undone: a test may harm it."""

    connection: Connection
    store: ObjectStore

    def harm(self, statement: str) -> None:
        """Change rows as nobody should."""
        self.connection.execute(text("SET LOCAL session_replication_role = replica"))
        assert self.connection.execute(text(statement)).rowcount != 0

    def audit(self, **options: object) -> AuditReport:
        return audit(self.connection, self.store, **options)  # type: ignore[arg-type]

    def key(self) -> str:
        return self.connection.scalars(select(Observation.raw_fits_path)).first() or ""


@pytest.fixture(scope="module")
def store(s3_server: EmbeddedObjectStore) -> ObjectStore:
    return make_bucket(s3_server, f"test-{uuid4().hex[:12]}").open()


@pytest.fixture(scope="module")
def made(
    postgres_server: EmbeddedPostgres,
    store: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    postgres_server.ensure_database(name)
    url = postgres_server.url_of(name)
    upgrade(url)
    with transaction_at(url) as connection:
        make_world(connection, store, tmp_path_factory.mktemp("world"))
    yield url
    postgres_server.drop_database(name)


@pytest.fixture
def world(made: str, store: ObjectStore) -> Iterator[World]:
    engine = create_engine(made)
    with engine.connect() as connection:
        yield World(connection, store)
        connection.rollback()
    engine.dispose()


def test_every_column_that_names_an_object_is_known() -> None:
    """A table added with an object key or hash must say so in naming.py, or say that it is none."""
    assert undeclared() == []


def test_what_is_declared_exists() -> None:
    tables = Base.metadata.tables
    for name in NO_OBJECT:
        table, column = name.split(".")
        assert column in tables[table].columns, name
    for naming in NAMINGS:
        for column in filter(None, (naming.path, naming.sha256)):
            assert column in naming.table.__table__.columns, naming.name


def test_a_new_column_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrid_core.care.naming.NAMINGS", NAMINGS[1:])
    assert undeclared() == ["observations.raw_fits_path", "observations.raw_sha256"]


def test_a_world_in_order_is_sound(world: World) -> None:
    seen: list[tuple[int, int]] = []
    found = world.audit(grace=AT_ONCE, report=lambda done, total: seen.append((done, total)))
    assert [check.to_json() for check in found.checks if not check.holds] == []
    # None of it because there was nothing to look at.
    assert [check.statement.name for check in found.checks if not check.n_seen] == [
        "whole_object",
        "whole_training",
    ]
    assert seen[-1][0] == seen[-1][1] == found["unchanged"].n_seen > 5


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("observation_identity", "UPDATE observations SET archive_id = archive_id || 'x'"),
        ("ingested", "DELETE FROM ingest_runs WHERE source LIKE '%001.fits'"),
        ("whole_ingest", "UPDATE ingest_runs SET n_observations = 2"),
        ("whole_run", "UPDATE preprocess_runs SET processed_fits_path = NULL"),
        ("whole_run", "UPDATE difference_runs SET status = 'failed'"),
        (
            "whole_search",
            "DELETE FROM candidates WHERE id NOT IN (SELECT candidate_id FROM detections"
            " ORDER BY candidate_id LIMIT 1)",
        ),
        (
            "whole_judgement",
            "UPDATE detections SET status = 'superseded' WHERE n_verdicts = 0",
        ),
        ("append_only", None),
        ("consensus", "DELETE FROM validation_events WHERE verdict = 'real'"),
        ("consensus", "UPDATE detection_consensus SET label = 'bogus' WHERE label = 'real'"),
        ("consensus", "UPDATE detections SET n_verdicts = 7 WHERE n_verdicts = 0"),
        (
            "consensus",
            "UPDATE detections SET is_validated = true"
            " WHERE n_verdicts = 0 AND inherited_from IS NULL",
        ),
        (
            "verdict_order",
            "UPDATE validation_events SET supersedes = (SELECT id FROM validation_events"
            " ORDER BY number DESC LIMIT 1) WHERE supersedes IS NULL",
        ),
        (
            "inherited",
            "UPDATE detections SET is_validated = false WHERE inherited_from IS NOT NULL",
        ),
        ("label_snapshots", "DELETE FROM snapshot_labels WHERE label = 'real'"),
        ("whole_dataset", "DELETE FROM training_samples WHERE position = 3"),
        ("whole_dataset", "UPDATE training_samples SET split = 'train' WHERE split = 'val'"),
        ("whole_dataset", "UPDATE training_samples SET image_path = 'elsewhere'"),
        ("hashed", "UPDATE detections SET cutout_path = 'cutouts/other.fits'"),
        ("one_hash", "UPDATE extraction_runs SET sha256 = run_id::text"),
    ],
)
def test_harm_to_rows_is_found_as_what_it_is(world: World, name: str, harm: str | None) -> None:
    world.harm(harm) if harm else world.harm(
        "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname = 'validation_events_append_only'"
    )
    found = world.audit(read_all=False)
    assert not found[name].holds
    assert found[name].examples
    assert not found.is_sound
    assert found.to_json()["is_sound"] is False


def test_a_lost_object_is_missed(world: World, tmp_path: Path) -> None:
    key = world.key()
    world.store.delete(key)
    try:
        found = world.audit(read_all=False)
        assert found["present"].examples == (key,)
        assert len(found.problems) == 1
    finally:
        put(world.store, key, key.encode(), tmp_path)


def test_a_changed_object_is_noticed_only_when_read(world: World, tmp_path: Path) -> None:
    key = world.key()
    put(world.store, key, b"x" * len(key), tmp_path)
    try:
        assert world.audit(read_all=False).is_sound
        (problem,) = world.audit().problems
        assert problem.statement.name == "unchanged"
        assert problem.examples[0].startswith(f"{key}: ")
    finally:
        put(world.store, key, key.encode(), tmp_path)


def test_what_no_row_names_is_a_note_once_it_is_old(world: World, tmp_path: Path) -> None:
    key = "processed_frames/sim/2026-09-01/nobody.fits"
    put(world.store, key, b"left behind", tmp_path)
    put(world.store, "holiday/photo.jpg", b"not ours", tmp_path)
    put(world.store, "scratch/run/step/value.json", b"{}", tmp_path)
    put(world.store, "mlflow/1/2/artifacts/card.json", b"{}", tmp_path)
    try:
        assert world.audit(read_all=False)["named"].holds
        found = world.audit(read_all=False, grace=AT_ONCE)
        assert found["named"].examples == (key,)
        assert found["named"].n_bytes == len(b"left behind")
        assert found["known_place"].examples == ("holiday/photo.jpg",)
        assert found.is_sound
    finally:
        for stray in (key, "holiday/photo.jpg", "scratch/run/step/value.json"):
            world.store.delete(stray)


def test_every_key_lies_below_a_known_prefix(world: World) -> None:
    keys = [entry.key for entry in world.store.entries() if "mlflow" not in entry.key]
    assert all(key.startswith(PREFIXES) for key in keys)
    assert named_among(world.connection, [*keys, "nobody"]) == set(keys)
