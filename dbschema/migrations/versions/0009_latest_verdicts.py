"""What was judged, the latest first, by an index.

Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INDEX = "ix_detection_consensus_latest"


def upgrade() -> None:
    """Add the index."""
    op.create_index(_INDEX, "detection_consensus", ["updated_at", "detection_id"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index(_INDEX, "detection_consensus")
