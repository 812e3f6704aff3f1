"""Databases into files and back, by PostgreSQL's own ``pg_dump`` and ``pg_restore``.

A dump holds one state of one database. Passwords go to the programs by their environment.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from astrid_core.errors import DatabaseError
from astrid_stack.postgres import binaries
from astrid_stack.processes import base_environment
from astrid_stack.state import RESTORING
from dbschema.session import database_url, make_engine
from dbschema.transactions import snapshot, transaction_at

_LIBPQ = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "options": "PGOPTIONS",
}
"""Parameters of an address that the programs must know too, and their variables."""


@contextmanager
def state_of(address: str) -> Iterator[tuple[Connection, str]]:
    """One state of a database: a connection that sees it, and the name by which it is dumped."""
    engine = make_engine(address)
    try:
        with snapshot(engine) as connection:
            yield connection, str(connection.scalar(text("SELECT pg_export_snapshot()")))
    finally:
        engine.dispose()


def dump(address: str, snapshot_id: str, path: Path) -> None:
    """Write a state of a database to a file.

    Raises
    ------
    DatabaseError
        If ``pg_dump`` failed.
    """
    options = ("--format=custom", "--compress=6", "--no-owner", "--no-privileges")
    run = ("pg_dump", *options, f"--snapshot={snapshot_id}", f"--file={path}")
    _run(address, run)


def load(address: str, path: Path) -> None:
    """Load a dump into an empty database, all of it or nothing.

    Raises
    ------
    DatabaseError
        If ``pg_restore`` failed.
    """
    options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    name = database_url(address).database or ""
    _run(address, ("pg_restore", *options, f"--dbname={name}", str(path)))


def count_rows(connection: Connection) -> dict[str, int]:
    """Rows of every table of a database."""
    query = text(
        "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p')"
        " AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    tables = list(connection.scalars(query))
    quote = connection.dialect.identifier_preparer.quote_identifier
    return {
        table: connection.scalar(text(f"SELECT count(*) FROM {quote(table)}")) or 0  # noqa: S608
        for table in tables
    }


def server_version(connection: Connection) -> int:
    """Major version of the server."""
    return int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000


# --- marks --------------------------------------------------------------------------------


def marked_by(connection: Connection) -> str | None:
    """The backup that a database is being restored from; None where it is not."""
    query = text(
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace"
        " WHERE nspname = :mark"
    )
    return connection.scalar(query, {"mark": RESTORING})


def mark(address: str, backup_id: str) -> None:
    """Mark a database as being restored, and empty it of what an interrupted restore left."""
    with transaction_at(address) as connection:
        is_again = marked_by(connection) is not None
        connection.execute(text(f"DROP SCHEMA IF EXISTS {RESTORING} CASCADE"))
        if is_again:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        connection.execute(text(f"CREATE SCHEMA {RESTORING}"))
        connection.execute(text(f"COMMENT ON SCHEMA {RESTORING} IS '{backup_id}'"))


def unmark(address: str) -> None:
    """Say that a database is restored."""
    with transaction_at(address) as connection:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {RESTORING} CASCADE"))


# --- PostgreSQL's programs ----------------------------------------------------------------


def _run(address: str, command: tuple[str, ...]) -> None:
    program, *arguments = command
    try:
        subprocess.run(
            [str(binaries() / program), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=base_environment() | _client_environment(address),
            stdin=subprocess.DEVNULL,
            umask=0o077,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        url = database_url(address)
        said = (getattr(error, "stderr", None) or str(error)).strip().replace("\n", " ")
        raise DatabaseError(
            f"{program} of {url.render_as_string(hide_password=True)} failed: {said}",
            remedy="Check that the server is up, not newer than 18, and the disk not full.",
        ) from error


def _client_environment(address: str) -> dict[str, str]:
    url = database_url(address)
    given = {
        "PGHOST": url.host,
        "PGPORT": str(url.port or 5432),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
        "PGCONNECT_TIMEOUT": "10",
        "PGCLIENTENCODING": "UTF8",
    }
    given |= {_LIBPQ[name]: str(value) for name, value in url.query.items() if name in _LIBPQ}
    return {name: value for name, value in given.items() if value}
