"""What the imaging assets share: a step's bench, its stream of outcomes, its report.

What belongs here: turning the core's outcomes into streams, rows and what a person reads
in the UI. What does not: anything about one particular stage.
"""

import base64
import html
import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import dagster as dg
from pydantic import Field

from astrid_core.errors import WorkerDiedError
from astrid_core.parallel import FramePool
from astrid_core.settings import get_settings
from astrid_core.stages.bench import Bench
from astrid_core.stages.outcome import Outcome, Row, failure_row
from astrid_dagster import tags
from astrid_dagster.io_managers.values import StoredFile, StoredObject
from astrid_dagster.resources import RunLedger, StoreResource
from dbschema.models import Base

_PROGRESS_EVERY_S = 15.0
_TABLE_ROWS_MOST = 50
IMAGING = tuple(
    f"astrid_core.stages.{stage}"
    for stage in ("preprocess", "reference", "difference", "candidates", "forced")
)
"""Modules that workers of these stages share."""
JUDGING = ("astrid_core.stages.detect", "astrid_core.detection.scoring")
"""Those that workers which judge share, torch among them."""


Rows = list[dict[str, Any]]
"""Rows of an asset's partition, as the Postgres IO manager loads them."""

Stream = Iterator[dg.Output[Any] | dg.AssetCheckResult]
"""What an imaging asset yields: its stream, its rows, its check."""


def fits_out(description: str, group: str, code_version: str) -> dg.AssetOut:
    """Declaration of an asset whose objects are FITS files in the store."""
    return _out("fits_io", {"s3", "fits"}, description, group, code_version)


def table_out(
    description: str,
    group: str,
    code_version: str,
    freshness_policy: dg.FreshnessPolicy | None = None,
) -> dg.AssetOut:
    """Declaration of an asset whose rows are in Postgres."""
    kinds = {"postgres", "table"}
    return _out("postgres_io", kinds, description, group, code_version, freshness_policy)


def _out(
    io_manager_key: str,
    kinds: set[str],
    description: str,
    group: str,
    code_version: str,
    freshness_policy: dg.FreshnessPolicy | None = None,
) -> dg.AssetOut:
    return dg.AssetOut(
        description=description,
        io_manager_key=io_manager_key,
        kinds=kinds,
        code_version=code_version,
        group_name=group,
        owners=[tags.OWNER],
        freshness_policy=freshness_policy,
    )


class FrameConfig(dg.Config):
    """Launch-time options of an imaging stage."""

    force: bool = Field(
        default=False,
        description="Compute again what is already completed with the same inputs, code and "
        "configuration. Ids and bytes stay the same; use it after an object was lost.",
    )


class Task(Protocol):
    """What every stage's task has."""

    @property
    def row(self) -> Row:
        """Start of its run row."""

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""


SomeTask = TypeVar("SomeTask", bound=Task)


@contextmanager
def open_bench(store: StoreResource) -> Iterator[Bench]:
    """The bench of a step; its scratch folder is gone when the step ends."""
    settings = get_settings()
    with tempfile.TemporaryDirectory(prefix="astrid-", dir=settings.scratch_dir) as folder:
        yield Bench(store.open(), Path(folder), settings.max_frame_mpix)


class Progress:
    """Says how far a step is, now and then: small frames are no flood, large ones no silence."""

    def __init__(self, log: dg.DagsterLogManager, total: int | None, what: str = "frames") -> None:
        self._log = log
        self._total = total
        self._what = what
        self._next = time.monotonic() + _PROGRESS_EVERY_S

    def report(self, done: int) -> None:
        """Say that so many are done, if it is time or they are all."""
        now = time.monotonic()
        if now < self._next and done != self._total:
            return
        self._next = now + _PROGRESS_EVERY_S
        self._log.info(f"{done} of {'?' if self._total is None else self._total} {self._what}")


class NightStream:
    """Outcomes of a step, passed on as they come; rows are kept, pixels are not."""

    def __init__(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        outcomes: Iterator[Outcome],
        total: int | None,
    ) -> None:
        self._context = context
        self._outcomes = outcomes
        self._progress = Progress(context.log, total)
        self.rows: list[Row] = []
        self.children: list[Row] = []

    def files(self) -> Iterator[StoredFile]:
        """The objects to store, each handed on before the next frame is computed."""
        for outcome in self._outcomes:
            self.rows.append(outcome.row)
            self.children.extend(outcome.children)
            self._report(outcome)
            if outcome.staged is not None:
                staged = outcome.staged
                yield StoredFile(staged.key, staged.path, staged.sha256, staged.is_scratch)

    def drain(self) -> None:
        """Compute everything of a stage that makes no objects."""
        for _ in self.files():
            pass

    def _report(self, outcome: Outcome) -> None:
        log = self._context.log
        if outcome.has_failed:
            log.warning(f"{outcome.row['error_type']}: {outcome.row['error_message']}")
        for note in outcome.notes:
            log.info(note)
        self._progress.report(len(self.rows))


def frame_pool(stages: tuple[str, ...] = IMAGING) -> FramePool:
    """The worker processes of this machine, which have some stages imported.

    A process has one server that all its workers are forked from: where all steps of a run are
    one process's, it imports for all of them.
    """
    settings = get_settings()
    is_shared = settings.executor == "in_process"
    return FramePool(settings.workers, IMAGING + JUDGING if is_shared else stages)


def compute(
    stage: Callable[..., Outcome],
    tasks: Sequence[SomeTask],
    bench: Bench,
    pool: FramePool | None = None,
) -> Iterator[Outcome]:
    """Run a stage's tasks in the worker pool, in order."""
    # The core's own function travels to the workers: one of this package would bring Dagster.
    work = partial(stage, bench=bench)
    for task, result in (pool or frame_pool()).map(work, tasks):
        if isinstance(result, WorkerDiedError):
            yield Outcome(failure_row(task.row, result))
        else:
            yield result


def stored(rows: Sequence[Row], objects: Mapping[UUID, StoredObject], key: str) -> list[Row]:
    """The rows whose object is committed under ``row[key]``: failed ones have none."""
    return [row for row in rows if row[key] in objects]


def split_completed(
    tasks: Sequence[SomeTask], ledger: RunLedger, table: type[Base], force: bool
) -> tuple[list[SomeTask], list[Row]]:
    """Tasks still to compute, and the rows of those completed before.

    A run is content-addressed: a completed id has the result already. Its row is written
    again all the same, because what was materialized last is current.
    """
    if force:
        return list(tasks), []
    done = ledger.completed_rows(table, [task.run_id for task in tasks])
    return [task for task in tasks if task.run_id not in done], list(done.values())


# --- what a person reads in the UI ---------------------------------------------------------


def describe(
    rows: Sequence[Row],
    medians: Mapping[str, str] | None = None,
    names: Mapping[object, str] | None = None,
    preview_png: bytes | None = None,
) -> dict[str, Any]:
    """Metadata of a materialization: counts, medians, failures, a picture.

    Parameters
    ----------
    medians
        Column → label of the quantities whose median is shown.
    names
        Observation id → archive name, so that a failure names its file.
    """
    metadata: dict[str, Any] = {"n_frames": len(rows)}
    for status, count in sorted(Counter(row["status"] for row in rows).items()):
        metadata[f"n_{status}"] = count
    for column, label in (medians or {}).items():
        values = [float(row[column]) for row in rows if row.get(column) is not None]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            metadata[f"median {label}"] = round(statistics.median(finite), 4)
    troubled = [row for row in rows if row["status"] not in ("completed",)]
    if troubled:
        metadata["troubles"] = _trouble_table(troubled, names or {})
    if preview_png is not None:
        metadata["preview"] = inline_picture("science, reference, difference, S_corr", preview_png)
    return metadata


def schema_of(**columns: str) -> dg.TableSchema:
    """Schema of a shown table; stated, because a table without rows has none to infer it from."""
    return dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])


def inline_picture(title: str, png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG as metadata that carries the picture itself."""
    encoded = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def _trouble_table(rows: Sequence[Row], names: Mapping[object, str]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord(
            {
                "frame": html.escape(_name(row, names)),
                "status": str(row["status"]),
                "error": html.escape(str(row.get("error_type") or "")),
                "message": html.escape(_trouble(row)),
            }
        )
        for row in rows[:_TABLE_ROWS_MOST]
    ]
    return dg.MetadataValue.table(records)


def _name(row: Row, names: Mapping[object, str]) -> str:
    if "source" in row:
        return str(row["source"])
    if "field" in row:
        return f"{row['field']} {row['filter_band']}"
    return names.get(row.get("observation_id"), str(row.get("run_id")))


def _trouble(row: Row) -> str:
    if row.get("error_message"):
        return str(row["error_message"])
    if row.get("degraded_because"):
        return "; ".join(row["degraded_because"])
    considered = row.get("reference_choice") or []
    return "; ".join(sorted({str(one["reason"]) for one in considered if one.get("reason")}))


def summary_check(name: str, asset: str, rows: Sequence[Row]) -> dg.AssetCheckResult:
    """Blocks when every frame of a night failed; warns when some did."""
    failed = sum(row["status"] == "failed" for row in rows)
    everything_failed = bool(rows) and failed == len(rows)
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=failed == 0,
        severity=(dg.AssetCheckSeverity.ERROR if everything_failed else dg.AssetCheckSeverity.WARN),
        description=f"{failed} of {len(rows)} failed"
        if failed
        else f"{len(rows)} frames, none failed",
        metadata={"n_failed": failed, "n_frames": len(rows)},
    )


def summary_spec(name: str, asset: str) -> dg.AssetCheckSpec:
    """The check :func:`summary_check` reports."""
    return dg.AssetCheckSpec(
        name,
        asset=asset,
        blocking=True,
        description="No frame failed. Some failures warn; a night in which all failed blocks.",
    )
