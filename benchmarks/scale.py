"""Night after night through one stack: what a frame costs, and what grows with the nights.

Run ``python -m benchmarks.scale --observations 50 --nights 30``. An embedded stack processes
nights of the simulated survey, one after another, through its own Dagster and daemon. Of each
night: seconds from launch to end, and those in which steps worked; processor seconds of every
part of the stack; peak memory of all that computes runs, and what other parts hold; sizes of
both databases and of Dagster's event log, and of the store.

Then, per frame and per core: throughput, and orchestration's share of time and of work. Per
night: growth, of the first third of the nights beside the last, so that what grows faster than
the nights are many is seen. ``--side`` changes a frame's size: two sizes tell what a frame costs
and what a pixel does. Interrupted, it tells of the nights that it saw.
"""

import argparse
import datetime as dt
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from astrid_core.simulation.config import FILTERS
from astrid_stack.dagster_client import DagsterClient
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.running import (
    own_stack,
    say_nothing,
    simulated_survey,
    succeed,
    write_surveys,
)
from benchmarks.spending import STEPS, spent
from benchmarks.watching import CpuTime, PeakMemory, memory_mib
from dbschema.transactions import transaction_at

REFERENCE_NIGHT = dt.date(2025, 9, 1)
FIRST_NIGHT = dt.date(2025, 9, 10)
_SURVEY = "simulated"
_MOST_FIELDS = 125
_CPU_EVERY_S, _MEMORY_EVERY_S = 1.0, 2.0
"""A look takes 30 ms of processor: both twice a second were a tenth of a core of two."""
_NIGHT_S = 7200.0
_LEAST_JUDGED = 0.9
"""Small frames of few stars may fail, honestly; not many."""
_COMPUTES = "code"
"""The part below which runs and their workers are."""

_MIB = 2**20
_DATABASE_BYTES = "SELECT pg_database_size(current_database())"
_EVENTS_BYTES = "SELECT pg_total_relation_size('event_logs')"
_EVENTS = "SELECT count(*) FROM event_logs"
_JUDGED = "SELECT count(*) FROM model_runs WHERE status IN ('completed', 'degraded')"


@dataclass(frozen=True)
class Night:
    """What a night took, and what there was after it.

    Attributes
    ----------
    wall_s
        From launch to end.
    spent_s
        Seconds of its run by what they were spent on.
    cpu_s
        Processor seconds by part of the stack.
    peak_mib
        Highest memory of all that computes runs.
    held_mib
        Memory of each other part after it.
    sizes
        Of what grows, by name: MiB and rows.
    """

    wall_s: float
    spent_s: dict[str, float]
    cpu_s: dict[str, float]
    peak_mib: float
    held_mib: dict[str, float]
    sizes: dict[str, float]


def main() -> None:
    """Process, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=int, default=50, help="of each night")
    parser.add_argument("--nights", type=int, default=30, help="how many")
    parser.add_argument("--side", type=int, default=512, help="pixels along a frame's side")
    asked = parser.parse_args()
    nights = [FIRST_NIGHT + dt.timedelta(days=number) for number in range(asked.nights)]
    with tempfile.TemporaryDirectory(prefix="astrid-scale-") as name:
        folder = Path(name)
        write_surveys(folder, {_SURVEY: survey(asked.observations, nights, asked.side)})
        with own_stack(folder, say_nothing) as state:
            prepare(state)
            before = sizes(state)
            measured: list[Night] = []
            try:
                for night in nights:
                    measured.append(process(state, night))
                    tell_night(night, measured[-1])
            except KeyboardInterrupt:
                print(f"interrupted: {len(measured)} of {asked.nights} nights")
            n_judged = judged(state)
    if not measured:
        raise SystemExit("no night was measured")
    n_all = asked.observations * len(measured)
    print(f"{n_judged} of {n_all} observations went through every stage")
    if n_judged < _LEAST_JUDGED * n_all:
        raise SystemExit("too few: figures of others are none")
    tell(measured, before, asked.observations, asked.side)


def survey(n_observations: int, nights: Sequence[dt.date], side_pix: int) -> dict[str, object]:
    """The survey: as few filters as make so many observations of a night."""
    for n_filters in range(1, len(FILTERS) + 1):
        n_fields, rest = divmod(n_observations, n_filters)
        if n_fields <= _MOST_FIELDS and not rest:
            break
    else:
        raise SystemExit(f"{n_observations} observations are not 1 to 4 filters of some fields")
    return simulated_survey(
        REFERENCE_NIGHT,
        nights,
        n_fields=n_fields,
        filters=list(FILTERS[:n_filters]),
        shape=[side_pix, side_pix],
    )


def prepare(state: State) -> None:
    """Process the reference night and build the references."""
    client = DagsterClient.of(state)
    night = {"survey": _SURVEY, "night": REFERENCE_NIGHT.isoformat()}
    succeed(client, "reference_nights", [night], _NIGHT_S)
    succeed(client, "references", [_SURVEY], _NIGHT_S)


def process(state: State, night: dt.date) -> Night:
    """Process a night, watching."""
    stack, client = Stack(state), DagsterClient.of(state)
    parts = {name: stack.process_of(name) for name in stack.parts()}
    code = parts[_COMPUTES]
    assert code is not None
    begun = time.monotonic()
    with PeakMemory(code, _MEMORY_EVERY_S) as peak, CpuTime(parts, _CPU_EVERY_S) as cpu:
        asked = [{"survey": _SURVEY, "night": night.isoformat()}]
        runs = succeed(client, "nightly", asked, _NIGHT_S)
    wall_s = time.monotonic() - begun
    return Night(
        wall_s,
        spent(state, runs),
        cpu.seconds(),
        peak.mib,
        {name: memory_mib(part) if part else 0.0 for name, part in parts.items()},
        sizes(state),
    )


def judged(state: State) -> int:
    """How many observations went through every stage."""
    return int(_of_database(state, "astrid", _JUDGED))


# --- measuring ----------------------------------------------------------------------------


def sizes(state: State) -> dict[str, float]:
    """What grows: databases, the event log, the store."""
    store = Stack(state).object_store().folder
    files = [path.stat().st_size for path in store.rglob("*") if path.is_file()]
    return {
        "database, MiB": _of_database(state, "astrid", _DATABASE_BYTES) / _MIB,
        "Dagster's database, MiB": _of_database(state, "dagster", _DATABASE_BYTES) / _MIB,
        "its event log, MiB": _of_database(state, "dagster", _EVENTS_BYTES) / _MIB,
        "its event log, rows": _of_database(state, "dagster", _EVENTS),
        "store, MiB": sum(files) / _MIB,
        "store, objects": float(len(files)),
    }


def _of_database(state: State, database: str, query: str) -> float:
    with transaction_at(state.database_url(database)) as connection:
        return float(connection.execute(text(query)).scalar_one())


# --- telling ------------------------------------------------------------------------------


def tell_night(night: dt.date, measured: Night) -> None:
    """One line as it ends."""
    print(
        f"{night} {measured.wall_s:7.1f} s, in steps {measured.spent_s[STEPS]:7.1f}, "
        f"processors {sum(measured.cpu_s.values()):7.1f}, peak {measured.peak_mib:5.0f} MiB, "
        f"event log {measured.sizes['its event log, rows']:.0f} rows",
        flush=True,
    )


def tell(nights: Sequence[Night], before: dict[str, float], n_frames: int, side_pix: int) -> None:
    """Medians, shares, growth."""
    n_cores = len(os.sched_getaffinity(0))
    wall_s, cpu_s = _median(nights, _wall), _median(nights, _cpu)
    in_steps_s = _median(nights, _in_steps)
    in_runs_s = statistics.median(night.cpu_s[_COMPUTES] for night in nights)
    print(
        f"\n{len(nights)} nights of {n_frames} frames of {side_pix} x {side_pix}; {n_cores} cores"
    )
    print(f"frames per core and hour: {3600 * n_frames / wall_s / n_cores:.0f}, median night")
    print(f"processor seconds a frame: {cpu_s / n_frames:.2f}, {cpu_s / wall_s:.2f} cores at work")
    print(f"of a night's time not in steps: {1 - in_steps_s / wall_s:.1%}")
    print(f"of processor seconds not in runs: {1 - in_runs_s / cpu_s:.1%}")
    for what in nights[0].spent_s:
        seconds = statistics.median(night.spent_s[what] for night in nights)
        print(f"  {what:32}{seconds:9.1f} s")
    print("processor seconds a night, and memory, by part")
    for part in nights[0].cpu_s:
        seconds = statistics.median(night.cpu_s[part] for night in nights)
        held = [night.held_mib[part] for night in (nights[0], nights[-1])]
        print(f"  {part:32}{seconds:9.1f} s {held[0]:7.0f} MiB after one, {held[1]:7.0f} after all")
    peaks = [night.peak_mib for night in nights]
    print(f"peak of runs: {min(peaks):.0f} to {max(peaks):.0f} MiB")
    tell_growth(nights, before)


def tell_growth(nights: Sequence[Night], before: dict[str, float]) -> None:
    """Growth of sizes and times: a night of the first third beside one of the last."""
    third = max(1, len(nights) // 3)
    print(f"a night of the first {third} and of the last {third}")
    for what in before:
        held = [before[what], *(night.sizes[what] for night in nights)]
        first, last = (held[third] - held[0]) / third, (held[-1] - held[-1 - third]) / third
        print(f"  {what:32}{first:11.2f}{last:11.2f}")
    for name, of in (("wall, s", _wall), ("in steps, s", _in_steps), ("processors, s", _cpu)):
        first, last = _median(nights[:third], of), _median(nights[-third:], of)
        print(f"  {name:32}{first:11.2f}{last:11.2f}")


def _wall(night: Night) -> float:
    return night.wall_s


def _in_steps(night: Night) -> float:
    return night.spent_s[STEPS]


def _cpu(night: Night) -> float:
    return sum(night.cpu_s.values())


def _median(nights: Sequence[Night], of: Callable[[Night], float]) -> float:
    return statistics.median(of(night) for night in nights)


if __name__ == "__main__":
    main()
