"""A cutout of every detection: its candidate's, or one around the U-Net component.

Components of runs before this revision have none until detection runs again.

Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OF_CANDIDATES = """
UPDATE detections d
SET cutout_path = c.cutout_path,
    cutout_index = c.cutout_index,
    cutout_sha256 = c.cutout_sha256
FROM candidates c WHERE c.id = d.candidate_id
"""

_CURRENT_MODEL_RUNS = """
CREATE OR REPLACE VIEW current_model_runs AS
SELECT o.id AS observation_id, {columns}
FROM observations o
CROSS JOIN LATERAL (
    SELECT r.*
    FROM model_runs r
    JOIN difference_runs d ON d.run_id = r.difference_run_id
    WHERE d.observation_id = o.id
    ORDER BY (r.status IN ('completed', 'degraded')) DESC,
             r.selected_at DESC, r.created_at DESC, r.run_id
    LIMIT 1
) r
"""

_VIEWS = ("observation_status", "current_model_runs")
"""The view of model runs and the one over it, which has to go for a column to go."""


def upgrade() -> None:
    """Columns, filled from the candidates; the view of model runs shows its own."""
    for name, kind, comment in (
        (
            "cutout_path",
            sa.Text(),
            "object key of its cutout: its candidate's, or its model run's; null for a "
            "component of a run that cut none",
        ),
        ("cutout_index", sa.BigInteger(), "plane in that object"),
        (
            "cutout_sha256",
            sa.Text(),
            "SHA-256 of its own cutout's pixels, which a verdict names",
        ),
    ):
        op.add_column("detections", sa.Column(name, kind, comment=comment))
    for name, comment in (
        ("cutout_path", "object key of the components' cutouts; null when there are none"),
        ("sha256", "SHA-256 of the cutouts object"),
    ):
        op.add_column("model_runs", sa.Column(name, sa.Text(), comment=comment))
    op.execute(_OF_CANDIDATES)
    op.create_check_constraint(
        op.f("ck_detections_cutout"),
        "detections",
        "num_nulls(cutout_path, cutout_index, cutout_sha256) IN (0, 3)",
    )
    op.execute(_CURRENT_MODEL_RUNS.format(columns=_columns("model_runs")))
    _comment_on_verdicts("null where the detection had none")


def downgrade() -> None:
    """Undo it."""
    _comment_on_verdicts("null for a U-Net component, which has none")
    kept = {view: _definition(view) for view in _VIEWS}
    for view in _VIEWS:
        op.execute(f"DROP VIEW {view}")
    op.drop_constraint(op.f("ck_detections_cutout"), "detections")
    for name in ("cutout_path", "sha256"):
        op.drop_column("model_runs", name)
    for name in ("cutout_path", "cutout_index", "cutout_sha256"):
        op.drop_column("detections", name)
    op.execute(_CURRENT_MODEL_RUNS.format(columns=_columns("model_runs")))
    op.execute(f"CREATE VIEW observation_status AS {kept['observation_status'][0]}")
    for view, (_, comment) in kept.items():
        op.execute(f"COMMENT ON VIEW {view} IS '{comment}'")


def _comment_on_verdicts(where_null: str) -> None:
    op.alter_column(
        "validation_events",
        "cutout_sha256",
        existing_type=sa.Text(),
        comment=f"hash of the cutout the reviewer saw; {where_null}",
        existing_nullable=True,
    )


def _definition(view: str) -> tuple[str, str]:
    """A view's query and comment."""
    query = sa.text(
        "SELECT pg_get_viewdef(c.oid), obj_description(c.oid) FROM pg_class c"
        " WHERE c.oid = CAST(:view AS regclass)"
    )
    definition, comment = op.get_bind().execute(query, {"view": view}).one()
    return definition, comment


def _columns(table: str) -> str:
    """Columns that a table has by now, as ``r.name, …``."""
    columns = sa.inspect(op.get_bind()).get_columns(table)
    return ", ".join(f"r.{column['name']}" for column in columns)
