"""Three nights on two machines' worth of workers, against one machine alone.

Run ``python -m benchmarks.distributed``. Two embedded stacks process the same three nights of
the simulated survey. One has a core: runs one after another, steps in their run's process. The
other has a Redis and two Celery workers with a core each, the one for queue ``cpu``, the other
for ``gpu`` and, when nothing wants that, ``cpu``. Nothing differs but the environment.

Tables (columns that tell the time aside) and objects must be equal. Objects that later nights
superseded are counted, not compared: nights that run beside each other end in another order,
and an object of its first night replaces what a later one had made, wherever that happened.

The speed-up is that of the nights from launch to end, with where the rest of the time goes:
waiting for a run's process, for a worker, for the run's own bookkeeping between steps.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from astrid_stack import processes
from astrid_stack.dagster_client import DagsterClient, RunState
from astrid_stack.processes import Program
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.night import stack
from benchmarks.running import configured, succeed
from benchmarks.snapshots import Snapshot, differing, snapshot
from benchmarks.spending import spent
from tests.redis_server import redis_server

NIGHTS = ("2025-09-10", "2025-09-11", "2025-09-12")
QUEUES = (("cpu",), ("gpu", "cpu"))
"""Of each worker, in the order in which it looks."""

_WAIT_S = 1800.0
_GRACE_S = 60.0
_READY_WITHIN_S = 120.0
_ONE_CORE = {"ASTRID_WORKERS": "1"}
_ALONE = {"ASTRID_EXECUTOR": "in_process", "ASTRID_CONCURRENT_RUNS": "1"} | _ONE_CORE
_SHARED = {"ASTRID_EXECUTOR": "celery", "ASTRID_CONCURRENT_RUNS": str(len(NIGHTS))} | _ONE_CORE


@dataclass
class Figures:
    """What the nights took, seconds.

    Attributes
    ----------
    wall_s
        From launch to the last night's end.
    spent_s
        By what it was spent on, summed over nights, which overlap.
    workers_ready_s
        From the workers' start until both could take a step.
    """

    wall_s: float
    tables: Snapshot
    spent_s: Mapping[str, float]
    workers_ready_s: float = 0.0


def main() -> None:
    """Process, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=8, help="frames of each night")
    n_frames = parser.parse_args().frames
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < len(QUEUES):
        raise SystemExit(f"{len(QUEUES)} workers need as many cores, here are {len(cores)}")
    with tempfile.TemporaryDirectory(prefix="astrid-distributed-") as folder:
        alone = on_one_machine(Path(folder) / "alone", n_frames, cores)
        shared = on_workers(Path(folder) / "workers", n_frames, cores)
    tell(alone, shared, n_frames)
    wanted, got = current(alone.tables), current(shared.tables)
    unlike = differing(wanted, got)
    print(f"{len(wanted)} tables and objects compared, {len(unlike)} differ: {unlike}")
    superseded = (
        len(t["objects"]) - len(current(t)["objects"]) for t in (alone.tables, shared.tables)
    )
    print("objects superseded on the way: {} and {}".format(*superseded))
    if unlike:
        raise SystemExit(1)


def on_one_machine(folder: Path, n_frames: int, cores: Sequence[int]) -> Figures:
    """The nights in the runs' own processes, on one core, one night after another."""
    with configured(_ALONE), stack(folder, n_frames, NIGHTS):
        state = State(folder / "state")
        confine(Stack(state).process_of("code"), cores[0])
        wall_s, runs = process_nights(state)
        return Figures(wall_s, snapshot(state), spent(state, runs))


def on_workers(folder: Path, n_frames: int, cores: Sequence[int]) -> Figures:
    """The nights on two workers of one core each."""
    with (
        redis_server(folder.parent / "redis") as broker,
        configured(_SHARED | {"ASTRID_BROKER_URL": broker}),
        stack(folder, n_frames, NIGHTS),
    ):
        state = State(folder / "state")
        begun = time.monotonic()
        with workers(state, cores):
            ready_s = time.monotonic() - begun
            wall_s, runs = process_nights(state)
        return Figures(wall_s, snapshot(state), spent(state, runs), ready_s)


def confine(process: psutil.Process | None, core: int) -> None:
    """Let a process compute on one core, and whatever it starts from now on."""
    assert process is not None
    for one in processes.family_of(process):
        for thread in one.threads():  # each starts processes with its own cores
            os.sched_setaffinity(thread.id, {core})


@contextmanager
def workers(state: State, cores: Sequence[int]) -> Iterator[None]:
    """Two workers, each on a core of its own, as they would be started on two machines."""
    started = []
    try:
        for core, queues in zip(cores, QUEUES, strict=False):
            asked = [word for queue in queues for word in ("--queue", queue)]
            program = Program(
                name=f"worker-{'-'.join(queues)}",
                argv=(sys.executable, "-m", "astrid_dagster.distributed", *asked),
                environment=state.environment(),
                log=state.log(f"worker-{'-'.join(queues)}"),
            )
            popen = processes.start(program)
            confine(psutil.Process(popen.pid), core)
            started.append((program, popen))
        for program, popen in started:
            processes.wait_until_ready(
                program, popen, partial(_is_ready, program.log), _READY_WITHIN_S, "Read its log."
            )
        yield
    finally:
        asked_to_end = {psutil.Process(p.pid): program.stop_signal for program, p in started}
        processes.stop(asked_to_end, _GRACE_S)


def _is_ready(log: Path) -> bool:
    return b"ready." in log.read_bytes()


def process_nights(state: State) -> tuple[float, list[RunState]]:
    """Launch all nights at once and wait for them."""
    client = DagsterClient.of(state)
    begun = time.monotonic()
    nights = [{"survey": "simulated", "night": night} for night in NIGHTS]
    runs = succeed(client, "nightly", nights, _WAIT_S)
    return time.monotonic() - begun, runs


def current(tables: Snapshot) -> Snapshot:
    """A snapshot without superseded objects and what was measured of them."""
    active = [row for row in tables["objects"] if row["status"] == "active"]
    ids = {row["id"] for row in active}
    measured = [row for row in tables["forced_photometry"] if row["object_id"] in ids]
    return tables | {"objects": active, "forced_photometry": measured}


def tell(alone: Figures, shared: Figures, n_frames: int) -> None:
    """Print both side by side."""
    print(f"\n{len(NIGHTS)} nights of {n_frames} frames{'one machine':>32}{'two workers':>14}")
    for what in alone.spent_s:
        row = f"{alone.spent_s[what]:14.1f}{shared.spent_s[what]:14.1f}"
        print(f"  {what:44}{row}  s, summed over nights")
    print(f"  {'workers ready (import)':44}{0.0:14.1f}{shared.workers_ready_s:14.1f}  s, once")
    print(f"  {'from launch to the end':44}{alone.wall_s:14.1f}{shared.wall_s:14.1f}  s")
    print(f"speed-up of two workers: {alone.wall_s / shared.wall_s:.2f}")


if __name__ == "__main__":
    main()
