"""The embedded PostgreSQL: who gets in, what survives, who can read its files."""

import os
import pwd
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy as sa

from astrid_stack import ports
from astrid_stack.errors import StackError
from astrid_stack.postgres import SUPERUSER, EmbeddedPostgres, binaries


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_both_drivers_reach_an_empty_database(
    postgres_server: EmbeddedPostgres, database_url: str, driver: str
) -> None:
    name = database_url.rsplit("/", 1)[1]
    with sa.create_engine(postgres_server.url_of(name, driver)).connect() as connection:
        version = connection.execute(sa.text("SHOW server_version")).scalar_one()
        tables = sa.inspect(connection).get_table_names()
    assert version.startswith("18.")
    assert tables == []


@pytest.mark.parametrize("password", ["", "wrong"])
def test_wrong_password_is_refused(postgres_server: EmbeddedPostgres, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            host=ports.LOOPBACK,
            port=postgres_server.port,
            user=SUPERUSER,
            password=password,
            dbname="postgres",
        )


def test_another_os_user_is_refused(postgres_server: EmbeddedPostgres) -> None:
    """Neither the server nor its files open to another account, socket included."""
    if os.geteuid() != 0:
        pytest.skip("NOT ROOT: cannot become another OS user to be refused as one")
    nobody = pwd.getpwnam("nobody")
    # From where it stands, so that a folder on the way cannot be what refuses it.
    psql = [str(binaries() / "psql"), "-w", "-h", ports.LOOPBACK, "-p", str(postgres_server.port)]
    attempt = subprocess.run(
        [*psql, "-U", SUPERUSER, "-d", "postgres", "-c", "SELECT 1"],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        env={"PATH": os.environ["PATH"]},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert attempt.returncode != 0
    assert "no password supplied" in attempt.stderr
    look = subprocess.run(
        ["ls", str(postgres_server.data)],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        capture_output=True,
        check=False,
    )
    assert look.returncode != 0


def test_files_are_closed_to_others(postgres_server: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(postgres_server.data.stat().st_mode) == 0o700
    assert postgres_server.folder.stat().st_mode & stat.S_IRWXO == 0
    assert not list(postgres_server.data.glob(".s.PGSQL*")), "there must be no Unix socket"
    rules = [
        line.split()
        for line in (postgres_server.data / "pg_hba.conf").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}


def test_no_password_on_command_line_or_left_in_a_file(postgres_server: EmbeddedPostgres) -> None:
    for process in psutil.process_iter():
        try:
            assert postgres_server.password not in " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    assert [path.name for path in postgres_server.folder.iterdir() if path.is_file()] == [
        "postgres.log"
    ]


@pytest.fixture(scope="module")
def second(servers_folder: Path) -> EmbeddedPostgres:
    """A server of this module's own, to be mistreated; not running."""
    return EmbeddedPostgres(servers_folder / "second", "a b/c:d@e%f'g", durable=False)


def test_data_survives_a_restart(second: EmbeddedPostgres) -> None:
    with second:
        second.ensure_database("kept")
        with second.connect("kept") as connection:
            connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
    with second, sa.create_engine(second.url_of("kept")).connect() as connection:
        assert connection.execute(sa.text("SELECT answer FROM t")).scalar_one() == 42
    assert second.running() is None


def test_starts_again_after_the_server_was_killed(second: EmbeddedPostgres) -> None:
    with second:
        process = second.running()
        assert process is not None
        process.kill()
    with second:
        assert second.is_ready()


def test_server_ends_with_a_killed_owner(second: EmbeddedPostgres) -> None:
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from astrid_stack.postgres import EmbeddedPostgres
        server = EmbeddedPostgres(Path({str(second.folder)!r}), {second.password!r})
        server.start()
        print("up", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        process = second.running()
        assert process is not None
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 15
    while process.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_running()


def test_a_taken_port_is_a_typed_error_with_the_log(second: EmbeddedPostgres) -> None:
    squatter = EmbeddedPostgres(second.folder, second.password, durable=False)
    with second:
        intruder = EmbeddedPostgres(
            second.folder.parent / "third", "secret", port=second.port, durable=False
        )
        with pytest.raises(StackError, match="Address already in use"):
            intruder.start()
    assert squatter.running() is None
