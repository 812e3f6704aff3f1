"""What people decided: no event lost or changed, and everything that follows from them right."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, exists, func, or_, select, text
from sqlalchemy.orm import aliased

from astrid_core.care.reading import count, streamed
from astrid_core.care.report import Checked, Statement, checked
from astrid_core.curation.consensus import VerdictEvent, consensus_of
from dbschema.models import (
    Detection,
    DetectionConsensus,
    LabelSnapshot,
    SnapshotLabel,
    ValidationEvent,
)

APPEND_ONLY = {
    "validation_events": ("validation_events_append_only", "validation_events_never_emptied"),
    "snapshot_labels": ("snapshot_labels_never_changed", "snapshot_labels_never_emptied"),
    "training_samples": ("training_samples_never_changed", "training_samples_never_emptied"),
    "promotions": ("promotions_never_changed", "promotions_never_emptied"),
}
"""Tables that refuse to be changed, and the triggers by which they do."""

GUARDED = Statement(
    "append_only",
    "Tables that must never change refuse it",
    "Somebody disabled a trigger: ALTER TABLE … ENABLE TRIGGER …, and compare with a backup.",
)
ORDERED = Statement(
    "verdict_order",
    "Every correction and withdrawal names an earlier verdict on the same detection",
    "The history was written to by hand: compare validation_events with a backup.",
)
CONSENSUS = Statement(
    "consensus",
    "Every detection's consensus and verdict count are those of its events",
    "A verdict was half recorded: give it again, or withdraw it, which settles the detection.",
)
INHERITED = Statement(
    "inherited",
    "A detection that inherits is validated exactly as long as its origin is decided",
    "Materialize the night's detections again.",
)
SNAPSHOTS = Statement(
    "label_snapshots",
    "Every snapshot has the labels that it counted",
    "Run the job 'labels': it stores a snapshot anew; the old one is not to be used.",
)


def check_verdicts(connection: Connection) -> list[Checked]:
    """All of it."""
    n_events = count(connection, ValidationEvent)
    n_heirs = connection.scalar(
        select(func.count()).select_from(Detection).where(Detection.inherited_from.is_not(None))
    )
    n_snapshots = count(connection, LabelSnapshot)
    return [
        checked(GUARDED, sum(map(len, APPEND_ONLY.values())), _unguarded(connection)),
        checked(ORDERED, n_events, _out_of_order(connection)),
        checked(CONSENSUS, n_events, _wrong_consensus(connection)),
        checked(INHERITED, n_heirs or 0, _wrong_heirs(connection)),
        checked(SNAPSHOTS, n_snapshots, _half_snapshots(connection)),
    ]


def _unguarded(connection: Connection) -> Iterator[str]:
    query = text(
        "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgenabled IN ('O', 'A')"
    )
    there = {(table, trigger) for table, trigger in connection.execute(query)}
    for table, triggers in APPEND_ONLY.items():
        for trigger in triggers:
            if (table, trigger) not in there:
                yield f"{table}: trigger {trigger} is not there, or not enabled"


def _out_of_order(connection: Connection) -> Iterator[str]:
    before = aliased(ValidationEvent)
    query = (
        select(ValidationEvent.id, ValidationEvent.detection_id, before.detection_id)
        .join(before, before.id == ValidationEvent.supersedes)
        .where(
            or_(
                before.detection_id != ValidationEvent.detection_id,
                before.number >= ValidationEvent.number,
            )
        )
    )
    for row in streamed(connection, query):
        yield f"event {row[0]} on {row[1]} names one on {row[2]}"


def _wrong_consensus(connection: Connection) -> Iterator[str]:
    names = list(VerdictEvent.__dataclass_fields__)
    events = select(
        ValidationEvent.detection_id, *(getattr(ValidationEvent, name) for name in names)
    ).order_by(ValidationEvent.detection_id, ValidationEvent.number)
    stored = _stored_consensus(connection)
    for detection, rows in groupby(streamed(connection, events), key=lambda row: row[0]):
        found = consensus_of(VerdictEvent(**dict(zip(names, row[1:], strict=True))) for row in rows)
        should = (
            (None, None, None, 0)
            if found is None
            else (found.label, found.subtype, found.decided_by, found.n_events)
        )
        has = stored.pop(detection)
        is_decided = found is not None and found.decided_by is not None
        if has[:4] != should or (is_decided and not has[4]):
            yield f"detection {detection} is {has[:4]}, its events say {should}"
    for detection, has in stored.items():
        yield f"detection {detection} is {has[:4]} without an event"


def _stored_consensus(connection: Connection) -> dict[UUID, tuple[Any, ...]]:
    """What is recorded of every detection that was judged, or passes for it."""
    judged = exists().where(ValidationEvent.detection_id == Detection.id)
    passes = or_(
        judged,
        Detection.n_verdicts > 0,
        DetectionConsensus.detection_id.is_not(None),
        and_(Detection.is_validated, Detection.inherited_from.is_(None)),
    )
    query = (
        select(
            Detection.id,
            DetectionConsensus.label,
            DetectionConsensus.subtype,
            DetectionConsensus.decided_by,
            Detection.n_verdicts,
            Detection.is_validated,
        )
        .outerjoin(DetectionConsensus, DetectionConsensus.detection_id == Detection.id)
        .where(passes)
    )
    return {row[0]: tuple(row[1:]) for row in streamed(connection, query)}


def _wrong_heirs(connection: Connection) -> Iterator[str]:
    own, origin = aliased(DetectionConsensus), aliased(DetectionConsensus)
    is_decided = or_(own.decided_by.is_not(None), origin.decided_by.is_not(None))
    query = (
        select(Detection.id, Detection.inherited_from, Detection.is_validated)
        .outerjoin(own, own.detection_id == Detection.id)
        .outerjoin(origin, origin.detection_id == Detection.inherited_from)
        .where(Detection.inherited_from.is_not(None), Detection.is_validated != is_decided)
    )
    for row in streamed(connection, query):
        said = "validated" if row[2] else "not validated"
        yield f"detection {row[0]} is {said}, unlike its origin {row[1]}"


def _half_snapshots(connection: Connection) -> Iterator[str]:
    counts = (
        select(
            SnapshotLabel.snapshot_id,
            func.count().filter(SnapshotLabel.label == "real").label("n_real"),
            func.count().filter(SnapshotLabel.label == "bogus").label("n_bogus"),
            func.count().filter(SnapshotLabel.decided_by.is_(None)).label("n_undecided"),
        )
        .group_by(SnapshotLabel.snapshot_id)
        .subquery()
    )
    pairs = [
        (getattr(LabelSnapshot, name), func.coalesce(counts.columns[name], 0))
        for name in ("n_real", "n_bogus", "n_undecided")
    ]
    query = (
        select(LabelSnapshot.id, *(column for pair in pairs for column in pair))
        .outerjoin(counts, counts.columns.snapshot_id == LabelSnapshot.id)
        .where(or_(*(counted != there for counted, there in pairs)))
    )
    for row in streamed(connection, query):
        yield f"snapshot {row[0]}: counts {tuple(row[1::2])}, has {tuple(row[2::2])}"
