"""Stacks of a benchmark's own: brought up and down, their runs followed, their processes found.

What belongs here: what several benchmarks do with a whole stack. What does not: what is
measured of it, and which faults befall it.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from astrid_stack.dagster_client import DagsterClient, RunState
from astrid_stack.processes import family_of
from astrid_stack.state import State
from astrid_stack.supervisor import Stack

Report = Callable[[str], None]


def write_surveys(folder: Path, surveys: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a folder's ``surveys.yaml``, and have whatever is started from now on read it."""
    path = folder / "surveys.yaml"
    content = {"partitions_start": "2025-08-01", "surveys": dict(surveys)}
    path.write_text(yaml.safe_dump(content))
    os.environ["ASTRID_SURVEYS_FILE"] = str(path)


def simulated_survey(
    reference_night: dt.date | str, science_nights: Sequence[dt.date | str], **scene: Any
) -> dict[str, Any]:
    """A simulated survey of some nights, compared with one night before them.

    Parameters
    ----------
    scene
        Further options of the simulated sky.
    """
    return {
        "adapter": "simulated",
        "longitude_deg": -70.8,
        "references": {"name": "first", "nights": [str(reference_night)]},
        "simulated": {
            "reference_nights": [str(reference_night)],
            "science_nights": [str(night) for night in science_nights],
            **scene,
        },
    }


@contextmanager
def own_stack(folder: Path, report: Report = print) -> Iterator[State]:
    """A stack over ``folder/state``, up as long as the context is open."""
    state = State.create(folder / "state")
    running = Stack(state)
    running.up(report)
    try:
        yield state
    finally:
        running.down(report)


@contextmanager
def configured(settings: Mapping[str, str]) -> Iterator[None]:
    """The environment of a stack that is started meanwhile."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def say_nothing(_: str) -> None:
    """Report of who brings stacks up many times."""


def succeed(
    client: DagsterClient,
    job: str,
    partitions: Sequence[Mapping[str, str] | str],
    timeout_s: float,
) -> list[RunState]:
    """Run a job for partitions, all at once, to ends that must be good ones."""
    runs = client.follow(client.launch(job, partitions), lambda _: None, timeout_s)
    for run in runs:
        if run.status != "SUCCESS":
            raise SystemExit(f"{job} ended {run.status}: {client.error_of(run.run_id)}")
    return runs


def wait(condition: Callable[[], Any], timeout_s: float, poll_s: float = 0.1) -> bool:
    """Whether a condition came to hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True


# --- processes ----------------------------------------------------------------------------


def runners(stack: Stack) -> list[psutil.Process]:
    """Processes that execute runs: the code server's server starts them, they their workers."""
    code = stack.process_of("code")
    spawned = [
        child
        for child in (descendants(code) if code is not None else [])
        if _says(child, "spawn_main") and not _says(child, "resource_tracker")
    ]
    pids = {process.pid for process in spawned}
    return [process for process in spawned if _parent_of(process) not in pids]


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """What a process started, and what that did; nothing of one that is gone."""
    return family_of(process)[1:]


def kill(process: psutil.Process) -> bool:
    """Send SIGKILL; whether there was a process to take it."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def _says(process: psutil.Process, word: str) -> bool:
    try:
        return word in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _parent_of(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None
