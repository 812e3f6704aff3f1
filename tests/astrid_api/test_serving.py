"""The server as it is started, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx

from astrid_api.settings import ApiSettings
from astrid_stack.ports import LOOPBACK, any_free_port
from tests.conftest import REPOSITORY


def environment(settings: ApiSettings, port: int) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "ASTRID_DATABASE_URL": settings.database_url.get_secret_value(),
        "ASTRID_S3_ENDPOINT": settings.s3_endpoint,
        "ASTRID_S3_BUCKET": settings.s3_bucket,
        "ASTRID_S3_ACCESS_KEY_ID": settings.s3_access_key_id.get_secret_value(),
        "ASTRID_S3_SECRET_ACCESS_KEY": settings.s3_secret_access_key.get_secret_value(),
        "ASTRID_API_PORT": str(port),
    }


def test_it_takes_the_next_port_and_logs_no_query(settings: ApiSettings, tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with socket.socket() as taken, log.open("w") as stream:
        taken.bind((LOOPBACK, any_free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "astrid_api"],
            env=environment(settings, port),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            address = started(server, log)
            assert int(address.rpartition(":")[2]) > port
            answer = httpx.get(f"{address}/sign-in?link=a-secret-of-the-query")
            assert answer.status_code == 200
            assert "server" not in answer.headers
        finally:
            server.terminate()
            server.wait(timeout=20)
    said = log.read_text()
    assert f"port {port} is taken" in said
    assert "GET /sign-in 200" in said
    assert "a-secret-of-the-query" not in said


def started(server: subprocess.Popen, log: Path, timeout_s: float = 60) -> str:
    """Address of a server, once it answers."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and server.poll() is None:
        address = log.read_text().partition("API is at ")[2].partition("\n")[0]
        try:
            if address and httpx.get(f"{address}/health").status_code == 200:
                return address
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_database_without_tables_is_refused(settings: ApiSettings, database_url: str) -> None:
    empty = environment(settings, any_free_port()) | {"ASTRID_DATABASE_URL": database_url}
    ended = subprocess.run(
        [sys.executable, "-m", "astrid_api"],
        env=empty,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "schema revision none" in ended.stderr
