"""Verdicts into the database: append-only events, and what follows from them at once.

A verdict, the consensus it makes, the detection's ``is_validated`` and that of its heirs
are written in one transaction, the caller's, under a lock on the detection: writers of one
detection take turns, and a crash leaves all or nothing. Everything may be tried again after
a failure, a deadlock among them: the idempotency key makes it the same event.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Row, Text, cast, delete, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from astrid_core.curation.access import KnownUser
from astrid_core.curation.consensus import (
    MEASURING,
    Consensus,
    VerdictEvent,
    consensus_of,
    standing,
)
from astrid_core.curation.inherit import (
    inherit_verdicts,
    measure_disagreement,
    runs_beside,
    tell_heirs,
)
from astrid_core.curation.taxonomy import CURRENT, taxonomy_of
from astrid_core.errors import NoSuchItemError, NotAllowedError, VerdictConflictError
from dbschema.base import Xid8
from dbschema.models import (
    Detection,
    DetectionConsensus,
    ModelRun,
    ReviewLease,
    ReviewRepeat,
    ValidationEvent,
)

_Item: TypeAlias = Row[UUID, str | None, float]
"""Of a detection: the model that scored it, the hash of its cutout, its confidence."""


@dataclass(frozen=True)
class Judgement:
    """What a reviewer says of a detection, and what they saw.

    Attributes
    ----------
    idempotency_key
        Made by the client for this verdict; sent again with it, it is the same event.
    cutout_sha256
        Hash of the cutout shown; None where the detection has none.
    time_taken_s
        Seconds from showing to verdict.
    lease_id
        Lease by which the queue gave it; None where the reviewer opened it themselves.
    """

    detection_id: UUID
    verdict: str
    idempotency_key: str
    cutout_sha256: str | None
    subtype: str | None = None
    taxonomy_version: str = CURRENT.version
    note: str | None = None
    time_taken_s: float | None = None
    lease_id: UUID | None = None


@dataclass(frozen=True)
class Recorded:
    """An event, and what the detection's verdicts add up to now.

    Attributes
    ----------
    is_new
        False where the idempotency key had been used for the same before.
    consensus
        None where no verdict counts.
    confidence_score
        The model's, told now that the verdict cannot depend on it.
    """

    event_id: UUID
    is_new: bool
    consensus: Consensus | None
    confidence_score: float


@dataclass(frozen=True)
class EventCursor:
    """How far events were read: those of transaction ``xact``, up to ``event_id``."""

    xact: int
    event_id: UUID


# --- writing ------------------------------------------------------------------------------


def record_verdict(connection: Connection, reviewer: KnownUser, judgement: Judgement) -> Recorded:
    """Record a verdict, and settle what follows from it.

    A second verdict of a reviewer on a detection corrects their first, unless it answers a
    declared repeat.

    Raises
    ------
    NotAllowedError
        If the user may not judge.
    VerdictError
        If the verdict is not of its taxonomy.
    NoSuchItemError
        If there is no such detection, or the lease is not the reviewer's lease of it.
    VerdictConflictError
        If the key was used for something else, or another cutout is stored than was shown.
    """
    reviewer.require("reviewer")
    taxonomy_of(judgement.taxonomy_version).check(judgement.verdict, judgement.subtype)
    item = _hold(connection, judgement.detection_id)
    row: dict[str, Any] = {
        "detection_id": judgement.detection_id,
        "verdict": judgement.verdict,
        "subtype": judgement.subtype,
        "taxonomy_version": judgement.taxonomy_version,
        "note": judgement.note,
    }
    if (known := _known(connection, reviewer, judgement.idempotency_key, row, item)) is not None:
        return known
    if judgement.cutout_sha256 != item.cutout_sha256:
        raise VerdictConflictError(
            f"The cutout of detection {judgement.detection_id} is not the one that was shown.",
            remedy="Reload the item and judge it again.",
        )
    lease = None
    if judgement.lease_id is not None:
        lease = _lease(connection, reviewer, judgement.lease_id, judgement.detection_id)
    corrected = None
    if lease is None or lease.stratum not in MEASURING:
        corrected = _last_standing(connection, reviewer, judgement.detection_id)
    row |= {
        "model_id": item.model_id,
        "cutout_sha256": judgement.cutout_sha256,
        "time_taken_s": judgement.time_taken_s,
        "supersedes": corrected and corrected.id,
        # A verdict that measures the reviewer does so when it is corrected too.
        "stratum": lease.stratum if lease else corrected and corrected.stratum,
    }
    event_id = _append(connection, reviewer, judgement.idempotency_key, row)
    if lease is not None:
        _answer(connection, lease, event_id)
    consensus = _settle(connection, judgement.detection_id)
    return Recorded(event_id, True, consensus, item.confidence_score)


def undo_verdict(
    connection: Connection, reviewer: KnownUser, event_id: UUID, idempotency_key: str
) -> Recorded:
    """Take a verdict back: everything is as if it had not been given.

    Reviewers undo their own, operators anybody's.

    Raises
    ------
    NotAllowedError
        If the verdict is another reviewer's, and the user no operator.
    NoSuchItemError
        If there is no such verdict.
    VerdictConflictError
        If it was taken back before, or the key was used for something else.
    """
    reviewer.require("reviewer")
    query = select(ValidationEvent.__table__).where(
        ValidationEvent.id == event_id, ValidationEvent.verdict != "withdrawn"
    )
    undone = connection.execute(query).one_or_none()
    if undone is None:
        raise NoSuchItemError(f"There is no verdict {event_id}.", remedy="Reload the page.")
    if undone.reviewer_id != reviewer.id and reviewer.role != "operator":
        raise NotAllowedError(
            f"Verdict {event_id} is another reviewer's.",
            remedy="Give a verdict of your own, or ask an operator.",
        )
    item = _hold(connection, undone.detection_id)
    row: dict[str, Any] = {
        "detection_id": undone.detection_id,
        "verdict": "withdrawn",
        "supersedes": event_id,
    }
    if (known := _known(connection, reviewer, idempotency_key, row, item)) is not None:
        return known
    if event_id not in {e.id for e in standing(_events(connection, undone.detection_id))}:
        raise VerdictConflictError(
            f"Verdict {event_id} was taken back before.", remedy="Reload the page."
        )
    row |= {
        "taxonomy_version": undone.taxonomy_version,
        "model_id": undone.model_id,
        "cutout_sha256": undone.cutout_sha256,
        "stratum": undone.stratum,
    }
    withdrawal = _append(connection, reviewer, idempotency_key, row)
    consensus = _settle(connection, undone.detection_id)
    return Recorded(withdrawal, True, consensus, item.confidence_score)


def _hold(connection: Connection, detection_id: UUID) -> _Item:
    """Lock a detection against other verdicts; what it is that is judged."""
    query = (
        select(ModelRun.model_id, Detection.cutout_sha256, Detection.confidence_score)
        .select_from(Detection)
        .join(ModelRun, ModelRun.run_id == Detection.model_run_id)
        .where(Detection.id == detection_id)
        .with_for_update(of=Detection, key_share=True)
    )
    item = connection.execute(query).one_or_none()
    if item is None:
        raise NoSuchItemError(f"There is no detection {detection_id}.", remedy="Reload the page.")
    return item


def _known(
    connection: Connection, reviewer: KnownUser, key: str, said: dict[str, Any], item: _Item
) -> Recorded | None:
    """The event that a key stands for already, if it says the same."""
    query = select(ValidationEvent.__table__).where(
        ValidationEvent.reviewer_id == reviewer.id, ValidationEvent.idempotency_key == key
    )
    event = connection.execute(query).mappings().one_or_none()
    if event is None:
        return None
    if any(event[name] != value for name, value in said.items()):
        raise _reused(reviewer, key)
    consensus = consensus_of(_events(connection, event["detection_id"]))
    return Recorded(event["id"], False, consensus, item.confidence_score)


def _reused(reviewer: KnownUser, key: str) -> VerdictConflictError:
    return VerdictConflictError(
        f"{reviewer.name} used the idempotency key {key!r} for something else.",
        remedy="Make a new key for each verdict.",
    )


def _lease(
    connection: Connection, reviewer: KnownUser, lease_id: UUID, detection_id: UUID
) -> Row[*tuple[Any, ...]]:
    """The lease, open or not: who answers late was nevertheless shown it for its reason."""
    query = select(ReviewLease.__table__).where(
        ReviewLease.id == lease_id,
        ReviewLease.reviewer_id == reviewer.id,
        ReviewLease.detection_id == detection_id,
    )
    lease = connection.execute(query).one_or_none()
    if lease is None:
        raise NoSuchItemError(
            f"{reviewer.name} has no lease {lease_id} of detection {detection_id}.",
            remedy="Ask for the next items again.",
        )
    return lease


def _answer(connection: Connection, lease: Row[*tuple[Any, ...]], event_id: UUID) -> None:
    """Close a lease, and the repeat it serves."""
    connection.execute(
        update(ReviewLease)
        .where(ReviewLease.id == lease.id, ReviewLease.closed_at.is_(None))
        .values(closed_at=func.now())
    )
    connection.execute(
        update(ReviewRepeat)
        .where(ReviewRepeat.id == lease.repeat_id, ReviewRepeat.answered_by.is_(None))
        .values(answered_by=event_id)
    )


def _append(connection: Connection, reviewer: KnownUser, key: str, row: dict[str, Any]) -> UUID:
    event_id = connection.scalar(
        insert(ValidationEvent)
        .values(
            **row,
            reviewer_id=reviewer.id,
            is_expert=reviewer.is_expert,
            idempotency_key=key,
        )
        .on_conflict_do_nothing(
            index_elements=[ValidationEvent.reviewer_id, ValidationEvent.idempotency_key]
        )
        .returning(ValidationEvent.id)
    )
    # Only a verdict on another detection, written at the same moment, can have taken the key.
    if event_id is None:
        raise _reused(reviewer, key)
    return event_id


def _last_standing(
    connection: Connection, reviewer: KnownUser, detection_id: UUID
) -> VerdictEvent | None:
    own = [e for e in standing(_events(connection, detection_id)) if e.reviewer_id == reviewer.id]
    return own[-1] if own else None


# --- what follows -------------------------------------------------------------------------


def _events(connection: Connection, detection_id: UUID) -> list[VerdictEvent]:
    query = select(
        *(getattr(ValidationEvent, name) for name in VerdictEvent.__dataclass_fields__)
    ).where(ValidationEvent.detection_id == detection_id)
    return [VerdictEvent(**row) for row in connection.execute(query).mappings()]


def _settle(connection: Connection, detection_id: UUID) -> Consensus | None:
    """Bring a held detection's consensus, its own state and its heirs' up to date."""
    consensus = consensus_of(_events(connection, detection_id))
    was_decided = connection.scalar(
        select(DetectionConsensus.decided_by).where(DetectionConsensus.detection_id == detection_id)
    )
    _store(connection, detection_id, consensus)
    inherits = (
        select(DetectionConsensus.decided_by)
        .where(DetectionConsensus.detection_id == Detection.inherited_from)
        .scalar_subquery()
    )
    is_decided = consensus is not None and consensus.decided_by is not None
    connection.execute(
        update(Detection)
        .where(Detection.id == detection_id)
        .values(
            n_verdicts=consensus.n_events if consensus else 0,
            is_validated=literal(True) if is_decided else inherits.is_not(None),
        )
    )
    tell_heirs(connection, detection_id)
    if is_decided:
        measure_disagreement(connection, [detection_id])
        if was_decided is None:
            # Runs stored before the verdict found nothing to inherit.
            inherit_verdicts(connection, runs_beside(connection, detection_id))
    return consensus


def _store(connection: Connection, detection_id: UUID, consensus: Consensus | None) -> None:
    if consensus is None:
        connection.execute(
            delete(DetectionConsensus).where(DetectionConsensus.detection_id == detection_id)
        )
        return
    row = {
        "label": consensus.label,
        "subtype": consensus.subtype,
        "n_events": consensus.n_events,
        "sole_reviewer_id": consensus.sole_reviewer_id,
        "decided_by": consensus.decided_by,
        "disagreement": None,
        "updated_at": func.now(),
    }
    connection.execute(
        insert(DetectionConsensus)
        .values(detection_id=detection_id, **row)
        .on_conflict_do_update(index_elements=[DetectionConsensus.detection_id], set_=row)
    )


# --- reading ------------------------------------------------------------------------------


def events_after(
    connection: Connection, cursor: EventCursor | None, limit: int = 1000
) -> tuple[list[dict[str, Any]], EventCursor | None]:
    """Events that were not read yet, each exactly once, and where to go on.

    Transactions commit in another order than they begin. Only events of transactions older
    than every one still running are given, in the order of transactions: none can turn up
    behind the cursor later.

    Parameters
    ----------
    cursor
        What the last call gave; None to read from the beginning.

    Returns
    -------
    Rows of ``validation_events``, and the cursor after them: the same where there is none.
    """
    safe = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8)
    query = select(ValidationEvent.__table__, cast(ValidationEvent.xact, Text).label("xact_text"))
    query = query.where(ValidationEvent.xact < safe)
    if cursor is not None:
        last = tuple_(cast(literal(str(cursor.xact), Text), Xid8), literal(cursor.event_id))
        query = query.where(tuple_(ValidationEvent.xact, ValidationEvent.id) > last)
    query = query.order_by(ValidationEvent.xact, ValidationEvent.id).limit(limit)
    found = [dict(row) for row in connection.execute(query).mappings()]
    for row in found:
        row["xact"] = int(row.pop("xact_text"))
    if not found:
        return found, cursor
    return found, EventCursor(found[-1]["xact"], found[-1]["id"])
