"""What nothing needs, found and removed: in the store, in Dagster's database, on disk.

**Of Dagster's event log** only what tells how a step went about its work is removed, of runs
that ended long ago: inputs and outputs handed over, resources made, log lines. What anything
is decided by stays for good: materializations and observations (with their tags, which know
partitions), planned ones (which know failed partitions), checks, and the begin and end of
runs and steps. So partitions keep their status and sensors their place.
"""

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, inspect, select, text

from astrid_core.care.garbage import Busy, Swept, busy_with, sweep_objects
from astrid_core.care.objects import Grace
from astrid_stack.care.installation import Installation
from astrid_stack.care.orchestration import Orchestration, read_orchestration
from astrid_stack.logfiles import GENERATIONS, generation, large_logs, rotate
from dbschema.migrate import check
from dbschema.models import Survey
from dbschema.session import make_engine
from dbschema.transactions import transaction, transaction_at

NARRATION = (
    "STEP_INPUT",
    "STEP_OUTPUT",
    "LOADED_INPUT",
    "HANDLED_OUTPUT",
    "RESOURCE_INIT_STARTED",
    "RESOURCE_INIT_SUCCESS",
    "ENGINE_EVENT",
    "LOGS_CAPTURED",
)
"""Kinds of events by which nothing is decided; log lines, which have no kind, are another."""

RUN_EVENTS = "events of old runs"
RUN_LOGS = "logs of old runs"
STACK_LOGS = "logs of parts, rotated"
STEP_FOLDERS = "scratch folders of steps that died"
CHECKPOINTS = "checkpoints of trainings given up"

_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_RUNS_AT_ONCE = 200
_STEP_FOLDER = re.compile(r"astrid-[a-z0-9_]{8}")
"""As :mod:`tempfile` names them; nobody else's folder is so called."""


@dataclass(frozen=True)
class Retention:
    """How long what may be removed is kept.

    Attributes
    ----------
    objects
        Objects that no row names, and scratch.
    logs
        What runs that ended told of their work.
    """

    objects: dt.timedelta = dt.timedelta(days=2)
    logs: dt.timedelta = dt.timedelta(days=90)


def collect_garbage(
    installation: Installation,
    retention: Retention,
    say: Callable[[str], None],
    *,
    dry_run: bool,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> Swept:
    """Remove what nothing needs; harmless while nights are processed, and when repeated.

    Raises
    ------
    SchemaVersionError
        If the database has another schema than this code's: it may name objects unknown here.
    DatabaseError, StoreError
        If a database or the store failed.
    """
    check(installation.address("astrid"))
    if "dagster" not in installation.databases:
        say("Dagster's database is not named: runs in flight are known by objects' age alone")
    engine = make_engine(installation.address("astrid"))
    try:
        with transaction(engine) as connection:
            surveys = list(connection.scalars(select(Survey.name)))
        swept = sweep_objects(
            engine,
            installation.store,
            Grace(retention.objects),
            lambda: _busy(installation, surveys),
            dry_run=dry_run,
            report=report,
        )
    finally:
        engine.dispose()
    if installation.state is not None:
        for log in large_logs(installation.state.folder / "logs"):
            oldest = generation(log, GENERATIONS)
            n_bytes = oldest.stat().st_size if oldest.exists() else 0
            swept.add(STACK_LOGS, 1, n_bytes if dry_run else rotate(log))
    if "dagster" in installation.databases:
        _prune_runs(installation, retention.logs, swept, dry_run=dry_run)
    _remove_files(installation, retention, swept, dry_run=dry_run)
    return swept


def _busy(installation: Installation, surveys: list[str]) -> Busy:
    if "dagster" not in installation.databases:
        return Busy()
    with transaction_at(installation.address("dagster")) as connection:
        found: Orchestration = read_orchestration(connection)
    return busy_with(((run.run_id, run.partition) for run in found.runs), surveys)


# --- Dagster ------------------------------------------------------------------------------


def _prune_runs(
    installation: Installation, age: dt.timedelta, swept: Swept, *, dry_run: bool
) -> None:
    with transaction_at(installation.address("dagster")) as connection:
        runs = old_runs(connection, age)
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        batch = runs[start : start + _RUNS_AT_ONCE]
        # A transaction each: the log stays usable meanwhile.
        with transaction_at(installation.address("dagster")) as connection:
            swept.add(RUN_EVENTS, *prune_events(connection, batch, dry_run=dry_run))
    if installation.state is None:
        return
    for run_id in runs:
        folder = installation.state.dagster_home / "storage" / run_id
        if folder.is_dir():
            _remove(folder, RUN_LOGS, swept, dry_run=dry_run)


def old_runs(connection: Connection, age: dt.timedelta) -> list[str]:
    """Runs that ended longer ago, oldest first."""
    if not inspect(connection).has_table("runs"):
        return []
    query = text(
        "SELECT run_id FROM runs WHERE status IN :ended"
        " AND update_timestamp < (now() AT TIME ZONE 'UTC') - :age ORDER BY id"
    ).bindparams(bindparam("ended", expanding=True))
    return list(connection.scalars(query, {"ended": _ENDED, "age": age}))


def prune_events(connection: Connection, run_ids: list[str], *, dry_run: bool) -> tuple[int, int]:
    """Remove what runs told of their work; (events, bytes) of it."""
    where = (
        " FROM event_logs WHERE run_id IN :runs"
        " AND (dagster_event_type IN :kinds OR dagster_event_type IS NULL)"
    )
    asked = {"runs": run_ids, "kinds": NARRATION}
    runs: BindParameter[Any] = bindparam("runs", expanding=True)
    kinds: BindParameter[Any] = bindparam("kinds", expanding=True)
    counting = text(f"SELECT count(*), coalesce(sum(length(event)), 0){where}")
    n_events, n_bytes = connection.execute(counting.bindparams(runs, kinds), asked).one()
    if not dry_run:
        connection.execute(text(f"DELETE{where}").bindparams(runs, kinds), asked)
    return int(n_events), int(n_bytes)


# --- files --------------------------------------------------------------------------------


def _remove_files(
    installation: Installation, retention: Retention, swept: Swept, *, dry_run: bool
) -> None:
    scratch = installation.settings.scratch_dir
    if scratch is not None and scratch.is_dir():  # never in the system's own folder
        for folder in _older(scratch.iterdir(), retention.objects):
            if folder.is_dir() and _STEP_FOLDER.fullmatch(folder.name):
                _remove(folder, STEP_FOLDERS, swept, dry_run=dry_run)
    training = installation.settings.cache_dir / "training"
    if training.is_dir():
        for path in _older(training.glob("*.pt"), retention.logs):
            _remove(path, CHECKPOINTS, swept, dry_run=dry_run)


def _older(paths: Iterator[Path], age: dt.timedelta) -> Iterator[Path]:
    now = dt.datetime.now(dt.UTC).timestamp()
    for path in paths:
        inside = path.rglob("*") if path.is_dir() else ()
        newest = max(one.lstat().st_mtime for one in (path, *inside))
        if now - newest > age.total_seconds():
            yield path


def _remove(path: Path, kind: str, swept: Swept, *, dry_run: bool) -> None:
    files = [one for one in (path, *path.rglob("*")) if one.is_file() and not one.is_symlink()]
    swept.add(kind, len(files), sum(one.stat().st_size for one in files))
    if dry_run:
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
