"""A run killed in the middle, and a run killed together with its code server.

Run ``python -m benchmarks.crashes``. Two embedded stacks of their own process the same
night; one is left in peace, the other's run is killed with SIGKILL while frames are being
processed, then again while they are being subtracted, the second time with the code
server. After ``up`` and a re-run the two must agree in every row (columns that tell the
time aside) and every object, and nothing may be left behind: no process, no run that is
still said to be going on.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from astrid_stack.dagster_client import DagsterClient
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.night import SCIENCE_NIGHT, stack
from benchmarks.running import descendants, kill, runners, succeed, wait
from benchmarks.snapshots import differing, objects, snapshot

_WAIT_S = 600.0
_POLL_S = 0.05
NIGHT = {"survey": "simulated", "night": SCIENCE_NIGHT}


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
    unlike = differing(wanted, got)
    print(f"{len(wanted)} tables and objects compared, {len(unlike)} differ: {unlike}")
    if unlike:
        raise SystemExit(1)


def _crash(state: State, asset: str, *, with_code_server: bool) -> None:
    """Launch the night, kill its run once some of an asset's objects are stored, recover."""
    running = Stack(state)
    before = runners(running)
    launched = DagsterClient.of(state).launch("nightly", [NIGHT])
    # Of this night: the reference night's frames are there from the start.
    stored = f"{asset}/{NIGHT['survey']}/{NIGHT['night']}/"
    _wait(lambda: len(objects(state, stored)) >= 2)
    victims = [process for process in runners(running) if process not in before]
    if with_code_server:
        code = running.process_of("code")
        assert code is not None
        victims += [code, *code.children()]
    workers = [worker for victim in victims for worker in descendants(victim)]
    for victim in victims:
        kill(victim)
    running.up(print)
    _wait(lambda: not any(worker.is_running() for worker in (*victims, *workers)))
    client = DagsterClient.of(state)
    _wait(lambda: all(run.is_finished for run in client.runs(launched)))
    (run,) = client.runs(launched)
    print(
        f"killed the run{' and the code server' if with_code_server else ''} with "
        f"{len(objects(state, stored))} {asset} stored: run {run.status}, "
        f"{len(victims) + len(workers)} processes gone"
    )
    if run.status != "FAILURE":
        raise SystemExit("the run was not interrupted: nothing was shown")


def _follow(state: State) -> None:
    succeed(DagsterClient.of(state), "nightly", [NIGHT], _WAIT_S)


def _wait(condition: Callable[[], bool]) -> None:
    if not wait(condition, _WAIT_S, _POLL_S):
        raise SystemExit("what was waited for did not happen")


if __name__ == "__main__":
    main()
