"""Depth by injection, and the quality measures that were missing.

Revises: 0003
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A view has the columns its table had when it was made: new columns need new views.
_views = import_module("dbschema.migrations.versions.0002_views_of_what_is_current")


def upgrade() -> None:
    """Tables of injected depth; σ(S_corr) on blank sky and on sources; candidate density."""
    _create_depth_tables()
    _views.downgrade()
    op.add_column(
        "difference_runs",
        sa.Column(
            "scorr_sigma_blank",
            sa.Double(),
            nullable=True,
            comment="the same on blank sky; null where there is too little of it",
        ),
    )
    op.add_column(
        "difference_runs",
        sa.Column(
            "scorr_sigma_sources",
            sa.Double(),
            nullable=True,
            comment="the same within one FWHM of the frame's sources",
        ),
    )
    op.add_column(
        "extraction_runs",
        sa.Column(
            "candidates_per_mpix",
            sa.Double(),
            nullable=True,
            comment="candidates per 10^6 searched pixels",
        ),
    )
    _views.upgrade()


def downgrade() -> None:
    """Undo it."""
    _views.downgrade()
    op.drop_column("extraction_runs", "candidates_per_mpix")
    op.drop_column("difference_runs", "scorr_sigma_sources")
    op.drop_column("difference_runs", "scorr_sigma_blank")
    _views.upgrade()
    op.drop_index(op.f("ix_survey_depth_runs_difference_run_id"), table_name="survey_depth_runs")
    op.drop_table("survey_depth_runs")
    op.drop_table("survey_depth")


def _create_depth_tables() -> None:
    op.create_table(
        "survey_depth",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of survey, night, filter"),
        sa.Column("survey_id", sa.Uuid(), nullable=False, comment="survey"),
        sa.Column("night", sa.Date(), nullable=False, comment="local observing night"),
        sa.Column("filter_band", sa.Text(), nullable=False, comment="filter"),
        sa.Column(
            "run_ids",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="survey_depth_runs it sums",
        ),
        sa.Column("n_frames", sa.BigInteger(), nullable=False, comment="frames injected into"),
        sa.Column(
            "n_injected", sa.BigInteger(), nullable=False, comment="injections on searched pixels"
        ),
        sa.Column("n_recovered", sa.BigInteger(), nullable=False, comment="of these, found again"),
        sa.Column(
            "n_masked",
            sa.BigInteger(),
            nullable=False,
            comment="injections on masked pixels, not counted",
        ),
        sa.Column(
            "n_unmatched",
            sa.BigInteger(),
            nullable=False,
            comment="candidates that are no injection: false, or a true change of the night",
        ),
        sa.Column(
            "searched_mpix", sa.Double(), nullable=False, comment="searched area, 10^6 pixels"
        ),
        sa.Column("masked_fraction", sa.Double(), nullable=False, comment="fraction not searched"),
        sa.Column(
            "snr50",
            sa.Double(),
            nullable=True,
            comment="S/N_true of 50 % completeness on blank sky; null when not bracketed",
        ),
        sa.Column("snr50_err", sa.Double(), nullable=True, comment="its 1 sigma error"),
        sa.Column(
            "m50_mag",
            sa.Double(),
            nullable=True,
            comment="AB mag of 50 % completeness on blank sky; null without zero point",
        ),
        sa.Column("m50_err_mag", sa.Double(), nullable=True, comment="its 1 sigma error"),
        sa.Column(
            "environments",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="blank, host, star: completeness in bins of S/N_true and of magnitude "
            "with 95 % Wilson intervals, fitted curves",
        ),
        sa.Column(
            "unmatched_by_snr",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="unmatched candidates per 10^6 pixels by |S_corr|, 95 % Poisson intervals",
        ),
        sa.Column(
            "unmatched_by_magnitude",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the same by AB magnitude; empty without zero point",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first measured",
        ),
        sa.Column(
            "selected_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when last materialized",
        ),
        sa.ForeignKeyConstraint(
            ["survey_id"], ["surveys.id"], name=op.f("fk_survey_depth_survey_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_survey_depth")),
        sa.UniqueConstraint(
            "survey_id",
            "night",
            "filter_band",
            name=op.f("uq_survey_depth_survey_id_night_filter_band"),
        ),
    )
    op.create_table(
        "survey_depth_runs",
        sa.Column(
            "run_id",
            sa.Uuid(),
            nullable=False,
            comment="content-addressed id; seeds the injections",
        ),
        sa.Column(
            "observation_id", sa.Uuid(), nullable=False, comment="science observation injected into"
        ),
        sa.Column(
            "difference_run_id",
            sa.Uuid(),
            nullable=False,
            comment="the night's own difference it repeats",
        ),
        sa.Column(
            "reference_id",
            sa.Uuid(),
            nullable=False,
            comment="reference subtracted, the night's own",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="completed, degraded or failed"),
        sa.Column(
            "n_injected", sa.BigInteger(), nullable=True, comment="injections on searched pixels"
        ),
        sa.Column("n_recovered", sa.BigInteger(), nullable=True, comment="of these, found again"),
        sa.Column(
            "n_masked",
            sa.BigInteger(),
            nullable=True,
            comment="injections on masked pixels, not counted",
        ),
        sa.Column(
            "n_unmatched",
            sa.BigInteger(),
            nullable=True,
            comment="candidates that are no injection",
        ),
        sa.Column(
            "searched_mpix", sa.Double(), nullable=True, comment="searched area, 10^6 pixels"
        ),
        sa.Column("masked_fraction", sa.Double(), nullable=True, comment="fraction not searched"),
        sa.Column("zero_point_mag", sa.Double(), nullable=True, comment="AB mag of one frame unit"),
        sa.Column(
            "injections",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="each: x_pix, y_pix, flux (frame units), snr_true, environment (blank, "
            "host, star), is_recovered, flux_found and snr_found (null when missed)",
        ),
        sa.Column(
            "unmatched",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="each unmatched candidate: x_pix, y_pix, snr (|S_corr| peak), flux, "
            "is_negative",
        ),
        sa.Column(
            "degraded_because",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="quality limits missed",
        ),
        sa.Column("code_version", sa.Text(), nullable=False, comment="version of the stage's code"),
        sa.Column(
            "config_digest",
            sa.Text(),
            nullable=False,
            comment="digest of the stage's configuration",
        ),
        sa.Column(
            "error_type", sa.Text(), nullable=True, comment="class of the error, when failed"
        ),
        sa.Column(
            "error_message", sa.Text(), nullable=True, comment="error with numbers and remedy"
        ),
        sa.Column("wall_s", sa.Double(), nullable=True, comment="seconds of computation"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first run",
        ),
        sa.Column(
            "selected_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when last materialized; the newest selected run of an observation is current",
        ),
        sa.CheckConstraint(
            "status IN ('completed', 'degraded', 'failed')",
            name=op.f("ck_survey_depth_runs_status"),
        ),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_survey_depth_runs_difference_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["observations.id"],
            name=op.f("fk_survey_depth_runs_observation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["reference_frames.run_id"],
            name=op.f("fk_survey_depth_runs_reference_id"),
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_survey_depth_runs")),
    )
    op.create_index(
        op.f("ix_survey_depth_runs_difference_run_id"),
        "survey_depth_runs",
        ["difference_run_id"],
        unique=False,
    )
