"""A run killed in the middle, and a run killed together with its code server.

Run ``python -m benchmarks.crashes``. Two embedded stacks of their own process the same
night; one is left in peace, the other's run is killed with SIGKILL while frames are being
processed, then again while they are being subtracted, the second time with the code
server. After ``up`` and a re-run the two must agree in every row (columns that tell the
time aside) and every object, and nothing may be left behind: no process, no run that is
still said to be going on.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from astrid_stack.dagster_client import DagsterClient
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.night import SCIENCE_NIGHT, stack
from dbschema.models import Base
from dbschema.session import make_engine

_WAIT_S = 600.0
_POLL_S = 0.05
NIGHT = {"survey": "simulated", "night": SCIENCE_NIGHT}
Snapshot = dict[str, Any]
OF_PEOPLE = frozenset({"users", "api_keys", "sign_in_links", "sign_in_sessions"})
"""Tables in which every stack has its own: random ids, hashes of secrets."""


def main() -> None:
    """Crash, recover, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=8, help="frames of the night")
    n_frames = parser.parse_args().frames
    with tempfile.TemporaryDirectory(prefix="astrid-crashes-") as folder:
        with stack(Path(folder) / "undisturbed", n_frames):
            state = State.create(Path(folder) / "undisturbed" / "state")
            _follow(state)
            wanted = snapshot(state)
        with stack(Path(folder) / "killed", n_frames):
            state = State.create(Path(folder) / "killed" / "state")
            _crash(state, "processed_frames", with_code_server=False)
            _crash(state, "difference_images", with_code_server=True)
            _follow(state)
            got = snapshot(state)
    differing = [name for name in sorted(wanted | got) if wanted.get(name) != got.get(name)]
    print(f"{len(wanted)} tables and objects compared, {len(differing)} differ: {differing}")
    if differing:
        raise SystemExit(1)


def _crash(state: State, asset: str, *, with_code_server: bool) -> None:
    """Launch the night, kill its run once some of an asset's objects are stored, recover."""
    running = Stack(state)
    before = _runners(running)
    launched = DagsterClient.of(state).launch("nightly", [NIGHT])
    # Of this night: the reference night's frames are there from the start.
    stored = f"{asset}/{NIGHT['survey']}/{NIGHT['night']}/"
    _wait(lambda: len(_objects(state, stored)) >= 2)
    victims = [process for process in _runners(running) if process not in before]
    if with_code_server:
        code = running.process_of("code")
        assert code is not None
        victims += [code, *code.children()]
    workers = [worker for victim in victims for worker in _descendants(victim)]
    for victim in victims:
        _kill(victim)
    running.up(print)
    _wait(lambda: not any(worker.is_running() for worker in (*victims, *workers)))
    client = DagsterClient.of(state)
    _wait(lambda: all(run.is_finished for run in client.runs(launched)))
    (run,) = client.runs(launched)
    print(
        f"killed the run{' and the code server' if with_code_server else ''} with "
        f"{len(_objects(state, stored))} {asset} stored: run {run.status}, "
        f"{len(victims) + len(workers)} processes gone"
    )
    if run.status != "FAILURE":
        raise SystemExit("the run was not interrupted: nothing was shown")


def _follow(state: State) -> None:
    client = DagsterClient.of(state)
    runs = client.follow(client.launch("nightly", [NIGHT]), lambda _: None, _WAIT_S)
    for run in runs:
        if run.status != "SUCCESS":
            raise SystemExit(f"run {run.run_id} ended {run.status}")


def snapshot(state: State) -> Snapshot:
    """Every row and every object, by table and by key; who may use the stack aside."""
    engine = make_engine(state.database_url("astrid"))
    found: Snapshot = {}
    with engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            if table.name in OF_PEOPLE:
                continue
            columns = [c for c in table.columns if not c.info.get("clock")]
            query = select(*columns).order_by(*table.primary_key.columns)
            found[table.name] = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    return found | _objects(state, "")


def _objects(state: State, prefix: str) -> dict[str, str]:
    """SHA-256 of each object of ours below a prefix; ops' scratch and MLflow's files aside."""
    root = Stack(state).object_store().folder / "astrid"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and str(path.relative_to(root)).startswith(prefix)
        and path.relative_to(root).parts[0] not in {"scratch", "mlflow"}
    }


# --- processes ----------------------------------------------------------------------------


def _runners(running: Stack) -> list[psutil.Process]:
    """Processes that execute runs: children of the code server's own server process."""
    code = running.process_of("code")
    assert code is not None
    return [
        process
        for process in code.children(recursive=True)
        if "spawn_main" in " ".join(process.cmdline())
    ]


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("what was waited for did not happen")
        time.sleep(_POLL_S)


if __name__ == "__main__":
    main()
