"""The strata of the review queue: their shares, and which detections are of each.

Most of what is reviewed is what the model is least sure of, because a verdict on that teaches
most. A part is drawn at random, because only that tells how good model and reviewers are over
the whole survey; a part is gold, whose label is known, to measure the reviewer; a part are
labels that the newest model contradicts strongly.

*The random stratum.* A detection's id is a hash (UUIDv5), so that the order of ids is a random
order. Items are taken in that order, from a point that the seed names and whatever their
confidence; those that have verdicts already are passed over. When all detections up to the
last one taken are decided, they are an unbiased sample, whyever each was judged.

*The queries.* Each walks an index in the order wanted and asks of each row what the index
does not know, until it has enough. What it asks are scalar subqueries, not joins, so that the
planner cannot decide to ask it of all rows at once.
"""

import hashlib
from functools import lru_cache
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    select,
)

from astrid_core.curation.current import USABLE, is_of_current_run
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    GoldItem,
    ReviewLease,
    ReviewRepeat,
    ValidationEvent,
)

Stratum = Literal["uncertain", "random", "gold", "suspect"]
Choice: TypeAlias = Select[*tuple[Any, ...]]

_ME = bindparam("me", type_=Uuid())
_N = bindparam("n", type_=BigInteger())


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


@lru_cache(maxsize=64)
def choices(stratum: Stratum, is_expert: bool, config: QueueConfig) -> tuple[Choice, ...]:
    """Queries for the ids of a stratum's detections, to be tried one after another.

    Built once: that costs as much as running them. Each gives the best first, locks what it
    chooses and passes over what others are choosing or judging at the moment.

    Parameters
    ----------
    is_expert
        Whether the reviewer, who is bound to ``me``, is one; how many, to ``n``.
    """
    match stratum:
        case "uncertain":
            # What waits for another verdict first: it is nearest to a label.
            waiting = ("disputed", "pending", "unsure") if is_expert else ("pending", "unsure")
            distance: ColumnElement[float] = literal_column(
                "abs(detections.confidence_score - 0.5)"
            )
            found = [_undecided(label, is_expert, config) for label in waiting]
            found.append(_untouched(config).order_by(distance, Detection.id))
        case "random":
            start = UUID(bytes=_digest(config.seed)[:16])
            found = [
                _untouched(config).where(side).order_by(Detection.id)
                for side in (Detection.id >= start, Detection.id < start)
            ]
        case "gold":
            found = [_gold()]
        case "suspect":
            # What an expert decided is put before experts: nobody else can change it.
            rules = ("agreement", "expert") if is_expert else ("agreement",)
            found = [_suspects(rule, config) for rule in rules]
    return tuple(_first_free(query) for query in found)


@lru_cache(maxsize=1)
def due_repeats() -> Choice:
    """Ids of repeats of the reviewer ``me`` that are due, and of their detections."""
    return _first_free(
        select(Detection.id, ReviewRepeat.id.label("repeat_id"))
        .join(ReviewRepeat, ReviewRepeat.detection_id == Detection.id)
        .where(
            ReviewRepeat.reviewer_id == _ME,
            ReviewRepeat.answered_by.is_(None),
            ReviewRepeat.due_at <= func.now(),
            Detection.status == "active",
            ~_is_leased(),
        )
        .order_by(ReviewRepeat.due_at)
    )


def is_live() -> ColumnElement[bool]:
    """Condition on leases: neither closed nor run out."""
    return and_(ReviewLease.closed_at.is_(None), ReviewLease.expires_at > func.now())


def _first_free(query: Choice) -> Choice:
    return query.limit(_N).with_for_update(of=Detection, skip_locked=True, key_share=True)


def _digest(*parts: object) -> bytes:
    return hashlib.sha256(":".join(map(str, parts)).encode()).digest()


def _untouched(config: QueueConfig) -> Choice:
    """Detections of current, good runs that nobody has judged."""
    return select(Detection.id).where(
        Detection.status == "active",
        ~Detection.is_validated,
        Detection.n_verdicts == 0,
        is_of_current_run(USABLE if config.include_degraded else ("completed",)),
        *_is_offered(),
    )


def _undecided(label: str, is_expert: bool, config: QueueConfig) -> Choice:
    """Detections that others have judged without deciding, the longest waiting first."""
    query = (
        select(Detection.id)
        .join(DetectionConsensus, DetectionConsensus.detection_id == Detection.id)
        .where(
            DetectionConsensus.label == label,
            DetectionConsensus.decided_by.is_(None),
            DetectionConsensus.sole_reviewer_id.is_distinct_from(_ME),
            Detection.status == "active",
            ~Detection.is_validated,
            *_is_offered(),
        )
        .order_by(DetectionConsensus.updated_at)
    )
    if is_expert:
        return query
    return query.where(DetectionConsensus.n_events < config.max_verdicts)


def _gold() -> Choice:
    """Detections of known label, in an order of the reviewer's own."""
    mixed = func.md5(cast(GoldItem.detection_id, Text) + cast(_ME, Text))
    return (
        select(Detection.id)
        .join(GoldItem, GoldItem.detection_id == Detection.id)
        .where(
            GoldItem.retired_at.is_(None),
            GoldItem.declared_by != _ME,
            Detection.status == "active",
            *_is_offered(),
        )
        .order_by(mixed)
    )


def _suspects(rule: str, config: QueueConfig) -> Choice:
    """Detections decided by a rule that the newest model contradicts, the strongest first."""
    return (
        select(Detection.id)
        .join(DetectionConsensus, DetectionConsensus.detection_id == Detection.id)
        .where(
            DetectionConsensus.decided_by == rule,
            DetectionConsensus.disagreement >= config.min_disagreement,
            DetectionConsensus.n_events < config.max_verdicts,
            DetectionConsensus.sole_reviewer_id.is_distinct_from(_ME),
            Detection.status == "active",
            *_is_offered(),
        )
        .order_by(DetectionConsensus.disagreement.desc())
    )


def _is_offered() -> tuple[ColumnElement[bool], ...]:
    """Nobody holds it, the reviewer has not judged it, and it was not injected."""
    injected = (
        select(Candidate.is_injected)
        .where(Candidate.id == Detection.candidate_id)
        .correlate(Detection)
        .scalar_subquery()
    )
    is_judged = exists().where(
        ValidationEvent.detection_id == Detection.id, ValidationEvent.reviewer_id == _ME
    )
    return ~_is_leased(), ~is_judged, injected.is_not(True)


def _is_leased() -> ColumnElement[bool]:
    return exists().where(ReviewLease.detection_id == Detection.id, is_live())
