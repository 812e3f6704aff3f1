"""Label snapshots: states of all labels, kept for good.

Revises: 0006
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_APPEND_ONLY = """
CREATE TRIGGER snapshot_labels_never_changed BEFORE UPDATE OR DELETE ON snapshot_labels
FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""
_NEVER_EMPTIED = """
CREATE TRIGGER snapshot_labels_never_emptied BEFORE TRUNCATE ON snapshot_labels
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Snapshots and their labels, which refuse to be changed."""
    _create_snapshots()
    _create_labels()
    op.execute(_APPEND_ONLY)
    op.execute(_NEVER_EMPTIED)


def downgrade() -> None:
    """Undo it."""
    op.drop_index(op.f("ix_snapshot_labels_detection_id"), table_name="snapshot_labels")
    op.drop_table("snapshot_labels")
    op.drop_index(op.f("ix_label_snapshots_selected_at"), table_name="label_snapshots")
    op.drop_table("label_snapshots")


def _column(
    name: str, kind: sa.types.TypeEngine[Any], comment: str, nullable: bool = False
) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, comment=comment)


def _clock(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(
        name,
        postgresql.TIMESTAMP(timezone=True),
        server_default=sa.text("now()"),
        nullable=False,
        comment=comment,
    )


def _create_snapshots() -> None:
    json = postgresql.JSONB(astext_type=sa.Text())
    op.create_table(
        "label_snapshots",
        _column("id", sa.Uuid(), "UUIDv5 of the code version and digest"),
        _column("digest", sa.Text(), "SHA-256 of its labels and of what they tell"),
        _column("code_version", sa.Text(), "version of the code that made it"),
        _column("n_real", sa.BigInteger(), "detections decided to be real"),
        _column("n_bogus", sa.BigInteger(), "detections decided to be bogus"),
        _column("n_undecided", sa.BigInteger(), "detections judged and not decided"),
        _column("by_label", json, "detections by label, the undecided ones too"),
        _column("by_survey", json, "survey -> label -> detections"),
        _column("by_subtype", json, "decided label -> subtype -> detections"),
        _column(
            "by_role",
            json,
            "expert, or role of those who are none -> their verdicts; of those on decided "
            "detections that others judged too, on gold items and in repeats, how many were right",
        ),
        _column(
            "covered_xact",
            sa.BigInteger(),
            "every event up to this transaction is in it; null before the first event",
            nullable=True,
        ),
        _column("covered_event_id", sa.Uuid(), "up to this event of it", nullable=True),
        _clock("created_at", "when first made"),
        _clock("selected_at", "when last made; the newest is the current one"),
        sa.ForeignKeyConstraint(
            ["covered_event_id"],
            ["validation_events.id"],
            name=op.f("fk_label_snapshots_covered_event_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_snapshots")),
    )
    op.create_index(op.f("ix_label_snapshots_selected_at"), "label_snapshots", ["selected_at"])


def _create_labels() -> None:
    op.create_table(
        "snapshot_labels",
        _column("snapshot_id", sa.Uuid(), "snapshot"),
        _column("detection_id", sa.Uuid(), "detection judged"),
        _column("label", sa.Text(), "real or bogus; unsure, pending or disputed"),
        _column("subtype", sa.Text(), "subtype of most of those who decided", nullable=True),
        _column("n_events", sa.BigInteger(), "standing verdicts counted"),
        _column(
            "decided_by", sa.Text(), "expert or agreement; null while undecided", nullable=True
        ),
        sa.CheckConstraint(
            "label IN ('real', 'bogus', 'unsure', 'pending', 'disputed')",
            name=op.f("ck_snapshot_labels_label"),
        ),
        sa.CheckConstraint(
            "decided_by IN ('expert', 'agreement')", name=op.f("ck_snapshot_labels_decided_by")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["label_snapshots.id"], name=op.f("fk_snapshot_labels_snapshot_id")
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_snapshot_labels_detection_id")
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "detection_id", name=op.f("pk_snapshot_labels")),
    )
    op.create_index(op.f("ix_snapshot_labels_detection_id"), "snapshot_labels", ["detection_id"])
