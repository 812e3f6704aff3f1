"""Tables of label snapshots: what all verdicts added up to at one moment, kept for good.

``dbschema.models`` imports these models, so that they are there whenever the other tables
are.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.base import CLOCK, Base, Json, clock, states


class LabelSnapshot(Base):
    """One state of all labels. Its id is its content's, so that what names it names the labels."""

    __tablename__ = "label_snapshots"
    __table_args__ = (Index(None, "selected_at"),)

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of the code version and digest"
    )
    digest: Mapped[str] = mapped_column(comment="SHA-256 of its labels and of what they tell")
    code_version: Mapped[str] = mapped_column(comment="version of the code that made it")
    n_real: Mapped[int] = mapped_column(comment="detections decided to be real")
    n_bogus: Mapped[int] = mapped_column(comment="detections decided to be bogus")
    n_undecided: Mapped[int] = mapped_column(comment="detections judged and not decided")
    by_label: Mapped[Json] = mapped_column(comment="detections by label, the undecided ones too")
    by_survey: Mapped[Json] = mapped_column(comment="survey -> label -> detections")
    by_subtype: Mapped[Json] = mapped_column(comment="decided label -> subtype -> detections")
    by_role: Mapped[Json] = mapped_column(
        comment="expert, or role of those who are none -> their verdicts; of those on decided "
        "detections that others judged too, on gold items and in repeats, how many were right"
    )
    covered_xact: Mapped[int | None] = mapped_column(
        comment="every event up to this transaction is in it; null before the first event",
        info=CLOCK,
    )
    covered_event_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("validation_events.id"), comment="up to this event of it", info=CLOCK
    )
    created_at: Mapped[dt.datetime] = clock("when first made")
    selected_at: Mapped[dt.datetime] = clock("when last made; the newest is the current one")


class SnapshotLabel(Base):
    """A detection's consensus in a snapshot. Never changed, which a trigger enforces."""

    __tablename__ = "snapshot_labels"
    __table_args__ = (
        states("label", "real", "bogus", "unsure", "pending", "disputed"),
        states("decided_by", "expert", "agreement"),
        Index(None, "detection_id"),
    )

    snapshot_id: Mapped[UUID] = mapped_column(
        ForeignKey("label_snapshots.id"), primary_key=True, comment="snapshot"
    )
    detection_id: Mapped[UUID] = mapped_column(
        ForeignKey("detections.id"), primary_key=True, comment="detection judged"
    )
    label: Mapped[str] = mapped_column(comment="real or bogus; unsure, pending or disputed")
    subtype: Mapped[str | None] = mapped_column(comment="subtype of most of those who decided")
    n_events: Mapped[int] = mapped_column(comment="standing verdicts counted")
    decided_by: Mapped[str | None] = mapped_column(
        comment="expert or agreement; null while undecided"
    )
