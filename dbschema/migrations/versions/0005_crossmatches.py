"""Cross-matches with other people's catalogues, and their answers.

Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Answers of catalogues, cross-matches of observations, matches of detections."""
    op.create_table(
        "catalogue_answers",
        sa.Column(
            "id",
            sa.Uuid(),
            nullable=False,
            comment="UUIDv5 of catalogue, address, parameters and code version",
        ),
        sa.Column("catalogue", sa.Text(), nullable=False, comment="gaia, vsx or skybot"),
        sa.Column("url", sa.Text(), nullable=False, comment="address of the service asked"),
        sa.Column(
            "parameters",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="parameters sent",
        ),
        sa.Column(
            "ra", sa.Double(), nullable=False, comment="centre of the cone asked for, degrees ICRS"
        ),
        sa.Column(
            "dec", sa.Double(), nullable=False, comment="centre of the cone asked for, degrees ICRS"
        ),
        sa.Column("radius_deg", sa.Double(), nullable=False, comment="radius of the cone, degrees"),
        sa.Column(
            "epoch",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="UTC the sources' positions were asked for; null for the catalogue's own epoch",
        ),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the answer's bytes"),
        sa.Column("n_sources", sa.BigInteger(), nullable=False, comment="sources in it"),
        sa.Column(
            "sources",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="each: source_id, name, ra and dec (degrees ICRS, catalogue's epoch), and what "
            "is known of magnitude, band, source_class, proper motion or rate",
        ),
        sa.Column(
            "fetched_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="when it was fetched",
        ),
        sa.Column(
            "expires_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when it is asked for again; null for never",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first asked",
        ),
        sa.CheckConstraint(
            "catalogue IN ('gaia', 'vsx', 'skybot')", name=op.f("ck_catalogue_answers_catalogue")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_answers")),
    )
    op.create_table(
        "crossmatch_runs",
        sa.Column(
            "run_id", sa.Uuid(), nullable=False, comment="UUIDv5 of observation and catalogue"
        ),
        sa.Column(
            "observation_id",
            sa.Uuid(),
            nullable=False,
            comment="observation whose detections were matched",
        ),
        sa.Column("catalogue", sa.Text(), nullable=False, comment="gaia, vsx or skybot"),
        sa.Column(
            "answer_id",
            sa.Uuid(),
            nullable=True,
            comment="answer matched with; null when failed, or when nothing was to be asked",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="completed, or failed: matches of an earlier success then stay",
        ),
        sa.Column(
            "observatory_code",
            sa.Text(),
            nullable=True,
            comment="IAU code positions were asked for; null where sources do not move",
        ),
        sa.Column(
            "assumed",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="values that nothing stated",
        ),
        sa.Column(
            "n_sightings", sa.BigInteger(), nullable=False, comment="detections of objects matched"
        ),
        sa.Column("n_sources", sa.BigInteger(), nullable=True, comment="sources in the answer"),
        sa.Column("n_matches", sa.BigInteger(), nullable=False, comment="matches found"),
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
            "catalogue IN ('gaia', 'vsx', 'skybot')", name=op.f("ck_crossmatch_runs_catalogue")
        ),
        sa.CheckConstraint(
            "status IN ('completed', 'failed')", name=op.f("ck_crossmatch_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["catalogue_answers.id"], name=op.f("fk_crossmatch_runs_answer_id")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observations.id"], name=op.f("fk_crossmatch_runs_observation_id")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_crossmatch_runs")),
    )
    op.create_index(
        op.f("ix_crossmatch_runs_observation_id"),
        "crossmatch_runs",
        ["observation_id"],
        unique=False,
    )
    op.create_table(
        "crossmatches",
        sa.Column(
            "id", sa.Uuid(), nullable=False, comment="UUIDv5 of cross-match, detection and source"
        ),
        sa.Column(
            "crossmatch_run_id", sa.Uuid(), nullable=False, comment="cross-match that found it"
        ),
        sa.Column("object_id", sa.Uuid(), nullable=False, comment="object"),
        sa.Column(
            "detection_id",
            sa.Uuid(),
            nullable=False,
            comment="its detection, whose position was matched",
        ),
        sa.Column("catalogue", sa.Text(), nullable=False, comment="gaia, vsx or skybot"),
        sa.Column("source_id", sa.Text(), nullable=False, comment="the catalogue's own identifier"),
        sa.Column("name", sa.Text(), nullable=False, comment="its name for people"),
        sa.Column("kind", sa.Text(), nullable=False, comment="star, variable or moving"),
        sa.Column(
            "source_class",
            sa.Text(),
            nullable=True,
            comment="type of variability, or dynamical class; null for a star",
        ),
        sa.Column(
            "rank",
            sa.BigInteger(),
            nullable=False,
            comment="0 for the nearest of its catalogue, then 1, 2, …",
        ),
        sa.Column("separation_arcsec", sa.Double(), nullable=False, comment="from the detection"),
        sa.Column(
            "ra", sa.Double(), nullable=False, comment="of the source at epoch, degrees ICRS"
        ),
        sa.Column(
            "dec", sa.Double(), nullable=False, comment="of the source at epoch, degrees ICRS"
        ),
        sa.Column(
            "epoch",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="UTC of mid-exposure",
        ),
        sa.Column(
            "magnitude",
            sa.Double(),
            nullable=True,
            comment="Gaia G, VSX at maximum, SkyBoT predicted V; null where not given",
        ),
        sa.Column("band", sa.Text(), nullable=True, comment="passband of the magnitude"),
        sa.Column(
            "rate_ra_arcsec_per_h",
            sa.Double(),
            nullable=True,
            comment="motion in RA times cos(dec); null for what does not move",
        ),
        sa.Column(
            "rate_dec_arcsec_per_h",
            sa.Double(),
            nullable=True,
            comment="motion in declination; null for what does not move",
        ),
        sa.Column(
            "position_err_arcsec",
            sa.Double(),
            nullable=True,
            comment="uncertainty of the ephemeris; null for what does not move",
        ),
        sa.Column(
            "density_per_arcmin2",
            sa.Double(),
            nullable=False,
            comment="the catalogue's sources per square arcminute hereabouts",
        ),
        sa.Column(
            "chance_probability",
            sa.Double(),
            nullable=False,
            comment="that an unrelated source lies as near: 1 - exp(-pi r^2 density)",
        ),
        sa.Column(
            "status",
            sa.Text(),
            server_default=sa.text("'active'"),
            nullable=False,
            comment="superseded when a later cross-match no longer finds it",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first found",
        ),
        sa.CheckConstraint(
            "catalogue IN ('gaia', 'vsx', 'skybot')", name=op.f("ck_crossmatches_catalogue")
        ),
        sa.CheckConstraint(
            "kind IN ('star', 'variable', 'moving')", name=op.f("ck_crossmatches_kind")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'superseded')", name=op.f("ck_crossmatches_status")
        ),
        sa.CheckConstraint(
            "chance_probability BETWEEN 0 AND 1", name=op.f("ck_crossmatches_chance_probability")
        ),
        sa.ForeignKeyConstraint(
            ["crossmatch_run_id"],
            ["crossmatch_runs.run_id"],
            name=op.f("fk_crossmatches_crossmatch_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_crossmatches_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_crossmatches_object_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crossmatches")),
    )
    op.create_index(
        op.f("ix_crossmatches_crossmatch_run_id"),
        "crossmatches",
        ["crossmatch_run_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_crossmatches_detection_id"), "crossmatches", ["detection_id"], unique=False
    )
    op.create_index(op.f("ix_crossmatches_object_id"), "crossmatches", ["object_id"], unique=False)


def downgrade() -> None:
    """Undo it."""
    op.drop_index(op.f("ix_crossmatches_crossmatch_run_id"), table_name="crossmatches")
    op.drop_index(op.f("ix_crossmatches_detection_id"), table_name="crossmatches")
    op.drop_index(op.f("ix_crossmatches_object_id"), table_name="crossmatches")
    op.drop_table("crossmatches")
    op.drop_index(op.f("ix_crossmatch_runs_observation_id"), table_name="crossmatch_runs")
    op.drop_table("crossmatch_runs")
    op.drop_table("catalogue_answers")
