"""A database that goes away in the middle: typed, nothing half-written, right afterwards."""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine, func, select

from astrid_core.errors import DatabaseError, DatabaseRefusedError
from astrid_core.identity import derive_id
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from astrid_stack.postgres import EmbeddedPostgres
from dbschema import migrate
from dbschema.models import Observation, PreprocessRun, Survey
from dbschema.session import make_engine
from dbschema.transactions import in_transaction
from tests import rows

N_ROWS = 2_000
MANY = [
    rows.observation_row(1) | {"id": derive_id("o", i), "archive_id": str(i)} for i in range(N_ROWS)
]


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = make_engine(migrated_url)
    yield engine
    engine.dispose()


def write_all(connection: Connection) -> None:
    upsert(connection, TableRows(Survey, [rows.survey_row()]))
    upsert(connection, TableRows(Observation, MANY))


def count(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        surveys = connection.scalar(select(func.count()).select_from(Survey))
        observations = connection.scalar(select(func.count()).select_from(Observation))
    return surveys or 0, observations or 0


@pytest.fixture
def kill_during_copy(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ends the server process of the next transactions half-way through their COPY."""
    write_row = psycopg.Copy.write_row
    kills_left = 0
    n_rows: Counter[int] = Counter()

    def kill(pid: int) -> None:
        with psycopg.connect(
            engine.url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        ) as own:
            own.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    def counted(copy: psycopg.Copy, row: tuple[object, ...]) -> None:
        nonlocal kills_left
        pid = copy.connection.info.backend_pid
        n_rows[pid] += 1
        if kills_left and n_rows[pid] == N_ROWS // 2:
            kills_left -= 1
            kill(pid)
        write_row(copy, row)

    def arm(kills: int) -> None:
        nonlocal kills_left
        kills_left = kills
        monkeypatch.setattr(psycopg.Copy, "write_row", counted)

    return arm


@pytest.mark.parametrize("kills", [1, 2])
def test_backend_ended_during_copy_is_survived(
    engine: Engine,
    kill_during_copy: Callable[[int], None],
    kills: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kill_during_copy(kills)
    with caplog.at_level(logging.WARNING):
        in_transaction(engine, write_all, longest_wait_s=0.1)
    assert caplog.text.count("trying again") == kills
    assert count(engine) == (1, N_ROWS)


def test_backend_ended_every_time_leaves_nothing(
    engine: Engine, kill_during_copy: Callable[[int], None]
) -> None:
    kill_during_copy(2)
    with pytest.raises(DatabaseError, match="do again what failed") as caught:
        in_transaction(engine, write_all, attempts=2, longest_wait_s=0.1)
    assert caught.value.transient
    assert engine.url.password is not None
    assert engine.url.password not in str(caught.value)
    assert count(engine) == (0, 0)
    in_transaction(engine, write_all)
    assert count(engine) == (1, N_ROWS)


@pytest.fixture
def own_server(servers_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server this test may stop."""
    folder = servers_folder / f"stopped-{secrets.token_hex(4)}"
    server = EmbeddedPostgres(folder, secrets.token_urlsafe(24), durable=False)
    with server:
        yield server


def test_server_stopped_in_mid_transaction(own_server: EmbeddedPostgres) -> None:
    migrate.upgrade(own_server.url)
    engine = make_engine(own_server.url)

    def work(connection: Connection) -> None:
        write_all(connection)
        own_server.stop()

    with pytest.raises(DatabaseError):
        in_transaction(engine, work, attempts=2, longest_wait_s=0.1)
    own_server.start()
    assert count(engine) == (0, 0)
    in_transaction(engine, write_all)
    assert count(engine) == (1, N_ROWS)
    engine.dispose()


def test_rows_the_database_refuses_are_not_tried_again(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def work(connection: Connection) -> None:
        upsert(connection, TableRows(Survey, [rows.survey_row()]))
        orphan = rows.preprocess_row(rows.observation_row(1))
        upsert(connection, TableRows(PreprocessRun, [orphan]))

    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(DatabaseRefusedError, match="fk_preprocess_runs_observation_id") as caught,
    ):
        in_transaction(engine, work)
    assert not caught.value.transient
    assert caught.value.details["sqlstate"] == "23503"
    assert "trying again" not in caplog.text
    assert count(engine) == (0, 0)


def test_states_outside_the_list_are_refused(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        wrong = rows.observation_row(1) | {"frame_kind": "selfie"}
        upsert(connection, TableRows(Survey, [rows.survey_row()]))
        upsert(connection, TableRows(Observation, [wrong]))

    with pytest.raises(DatabaseRefusedError, match="ck_observations_frame_kind"):
        in_transaction(engine, work)
    assert count(engine) == (0, 0)
