"""Tables up to detections.

This is the first migration.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


class _Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


def upgrade() -> None:
    """Tables up to detections."""
    op.create_table(
        "models",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of name and weights"),
        sa.Column("name", sa.Text(), nullable=False, comment="registered name"),
        sa.Column("version", sa.Text(), nullable=False, comment="registry version"),
        sa.Column(
            "architecture",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="constructor and its arguments",
        ),
        sa.Column(
            "weights_path", sa.Text(), nullable=False, comment="object key of the safetensors file"
        ),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the weights file"),
        sa.Column(
            "card",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="model card: data, held-out figures, threshold",
        ),
        sa.Column("mlflow_run_id", sa.Text(), nullable=True, comment="MLflow run"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when registered",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("sha256", name=op.f("uq_models_sha256")),
    )
    op.create_table(
        "surveys",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of the name"),
        sa.Column("name", sa.Text(), nullable=False, comment="name in surveys.yaml"),
        sa.Column("adapter", sa.Text(), nullable=False, comment="adapter that reads it"),
        sa.Column(
            "config",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="its surveys.yaml entry",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first seen",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_surveys")),
        sa.UniqueConstraint("name", name=op.f("uq_surveys_name")),
    )
    op.create_table(
        "ingest_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="content-addressed id"),
        sa.Column("survey_id", sa.Uuid(), nullable=False, comment="survey"),
        sa.Column("night", sa.Date(), nullable=False, comment="night the file was listed under"),
        sa.Column("source", sa.Text(), nullable=False, comment="the archive's name of the file"),
        sa.Column("sha256", sa.Text(), nullable=True, comment="SHA-256 of its bytes, if they came"),
        sa.Column(
            "n_observations", sa.BigInteger(), nullable=False, comment="observations found in it"
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="completed or failed"),
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
        sa.CheckConstraint("status IN ('completed', 'failed')", name=op.f("ck_ingest_runs_status")),
        sa.ForeignKeyConstraint(
            ["survey_id"], ["surveys.id"], name=op.f("fk_ingest_runs_survey_id")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_ingest_runs")),
    )
    op.create_index(
        op.f("ix_ingest_runs_survey_id_night"), "ingest_runs", ["survey_id", "night"], unique=False
    )
    op.create_table(
        "observations",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of survey and archive_id"),
        sa.Column("survey_id", sa.Uuid(), nullable=False, comment="survey"),
        sa.Column(
            "archive_id",
            sa.Text(),
            nullable=False,
            comment="the archive's own name for the exposure",
        ),
        sa.Column(
            "night", sa.Date(), nullable=False, comment="local observing night, begun at local noon"
        ),
        sa.Column("field", sa.Text(), nullable=False, comment="sky tile, or a name without WCS"),
        sa.Column("frame_kind", sa.Text(), nullable=False, comment="science, bias, dark or flat"),
        sa.Column(
            "ra", sa.Double(), nullable=True, comment="centre, degrees ICRS; null without WCS"
        ),
        sa.Column(
            "dec", sa.Double(), nullable=True, comment="centre, degrees ICRS; null without WCS"
        ),
        sa.Column(
            "healpix", sa.BigInteger(), nullable=True, comment="centre, HEALPix nested, order 16"
        ),
        sa.Column(
            "footprint",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="corners, [[ra, dec] x 4] degrees",
        ),
        sa.Column(
            "observation_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="UTC of mid-exposure; null where the file does not say",
        ),
        sa.Column("mjd_tai", sa.Double(), nullable=True, comment="mid-exposure, MJD in TAI"),
        sa.Column(
            "filter_band", sa.Text(), nullable=False, comment="filter; 'unknown' where not stated"
        ),
        sa.Column("exposure_s", sa.Double(), nullable=True, comment="exposure time, seconds"),
        sa.Column("gain_e_adu", sa.Double(), nullable=True, comment="gain, electrons per raw unit"),
        sa.Column("read_noise_e", sa.Double(), nullable=True, comment="read noise, electrons rms"),
        sa.Column("saturation_adu", sa.Double(), nullable=True, comment="saturation, raw units"),
        sa.Column(
            "unit",
            sa.Text(),
            nullable=False,
            comment="unit of the raw pixels (adu, electron, MJy/sr)",
        ),
        sa.Column(
            "zero_point_mag",
            sa.Double(),
            nullable=True,
            comment="AB magnitude of one raw unit, where header or survey states it",
        ),
        sa.Column("instrument", sa.Text(), nullable=False, comment="instrument"),
        sa.Column("detector", sa.Text(), nullable=False, comment="detector or image extension"),
        sa.Column("width_pix", sa.BigInteger(), nullable=False, comment="NAXIS1"),
        sa.Column("height_pix", sa.BigInteger(), nullable=False, comment="NAXIS2"),
        sa.Column(
            "assumed",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="names of values nothing stated",
        ),
        sa.Column("raw_fits_path", sa.Text(), nullable=False, comment="object key of the raw file"),
        sa.Column(
            "raw_hdu",
            sa.BigInteger(),
            nullable=False,
            comment="index of the image HDU in the raw file",
        ),
        sa.Column(
            "raw_sha256", sa.Text(), nullable=False, comment="SHA-256 of the raw file's bytes"
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first ingested",
        ),
        sa.CheckConstraint(
            "frame_kind IN ('science', 'bias', 'dark', 'flat')",
            name=op.f("ck_observations_frame_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["survey_id"], ["surveys.id"], name=op.f("fk_observations_survey_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
        sa.UniqueConstraint(
            "survey_id", "archive_id", name=op.f("uq_observations_survey_id_archive_id")
        ),
    )
    op.create_index(op.f("ix_observations_healpix"), "observations", ["healpix"], unique=False)
    op.create_index(
        op.f("ix_observations_survey_id_night"),
        "observations",
        ["survey_id", "night"],
        unique=False,
    )
    op.create_table(
        "reference_frames",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="content-addressed id"),
        sa.Column("survey_id", sa.Uuid(), nullable=False, comment="survey"),
        sa.Column(
            "set_name",
            sa.Text(),
            nullable=False,
            comment="name of the reference set in surveys.yaml",
        ),
        sa.Column("field", sa.Text(), nullable=False, comment="field"),
        sa.Column("filter_band", sa.Text(), nullable=False, comment="filter"),
        sa.Column("method", sa.Text(), nullable=False, comment="single frame or coadd"),
        sa.Column("first_night", sa.Date(), nullable=True, comment="earliest member's night"),
        sa.Column("last_night", sa.Date(), nullable=True, comment="latest member's night"),
        sa.Column("n_members", sa.BigInteger(), nullable=False, comment="accepted members"),
        sa.Column("ra", sa.Double(), nullable=True, comment="centre, degrees ICRS"),
        sa.Column("dec", sa.Double(), nullable=True, comment="centre, degrees ICRS"),
        sa.Column(
            "footprint",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="corners, degrees",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="completed, degraded or failed"),
        sa.Column(
            "reference_fits_path", sa.Text(), nullable=True, comment="object key of the frame"
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="SHA-256 of the object"),
        sa.Column("fwhm_pix", sa.Double(), nullable=True, comment="PSF FWHM at the centre, pixels"),
        sa.Column(
            "depth_flux", sa.Double(), nullable=True, comment="5 sigma point source, frame units"
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
            "method IN ('single', 'coadd')", name=op.f("ck_reference_frames_method")
        ),
        sa.CheckConstraint(
            "status IN ('completed', 'degraded', 'failed')", name=op.f("ck_reference_frames_status")
        ),
        sa.ForeignKeyConstraint(
            ["survey_id"], ["surveys.id"], name=op.f("fk_reference_frames_survey_id")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_reference_frames")),
    )
    op.create_index(
        op.f("ix_reference_frames_survey_id_field_filter_band"),
        "reference_frames",
        ["survey_id", "field", "filter_band"],
        unique=False,
    )
    op.create_table(
        "preprocess_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="content-addressed id"),
        sa.Column("observation_id", sa.Uuid(), nullable=False, comment="observation processed"),
        sa.Column(
            "calibration_ids",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="observations whose bias, dark and flat frames were used",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="completed, degraded or failed"),
        sa.Column(
            "processed_fits_path", sa.Text(), nullable=True, comment="object key of the frame"
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="SHA-256 of the object"),
        sa.Column("fwhm_pix", sa.Double(), nullable=True, comment="PSF FWHM at the centre, pixels"),
        sa.Column("ellipticity", sa.Double(), nullable=True, comment="PSF 1 - b/a"),
        sa.Column("sky", sa.Double(), nullable=True, comment="median background, frame units"),
        sa.Column(
            "sky_noise", sa.Double(), nullable=True, comment="rms per pixel on sky, frame units"
        ),
        sa.Column("zero_point_mag", sa.Double(), nullable=True, comment="AB mag of one frame unit"),
        sa.Column(
            "depth_mag", sa.Double(), nullable=True, comment="5 sigma point-source depth, AB mag"
        ),
        sa.Column(
            "depth_flux", sa.Double(), nullable=True, comment="5 sigma point source, frame units"
        ),
        sa.Column("n_stars", sa.BigInteger(), nullable=True, comment="stars behind the PSF"),
        sa.Column(
            "masked_fraction", sa.Double(), nullable=True, comment="fraction of unusable pixels"
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
            "status IN ('completed', 'degraded', 'failed')", name=op.f("ck_preprocess_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observations.id"], name=op.f("fk_preprocess_runs_observation_id")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_preprocess_runs")),
    )
    op.create_index(
        op.f("ix_preprocess_runs_observation_id"),
        "preprocess_runs",
        ["observation_id"],
        unique=False,
    )
    op.create_table(
        "difference_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="content-addressed id"),
        sa.Column("observation_id", sa.Uuid(), nullable=False, comment="science observation"),
        sa.Column(
            "preprocess_run_id",
            sa.Uuid(),
            nullable=False,
            comment="processed frame subtracted from",
        ),
        sa.Column(
            "reference_id", sa.Uuid(), nullable=True, comment="reference; null when none qualified"
        ),
        sa.Column(
            "reference_choice",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="each reference considered: id, verdict, reason",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="completed, degraded, failed or no_reference",
        ),
        sa.Column(
            "difference_fits_path", sa.Text(), nullable=True, comment="object key of D and S_corr"
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="SHA-256 of the object"),
        sa.Column("scorr_sigma", sa.Double(), nullable=True, comment="raw robust sigma of S_corr"),
        sa.Column("flux_ratio", sa.Double(), nullable=True, comment="science over reference flux"),
        sa.Column(
            "n_matched", sa.BigInteger(), nullable=True, comment="stars matched in registration"
        ),
        sa.Column(
            "registration_rms_pix",
            sa.Double(),
            nullable=True,
            comment="rms of matched stars after registration, pixels",
        ),
        sa.Column("overlap_fraction", sa.Double(), nullable=True, comment="science area covered"),
        sa.Column(
            "masked_fraction", sa.Double(), nullable=True, comment="fraction of unusable pixels"
        ),
        sa.Column("fwhm_pix", sa.Double(), nullable=True, comment="FWHM of the PSF of D, pixels"),
        sa.Column("depth_flux", sa.Double(), nullable=True, comment="5 sigma point source in D"),
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
            "status IN ('completed', 'degraded', 'failed', 'no_reference')",
            name=op.f("ck_difference_runs_status"),
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observations.id"], name=op.f("fk_difference_runs_observation_id")
        ),
        sa.ForeignKeyConstraint(
            ["preprocess_run_id"],
            ["preprocess_runs.run_id"],
            name=op.f("fk_difference_runs_preprocess_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["reference_frames.run_id"],
            name=op.f("fk_difference_runs_reference_id"),
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_difference_runs")),
    )
    op.create_index(
        op.f("ix_difference_runs_observation_id"),
        "difference_runs",
        ["observation_id"],
        unique=False,
    )
    op.create_table(
        "reference_members",
        sa.Column("reference_id", sa.Uuid(), nullable=False, comment="reference"),
        sa.Column("preprocess_run_id", sa.Uuid(), nullable=False, comment="processed frame"),
        sa.Column("rank", sa.BigInteger(), nullable=False, comment="0 is the best frame"),
        sa.Column(
            "weight", sa.Double(), nullable=False, comment="weight in the coadd; 0 when rejected"
        ),
        sa.Column(
            "rejected_because", sa.Text(), nullable=True, comment="reason; null when accepted"
        ),
        sa.ForeignKeyConstraint(
            ["preprocess_run_id"],
            ["preprocess_runs.run_id"],
            name=op.f("fk_reference_members_preprocess_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["reference_frames.run_id"],
            name=op.f("fk_reference_members_reference_id"),
        ),
        sa.PrimaryKeyConstraint(
            "reference_id", "preprocess_run_id", name=op.f("pk_reference_members")
        ),
    )
    op.create_table(
        "candidates",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of run, sign, peak pixel"),
        sa.Column(
            "difference_run_id",
            sa.Uuid(),
            nullable=False,
            comment="difference image it was found on",
        ),
        sa.Column("x_pix", sa.Double(), nullable=False, comment="0-based pixel centre"),
        sa.Column("y_pix", sa.Double(), nullable=False, comment="0-based pixel centre"),
        sa.Column("ra", sa.Double(), nullable=True, comment="degrees ICRS; null without WCS"),
        sa.Column("dec", sa.Double(), nullable=True, comment="degrees ICRS; null without WCS"),
        sa.Column("healpix", sa.BigInteger(), nullable=True, comment="HEALPix nested, order 16"),
        sa.Column(
            "flux",
            sa.Double(),
            nullable=False,
            comment="PSF flux on D, flux_unit; negative if fading",
        ),
        sa.Column("flux_err", sa.Double(), nullable=False, comment="1 sigma, own photons included"),
        sa.Column("flux_unit", sa.Text(), nullable=False, comment="uJy (AB) or instrumental"),
        sa.Column("snr", sa.Double(), nullable=False, comment="|flux| / flux_err"),
        sa.Column("scorr_peak", sa.Double(), nullable=False, comment="signed peak of S_corr"),
        sa.Column("fwhm_pix", sa.Double(), nullable=False, comment="FWHM on D, pixels"),
        sa.Column("elongation", sa.Double(), nullable=False, comment="a / b on S_corr"),
        sa.Column("flags", sa.BigInteger(), nullable=False, comment="CandidateFlag bits"),
        sa.Column(
            "flag_names",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="names of the flags set",
        ),
        sa.Column(
            "is_negative", sa.Boolean(), nullable=False, comment="fainter than the reference"
        ),
        sa.Column(
            "is_injected",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="matches an injected source; never a label",
        ),
        sa.Column(
            "cutout_path", sa.Text(), nullable=False, comment="object key of its run's cutouts"
        ),
        sa.Column("cutout_index", sa.BigInteger(), nullable=False, comment="plane in that object"),
        sa.Column(
            "cutout_sha256", sa.Text(), nullable=False, comment="SHA-256 of its own cutout's pixels"
        ),
        sa.Column(
            "status",
            sa.Text(),
            server_default=sa.text("'active'"),
            nullable=False,
            comment="superseded when a forced re-run no longer finds it",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first found",
        ),
        sa.CheckConstraint(
            "flux_unit IN ('uJy', 'instrumental')", name=op.f("ck_candidates_flux_unit")
        ),
        sa.CheckConstraint("status IN ('active', 'superseded')", name=op.f("ck_candidates_status")),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_candidates_difference_run_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidates")),
    )
    op.create_index(
        op.f("ix_candidates_difference_run_id"), "candidates", ["difference_run_id"], unique=False
    )
    op.create_index(op.f("ix_candidates_healpix"), "candidates", ["healpix"], unique=False)
    op.create_table(
        "extraction_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="content-addressed id"),
        sa.Column(
            "difference_run_id", sa.Uuid(), nullable=False, comment="difference image searched"
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="completed or failed"),
        sa.Column(
            "n_candidates",
            sa.BigInteger(),
            nullable=True,
            comment="sources that passed the filters",
        ),
        sa.Column(
            "filter_counts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="sources rejected by each named filter",
        ),
        sa.Column(
            "cutout_path",
            sa.Text(),
            nullable=True,
            comment="object key of the candidates' cutouts; null when there are none",
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="SHA-256 of the cutouts object"),
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
            "status IN ('completed', 'failed')", name=op.f("ck_extraction_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_extraction_runs_difference_run_id"),
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_extraction_runs")),
    )
    op.create_index(
        op.f("ix_extraction_runs_difference_run_id"),
        "extraction_runs",
        ["difference_run_id"],
        unique=False,
    )
    op.create_table(
        "model_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="content-addressed id"),
        sa.Column(
            "difference_run_id", sa.Uuid(), nullable=False, comment="difference image judged"
        ),
        sa.Column("model_id", sa.Uuid(), nullable=False, comment="model that judged"),
        sa.Column("status", sa.Text(), nullable=False, comment="completed, degraded or failed"),
        sa.Column("device", sa.Text(), nullable=True, comment="cpu or cuda"),
        sa.Column("n_detections", sa.BigInteger(), nullable=True, comment="detections made"),
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
            "status IN ('completed', 'degraded', 'failed')", name=op.f("ck_model_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_model_runs_difference_run_id"),
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_runs_model_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_model_runs")),
    )
    op.create_index(
        op.f("ix_model_runs_difference_run_id"), "model_runs", ["difference_run_id"], unique=False
    )
    op.create_table(
        "detections",
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv5 of model run and source"),
        sa.Column("model_run_id", sa.Uuid(), nullable=False, comment="model run that judged it"),
        sa.Column(
            "difference_run_id", sa.Uuid(), nullable=False, comment="difference image it lies on"
        ),
        sa.Column(
            "candidate_id",
            sa.Uuid(),
            nullable=True,
            comment="candidate judged; null for a component",
        ),
        sa.Column("x_pix", sa.Double(), nullable=False, comment="0-based pixel centre"),
        sa.Column("y_pix", sa.Double(), nullable=False, comment="0-based pixel centre"),
        sa.Column("ra", sa.Double(), nullable=True, comment="degrees ICRS; null without WCS"),
        sa.Column("dec", sa.Double(), nullable=True, comment="degrees ICRS; null without WCS"),
        sa.Column("healpix", sa.BigInteger(), nullable=True, comment="HEALPix nested, order 16"),
        sa.Column(
            "confidence_score",
            sa.Double(),
            nullable=False,
            comment="calibrated probability of real",
        ),
        sa.Column("detection_type", sa.Text(), nullable=False, comment="candidate or component"),
        sa.Column(
            "is_negative", sa.Boolean(), nullable=False, comment="fainter than the reference"
        ),
        sa.Column(
            "is_validated",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="a consensus exists",
        ),
        sa.Column(
            "inherited_from",
            sa.Uuid(),
            nullable=True,
            comment="detection of another run on the observation whose verdicts hold here",
        ),
        sa.Column(
            "status",
            sa.Text(),
            server_default=sa.text("'active'"),
            nullable=False,
            comment="superseded when a forced re-run no longer makes it",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first made",
        ),
        sa.CheckConstraint(
            "detection_type IN ('candidate', 'component')",
            name=op.f("ck_detections_detection_type"),
        ),
        sa.CheckConstraint("status IN ('active', 'superseded')", name=op.f("ck_detections_status")),
        sa.CheckConstraint(
            "confidence_score BETWEEN 0 AND 1", name=op.f("ck_detections_confidence_score")
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.id"], name=op.f("fk_detections_candidate_id")
        ),
        sa.ForeignKeyConstraint(
            ["difference_run_id"],
            ["difference_runs.run_id"],
            name=op.f("fk_detections_difference_run_id"),
        ),
        sa.ForeignKeyConstraint(
            ["inherited_from"], ["detections.id"], name=op.f("fk_detections_inherited_from")
        ),
        sa.ForeignKeyConstraint(
            ["model_run_id"], ["model_runs.run_id"], name=op.f("fk_detections_model_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_detections")),
    )
    op.create_index(
        op.f("ix_detections_difference_run_id"), "detections", ["difference_run_id"], unique=False
    )
    op.create_index(op.f("ix_detections_healpix"), "detections", ["healpix"], unique=False)
    op.create_index(
        op.f("ix_detections_model_run_id"), "detections", ["model_run_id"], unique=False
    )
    op.create_table(
        "detection_consensus",
        sa.Column("detection_id", sa.Uuid(), nullable=False, comment="detection"),
        sa.Column("label", sa.Text(), nullable=False, comment="real, bogus, unsure or disputed"),
        sa.Column("subtype", sa.Text(), nullable=True, comment="agreed subtype"),
        sa.Column("n_events", sa.BigInteger(), nullable=False, comment="standing verdicts counted"),
        sa.Column("decided_by", sa.Text(), nullable=False, comment="rule that decided"),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when last decided",
        ),
        sa.CheckConstraint(
            "label IN ('real', 'bogus', 'unsure', 'disputed')",
            name=op.f("ck_detection_consensus_label"),
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_detection_consensus_detection_id")
        ),
        sa.PrimaryKeyConstraint("detection_id", name=op.f("pk_detection_consensus")),
    )
    op.create_table(
        "validation_events",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="event",
        ),
        sa.Column("detection_id", sa.Uuid(), nullable=False, comment="detection judged"),
        sa.Column("reviewer", sa.Text(), nullable=False, comment="who judged"),
        sa.Column("verdict", sa.Text(), nullable=False, comment="real, bogus or unsure"),
        sa.Column("subtype", sa.Text(), nullable=True, comment="second taxonomy level"),
        sa.Column(
            "taxonomy_version", sa.Text(), nullable=False, comment="taxonomy the verdict uses"
        ),
        sa.Column("note", sa.Text(), nullable=True, comment="reviewer's note"),
        sa.Column(
            "model_id", sa.Uuid(), nullable=True, comment="model whose score stood behind the item"
        ),
        sa.Column(
            "cutout_sha256", sa.Text(), nullable=True, comment="hash of the cutout the reviewer saw"
        ),
        sa.Column("supersedes", sa.Uuid(), nullable=True, comment="event this one corrects"),
        sa.Column(
            "idempotency_key",
            sa.Text(),
            nullable=True,
            comment="client's key; a repeat is the same event",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when judged",
        ),
        sa.Column(
            "xact",
            _Xid8(),
            server_default=sa.text("pg_current_xact_id()"),
            nullable=False,
            comment="transaction that wrote it: the only cursor that loses no late commit",
        ),
        sa.CheckConstraint(
            "verdict IN ('real', 'bogus', 'unsure')", name=op.f("ck_validation_events_verdict")
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_validation_events_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_validation_events_model_id")
        ),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["validation_events.id"], name=op.f("fk_validation_events_supersedes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validation_events")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_validation_events_idempotency_key")),
    )
    op.create_index(
        op.f("ix_validation_events_detection_id"),
        "validation_events",
        ["detection_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_validation_events_xact_id"), "validation_events", ["xact", "id"], unique=False
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_index(op.f("ix_validation_events_xact_id"), table_name="validation_events")
    op.drop_index(op.f("ix_validation_events_detection_id"), table_name="validation_events")
    op.drop_table("validation_events")
    op.drop_table("detection_consensus")
    op.drop_index(op.f("ix_detections_model_run_id"), table_name="detections")
    op.drop_index(op.f("ix_detections_healpix"), table_name="detections")
    op.drop_index(op.f("ix_detections_difference_run_id"), table_name="detections")
    op.drop_table("detections")
    op.drop_index(op.f("ix_model_runs_difference_run_id"), table_name="model_runs")
    op.drop_table("model_runs")
    op.drop_index(op.f("ix_extraction_runs_difference_run_id"), table_name="extraction_runs")
    op.drop_table("extraction_runs")
    op.drop_index(op.f("ix_candidates_healpix"), table_name="candidates")
    op.drop_index(op.f("ix_candidates_difference_run_id"), table_name="candidates")
    op.drop_table("candidates")
    op.drop_table("reference_members")
    op.drop_index(op.f("ix_difference_runs_observation_id"), table_name="difference_runs")
    op.drop_table("difference_runs")
    op.drop_index(op.f("ix_preprocess_runs_observation_id"), table_name="preprocess_runs")
    op.drop_table("preprocess_runs")
    op.drop_index(
        op.f("ix_reference_frames_survey_id_field_filter_band"), table_name="reference_frames"
    )
    op.drop_table("reference_frames")
    op.drop_index(op.f("ix_observations_survey_id_night"), table_name="observations")
    op.drop_index(op.f("ix_observations_healpix"), table_name="observations")
    op.drop_table("observations")
    op.drop_index(op.f("ix_ingest_runs_survey_id_night"), table_name="ingest_runs")
    op.drop_table("ingest_runs")
    op.drop_table("surveys")
    op.drop_table("models")
