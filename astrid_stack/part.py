"""A part of the stack: a program, how to know that it is ready, and where it answers."""

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from astrid_stack import ports
from astrid_stack.processes import Program

PART_VARIABLE = "ASTRID_STACK_PART"
"""Marks a part's processes, and whatever they start, for the sweep after a crash."""

STOP_ORDER = (
    ("api", "daemon", "dagster", "code", "mlflow"),
    ("objectstore",),
    ("postgres",),
)
"""Parts that stop together, in turn: who writes stops before what it writes to."""

USERS_OF_POSTGRES = STOP_ORDER[0]

PARTS = tuple(name for together in STOP_ORDER for name in together)
"""Names of all parts."""


@dataclass(frozen=True)
class Part:
    """One part of the stack.

    Attributes
    ----------
    program
        How it is run.
    ready
        Whether it does its work; asked again and again while it starts.
    address
        Where it answers, for people; empty if nowhere.
    port_name
        Key of its port in :data:`astrid_stack.state.DEFAULT_PORTS`; None if it has none.
    timeout_s
        Seconds it may take to become ready, generous for a busy machine.
    remedy
        What to do when it does not.
    """

    program: Program
    ready: Callable[[], bool]
    address: str
    port_name: str | None
    timeout_s: float
    remedy: str

    @property
    def name(self) -> str:
        """Name of the part."""
        return self.program.name


def get(port: int, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Status and body of a GET on a loopback port; status 0 if nothing answers."""
    return _request("GET", port, path, None, {}, timeout_s)


def post_json(
    port: int, path: str, body: str, headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, bytes]:
    """Status and body of a POST of JSON on a loopback port; status 0 if nothing answers."""
    json = {"Content-Type": "application/json"}
    return _request("POST", port, path, body, {**headers, **json}, 30.0)


def _request(
    method: str,
    port: int,
    path: str,
    body: str | None,
    headers: Mapping[str, str],
    timeout_s: float,
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
