"""Objects, their detections and their light curves.

Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Objects, their detections and their light curves."""
    op.create_table(
        "forced_runs",
        sa.Column(
            "run_id",
            sa.Uuid(),
            nullable=False,
            comment="UUIDv5 of the difference image, code and configuration",
        ),
        sa.Column(
            "difference_run_id", sa.Uuid(), nullable=False, comment="difference image measured"
        ),
        sa.Column(
            "objects_digest",
            sa.Text(),
            nullable=False,
            comment="digest of the objects and positions asked for; another digest measures again",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="completed or failed"),
        sa.Column("n_measured", sa.BigInteger(), nullable=True, comment="objects on the frame"),
        sa.Column(
            "n_masked", sa.BigInteger(), nullable=True, comment="of those, on unusable pixels"
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
        sa.CheckConstraint("status IN ('completed', 'failed')", name=op.f("ck_forced_runs_status")),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_forced_runs_difference_run_id"),
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_forced_runs")),
    )
    op.create_index(
        op.f("ix_forced_runs_difference_run_id"), "forced_runs", ["difference_run_id"], unique=False
    )
    op.create_table(
        "objects",
        sa.Column(
            "id",
            sa.Uuid(),
            nullable=False,
            comment="UUIDv5 of its first detection's observation and pixel",
        ),
        sa.Column("survey_id", sa.Uuid(), nullable=False, comment="survey"),
        sa.Column("field", sa.Text(), nullable=False, comment="field whose frames show it"),
        sa.Column(
            "field_id",
            sa.Uuid(),
            nullable=False,
            comment="UUIDv5 of survey and field: what is associated together",
        ),
        sa.Column("ra", sa.Double(), nullable=True, comment="degrees ICRS; null without WCS"),
        sa.Column("dec", sa.Double(), nullable=True, comment="degrees ICRS; null without WCS"),
        sa.Column("healpix", sa.BigInteger(), nullable=True, comment="HEALPix nested, order 16"),
        sa.Column(
            "reference_id",
            sa.Uuid(),
            nullable=True,
            comment="without WCS, the reference whose pixels it is placed in",
        ),
        sa.Column(
            "x_reference_pix",
            sa.Double(),
            nullable=True,
            comment="0-based pixel of reference_id; null with WCS",
        ),
        sa.Column(
            "y_reference_pix",
            sa.Double(),
            nullable=True,
            comment="0-based pixel of reference_id; null with WCS",
        ),
        sa.Column(
            "best_detection_id",
            sa.Uuid(),
            nullable=False,
            comment="its strongest detection, whose position it has",
        ),
        sa.Column(
            "first_seen",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="UTC mid-exposure of its first detection; null where times are unknown",
        ),
        sa.Column(
            "last_seen",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="UTC mid-exposure of its last detection; null where times are unknown",
        ),
        sa.Column(
            "n_detections", sa.BigInteger(), nullable=False, comment="detections associated with it"
        ),
        sa.Column(
            "snr",
            sa.Double(),
            nullable=True,
            comment="S/N of that detection; null for a U-Net component, which has no flux",
        ),
        sa.Column(
            "confidence_score", sa.Double(), nullable=False, comment="highest of its detections"
        ),
        sa.Column(
            "status",
            sa.Text(),
            server_default=sa.text("'active'"),
            nullable=False,
            comment="superseded when its detections now make another object, or none",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first associated",
        ),
        sa.CheckConstraint("status IN ('active', 'superseded')", name=op.f("ck_objects_status")),
        sa.ForeignKeyConstraint(
            ["best_detection_id"], ["detections.id"], name=op.f("fk_objects_best_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"], ["reference_frames.run_id"], name=op.f("fk_objects_reference_id")
        ),
        sa.ForeignKeyConstraint(["survey_id"], ["surveys.id"], name=op.f("fk_objects_survey_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_objects")),
    )
    op.create_index(op.f("ix_objects_field_id"), "objects", ["field_id"], unique=False)
    op.create_index(op.f("ix_objects_healpix"), "objects", ["healpix"], unique=False)
    op.create_table(
        "forced_photometry",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of object and difference image"),
        sa.Column("object_id", sa.Uuid(), nullable=False, comment="object"),
        sa.Column(
            "difference_run_id", sa.Uuid(), nullable=False, comment="difference image measured"
        ),
        sa.Column("forced_run_id", sa.Uuid(), nullable=False, comment="run that measured it"),
        sa.Column(
            "x_pix", sa.Double(), nullable=False, comment="position measured, 0-based pixel centre"
        ),
        sa.Column(
            "y_pix", sa.Double(), nullable=False, comment="position measured, 0-based pixel centre"
        ),
        sa.Column(
            "flux",
            sa.Double(),
            nullable=True,
            comment="PSF flux on D, signed, flux_unit; null where masked",
        ),
        sa.Column(
            "flux_err",
            sa.Double(),
            nullable=True,
            comment="1 sigma, own photons included; null where masked",
        ),
        sa.Column("snr", sa.Double(), nullable=True, comment="flux / flux_err, signed"),
        sa.Column(
            "reference_flux",
            sa.Double(),
            nullable=True,
            comment="PSF flux on the reference, on the science frame's scale, flux_unit; null "
            "where the reference is masked there",
        ),
        sa.Column(
            "reference_flux_err",
            sa.Double(),
            nullable=True,
            comment="1 sigma; common to all epochs of one reference",
        ),
        sa.Column("flux_unit", sa.Text(), nullable=False, comment="uJy (AB) or instrumental"),
        sa.Column("flags", sa.BigInteger(), nullable=False, comment="ForcedFlag bits"),
        sa.Column(
            "flag_names",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="names of the flags set",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first measured",
        ),
        sa.CheckConstraint(
            "flux_unit IN ('uJy', 'instrumental')", name=op.f("ck_forced_photometry_flux_unit")
        ),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_forced_photometry_difference_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["forced_run_id"],
            ["forced_runs.run_id"],
            name=op.f("fk_forced_photometry_forced_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_forced_photometry_object_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forced_photometry")),
    )
    op.create_index(
        op.f("ix_forced_photometry_difference_run_id"),
        "forced_photometry",
        ["difference_run_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_forced_photometry_object_id"), "forced_photometry", ["object_id"], unique=False
    )
    op.create_table(
        "object_detections",
        sa.Column("detection_id", sa.Uuid(), nullable=False, comment="detection"),
        sa.Column("object_id", sa.Uuid(), nullable=False, comment="its object"),
        sa.Column("field_id", sa.Uuid(), nullable=False, comment="the object's field_id"),
        sa.Column(
            "separation_pix",
            sa.Double(),
            nullable=False,
            comment="distance from the object's position, pixels of its frame",
        ),
        sa.Column(
            "status",
            sa.Text(),
            server_default=sa.text("'active'"),
            nullable=False,
            comment="superseded when the detection no longer belongs to an object",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first associated",
        ),
        sa.CheckConstraint(
            "status IN ('active', 'superseded')", name=op.f("ck_object_detections_status")
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_object_detections_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_object_detections_object_id")
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_object_detections")),
    )
    op.create_index(
        op.f("ix_object_detections_field_id"), "object_detections", ["field_id"], unique=False
    )
    op.create_index(
        op.f("ix_object_detections_object_id"), "object_detections", ["object_id"], unique=False
    )
    op.add_column(
        "detections",
        sa.Column(
            "x_reference_pix",
            sa.Double(),
            nullable=True,
            comment="0-based pixel of the reference subtracted; null where not recorded",
        ),
    )
    op.add_column(
        "detections",
        sa.Column(
            "y_reference_pix",
            sa.Double(),
            nullable=True,
            comment="0-based pixel of the reference subtracted; null where not recorded",
        ),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_column("detections", "y_reference_pix")
    op.drop_column("detections", "x_reference_pix")
    op.drop_index(op.f("ix_object_detections_object_id"), table_name="object_detections")
    op.drop_index(op.f("ix_object_detections_field_id"), table_name="object_detections")
    op.drop_table("object_detections")
    op.drop_index(op.f("ix_forced_photometry_object_id"), table_name="forced_photometry")
    op.drop_index(op.f("ix_forced_photometry_difference_run_id"), table_name="forced_photometry")
    op.drop_table("forced_photometry")
    op.drop_index(op.f("ix_objects_healpix"), table_name="objects")
    op.drop_index(op.f("ix_objects_field_id"), table_name="objects")
    op.drop_table("objects")
    op.drop_index(op.f("ix_forced_runs_difference_run_id"), table_name="forced_runs")
    op.drop_table("forced_runs")
