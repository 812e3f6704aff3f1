"""What is put before a reviewer next.

Most of it is what the model is least sure of, because a verdict on that teaches most. A
part is drawn at random, because only that tells how good model and reviewers are over the
whole survey; a part is gold, whose label is known, to measure the reviewer; a part are
labels that the newest model contradicts strongly. Which of these an item is, a reviewer is
not told.

An item is leased: until it is judged or the lease runs out nobody else gets it. Who has
judged an item gets it again only where a repeat was declared. Only detections of current,
good runs are put before anyone: of degraded frames on request, superseded ones never.

*The random stratum.* A detection's id is a hash (UUIDv5), so that the order of ids is a
random order, and the same for everybody. Items are taken in that order from a point that
the seed names, whatever their confidence, those already judged being passed over. At any
time the detections up to the last one taken, all of them judged, are an unbiased sample.
"""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from astrid_core.curation.access import KnownUser
from astrid_core.curation.current import USABLE, is_of_current_run
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    GoldItem,
    ReviewLease,
    ReviewRepeat,
    User,
    ValidationEvent,
)

Stratum = Literal["uncertain", "random", "gold", "suspect"]

MAX_ITEMS = 100
"""Most items a reviewer may hold."""

_INSTEAD: tuple[Stratum, ...] = ("uncertain", "random", "suspect", "gold")
"""What is taken, in this order, where the stratum drawn has nothing."""


class QueueConfig(BaseModel):
    """Configuration of the review queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uncertain: float = Field(
        default=0.6, ge=0, le=1, description="Share of items whose confidence is nearest 0.5."
    )
    random: float = Field(
        default=0.2, ge=0, le=1, description="Share of items drawn at random, for monitoring."
    )
    gold: float = Field(default=0.1, ge=0, le=1, description="Share of items whose label is known.")
    suspect: float = Field(
        default=0.1, ge=0, le=1, description="Share of items whose label may be wrong."
    )
    seed: int = Field(
        default=0, ge=0, description="Chooses the random sample and the order of strata."
    )
    lease_s: int = Field(
        default=900, ge=1, le=86400, description="Seconds for which an item is one reviewer's."
    )
    min_disagreement: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Least |label - confidence| that makes a label suspect.",
    )
    max_verdicts: int = Field(
        default=4,
        ge=2,
        le=20,
        description="Verdicts after which an item is put before experts only, if it is still "
        "undecided, and a suspect before nobody.",
    )
    include_degraded: bool = Field(
        default=False, description="Whether items of degraded frames are put before anyone."
    )

    @model_validator(mode="after")
    def _whole(self) -> "QueueConfig":
        total = self.uncertain + self.random + self.gold + self.suspect
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of the strata add up to {total:g}, not to 1")
        return self

    def draw(self, reviewer_id: UUID, ordinal: int) -> Stratum:
        """Stratum of a reviewer's item: by the shares, and unforeseeable to the reviewer."""
        point = int.from_bytes(_digest(self.seed, reviewer_id, ordinal)[:8]) / 2**64
        shares: tuple[tuple[Stratum, float], ...] = (
            ("random", self.random),
            ("gold", self.gold),
            ("suspect", self.suspect),
        )
        for stratum, share in shares:
            if point < share:
                return stratum
            point -= share
        return "uncertain"


@dataclass(frozen=True)
class LeasedItem:
    """A detection that is one reviewer's to judge until a time."""

    lease_id: UUID
    detection_id: UUID
    expires_at: dt.datetime


def next_items(
    connection: Connection, reviewer: KnownUser, n: int, config: QueueConfig
) -> list[LeasedItem]:
    """The items a reviewer holds, renewed, and new ones up to ``n`` in all.

    Asking again, after a reload say, gives the same ones. Fewer come where the queue has no
    more for this reviewer. Works in the caller's transaction.

    Raises
    ------
    NotAllowedError
        If the user may not judge.
    ValueError
        If ``n`` is not from 1 to :data:`MAX_ITEMS`.
    """
    reviewer.require("reviewer")
    if not 1 <= n <= MAX_ITEMS:
        raise ValueError(f"{n} items asked for; from 1 to {MAX_ITEMS} may be.")
    # A reviewer's own requests take turns, so that together they hold no more than n.
    connection.execute(
        select(User.id).where(User.id == reviewer.id).with_for_update(key_share=True)
    )
    held = _renew(connection, reviewer, config)
    if len(held) < n:
        held += _Dealer(connection, reviewer, config).deal(n - len(held))
    # By their random ids: in the order they were taken, their strata could be told.
    return sorted(held, key=lambda item: item.lease_id)[:n]


def give_back(connection: Connection, reviewer: KnownUser, lease_ids: Sequence[UUID]) -> int:
    """End leases before their time, so that others may have the items.

    Returns
    -------
    Number of leases ended: those of the reviewer's that were open.
    """
    return connection.execute(
        update(ReviewLease)
        .where(
            ReviewLease.id.in_(lease_ids),
            ReviewLease.reviewer_id == reviewer.id,
            ReviewLease.closed_at.is_(None),
        )
        .values(closed_at=func.now())
    ).rowcount


def _renew(connection: Connection, reviewer: KnownUser, config: QueueConfig) -> list[LeasedItem]:
    renewed = connection.execute(
        update(ReviewLease)
        .where(ReviewLease.reviewer_id == reviewer.id, _is_live())
        .values(expires_at=_expiry(config))
        .returning(ReviewLease.id, ReviewLease.detection_id, ReviewLease.expires_at)
    )
    return [LeasedItem(*row) for row in renewed]


# --- taking -------------------------------------------------------------------------------


class _Dealer:
    """Takes items of the strata for one reviewer, in one transaction."""

    def __init__(self, connection: Connection, reviewer: KnownUser, config: QueueConfig) -> None:
        self._connection = connection
        self._reviewer = reviewer
        self._config = config

    def deal(self, n: int) -> list[LeasedItem]:
        """Up to ``n`` new items: repeats that are due, then of the strata by their shares."""
        dealt = self._repeats(n)
        drawn = self._drawn(n - len(dealt))
        for stratum in _INSTEAD:
            dealt += self._take(stratum, drawn[stratum])
        for stratum in _INSTEAD:
            dealt += self._take(stratum, n - len(dealt))
        return dealt

    def _drawn(self, n: int) -> Counter[Stratum]:
        last = select(func.coalesce(func.max(ReviewLease.number), 0)).where(
            ReviewLease.reviewer_id == self._reviewer.id
        )
        start = self._connection.scalar(last) or 0
        return Counter(self._config.draw(self._reviewer.id, start + i) for i in range(n))

    def _repeats(self, n: int) -> list[LeasedItem]:
        query = _due_repeats(self._reviewer).limit(n)
        dealt = []
        for row in self._connection.execute(_lock(query)).all():
            dealt += self._lease([row.id], "repeat", row.repeat_id)
        return dealt

    def _take(self, stratum: Stratum, n: int) -> list[LeasedItem]:
        dealt: list[LeasedItem] = []
        queries = _queries(stratum, self._reviewer, self._config)
        while len(dealt) < n and (query := next(queries, None)) is not None:
            # Once more where others leased what was chosen while it was being chosen.
            while len(dealt) < n and (
                chosen := self._connection.scalars(_lock(query.limit(n - len(dealt)))).all()
            ):
                dealt += self._lease(chosen, stratum)
        return dealt

    def _lease(
        self, detections: Sequence[UUID], stratum: str, repeat_id: UUID | None = None
    ) -> list[LeasedItem]:
        """Lease locked detections, but for those that somebody else holds by now."""
        ids = literal(list(detections), ARRAY(Uuid))
        self._connection.execute(
            update(ReviewLease)
            .where(
                ReviewLease.detection_id == any_(ids),
                ReviewLease.closed_at.is_(None),
                ReviewLease.expires_at <= func.now(),
            )
            .values(closed_at=ReviewLease.expires_at)
        )
        row = {
            "detection_id": func.unnest(ids),
            "reviewer_id": literal(self._reviewer.id),
            "stratum": literal(stratum),
            "repeat_id": literal(repeat_id, Uuid),
            "expires_at": _expiry(self._config),
        }
        leased = self._connection.execute(
            insert(ReviewLease)
            .from_select(list(row), select(*row.values()))
            .on_conflict_do_nothing(
                index_elements=[ReviewLease.detection_id],
                index_where=ReviewLease.closed_at.is_(None),
            )
            .returning(ReviewLease.id, ReviewLease.detection_id, ReviewLease.expires_at)
        )
        return [LeasedItem(*row) for row in leased]


def _lock(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Lock what is chosen; pass over what others are choosing or judging at this moment."""
    return query.with_for_update(of=Detection, skip_locked=True, key_share=True)


def _expiry(config: QueueConfig) -> ColumnElement[dt.datetime]:
    return func.now() + dt.timedelta(seconds=config.lease_s)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256(":".join(map(str, parts)).encode()).digest()


# --- choosing -----------------------------------------------------------------------------
#
# Each query walks an index in the order wanted and asks of each row what the index does not
# know, until it has enough. Scalar subqueries, not joins: so that the planner cannot decide
# to ask it of all rows at once.


def _queries(stratum: Stratum, reviewer: KnownUser, config: QueueConfig) -> Iterator[Select[UUID]]:
    """Ids of a stratum's detections, the best first; queries to be tried one after another."""
    match stratum:
        case "uncertain":
            # What waits for another verdict first: it is nearest to a label.
            for label in (
                ("disputed", "pending", "unsure")
                if reviewer.is_expert
                else (
                    "pending",
                    "unsure",
                )
            ):
                yield _undecided(label, reviewer, config)
            distance: ColumnElement[float] = literal_column(
                "abs(detections.confidence_score - 0.5)"
            )
            yield _untouched(reviewer, config).order_by(distance, Detection.id)
        case "random":
            start = UUID(bytes=_digest(config.seed)[:16])
            for side in (Detection.id >= start, Detection.id < start):
                yield _untouched(reviewer, config).where(side).order_by(Detection.id)
        case "gold":
            yield _gold(reviewer)
        case "suspect":
            # What an expert decided is put before experts: nobody else can change it.
            for rule in ("agreement", "expert") if reviewer.is_expert else ("agreement",):
                yield _suspects(rule, reviewer, config)


def _untouched(reviewer: KnownUser, config: QueueConfig) -> Select[UUID]:
    """Detections of current, good runs that nobody has judged."""
    return select(Detection.id).where(
        Detection.status == "active",
        ~Detection.is_validated,
        Detection.n_verdicts == 0,
        is_of_current_run(USABLE if config.include_degraded else ("completed",)),
        *_is_offered(reviewer),
    )


def _undecided(label: str, reviewer: KnownUser, config: QueueConfig) -> Select[UUID]:
    """Detections that others have judged without deciding, the longest waiting first."""
    query = (
        select(Detection.id)
        .join(DetectionConsensus, DetectionConsensus.detection_id == Detection.id)
        .where(
            DetectionConsensus.label == label,
            DetectionConsensus.decided_by.is_(None),
            DetectionConsensus.sole_reviewer_id.is_distinct_from(reviewer.id),
            Detection.status == "active",
            ~Detection.is_validated,
            *_is_offered(reviewer),
        )
        .order_by(DetectionConsensus.updated_at)
    )
    if reviewer.is_expert:
        return query
    return query.where(DetectionConsensus.n_events < config.max_verdicts)


def _gold(reviewer: KnownUser) -> Select[UUID]:
    """Detections of known label, in an order of the reviewer's own."""
    mixed = func.md5(cast(GoldItem.detection_id, Text) + str(reviewer.id))
    return (
        select(Detection.id)
        .join(GoldItem, GoldItem.detection_id == Detection.id)
        .where(
            GoldItem.retired_at.is_(None),
            GoldItem.declared_by != reviewer.id,
            Detection.status == "active",
            *_is_offered(reviewer),
        )
        .order_by(mixed)
    )


def _suspects(rule: str, reviewer: KnownUser, config: QueueConfig) -> Select[UUID]:
    """Detections decided by a rule that the newest model contradicts, the strongest first."""
    return (
        select(Detection.id)
        .join(DetectionConsensus, DetectionConsensus.detection_id == Detection.id)
        .where(
            DetectionConsensus.decided_by == rule,
            DetectionConsensus.disagreement >= config.min_disagreement,
            DetectionConsensus.n_events < config.max_verdicts,
            DetectionConsensus.sole_reviewer_id.is_distinct_from(reviewer.id),
            Detection.status == "active",
            *_is_offered(reviewer),
        )
        .order_by(DetectionConsensus.disagreement.desc())
    )


def _due_repeats(reviewer: KnownUser) -> Select[UUID, UUID]:
    return (
        select(Detection.id, ReviewRepeat.id.label("repeat_id"))
        .join(ReviewRepeat, ReviewRepeat.detection_id == Detection.id)
        .where(
            ReviewRepeat.reviewer_id == reviewer.id,
            ReviewRepeat.answered_by.is_(None),
            ReviewRepeat.due_at <= func.now(),
            Detection.status == "active",
            ~_is_leased(),
        )
        .order_by(ReviewRepeat.due_at)
    )


def _is_offered(reviewer: KnownUser) -> tuple[ColumnElement[bool], ...]:
    """Nobody holds it, the reviewer has not judged it, and it was not injected."""
    injected = (
        select(Candidate.is_injected)
        .where(Candidate.id == Detection.candidate_id)
        .correlate(Detection)
        .scalar_subquery()
    )
    is_judged = exists().where(
        ValidationEvent.detection_id == Detection.id, ValidationEvent.reviewer_id == reviewer.id
    )
    return ~_is_leased(), ~is_judged, injected.is_not(True)


def _is_leased() -> ColumnElement[bool]:
    return exists().where(ReviewLease.detection_id == Detection.id, _is_live())


def _is_live() -> ColumnElement[bool]:
    return and_(ReviewLease.closed_at.is_(None), ReviewLease.expires_at > func.now())
