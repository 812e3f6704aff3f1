"""A database that is not ours: another version, verified TLS, a transaction pooler before it."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml
from sqlalchemy import Engine, func, select, text

from astrid_core.errors import DatabaseError
from astrid_core.identity import derive_id
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from dbschema import migrate
from dbschema.models import Observation, Survey
from dbschema.session import make_engine
from dbschema.transactions import in_transaction, transaction
from tests import rows
from tests.conftest import REPOSITORY
from tests.external_postgres import PASSWORD, ExternalPostgres, external_postgres, pooled

N_CLIENTS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[ExternalPostgres]:
    with external_postgres() as server:
        yield server


@pytest.fixture
def database(server: ExternalPostgres) -> Iterator[str]:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE astrid")
    yield "astrid"
    with server.connect() as connection:
        connection.execute("DROP DATABASE astrid WITH (FORCE)")


@pytest.fixture(params=["direct", "pooled"])
def engine(
    request: pytest.FixtureRequest, server: ExternalPostgres, database: str
) -> Iterator[Engine]:
    """On tables of this release, made through the very connections that are then used."""
    if request.param == "direct":
        migrate.upgrade(server.url(database))
        engine = make_engine(server.url(database))
        yield engine
        engine.dispose()
        return
    with pooled(server) as port:
        migrate.upgrade(server.url(database, port=port))
        engine = make_engine(server.url(database, port=port))
        yield engine
        engine.dispose()


def test_the_line_is_encrypted_and_the_server_is_who_it_says(
    server: ExternalPostgres, tmp_path: Path
) -> None:
    with server.connect() as connection:
        encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert connection.execute(encrypted).fetchone() == (True,)
    stranger = tmp_path / "root.crt"
    stranger.write_bytes(Path(psycopg.__file__).read_bytes())
    with pytest.raises(psycopg.OperationalError, match="root"):
        server.connect(sslrootcert=str(stranger))
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        server.connect(host="127.0.0.1")  # the certificate is localhost's


def test_a_wrong_password_is_typed_and_no_secret_is_told(server: ExternalPostgres) -> None:
    wrong = server.url().replace("correct", "incorrect")
    with pytest.raises(DatabaseError) as caught, transaction(make_engine(wrong)) as connection:
        connection.execute(text("SELECT 1"))
    for secret in (PASSWORD, "horse", "incorrect"):
        assert secret not in str(caught.value)


def test_times_are_told_in_utc_wherever_the_server_is(engine: Engine) -> None:
    moment = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
    for _ in range(N_CLIENTS):
        with engine.connect() as connection:
            found = connection.scalar(select(func.to_timestamp(moment.timestamp())))
            assert found is not None
            assert found.isoformat() == moment.isoformat()


def test_clients_at_once_lose_nothing(engine: Engine) -> None:
    """COPY, temporary tables and upserts of eight at a time; the pooler has two connections."""
    with transaction(engine) as connection:
        upsert(connection, TableRows(Survey, [rows.survey_row()]))

    def write(number: int) -> None:
        many = [
            rows.observation_row(1)
            | {"id": derive_id("o", number, i), "archive_id": f"{number}-{i}"}
            for i in range(50)
        ]
        for _ in range(2):  # the second time changes nothing
            in_transaction(engine, lambda c: upsert(c, TableRows(Observation, many)))

    with ThreadPoolExecutor(N_CLIENTS) as pool:
        list(pool.map(write, range(N_CLIENTS)))
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Observation)) == 50 * N_CLIENTS


def test_dagster_keeps_its_runs_there(
    server: ExternalPostgres, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the storage of the product's own dagster.yaml, over verified TLS."""
    monkeypatch.setenv("ASTRID_DAGSTER_DATABASE_URL", server.url(database, "psycopg2"))
    ours = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    kept = {"storage": ours["storage"], "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(kept))

    @dg.op
    def see() -> int:
        return 1

    @dg.job
    def looking() -> None:
        see()

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert looking.execute_in_process(instance=instance).success
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert len(instance.all_logs(run.run_id)) > 5
