"""Training: datasets, samples, the split of cells and nights, runs, promotions, health, alerts.

Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_APPEND_ONLY = ("training_samples", "promotions")


def upgrade() -> None:
    """Tables, and what of them refuses to be changed."""
    _create_alerts()
    _create_training_data_health()
    _create_training_groups()
    _create_training_datasets()
    _create_training_runs()
    _create_training_samples()
    _create_promotions()
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_never_changed BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """Undo it."""
    op.drop_index(op.f("ix_promotions_created_at"), table_name="promotions")
    op.drop_table("promotions")
    op.drop_index(op.f("ix_training_samples_detection_id"), table_name="training_samples")
    op.drop_table("training_samples")
    op.drop_index(op.f("ix_training_runs_started_at"), table_name="training_runs")
    op.drop_index(op.f("ix_training_runs_dataset_id"), table_name="training_runs")
    op.drop_table("training_runs")
    op.drop_index(op.f("ix_training_datasets_digest"), table_name="training_datasets")
    op.drop_index(op.f("ix_training_datasets_created_at"), table_name="training_datasets")
    op.drop_table("training_datasets")
    op.drop_table("training_groups")
    op.drop_table("training_data_health")
    op.drop_index(
        "uq_alerts_open", table_name="alerts", postgresql_where=sa.text("resolved_at IS NULL")
    )
    op.drop_index(op.f("ix_alerts_last_seen_at"), table_name="alerts")
    op.drop_table("alerts")


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="alert",
        ),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="what is watched, such as training_data_quality",
        ),
        sa.Column("severity", sa.Text(), nullable=False, comment="info, warning or error"),
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="what makes two sightings one alert"
        ),
        sa.Column(
            "message", sa.Text(), nullable=False, comment="what is the matter and what to do"
        ),
        sa.Column(
            "details",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the numbers behind the message",
        ),
        sa.Column("n_seen", sa.BigInteger(), nullable=False, comment="how often it was seen"),
        sa.Column(
            "first_seen_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when first seen",
        ),
        sa.Column(
            "last_seen_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when last seen",
        ),
        sa.Column(
            "deliveries",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="each: channel, when, and the error where it failed",
        ),
        sa.Column(
            "resolved_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="when it was over; the next sighting is a new alert",
        ),
        sa.CheckConstraint(
            "severity IN ('info', 'warning', 'error')", name=op.f("ck_alerts_severity")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_last_seen_at"), "alerts", ["last_seen_at"], unique=False)
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["fingerprint"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )


def _create_training_data_health() -> None:
    op.create_table(
        "training_data_health",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC date"),
        sa.Column("window_days", sa.Integer(), nullable=False, comment="days looked back"),
        sa.Column(
            "n_validated",
            sa.BigInteger(),
            nullable=False,
            comment="detections decided in these days",
        ),
        sa.Column(
            "quality",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="quality of what they would be as samples",
        ),
        sa.Column(
            "quality_score", sa.Double(), nullable=True, comment="null where nothing was decided"
        ),
        sa.Column(
            "drift",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what the champion is shown against its training",
        ),
        sa.Column(
            "code_version", sa.Text(), nullable=False, comment="version of the code that measured"
        ),
        sa.Column(
            "measured_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when last measured",
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_training_data_health")),
    )


def _create_training_groups() -> None:
    op.create_table(
        "training_groups",
        sa.Column("kind", sa.Text(), nullable=False, comment="cell or night"),
        sa.Column(
            "key", sa.Text(), nullable=False, comment="HEALPix cell or field; or survey and night"
        ),
        sa.Column(
            "split",
            sa.Text(),
            nullable=False,
            comment="of a cell: train, val or test; of a night: test if held out, else train",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when decided",
        ),
        sa.CheckConstraint("kind IN ('cell', 'night')", name=op.f("ck_training_groups_kind")),
        sa.CheckConstraint(
            "split IN ('train', 'val', 'test') AND (kind = 'cell' OR split <> 'val')",
            name=op.f("ck_training_groups_split"),
        ),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_training_groups")),
    )


def _create_training_datasets() -> None:
    op.create_table(
        "training_datasets",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="dataset",
        ),
        sa.Column("name", sa.String(length=255), nullable=False, comment="name that people gave"),
        sa.Column("description", sa.Text(), nullable=True, comment="what it is for"),
        sa.Column(
            "collection_params",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the request it answers",
        ),
        sa.Column(
            "total_samples",
            sa.Integer(),
            nullable=False,
            comment="samples labelled by people or model; injections are counted apart",
        ),
        sa.Column(
            "anomaly_ratio", sa.Float(), nullable=False, comment="fraction of these that is real"
        ),
        sa.Column(
            "quality_score",
            sa.Float(),
            nullable=False,
            comment="image quality times label consistency, 0 to 1",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="when frozen",
        ),
        sa.Column("created_by", sa.String(length=255), nullable=False, comment="who asked for it"),
        sa.Column(
            "status",
            sa.String(length=50),
            server_default=sa.text("'active'"),
            nullable=True,
            comment="active, or provisional or quality_failed, which no training takes",
        ),
        sa.Column("status_reason", sa.Text(), nullable=True, comment="why it is not active"),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="counts datasets of one name from 1"
        ),
        sa.Column(
            "digest", sa.Text(), nullable=False, comment="SHA-256 of pixels, labels and splits"
        ),
        sa.Column(
            "code_version",
            sa.Text(),
            nullable=False,
            comment="version of the code that collected it",
        ),
        sa.Column(
            "snapshot_id",
            sa.Uuid(),
            nullable=True,
            comment="newest snapshot of labels when it was collected; null before the first",
        ),
        sa.Column(
            "shards",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="its objects: each image_path and mask_path, their SHA-256, n_samples, n_bytes",
        ),
        sa.Column(
            "n_by_split",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="split -> label source -> real and bogus",
        ),
        sa.Column(
            "n_dropped",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="reason -> detections that were left out",
        ),
        sa.Column(
            "quality",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="quality report",
        ),
        sa.Column(
            "audit",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="leak audit: each check and what it found",
        ),
        sa.Column("dagster_run_id", sa.Text(), nullable=True, comment="run that collected it"),
        sa.Column(
            "mlflow_run_id",
            sa.Text(),
            nullable=True,
            comment="MLflow run training_data_<id>; null until it is logged",
        ),
        sa.CheckConstraint(
            "status = 'active' OR status_reason IS NOT NULL",
            name=op.f("ck_training_datasets_reason"),
        ),
        sa.CheckConstraint(
            "status IN ('active', 'provisional', 'quality_failed')",
            name=op.f("ck_training_datasets_status"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["label_snapshots.id"], name=op.f("fk_training_datasets_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_datasets")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_training_datasets_name_version")),
    )
    op.create_index(
        op.f("ix_training_datasets_created_at"), "training_datasets", ["created_at"], unique=False
    )
    op.create_index(
        op.f("ix_training_datasets_digest"), "training_datasets", ["digest"], unique=False
    )


def _create_training_runs() -> None:
    op.create_table(
        "training_runs",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="training run",
        ),
        sa.Column("dataset_id", sa.Uuid(), nullable=True, comment="dataset trained on"),
        sa.Column(
            "model_id", sa.Uuid(), nullable=True, comment="model it made; null while there is none"
        ),
        sa.Column("mlflow_run_id", sa.String(length=255), nullable=True, comment="MLflow run"),
        sa.Column(
            "training_params",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="configuration and seeds",
        ),
        sa.Column(
            "performance_metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="figures on the test split, with intervals",
        ),
        sa.Column(
            "status",
            sa.String(length=50),
            server_default=sa.text("'running'"),
            nullable=True,
            comment="running, completed or failed",
        ),
        sa.Column(
            "started_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="when begun",
        ),
        sa.Column(
            "completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="when ended"
        ),
        sa.Column(
            "parent_model_id",
            sa.Uuid(),
            nullable=True,
            comment="model whose weights it began with; null from scratch",
        ),
        sa.Column(
            "code_version", sa.Text(), nullable=False, comment="version of the training code"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it was asked for"),
        sa.Column("requested_by", sa.Text(), nullable=False, comment="who or what asked for it"),
        sa.Column("dagster_run_id", sa.Text(), nullable=True, comment="Dagster run that trained"),
        sa.Column(
            "error_type", sa.Text(), nullable=True, comment="class of the error, when failed"
        ),
        sa.Column(
            "error_message", sa.Text(), nullable=True, comment="error with numbers and remedy"
        ),
        sa.CheckConstraint(
            "status IN ('running', 'completed', 'failed')", name=op.f("ck_training_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["training_datasets.id"], name=op.f("fk_training_runs_dataset_id")
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_training_runs_model_id")
        ),
        sa.ForeignKeyConstraint(
            ["parent_model_id"], ["models.id"], name=op.f("fk_training_runs_parent_model_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
    )
    op.create_index(
        op.f("ix_training_runs_dataset_id"), "training_runs", ["dataset_id"], unique=False
    )
    op.create_index(
        op.f("ix_training_runs_started_at"), "training_runs", ["started_at"], unique=False
    )


def _create_training_samples() -> None:
    op.create_table(
        "training_samples",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="UUIDv5 of dataset and detection, or of injection",
        ),
        sa.Column("dataset_id", sa.Uuid(), nullable=True, comment="dataset"),
        sa.Column(
            "detection_id",
            sa.Uuid(),
            nullable=True,
            comment="detection it shows; null for an injection",
        ),
        sa.Column(
            "image_path",
            sa.String(length=500),
            nullable=False,
            comment="object key of the shard (n, 5, s, s) that holds its image stack",
        ),
        sa.Column(
            "mask_path",
            sa.String(length=500),
            nullable=False,
            comment="object key of the shard (n, s, s) that holds its mask",
        ),
        sa.Column(
            "labels",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="is_anomaly, anomaly_type, confidence, reviewer_notes, label_source",
        ),
        sa.Column(
            "metadata",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="where it is from: run ids and object hashes, position, S/N, PSF",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="when frozen",
        ),
        sa.Column(
            "observation_id", sa.Uuid(), nullable=False, comment="observation it is cut from"
        ),
        sa.Column("position", sa.Integer(), nullable=False, comment="place in the dataset, from 0"),
        sa.Column(
            "shard_index", sa.Integer(), nullable=False, comment="place in its shards, from 0"
        ),
        sa.Column(
            "sha256",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of its image's and its mask's pixels",
        ),
        sa.Column("split", sa.Text(), nullable=False, comment="train, val or test"),
        sa.Column(
            "group_key",
            sa.Text(),
            nullable=False,
            comment="what is never split: HEALPix cell, or field without WCS",
        ),
        sa.Column("label_source", sa.Text(), nullable=False, comment="human, model or injection"),
        sa.CheckConstraint(
            "(label_source = 'injection') = (detection_id IS NULL)",
            name=op.f("ck_training_samples_of_a_detection"),
        ),
        sa.CheckConstraint(
            "label_source = 'human' OR split = 'train'",
            name=op.f("ck_training_samples_only_people_s_labels_measure"),
        ),
        sa.CheckConstraint(
            "label_source IN ('human', 'model', 'injection')",
            name=op.f("ck_training_samples_label_source"),
        ),
        sa.CheckConstraint(
            "split IN ('train', 'val', 'test')", name=op.f("ck_training_samples_split")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["training_datasets.id"], name=op.f("fk_training_samples_dataset_id")
        ),
        sa.ForeignKeyConstraint(
            ["detection_id"], ["detections.id"], name=op.f("fk_training_samples_detection_id")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observations.id"], name=op.f("fk_training_samples_observation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_samples")),
        sa.UniqueConstraint(
            "dataset_id", "position", name=op.f("uq_training_samples_dataset_id_position")
        ),
    )
    op.create_index(
        op.f("ix_training_samples_detection_id"), "training_samples", ["detection_id"], unique=False
    )


def _create_promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="decision",
        ),
        sa.Column(
            "training_run_id", sa.Uuid(), nullable=True, comment="training that offered the model"
        ),
        sa.Column(
            "dataset_id", sa.Uuid(), nullable=True, comment="frozen test set both were compared on"
        ),
        sa.Column("model_id", sa.Uuid(), nullable=False, comment="model offered"),
        sa.Column("champion_id", sa.Uuid(), nullable=False, comment="champion before the decision"),
        sa.Column(
            "decision",
            sa.Text(),
            nullable=False,
            comment="promoted, kept (the champion) or reverted",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=False, comment="why, in a sentence with its figures"
        ),
        sa.Column(
            "comparison",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="paired figures with intervals, by slice",
        ),
        sa.Column("decided_by", sa.Text(), nullable=False, comment="rule or person"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when decided",
        ),
        sa.CheckConstraint(
            "decision IN ('promoted', 'kept', 'reverted')", name=op.f("ck_promotions_decision")
        ),
        sa.ForeignKeyConstraint(
            ["champion_id"], ["models.id"], name=op.f("fk_promotions_champion_id")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["training_datasets.id"], name=op.f("fk_promotions_dataset_id")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_promotions_model_id")),
        sa.ForeignKeyConstraint(
            ["training_run_id"], ["training_runs.id"], name=op.f("fk_promotions_training_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
    )
    op.create_index(op.f("ix_promotions_created_at"), "promotions", ["created_at"], unique=False)
