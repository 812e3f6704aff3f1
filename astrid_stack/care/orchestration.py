"""What Dagster's database says of runs, slots and daemons, read as rows.

Dagster's own classes take seconds to import and want a whole instance; who asks whether
something is wrong must not depend on either.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from astrid_core.care.report import Checked, Statement, checked
from astrid_stack.processes import lived_at

GOING_ON = ("STARTING", "STARTED", "CANCELING")
WAITING = ("QUEUED", "NOT_STARTED")
PARTITION_TAG = "dagster/partition"

STUCK_RUN = Statement(
    "no_stuck_run",
    "Every run that is said to be going on is",
    "'astrid up' ends runs whose process is gone; elsewhere terminate them in Dagster's UI.",
)
STUCK_SLOT = Statement(
    "no_stuck_slot",
    "Every slot of a pool that is held is held by a run that goes on",
    "'astrid up' frees them; elsewhere free them in Dagster's UI, Deployment › Concurrency.",
)
STUCK_TRAINING = Statement(
    "no_stuck_training",
    "Every training that is said to be running is, by its run",
    "Its sensor 'close_failed_trainings' ends it; is the daemon up?",
)


@dataclass(frozen=True)
class Unfinished:
    """A run that has not ended.

    Attributes
    ----------
    partition
        Its partition key; None where it has none.
    last_event_at
        When it last said anything.
    processes
        Process id → when the run reported it, Unix time in s.
    """

    run_id: str
    status: str
    job: str
    partition: str | None
    last_event_at: dt.datetime
    processes: Mapping[int, float]

    @property
    def is_going_on(self) -> bool:
        """Whether it was started."""
        return self.status in GOING_ON


@dataclass(frozen=True)
class HeldSlot:
    """A slot of a pool that a step holds or waits for; whose run ended at ``ended_at``."""

    pool: str
    run_id: str
    status: str | None
    ended_at: dt.datetime | None


@dataclass(frozen=True)
class Orchestration:
    """What Dagster's database says at a moment.

    Attributes
    ----------
    heartbeats
        Kind of daemon → when it last said that it lives.
    limits
        Pool → slots.
    failed_lately
        Runs that failed in the last day, by job.
    """

    now: dt.datetime
    runs: tuple[Unfinished, ...]
    slots: tuple[HeldSlot, ...]
    heartbeats: Mapping[str, dt.datetime]
    limits: Mapping[str, int]
    failed_lately: Mapping[str, int]

    @property
    def run_ids(self) -> frozenset[str]:
        """Runs that have not ended."""
        return frozenset(run.run_id for run in self.runs)


@dataclass(frozen=True)
class Patience:
    """How long something may take before it is called stuck.

    Attributes
    ----------
    run
        Since a run last said anything, where its process cannot be looked for.
    slot
        Since the end of the run that held it.
    is_local
        Whether runs are processes of this machine.
    """

    run: dt.timedelta = dt.timedelta(hours=12)
    slot: dt.timedelta = dt.timedelta(minutes=5)
    is_local: bool = True


def read_orchestration(connection: Connection) -> Orchestration:
    """Read it; empty before Dagster's first start."""
    now = connection.execute(text("SELECT now()")).scalar_one()
    if connection.scalar(text("SELECT to_regclass('public.runs')")) is None:
        return Orchestration(now, (), (), {}, {}, {})
    return Orchestration(
        now=now,
        runs=tuple(_unfinished(connection)),
        slots=tuple(_held_slots(connection)),
        heartbeats=_pairs(
            connection,
            "SELECT daemon_type, timestamp AT TIME ZONE 'UTC' FROM daemon_heartbeats",
        ),
        limits=_pairs(connection, 'SELECT concurrency_key, "limit" FROM concurrency_limits'),
        failed_lately=_pairs(
            connection,
            "SELECT pipeline_name, count(*) FROM runs WHERE status = 'FAILURE'"
            " AND update_timestamp > (now() AT TIME ZONE 'UTC') - interval '1 day' GROUP BY 1",
        ),
    )


def check_orchestration(
    found: Orchestration, trainings: Iterable[tuple[str, str | None]], patience: Patience
) -> list[Checked]:
    """Whether anything is stuck.

    Parameters
    ----------
    trainings
        (training run, its Dagster run) of those said to be running.
    """
    trainings = list(trainings)
    lost = (f"training run {one}" for one, run in trainings if run not in found.run_ids)
    return [
        checked(STUCK_RUN, len(found.runs), stuck_runs(found, patience)),
        checked(STUCK_SLOT, len(found.slots), _stuck_slots(found, patience)),
        checked(STUCK_TRAINING, len(trainings), lost),
    ]


def stuck_runs(found: Orchestration, patience: Patience) -> Iterator[str]:
    """Runs that claim to be going on and do not."""
    for run in found.runs:
        silent = found.now - run.last_event_at
        if not run.is_going_on:
            continue
        if run.processes and patience.is_local:
            if not any(lived_at(pid, when) for pid, when in run.processes.items()):
                yield f"{run.job} {run.partition or ''} ({run.run_id}): its process is gone"
        elif silent > patience.run:
            hours = silent.total_seconds() / 3600
            yield f"{run.job} {run.partition or ''} ({run.run_id}): silent for {hours:.1f} h"


def _stuck_slots(found: Orchestration, patience: Patience) -> Iterator[str]:
    for slot in found.slots:
        if slot.run_id in found.run_ids:
            continue
        if slot.ended_at is None or found.now - slot.ended_at > patience.slot:
            yield f"pool {slot.pool}: held by run {slot.run_id}, {slot.status or 'unknown'}"


def _unfinished(connection: Connection) -> Iterator[Unfinished]:
    query = text(
        "SELECT r.run_id, r.status, r.pipeline_name AS job, t.value AS partition,"
        " coalesce((SELECT max(e.timestamp) FROM event_logs e WHERE e.run_id = r.run_id),"
        "  r.update_timestamp) AT TIME ZONE 'UTC' AS last_event_at"
        " FROM runs r LEFT JOIN run_tags t ON t.run_id = r.run_id AND t.key = :tag"
        " WHERE r.status IN :statuses ORDER BY r.id"
    ).bindparams(bindparam("statuses", expanding=True))
    asked = {"tag": PARTITION_TAG, "statuses": [*GOING_ON, *WAITING]}
    for row in connection.execute(query, asked).all():
        yield Unfinished(**row._mapping, processes=_processes(connection, row.run_id))


def _processes(connection: Connection, run_id: str) -> dict[int, float]:
    query = text(
        "SELECT event, extract(epoch FROM timestamp AT TIME ZONE 'UTC') AS at FROM event_logs"
        " WHERE run_id = :run_id AND dagster_event_type = 'ENGINE_EVENT'"
    )
    found = {}
    for event, at in connection.execute(query, {"run_id": run_id}):
        for pid in _pids(json.loads(event)):
            found[pid] = float(at)
    return found


def _pids(value: Any) -> Iterator[int]:
    """Process ids among the metadata of an event, wherever they are in it."""
    if isinstance(value, dict):
        if value.get("label") == "pid":
            said = str((value.get("entry_data") or {}).get("text", ""))
            if said.isdecimal():
                yield int(said)
        for inner in value.values():
            yield from _pids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pids(inner)


def _held_slots(connection: Connection) -> Iterator[HeldSlot]:
    query = text(
        "SELECT s.pool, s.run_id, r.status, to_timestamp(r.end_time) AS ended_at FROM ("
        "  SELECT concurrency_key AS pool, run_id FROM concurrency_slots"
        "  WHERE run_id IS NOT NULL AND NOT deleted"
        "  UNION SELECT concurrency_key, run_id FROM pending_steps WHERE run_id IS NOT NULL"
        ") s LEFT JOIN runs r ON r.run_id = s.run_id ORDER BY 1, 2"
    )
    for row in connection.execute(query):
        yield HeldSlot(**row._mapping)


def _pairs(connection: Connection, query: str) -> dict[str, Any]:
    return {row[0]: row[1] for row in connection.execute(text(query))}
