"""Views of what is current.

Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The newest selected run that gave something, else the newest that did not: a failed re-run
# does not hide the good run before it. The tail makes ties (one transaction) decided.
_NEWEST = """
    ORDER BY (r.status IN ('completed', 'degraded')) DESC,
             r.selected_at DESC, r.created_at DESC, r.run_id
    LIMIT 1
"""

# LATERAL, and the observation's id instead of the run's: so that a condition on
# observations (a night, a field) reaches the runs by index, not by sorting all of them.
_OF_OBSERVATION = """
CREATE VIEW current_{table} AS
SELECT o.id AS observation_id, {columns}
FROM observations o
CROSS JOIN LATERAL (
    SELECT r.* FROM {table} r WHERE r.observation_id = o.id {newest}
) r
"""

_EXTRACTION = """
CREATE VIEW current_extraction_runs AS
SELECT d.observation_id, {columns}
FROM current_difference_runs d
CROSS JOIN LATERAL (
    SELECT r.* FROM extraction_runs r WHERE r.difference_run_id = d.run_id {newest}
) r
"""

_MODEL = """
CREATE VIEW current_model_runs AS
SELECT o.id AS observation_id, {columns}
FROM observations o
CROSS JOIN LATERAL (
    SELECT r.*
    FROM model_runs r
    JOIN difference_runs d ON d.run_id = r.difference_run_id
    WHERE d.observation_id = o.id {newest}
) r
"""

_REFERENCE = """
CREATE VIEW current_reference_frames AS
SELECT DISTINCT ON (r.survey_id, r.set_name, r.field, r.filter_band) {columns}
FROM reference_frames r
WHERE r.status IN ('completed', 'degraded')
ORDER BY r.survey_id, r.set_name, r.field, r.filter_band,
         (r.status = 'completed') DESC, r.selected_at DESC, r.created_at DESC, r.run_id
"""

_STATUS = """
CREATE VIEW observation_status AS
SELECT o.id AS observation_id, s.stage, s.status, s.run_id, s.error_type, s.error_message
FROM observations o
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT 0 AS position, 'ingest' AS stage, 'completed' AS status,
               NULL::uuid AS run_id, NULL::text AS error_type, NULL::text AS error_message
        UNION ALL
        SELECT 1, 'preprocess', r.status, r.run_id, r.error_type, r.error_message
        FROM current_preprocess_runs r WHERE r.observation_id = o.id
        UNION ALL
        SELECT 2, 'difference', r.status, r.run_id, r.error_type, r.error_message
        FROM current_difference_runs r WHERE r.observation_id = o.id
        UNION ALL
        SELECT 3, 'extraction', r.status, r.run_id, r.error_type, r.error_message
        FROM current_extraction_runs r WHERE r.observation_id = o.id
        UNION ALL
        SELECT 4, 'model', r.status, r.run_id, r.error_type, r.error_message
        FROM current_model_runs r WHERE r.observation_id = o.id
    ) stages
    ORDER BY position DESC
    LIMIT 1
) s
"""

_COMMENTS = {
    "current_preprocess_runs": "the newest selected good run of each observation, else its "
    "newest failed one",
    "current_difference_runs": "the newest selected good run of each observation, else its "
    "newest without a difference image",
    "current_extraction_runs": "the newest selected search of each current difference image",
    "current_model_runs": "the newest selected good judgement of each observation, on "
    "whichever of its difference images, else its newest failed one",
    "current_reference_frames": "the newest selected reference of each survey, set, field and "
    "filter; a degraded one only where none is completed",
    "observation_status": "the furthest stage each observation has reached, and how that went",
}


def upgrade() -> None:
    """Views of what is current."""
    for table in ("preprocess_runs", "difference_runs"):
        op.execute(
            _OF_OBSERVATION.format(
                table=table, columns=_columns(table, without="observation_id"), newest=_NEWEST
            )
        )
    op.execute(_EXTRACTION.format(columns=_columns("extraction_runs"), newest=_NEWEST))
    op.execute(_MODEL.format(columns=_columns("model_runs"), newest=_NEWEST))
    op.execute(_REFERENCE.format(columns=_columns("reference_frames")))
    op.execute(_STATUS)
    for view, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON VIEW {view} IS '{comment}'")


def downgrade() -> None:
    """Undo it."""
    for view in (
        "observation_status",
        "current_reference_frames",
        "current_model_runs",
        "current_extraction_runs",
        "current_difference_runs",
        "current_preprocess_runs",
    ):
        op.execute(f"DROP VIEW {view}")


def _columns(table: str, without: str = "") -> str:
    """Columns that a table has at this revision, as ``r.name, …``."""
    columns = sa.inspect(op.get_bind()).get_columns(table)
    return ", ".join(f"r.{c['name']}" for c in columns if c["name"] != without)
