"""How reviewers do: how much and how fast, and how often they are right.

Of each reviewer and detection the last standing verdict counts. Fractions are of verdicts
that say real or bogus; who is unsure is neither right nor wrong, and counted apart.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from astrid_core.monitoring.intervals import Interval, wilson_interval
from dbschema.models import DetectionConsensus, GoldItem, User, ValidationEvent


@dataclass(frozen=True)
class Fraction:
    """So many of so many, with the 95 % Wilson interval of the true fraction."""

    n_right: int
    n_total: int

    @property
    def interval(self) -> Interval:
        """What the counts say of the true fraction."""
        return wilson_interval(self.n_right, self.n_total)


@dataclass(frozen=True)
class ReviewerStatistics:
    """What one reviewer did.

    Attributes
    ----------
    n_real, n_bogus, n_unsure
        Standing verdicts that count towards labels.
    n_withdrawn
        Verdicts taken back.
    median_time_s
        Seconds from showing to verdict; None where no client measured it.
    agreement
        Verdicts that are the label, of those on detections that others judged too and that
        are decided. The reviewer's own verdict has its part in the label.
    gold
        Right verdicts on gold items.
    repeats
        Repeats judged as the first time.
    """

    reviewer_id: UUID
    name: str
    n_real: int
    n_bogus: int
    n_unsure: int
    n_withdrawn: int
    median_time_s: float | None
    agreement: Fraction
    gold: Fraction
    repeats: Fraction


def reviewer_statistics(
    connection: Connection,
    since: dt.datetime | None = None,
    reviewer_id: UUID | None = None,
) -> list[ReviewerStatistics]:
    """Statistics of every reviewer who gave a verdict, by name.

    Parameters
    ----------
    since
        Only of verdicts given then or later; None for all.
    reviewer_id
        Only this one's; None for all.
    """
    wanted = _wanted(since, reviewer_id)
    withdrawn = {row[0]: row[1] for row in connection.execute(_withdrawn(wanted))}
    return [
        ReviewerStatistics(
            reviewer_id=row.reviewer_id,
            name=row.name,
            n_real=row.n_real,
            n_bogus=row.n_bogus,
            n_unsure=row.n_unsure,
            n_withdrawn=withdrawn.get(row.reviewer_id, 0),
            median_time_s=row.median_time_s,
            agreement=Fraction(row.n_agreed, row.n_compared),
            gold=Fraction(row.n_gold_right, row.n_gold),
            repeats=Fraction(row.n_same, row.n_repeats),
        )
        for row in connection.execute(_statistics(wanted))
    ]


def _wanted(since: dt.datetime | None, reviewer_id: UUID | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions.append(ValidationEvent.created_at >= since)
    if reviewer_id is not None:
        conditions.append(ValidationEvent.reviewer_id == reviewer_id)
    return conditions


def _statistics(wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    said = _last_verdicts(wanted).cte("said")
    first = aliased(said, name="first")
    verdict, purpose = said.c.verdict, said.c.purpose
    counts, is_gold, is_repeat = (purpose == name for name in ("label", "gold", "repeat"))
    votes = verdict != "unsure"
    compared = and_(
        counts, votes, DetectionConsensus.decided_by.is_not(None), DetectionConsensus.n_events > 1
    )
    repeated = and_(is_repeat, votes, first.c.verdict != "unsure")
    return (
        select(
            said.c.reviewer_id,
            User.name,
            _count(counts, verdict == "real").label("n_real"),
            _count(counts, verdict == "bogus").label("n_bogus"),
            _count(counts, verdict == "unsure").label("n_unsure"),
            func.percentile_cont(0.5).within_group(said.c.time_taken_s).label("median_time_s"),
            _count(compared).label("n_compared"),
            _count(compared, verdict == DetectionConsensus.label).label("n_agreed"),
            _count(is_gold, votes).label("n_gold"),
            _count(is_gold, verdict == GoldItem.verdict).label("n_gold_right"),
            _count(repeated).label("n_repeats"),
            _count(repeated, verdict == first.c.verdict).label("n_same"),
        )
        .select_from(said)
        .join(User, User.id == said.c.reviewer_id)
        .outerjoin(DetectionConsensus, DetectionConsensus.detection_id == said.c.detection_id)
        .outerjoin(GoldItem, GoldItem.detection_id == said.c.detection_id)
        .outerjoin(
            first,
            and_(
                is_repeat,
                first.c.detection_id == said.c.detection_id,
                first.c.reviewer_id == said.c.reviewer_id,
                first.c.purpose != "repeat",
            ),
        )
        .group_by(said.c.reviewer_id, User.name)
        .order_by(User.name)
    )


def _count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count().filter(*conditions)


def _last_verdicts(wanted: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """The last standing verdict of each reviewer on each detection, for each purpose."""
    event, undo = ValidationEvent, aliased(ValidationEvent)
    is_withdrawn = (
        select(undo.id).where(undo.supersedes == event.id, undo.verdict == "withdrawn").exists()
    )
    purpose = case((event.stratum.in_(("gold", "repeat")), event.stratum), else_="label")
    key = (event.reviewer_id, event.detection_id, purpose)
    return (
        select(
            event.reviewer_id,
            event.detection_id,
            event.verdict,
            event.time_taken_s,
            purpose.label("purpose"),
        )
        .ext(distinct_on(*key))
        .where(event.verdict != "withdrawn", ~is_withdrawn, *wanted)
        .order_by(*key, event.number.desc())
    )


def _withdrawn(wanted: Sequence[ColumnElement[bool]]) -> Select[UUID, int]:
    """How many verdicts of each reviewer were taken back, by whomever."""
    event, undo = ValidationEvent, aliased(ValidationEvent)
    return (
        select(event.reviewer_id, func.count())
        .join(undo, and_(undo.supersedes == event.id, undo.verdict == "withdrawn"))
        .where(*wanted)
        .group_by(event.reviewer_id)
    )
