"""Databases into files and back, by PostgreSQL's own programs.

A dump holds one state of one database. Passwords go to the programs by their environment.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, text

from astrid_core.errors import DatabaseError
from astrid_stack.errors import BackupError
from astrid_stack.postgres import binaries
from astrid_stack.processes import base_environment
from astrid_stack.state import RESTORING
from dbschema.session import database_url
from dbschema.transactions import snapshot_at, transaction_at

_LIBPQ = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "options": "PGOPTIONS",
}
"""Parameters of an address that the programs must know too, and their variables."""


_TLS = frozenset({"require", "verify-ca", "verify-full"})
_SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian and its kin put each version's programs."""

_UNKNOWN_BEFORE_17 = b"SET transaction_timeout"


@contextmanager
def state_of(address: str) -> Iterator[tuple[Connection, str]]:
    """One state of a database: a connection that sees it, and the name by which it is dumped."""
    with snapshot_at(address) as connection:
        yield connection, str(connection.scalar(text("SELECT pg_export_snapshot()")))


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
        If ``pg_restore`` or ``psql`` failed.
    """
    reading = ("pg_restore", "--no-owner", "--no-privileges", "--file=-", str(path))
    options = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
    writing = ("psql", *options, "--output=/dev/null", "--file=-")
    with (
        _client(address, reading, stdout=subprocess.PIPE) as source,
        _client(address, writing, stdin=subprocess.PIPE) as sink,
    ):
        _pass_on(source.process, sink.process)
        if source.process.wait() != 0:
            sink.process.kill()  # it must not commit half a dump
        elif sink.process.stdin is not None:
            sink.process.stdin.close()
        sink.process.wait()
        # Who ended by itself knows why; the other was killed.
        has_failed = source.process.returncode > 0
        for client in (source, sink) if has_failed else (sink, source):
            client.require_success()


def _pass_on(source: "subprocess.Popen[bytes]", sink: "subprocess.Popen[bytes]") -> None:
    """Hand statements on, but for the one that servers before 17 do not know."""
    if source.stdout is None or sink.stdin is None:
        raise ValueError("both ends must be pipes")
    try:
        for line in source.stdout:
            if line.startswith(_UNKNOWN_BEFORE_17):
                break
            sink.stdin.write(line)
        shutil.copyfileobj(source.stdout, sink.stdin)
        sink.stdin.flush()
    except BrokenPipeError:
        source.kill()  # psql has said why


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


@dataclass(frozen=True)
class _Client:
    """One of PostgreSQL's programs at work on a database."""

    address: str
    program: str
    process: "subprocess.Popen[bytes]"
    complaints: IO[bytes]

    def require_success(self) -> None:
        """Raise what it complained of, unless it ended well."""
        if self.process.returncode == 0:
            return
        self.complaints.seek(0)
        said = self.complaints.read().decode(errors="replace").strip().replace("\n", " ")
        where = database_url(self.address).render_as_string(hide_password=True)
        raise DatabaseError(
            f"{self.program} of {where} failed: {said or 'without a word'}",
            remedy="Check that the server is up, not newer than 18, and the disk not full.",
        )


def _run(address: str, command: tuple[str, ...]) -> None:
    with _client(address, command) as client:
        client.process.wait()
        client.require_success()


@contextmanager
def _client(address: str, command: tuple[str, ...], **pipes: int) -> Iterator[_Client]:
    """Start a program; it is gone at the end."""
    program, *arguments = command
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [str(_folder_of(program, address) / program), *arguments],
            env=base_environment() | _client_environment(address),
            umask=0o077,
            stderr=complaints,
            **{"stdin": subprocess.DEVNULL, **pipes},  # type: ignore[call-overload]
        )
        try:
            yield _Client(address, program, process, complaints)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    with suppress(BrokenPipeError):
                        pipe.close()


def _folder_of(program: str, address: str) -> Path:
    """Folder of a program that can reach a database.

    Those of the wheel are newest, and speak no TLS: what an address demands it of is reached
    by the system's own.

    Raises
    ------
    BackupError
        If the system has none.
    """
    demands_tls = database_url(address).query.get("sslmode") in _TLS
    if program == "pg_restore" or not demands_tls:  # which only reads the dump here
        return binaries()
    by_version = sorted(_SYSTEM.glob("*/bin"), key=lambda folder: _version_of(folder.parent.name))
    found = shutil.which(program)
    folders = [*reversed(by_version), *([Path(found).parent] if found else [])]
    for folder in folders:
        if (folder / program).is_file():
            return folder
    raise BackupError(
        f"The database demands TLS, which the {program} that comes with AstrID does not speak.",
        remedy="Install PostgreSQL's own client (postgresql-client), no older than the server.",
    )


def _version_of(name: str) -> int:
    return int(name) if name.isdecimal() else 0


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
