"""Dagster as parts: code location, webserver and daemon over one instance.

What belongs here: how they are run and asked. What is done to the instance's storage is in
``astrid_stack.tasks``; the definitions are ``astrid_dagster``'s.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psycopg

from astrid_core.logs import is_json
from astrid_stack import ports
from astrid_stack.credentials import Credential
from astrid_stack.errors import StackError
from astrid_stack.part import Part, get, post_json
from astrid_stack.postgres import EmbeddedPostgres
from astrid_stack.processes import Program
from astrid_stack.state import PROJECT, State, write_private

DEFINITIONS = "astrid_dagster.definitions"
GPU_POOL = "gpu"
_REMEDY = "Read its log; 'astrid down' and 'astrid up' start it afresh."
_UNFINISHED = ("STARTING", "STARTED", "CANCELING")
_LOCATIONS_QUERY = """
query AstridLocations {
  workspaceOrError {
    __typename
    ... on PythonError { message }
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message }
        }
      }
    }
  }
}
"""
_AHEAD_S = 60.0
_RELOAD_QUERY = """
mutation AstridReload {
  reloadRepositoryLocation(repositoryLocationName: "astrid") { __typename }
}
"""


def configuration_file(name: str) -> Path:
    """``dagster.yaml`` or ``workspace.yaml`` at the top of the repository.

    Raises
    ------
    StackError
        If AstrID is installed without its repository.
    """
    for folder in (PROJECT, Path.cwd()):
        if (folder / name).is_file():
            return folder / name
    raise StackError(
        f"{name} was found neither in {PROJECT} nor in {Path.cwd()}.",
        remedy="Run astrid from a clone of its repository, installed by 'make install'.",
    )


def write_home(state: State) -> None:
    """Bring ``DAGSTER_HOME`` up to date with the repository's ``dagster.yaml``."""
    text = configuration_file("dagster.yaml").read_text()
    write_private(state.dagster_home / "dagster.yaml", text)


def code_part(state: State, definitions: str = DEFINITIONS) -> Part:
    """The code location: loads the definitions and starts runs."""
    port = state.ports()["code"]
    return _part(
        state,
        "code",
        [
            *("dagster", "code-server", "start", "--use-python-environment-entry-point"),
            *("--location-name", "astrid", "--module-name", definitions),
            *("--host", ports.LOOPBACK, "--port", str(port)),
            *_log_format(),
        ],
        ready=lambda: ports.answers(port),
    )


def webserver_part(state: State) -> Part:
    """Dagster's UI and GraphQL."""
    port = state.ports()["dagster"]
    return _part(
        state,
        "dagster",
        [
            *("astrid_stack.webserver", "--host", ports.LOOPBACK, "--port", str(port)),
            *("--workspace", str(configuration_file("workspace.yaml"))),
            *_log_format(),
        ],
        ready=lambda: get(port, "/server_info")[0] == 200,
    )


def daemon_part(state: State, server: EmbeddedPostgres) -> Part:
    """The daemon: run queue, schedules, sensors, backfills."""
    return _part(
        state,
        "daemon",
        [
            *("dagster._daemon", "run"),
            *("--workspace", str(configuration_file("workspace.yaml"))),
            *_log_format(),
        ],
        ready=lambda: _last_heartbeat(server) > state.services()["daemon"]["since"],
    )


def _log_format() -> tuple[str, ...]:
    """How Dagster's own programs are told to write JSON lines."""
    return ("--log-format", "json") if is_json() else ()


def _part(state: State, name: str, arguments: list[str], ready: Callable[[], bool]) -> Part:
    has_port = name in state.ports()
    return Part(
        program=Program(
            name=name,
            argv=(sys.executable, "-m", *arguments),
            environment=state.environment(),
            log=state.log(name),
        ),
        ready=ready,
        address=state.address(name) if has_port else "",
        port_name=name if has_port else None,
        timeout_s=120.0,
        remedy=_REMEDY,
    )


def reload_location(state: State) -> None:
    """Have the running webserver read the definitions of a code location started anew."""
    _graphql(state, _RELOAD_QUERY)


def wait_for_location(state: State, timeout_s: float = 120.0) -> None:
    """Wait until the webserver has loaded the definitions.

    Raises
    ------
    StackError
        If they do not load; it carries Python's message.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        entries = _locations(state)
        loaded = [entry for entry in entries if entry["loadStatus"] == "LOADED"]
        if entries and len(loaded) == len(entries):
            return _refuse_failed(state, loaded)
        time.sleep(0.2)
    raise StackError.of_part(
        "code",
        f"did not load the definitions within {timeout_s:g} s",
        log=state.log("code"),
        remedy=_REMEDY,
    )


def _locations(state: State) -> list[dict]:
    answer = _graphql(state, _LOCATIONS_QUERY)
    return answer.get("workspaceOrError", {}).get("locationEntries", [])


def _graphql(state: State, query: str) -> dict:
    """Answer of the webserver; empty if it has none yet.

    Raises
    ------
    StackError
        If it does not know the local operator.
    """
    body = json.dumps({"query": query})
    token = Credential("key", state.token())
    status, answer = post_json(state.ports()["dagster"], "/graphql", body, token.headers)
    if status in (401, 403):
        raise StackError.of_part(
            "dagster",
            f"refused the key in {state.token_file}: {answer.decode(errors='replace')}",
            log=state.log("dagster"),
            remedy=_REMEDY,
        )
    return json.loads(answer)["data"] if status == 200 else {}


def _refuse_failed(state: State, entries: list[dict]) -> None:
    for entry in entries:
        outcome = entry["locationOrLoadError"]
        if outcome["__typename"] != "RepositoryLocation":
            message = outcome.get("message", outcome["__typename"]).strip()
            raise StackError.of_part(
                "code",
                f"could not load the definitions: {message}",
                log=state.log("code"),
                remedy="Correct what the message names, then run 'astrid up' again.",
            )


def dagster_release() -> str:
    """What the Dagster database is prepared for."""
    return f"dagster {version('dagster')}, dagster-postgres {version('dagster-postgres')}"


def unfinished_runs(server: EmbeddedPostgres) -> int:
    """Number of runs that claim to be going on; 0 before Dagster's first start."""
    with server.connect("dagster") as connection:
        known = connection.execute("SELECT to_regclass('public.runs')").fetchone()
        if known is None or known[0] is None:
            return 0
        count = connection.execute(
            "SELECT count(*) FROM runs WHERE status = ANY(%s)", (list(_UNFINISHED),)
        ).fetchone()
    return int(count[0]) if count else 0


def has_seen_future(server: EmbeddedPostgres) -> bool:
    """Whether a daemon's last sign of life is one of a time to come.

    Dagster's daemons measure their pauses by the time of day. When a clock that was ahead is
    set back, they wait for as long as it was ahead: no queued run starts until then.
    """
    return _last_heartbeat(server) > time.time() + _AHEAD_S


def _last_heartbeat(server: EmbeddedPostgres) -> float:
    """When a daemon last said that it lives, Unix time in s; 0 if never."""
    try:
        with server.connect("dagster") as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM max(timestamp) AT TIME ZONE 'UTC')"
                " FROM daemon_heartbeats"
            ).fetchone()
    except psycopg.Error:
        return 0.0
    return float(row[0]) if row and row[0] else 0.0
