"""All labels of one moment, as one thing with a name: what a training dataset is made of.

A snapshot holds the consensus of every judged detection, decided or not. Its id is derived
from its content: the same labels are the same snapshot, and a verdict taken back makes
another one beside the former, which stays. What belongs here: reading it. Storing it is the
business of who asks.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, cast, func, select, text

from astrid_core.curation.events import EventCursor
from astrid_core.curation.reviewers import Fraction, ReviewerStatistics, reviewer_statistics
from astrid_core.identity import derive_id
from dbschema.base import Xid8
from dbschema.models import (
    Detection,
    DetectionConsensus,
    DifferenceRun,
    Observation,
    Survey,
    User,
    ValidationEvent,
)

LABELS_VERSION = "1"

Counts = dict[str, int]


@dataclass(frozen=True)
class LabelState:
    """The consensus on one detection."""

    detection_id: UUID
    label: str
    subtype: str | None
    n_events: int
    decided_by: str | None


@dataclass(frozen=True)
class RoleStatistics:
    """What the reviewers of one role did, as :class:`ReviewerStatistics` counts it."""

    n_reviewers: int
    n_real: int
    n_bogus: int
    n_unsure: int
    n_withdrawn: int
    agreement: Fraction
    gold: Fraction
    repeats: Fraction


@dataclass(frozen=True)
class Labels:
    """Every label of one moment.

    Attributes
    ----------
    states
        In the order of detection ids.
    by_survey
        Survey → label → detections.
    by_subtype
        Decided label → subtype → detections that have one.
    by_role
        ``expert``, or the role of reviewers who are none.
    cursor
        Every event up to here is in it; events of transactions that ran beside older ones
        may be in it too. None where there is no event.
    """

    states: Sequence[LabelState]
    by_survey: Mapping[str, Counts]
    by_subtype: Mapping[str, Counts]
    by_role: Mapping[str, RoleStatistics]
    cursor: EventCursor | None

    @property
    def by_label(self) -> Counts:
        """Detections by label."""
        return dict(Counter(state.label for state in self.states))

    @property
    def agreement(self) -> Fraction:
        """Verdicts that are the label, of those on decided detections that several judged."""
        return total_of([role.agreement for role in self.by_role.values()])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything but the cursor."""
        content = asdict(self) | {"cursor": None}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @cached_property
    def id(self) -> UUID:
        """Id of the snapshot, by its content."""
        return derive_id("label_snapshot", LABELS_VERSION, self.digest)

    def row(self) -> dict[str, Any]:
        """Row of ``label_snapshots``."""
        counts = Counter(self.by_label)
        return {
            "id": self.id,
            "digest": self.digest,
            "code_version": LABELS_VERSION,
            "n_real": counts["real"],
            "n_bogus": counts["bogus"],
            "n_undecided": sum(state.decided_by is None for state in self.states),
            "by_label": dict(counts),
            "by_survey": self.by_survey,
            "by_subtype": self.by_subtype,
            "by_role": {name: asdict(role) for name, role in self.by_role.items()},
            "covered_xact": self.cursor and self.cursor.xact,
            "covered_event_id": self.cursor and self.cursor.event_id,
        }

    def label_rows(self) -> list[dict[str, Any]]:
        """Rows of ``snapshot_labels``."""
        snapshot_id = self.id
        return [{"snapshot_id": snapshot_id, **vars(state)} for state in self.states]


def read_labels(connection: Connection) -> Labels:
    """Every label of this moment; the first thing a transaction does.

    All of it is read from one state of the database (REPEATABLE READ), so that no verdict
    is in the figures and not in the labels.
    """
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    states, by_survey = [], defaultdict[str, Counts](Counter)
    by_subtype = defaultdict[str, Counts](Counter)
    for survey, detection_id, label, subtype, n_events, decided_by in connection.execute(
        _CONSENSUS
    ):
        state = LabelState(detection_id, label, subtype, n_events, decided_by)
        states.append(state)
        by_survey[survey][state.label] += 1
        if state.subtype is not None:
            by_subtype[state.label][state.subtype] += 1
    return Labels(
        states=states,
        by_survey={survey: dict(counts) for survey, counts in by_survey.items()},
        by_subtype={label: dict(counts) for label, counts in by_subtype.items()},
        by_role=_by_role(connection),
        cursor=_covered(connection),
    )


def total_of(fractions: Sequence[Fraction]) -> Fraction:
    """Several counts as one."""
    return Fraction(sum(f.n_right for f in fractions), sum(f.n_total for f in fractions))


_CONSENSUS = (
    select(
        Survey.name,
        DetectionConsensus.detection_id,
        DetectionConsensus.label,
        DetectionConsensus.subtype,
        DetectionConsensus.n_events,
        DetectionConsensus.decided_by,
    )
    .join(Detection, Detection.id == DetectionConsensus.detection_id)
    .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
    .join(Observation, Observation.id == DifferenceRun.observation_id)
    .join(Survey, Survey.id == Observation.survey_id)
    .order_by(DetectionConsensus.detection_id)
)


def _by_role(connection: Connection) -> dict[str, RoleStatistics]:
    users = connection.execute(select(User.id, User.role, User.is_expert))
    role_of = {row.id: "expert" if row.is_expert else row.role for row in users}
    members = defaultdict[str, list[ReviewerStatistics]](list)
    for reviewer in reviewer_statistics(connection):
        members[role_of[reviewer.reviewer_id]].append(reviewer)
    return {role: _sum(reviewers) for role, reviewers in members.items()}


def _sum(reviewers: Sequence[ReviewerStatistics]) -> RoleStatistics:
    return RoleStatistics(
        n_reviewers=len(reviewers),
        n_real=sum(one.n_real for one in reviewers),
        n_bogus=sum(one.n_bogus for one in reviewers),
        n_unsure=sum(one.n_unsure for one in reviewers),
        n_withdrawn=sum(one.n_withdrawn for one in reviewers),
        agreement=total_of([one.agreement for one in reviewers]),
        gold=total_of([one.gold for one in reviewers]),
        repeats=total_of([one.repeats for one in reviewers]),
    )


def _covered(connection: Connection) -> EventCursor | None:
    """The last event that ``events_after`` would give now."""
    safe = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=Xid8)
    query = (
        select(cast(ValidationEvent.xact, Text), ValidationEvent.id)
        .where(ValidationEvent.xact < safe)
        .order_by(ValidationEvent.xact.desc(), ValidationEvent.id.desc())
        .limit(1)
    )
    last = connection.execute(query).one_or_none()
    return last and EventCursor(int(last[0]), last[1])
