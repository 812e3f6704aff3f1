"""Where data are: the database, the store, and whether nights came through."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, func, literal, select, text, union_all

from astrid_core.care.naming import SCRATCH
from astrid_core.care.objects import Grace, NamedBy, is_left_behind
from astrid_core.errors import ObjectCorruptError
from astrid_core.storage import ObjectStore
from astrid_stack.care import dumps
from astrid_stack.care.doctor.finding import Finding, ok, unknown, warning, wrong
from astrid_stack.care.installation import Installation
from dbschema.migrate import head, revision_of
from dbschema.models import (
    Alert,
    DifferenceRun,
    ExtractionRun,
    IngestRun,
    ModelRun,
    Observation,
    PreprocessRun,
)
from dbschema.transactions import snapshot_at, transaction_at

_OLDEST_SERVER = 14
_LONG_TRANSACTION = dt.timedelta(minutes=15)
_FEW_CONNECTIONS = 0.8
_SKEW_WARNING_S, _SKEW_WRONG_S = 30.0, 300.0
"""S3 refuses requests whose clock is off by 15 minutes."""
_LATELY = dt.timedelta(days=3)


# --- database -----------------------------------------------------------------------------


def examine_database(installation: Installation) -> Iterator[Finding]:
    """Whether it answers, is new enough, has our tables, and nobody holds it up."""
    with transaction_at(installation.address("astrid")) as connection:
        version = dumps.server_version(connection)
        if version < _OLDEST_SERVER:
            yield wrong(
                "database", f"PostgreSQL {version}", f"Use PostgreSQL {_OLDEST_SERVER} or newer."
            )
        else:
            yield ok("database", f"PostgreSQL {version} answers")
        yield from _schema(connection)
        yield from _connections(connection)
        yield from _long_transactions(connection)


def _schema(connection: Connection) -> Iterator[Finding]:
    if dumps.marked_by(connection) is not None:
        yield wrong(
            "tables",
            "a restore was interrupted",
            "Run the same 'astrid restore' again: it goes on.",
        )
    found = revision_of(connection)
    if found == head():
        yield ok("tables", f"at schema revision {found}, this code's")
    else:
        yield wrong(
            "tables",
            f"at schema revision {found or 'none'}, this code is at {head()}",
            "Run 'astrid up', or dbschema.migrate.upgrade on the database; where the database "
            "is ahead, install the release that wrote it.",
        )


def _connections(connection: Connection) -> Iterator[Finding]:
    query = text(
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
        " current_setting('max_connections')::int"
    )
    used, most = connection.execute(query).one()
    said = f"{used} of {most} connections in use"
    if used > _FEW_CONNECTIONS * most:
        help_ = "Raise max_connections, or put a pooler before the server."
        yield warning("database connections", said, help_)
    else:
        yield ok("database connections", said)


def _long_transactions(connection: Connection) -> Iterator[Finding]:
    # Verdicts are read up to the oldest transaction: one that hangs keeps labels waiting.
    query = text(
        "SELECT pid, usename, application_name, now() - xact_start AS age FROM pg_stat_activity"
        " WHERE backend_xid IS NOT NULL AND now() - xact_start > :long ORDER BY xact_start"
    )
    for row in connection.execute(query, {"long": _LONG_TRANSACTION}):
        minutes = row.age.total_seconds() / 60
        yield warning(
            "database transactions",
            f"one of {row.usename} ({row.application_name or 'unnamed'}) has been open for "
            f"{minutes:.0f} minutes; labels wait for it",
            f"If nobody needs it: SELECT pg_terminate_backend({row.pid}).",
        )


# --- store --------------------------------------------------------------------------------


def examine_store(installation: Installation) -> Iterator[Finding]:
    """Whether it keeps what it is given and gives it back, by a clock near ours."""
    store = hasty(installation.store)
    next(store.iterate("health/"), None)  # a listing tells a missing bucket, one object does not
    key = f"{SCRATCH}doctor/{uuid4()}"
    content = f"AstrID's doctor was here: {key}".encode()
    with tempfile.TemporaryDirectory(prefix="astrid-doctor-") as folder:
        sent, got = Path(folder) / "sent", Path(folder) / "got"
        sent.write_bytes(content)
        sha256 = store.put_file(key, sent)
        entry = store.entry(key)
        written_at = dt.datetime.now(dt.UTC)
        try:
            store.get_file(key, got, sha256)
            part = store.get_range(key, 7, 6)
            if part != content[7:13]:
                raise ObjectCorruptError(
                    "The store answers other bytes than were asked for of an object's part.",
                    remedy="AstrID reads cutouts in parts: use a store that serves ranges.",
                )
        finally:
            store.delete(key)
        if store.exists(key):
            yield wrong("store", "an object that was deleted is still there", "Check its rights.")
        else:
            yield ok("store", f"bucket {store.bucket} at {store.endpoint}: put, get, range, delete")
    if entry is not None:
        yield _skew(abs((written_at - entry.modified_at).total_seconds()))
    yield _bucket_rules(store)


def hasty(store: ObjectStore) -> ObjectStore:
    """The store for one who does not wait."""
    return replace(store, attempts=1, connect_timeout_s=3.0, read_timeout_s=15.0)


def _skew(seconds: float) -> Finding:
    said = f"the store's differs from ours by {seconds:.0f} s"
    help_ = "Have this machine's clock set by NTP."
    if seconds > _SKEW_WRONG_S:
        return wrong("clock", said, help_)
    return warning("clock", said, help_) if seconds > _SKEW_WARNING_S else ok("clock", said)


def _bucket_rules(store: ObjectStore) -> Finding:
    rules = store.expiring()
    if rules is None:
        return unknown("bucket rules", "the store does not tell of them")
    harmful = [prefix for prefix in rules if not prefix.startswith(SCRATCH)]
    if harmful:
        below = ", ".join(prefix or "everything" for prefix in harmful)
        return wrong(
            "bucket rules",
            f"the bucket itself deletes objects below {below}",
            "Remove the lifecycle rule: rows name these objects for good. 'astrid gc' removes "
            "what nothing names.",
        )
    return ok("bucket rules", "no rule deletes what rows name")


def examine_left_behind(installation: Installation) -> Iterator[Finding]:
    """What lies in the store and no row names, and what rows name and is not there."""
    with snapshot_at(installation.address("astrid")) as connection:
        named = NamedBy.read(connection)
    entries = {entry.key: entry for entry in hasty(installation.store).entries()}
    lost = [key for key in named.sha256 if key not in entries]
    if lost:
        yield wrong(
            "objects",
            f"{len(lost)} of {len(named.sha256)} that rows name are not in the store ({lost[0]})",
            "Materialize their partitions again with force, or restore them; 'astrid audit'.",
        )
    else:
        yield ok("objects", f"all {len(named.sha256)} that rows name are in the store")
    behind = [entry for entry in entries.values() if is_left_behind(entry, named, Grace())]
    if behind:
        size = sum(entry.n_bytes for entry in behind) / 1e6
        yield warning(
            "left behind",
            f"{len(behind)} objects ({size:.1f} MB) that no row names",
            "'astrid gc' removes them.",
        )
    else:
        yield ok("left behind", "no object without a row")


# --- nights -------------------------------------------------------------------------------


def examine_nights(installation: Installation) -> Iterator[Finding]:
    """Frames that failed lately, and alerts that nobody resolved."""
    with transaction_at(installation.address("astrid")) as connection:
        if revision_of(connection) != head():
            yield unknown("nights", "not looked at: the tables are of another revision")
            return
        failed = list(_failed_lately(connection))
        for stage, error, n_frames, n_nights, last in failed:
            yield warning(
                f"{stage} lately",
                f"{n_frames} frames of {n_nights} nights failed: {error} (last {last})",
                "The materialization's table 'troubles' names each, with what helps.",
            )
        if not failed:
            yield ok("nights lately", f"no frame failed in {_LATELY.days} days")
        query = select(Alert.severity, Alert.message, Alert.last_seen_at).where(
            Alert.resolved_at.is_(None)
        )
        for row in connection.execute(query.order_by(Alert.last_seen_at.desc()).limit(10)):
            yield warning(f"alert ({row.severity})", row.message, "It resolves itself once over.")


def _failed_lately(connection: Connection) -> Iterator[tuple[str, str, int, int, dt.date]]:
    since = func.now() - _LATELY
    stages = [
        select(literal("ingest").label("stage"), IngestRun.error_type, IngestRun.night).where(
            IngestRun.status == "failed", IngestRun.selected_at > since
        )
    ]
    stages += [
        select(literal(name).label("stage"), run.error_type, Observation.night)
        .join(Observation, Observation.id == run.observation_id)
        .where(run.status == "failed", run.selected_at > since)
        for name, run in (("preprocess", PreprocessRun), ("difference", DifferenceRun))
    ]
    stages += [
        select(literal(name).label("stage"), run.error_type, Observation.night)
        .join(DifferenceRun, DifferenceRun.run_id == run.difference_run_id)
        .join(Observation, Observation.id == DifferenceRun.observation_id)
        .where(run.status == "failed", run.selected_at > since)
        for name, run in (("extraction", ExtractionRun), ("detection", ModelRun))
    ]
    found = union_all(*stages).subquery()
    stage, error, night = found.columns
    query = (
        select(stage, error, func.count(), func.count(night.distinct()), func.max(night))
        .group_by(stage, error)
        .order_by(func.count().desc())
        .limit(10)
    )
    for row in connection.execute(query):
        yield row[0], row[1] or "unknown", row[2], row[3], row[4]
