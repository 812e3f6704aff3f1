"""A PostgreSQL of the system, over TCP with TLS and a password, and a pooler before it.

What production has and the embedded server has not: another major version, certificates that
are verified, transactions of one client on several connections. Tests skip, loudly, where the
system has none.
"""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from astrid_stack import ports, processes
from astrid_stack.account import service_account
from astrid_stack.processes import Account, Program

USER = "astrid"
PASSWORD = "correct horse/battery:staple@1"
_READY_S = 30.0


@dataclass(frozen=True)
class ExternalPostgres:
    """A running server.

    Attributes
    ----------
    certificate
        What its certificate is verified by.
    """

    port: int
    certificate: Path

    def url(self, database: str = "postgres", driver: str = "psycopg", port: int = 0) -> str:
        """SQLAlchemy address that takes no server but this one, and no open line."""
        secret = "correct%20horse%2Fbattery%3Astaple%401"
        query = f"sslmode=verify-full&sslrootcert={self.certificate}"
        place = f"localhost:{port or self.port}/{database}"
        return f"postgresql+{driver}://{USER}:{secret}@{place}?{query}"

    def connect(self, **changes: object) -> psycopg.Connection:
        """A connection with the right password and certificate, or with other ones."""
        asked: dict[str, object] = {
            "host": "localhost",
            "port": self.port,
            "user": USER,
            "password": PASSWORD,
            "dbname": "postgres",
            "sslmode": "verify-full",
            "sslrootcert": str(self.certificate),
            "connect_timeout": 5,
        }
        return psycopg.connect(**(asked | changes), autocommit=True)  # type: ignore[arg-type]

    def is_ready(self) -> bool:
        """Whether it takes connections: it listens before it does."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def external_postgres() -> Iterator[ExternalPostgres]:
    """The system's newest PostgreSQL, in a folder of its own."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(Path(p).parts[-2]))
    if not programs or shutil.which("openssl") is None:
        pytest.skip("NO POSTGRESQL OF THE SYSTEM: external databases were not tested (postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="astrid-external-"))
    try:
        folder.chmod(0o755)
        account = service_account((folder,))
        data = _cluster(Path(programs[-1]), folder, account)
        certificate = _certificate(data, folder, account)
        port = ports.any_free_port()
        server = ExternalPostgres(port, certificate)
        argv = (f"{programs[-1]}/postgres", "-D", str(data), "-p", str(port), "-h", "localhost")
        argv += ("-k", "", "-c", "ssl=on", "-c", "fsync=off", "-c", "timezone=Pacific/Auckland")
        made = Program(
            "postgres", argv, _environment(), folder / "log", signal.SIGINT, account=account
        )
        with _running(made, server.is_ready):
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pooled(server: ExternalPostgres) -> Iterator[int]:
    """Port of a PgBouncer before a server, one transaction at a time on few connections."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("NO PGBOUNCER: pooled connections were not tested (pgbouncer)")
    folder = Path(tempfile.mkdtemp(prefix="astrid-pooler-"))
    try:
        port = ports.any_free_port()
        account = service_account((folder,))
        for name in ("server.key", "server.crt"):
            shutil.copy(server.certificate.parent / "data" / name, folder / name)
        (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        (folder / "pgbouncer.ini").write_text(
            "\n".join(
                (
                    "[databases]",
                    f"* = host=localhost port={server.port}",
                    "[pgbouncer]",
                    f"listen_port = {port}",
                    "listen_addr = localhost",
                    "unix_socket_dir =",
                    "pool_mode = transaction",
                    "default_pool_size = 2",
                    "auth_type = scram-sha-256",
                    f"auth_file = {folder}/users",
                    "server_tls_sslmode = verify-full",
                    f"server_tls_ca_file = {server.certificate}",
                    "client_tls_sslmode = require",
                    f"client_tls_key_file = {folder}/server.key",
                    f"client_tls_cert_file = {folder}/server.crt",
                )
            )
        )
        _give(account, folder, *folder.iterdir())
        argv = (program, str(folder / "pgbouncer.ini"))
        made = Program("pgbouncer", argv, _environment(), folder / "log", account=account)
        made.log.touch()
        _give(account, made.log)
        with _running(made, lambda: _listens(port)):
            yield port
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cluster(programs: Path, folder: Path, account: Account | None) -> Path:
    data, secret = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    secret.write_text(PASSWORD)
    _give(account, data, secret)
    command = [str(programs / "initdb"), "-D", str(data), "-U", USER, "--no-sync"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--pwfile={secret}"]
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
    )
    return data


def _certificate(data: Path, folder: Path, account: Account | None) -> Path:
    """A certificate for localhost; what it is verified by is itself, readable by all."""
    command = ["openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", str(data / "server.crt"), "-keyout", str(data / "server.key")]
    subprocess.run(command, check=True, capture_output=True)
    (data / "server.key").chmod(0o600)
    _give(account, data / "server.crt", data / "server.key")
    root = folder / "root.crt"
    shutil.copy(data / "server.crt", root)
    root.chmod(0o644)
    return root


def _give(account: Account | None, *paths: Path) -> None:
    if account is not None:
        for path in paths:
            os.chown(path, account.uid, account.gid)


def _environment() -> dict[str, str]:
    return processes.base_environment() | {"LC_ALL": "C"}


@contextmanager
def _running(program: Program, is_ready: Callable[[], bool]) -> Iterator[None]:
    leash = processes.start_leashed(program)
    try:
        processes.wait_until_ready(program, leash, is_ready, _READY_S, "Read the log.")
        yield
    finally:
        processes.let_go(leash, 10.0)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((ports.LOOPBACK, port), 1.0):
        return True
    return False
