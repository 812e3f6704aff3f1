"""Tables that people write: who they are, what is put before them, what they decide.

No stage writes here (every column is ``info=HUMAN``). ``dbschema.models`` imports these
models, so that they are there whenever the other tables are.
"""

import datetime as dt
from functools import partial
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.base import CLOCK, HUMAN, Base, Xid8, states

STRATA = ("uncertain", "random", "gold", "suspect", "repeat")
"""Why an item is put before a reviewer."""

_human = partial(mapped_column, info=HUMAN)
_human_clock = partial(mapped_column, info=HUMAN | CLOCK)
_new_id = partial(_human, primary_key=True, server_default=func.gen_random_uuid())
_now = partial(_human_clock, server_default=func.now())


# --- people and how they are known ----------------------------------------------------------


class User(Base):
    """A person or program that AstrID knows. Never deleted, because verdicts name it."""

    __tablename__ = "users"
    __table_args__ = (states("role", "viewer", "reviewer", "operator"),)

    id: Mapped[UUID] = _new_id(comment="user")
    name: Mapped[str] = _human(unique=True, comment="name that people see")
    role: Mapped[str] = _human(comment="viewer, reviewer or operator; each may what the last may")
    is_expert: Mapped[bool] = _human(
        comment="one verdict of theirs decides", server_default=text("false")
    )
    is_active: Mapped[bool] = _human(comment="may sign in", server_default=text("true"))
    created_at: Mapped[dt.datetime] = _now(comment="when added")


class ApiKey(Base):
    """A key for programs. Only its hash is kept: it is shown once, when it is made."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = _new_id(comment="key")
    user_id: Mapped[UUID] = _human(ForeignKey("users.id"), comment="whom it speaks for")
    name: Mapped[str] = _human(comment="what it is for")
    secret_sha256: Mapped[str] = _human(unique=True, comment="SHA-256 of the 256-bit key")
    created_at: Mapped[dt.datetime] = _now(comment="when made")
    expires_at: Mapped[dt.datetime | None] = _human(comment="end of use; null for no end")
    revoked_at: Mapped[dt.datetime | None] = _human(comment="when taken back")


class SignInLink(Base):
    """A link that signs a user in, once."""

    __tablename__ = "sign_in_links"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = _new_id(comment="link")
    user_id: Mapped[UUID] = _human(ForeignKey("users.id"), comment="whom it signs in")
    secret_sha256: Mapped[str] = _human(unique=True, comment="SHA-256 of its 256-bit secret")
    created_at: Mapped[dt.datetime] = _now(comment="when made")
    expires_at: Mapped[dt.datetime] = _human(comment="end of use")
    used_at: Mapped[dt.datetime | None] = _human(comment="when used; it works once")


class SignInSession(Base):
    """A browser that is signed in."""

    __tablename__ = "sign_in_sessions"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = _new_id(comment="session")
    user_id: Mapped[UUID] = _human(ForeignKey("users.id"), comment="who is signed in")
    secret_sha256: Mapped[str] = _human(unique=True, comment="SHA-256 of its 256-bit secret")
    created_at: Mapped[dt.datetime] = _now(comment="when signed in")
    expires_at: Mapped[dt.datetime] = _human(comment="end of use")
    ended_at: Mapped[dt.datetime | None] = _human(comment="when signed out")


# --- what is put before whom ----------------------------------------------------------------


class GoldItem(Base):
    """A detection whose label is known: reviewers are measured on it."""

    __tablename__ = "gold_items"
    __table_args__ = (states("verdict", "real", "bogus"),)

    detection_id: Mapped[UUID] = _human(
        ForeignKey("detections.id"), primary_key=True, comment="detection"
    )
    verdict: Mapped[str] = _human(comment="real or bogus: what it is")
    subtype: Mapped[str | None] = _human(comment="second taxonomy level, where known")
    taxonomy_version: Mapped[str] = _human(comment="taxonomy the verdict uses")
    declared_by: Mapped[UUID] = _human(ForeignKey("users.id"), comment="who says so")
    created_at: Mapped[dt.datetime] = _now(comment="when declared")
    retired_at: Mapped[dt.datetime | None] = _human(comment="when last put before anyone")


class ReviewRepeat(Base):
    """A detection to be put before a reviewer who has judged it: are they consistent?"""

    __tablename__ = "review_repeats"
    __table_args__ = (
        Index(None, "detection_id"),
        Index(
            "ix_review_repeats_open",
            "reviewer_id",
            "due_at",
            postgresql_where=text("answered_by IS NULL"),
        ),
    )

    id: Mapped[UUID] = _new_id(comment="repeat")
    detection_id: Mapped[UUID] = _human(ForeignKey("detections.id"), comment="detection")
    reviewer_id: Mapped[UUID] = _human(ForeignKey("users.id"), comment="who is to judge it again")
    declared_by: Mapped[UUID] = _human(ForeignKey("users.id"), comment="who asked for it")
    due_at: Mapped[dt.datetime] = _human(comment="not before")
    created_at: Mapped[dt.datetime] = _now(comment="when asked for")
    answered_by: Mapped[UUID | None] = _human(
        ForeignKey("validation_events.id"), comment="verdict that answered it"
    )


class ReviewLease(Base):
    """A detection put before a reviewer. While it is open and not expired nobody else gets it."""

    __tablename__ = "review_leases"
    __table_args__ = (
        states("stratum", *STRATA),
        # What makes it impossible to hand one detection to two people.
        Index(
            "uq_review_leases_open",
            "detection_id",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(None, "reviewer_id", "number"),
    )

    id: Mapped[UUID] = _new_id(comment="lease")
    number: Mapped[int] = _human(Identity(always=True), comment="order in which leases were given")
    detection_id: Mapped[UUID] = _human(ForeignKey("detections.id"), comment="detection")
    reviewer_id: Mapped[UUID] = _human(ForeignKey("users.id"), comment="before whom it is put")
    stratum: Mapped[str] = _human(comment="why: uncertain, random, gold, suspect or repeat")
    repeat_id: Mapped[UUID | None] = _human(
        ForeignKey("review_repeats.id"), comment="repeat it serves"
    )
    leased_at: Mapped[dt.datetime] = _now(comment="when given")
    expires_at: Mapped[dt.datetime] = _human(comment="when others may have it")
    closed_at: Mapped[dt.datetime | None] = _human(comment="when judged, given back or run out")


# --- what they decide -----------------------------------------------------------------------


class ValidationEvent(Base):
    """One human verdict, or the withdrawal of one.

    Append-only, which a trigger enforces: a correction is a new event, an undo is one too.
    """

    __tablename__ = "validation_events"
    __table_args__ = (
        states("verdict", "real", "bogus", "unsure", "withdrawn"),
        states("stratum", *STRATA),
        CheckConstraint("time_taken_s >= 0", name="time_taken_s"),
        CheckConstraint(
            "verdict <> 'withdrawn' OR supersedes IS NOT NULL", name="withdrawn_is_of_something"
        ),
        UniqueConstraint("reviewer_id", "idempotency_key"),
        Index(None, "detection_id"),
        Index(None, "reviewer_id", "detection_id"),
        Index(None, "xact", "id"),
        Index(
            "uq_validation_events_withdrawn",
            "supersedes",
            unique=True,
            postgresql_where=text("verdict = 'withdrawn'"),
        ),
    )

    id: Mapped[UUID] = _new_id(comment="event")
    number: Mapped[int] = _human(
        Identity(always=True),
        comment="order of the events of one detection, which are written one at a time",
    )
    detection_id: Mapped[UUID] = _human(ForeignKey("detections.id"), comment="detection judged")
    reviewer_id: Mapped[UUID] = _human(ForeignKey("users.id"), comment="who judged")
    is_expert: Mapped[bool] = _human(comment="whether they were an expert then")
    verdict: Mapped[str] = _human(
        comment="real, bogus or unsure; withdrawn takes the superseded event back"
    )
    subtype: Mapped[str | None] = _human(comment="second taxonomy level")
    taxonomy_version: Mapped[str] = _human(comment="taxonomy the verdict uses")
    note: Mapped[str | None] = _human(comment="reviewer's note")
    model_id: Mapped[UUID] = _human(
        ForeignKey("models.id"), comment="model whose score stood behind the item"
    )
    cutout_sha256: Mapped[str | None] = _human(
        comment="hash of the cutout the reviewer saw; null where the detection had none"
    )
    stratum: Mapped[str | None] = _human(
        comment="why the queue put it before them; null when they opened it themselves"
    )
    supersedes: Mapped[UUID | None] = _human(
        ForeignKey("validation_events.id"), comment="event this one corrects or withdraws"
    )
    time_taken_s: Mapped[float | None] = _human(
        comment="seconds from showing to verdict, as the client measured"
    )
    idempotency_key: Mapped[str] = _human(
        comment="client's key; a repeat of the reviewer's is the same event"
    )
    created_at: Mapped[dt.datetime] = _now(comment="when judged")
    xact: Mapped[int] = _human_clock(
        Xid8,
        server_default=func.pg_current_xact_id(),
        comment="transaction that wrote it: the only cursor that loses no late commit",
    )


class DetectionConsensus(Base):
    """What the standing verdicts on one detection add up to."""

    __tablename__ = "detection_consensus"
    __table_args__ = (
        states("label", "real", "bogus", "unsure", "pending", "disputed"),
        states("decided_by", "expert", "agreement"),
        CheckConstraint(
            "(label IN ('real', 'bogus')) = (decided_by IS NOT NULL)", name="decided_has_a_rule"
        ),
        Index(
            "ix_detection_consensus_undecided",
            "label",
            "updated_at",
            postgresql_include=["detection_id", "sole_reviewer_id", "n_events"],
            postgresql_where=text("decided_by IS NULL"),
        ),
        Index(
            "ix_detection_consensus_suspect",
            "decided_by",
            "disagreement",
            postgresql_include=["detection_id", "sole_reviewer_id", "n_events"],
            postgresql_where=text("decided_by IS NOT NULL"),
        ),
        Index("ix_detection_consensus_latest", "updated_at", "detection_id"),
    )

    detection_id: Mapped[UUID] = _human(
        ForeignKey("detections.id"), primary_key=True, comment="detection"
    )
    label: Mapped[str] = _human(
        comment="real or bogus; else unsure (nobody says either), pending (one verdict, which "
        "does not decide) or disputed (a tie, which an expert decides)"
    )
    subtype: Mapped[str | None] = _human(comment="subtype of most of those who decided")
    n_events: Mapped[int] = _human(comment="standing verdicts counted")
    sole_reviewer_id: Mapped[UUID | None] = _human(
        ForeignKey("users.id"), comment="whose verdict it is, where only one counts"
    )
    decided_by: Mapped[str | None] = _human(
        comment="expert or agreement: rule that decided; null while undecided"
    )
    disagreement: Mapped[float | None] = _human(
        comment="|label - confidence| of the newest judgement of the source, real being 1; null "
        "while undecided"
    )
    updated_at: Mapped[dt.datetime] = _now(comment="when last decided")
