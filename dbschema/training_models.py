"""Tables of training: datasets and their samples, training runs, promotions, health, alerts.

The columns of the first three tables down to ``status``, ``created_at`` and ``completed_at``
are the specification's, exactly; what follows them is AstrID's own. ``dbschema.models``
imports these models, so that they are there whenever the other tables are.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.base import CLOCK, Base, Json, clock, states

SPLITS = ("train", "val", "test")

LABEL_SOURCES = ("human", "model", "injection")
"""Who says what a sample is: people's consensus, the model's own confidence, the injector."""


class TrainingDataset(Base):
    """A frozen set of training samples. Nothing of it is changed once it is there."""

    __tablename__ = "training_datasets"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        states("status", "active", "provisional", "quality_failed"),
        CheckConstraint("status = 'active' OR status_reason IS NOT NULL", name="reason"),
        Index(None, "digest"),
        Index(None, "created_at"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=func.gen_random_uuid(), comment="dataset"
    )
    name: Mapped[str] = mapped_column(String(255), comment="name that people gave")
    description: Mapped[str | None] = mapped_column(comment="what it is for")
    collection_params: Mapped[Json] = mapped_column(comment="the request it answers")
    total_samples: Mapped[int] = mapped_column(
        Integer, comment="samples labelled by people or model; injections are counted apart"
    )
    anomaly_ratio: Mapped[float] = mapped_column(Float, comment="fraction of these that is real")
    quality_score: Mapped[float] = mapped_column(
        Float, comment="image quality times label consistency, 0 to 1"
    )
    created_at: Mapped[dt.datetime | None] = mapped_column(
        server_default=func.now(), comment="when frozen", info=CLOCK
    )
    created_by: Mapped[str] = mapped_column(String(255), comment="who asked for it")
    status: Mapped[str | None] = mapped_column(
        String(50),
        server_default=text("'active'"),
        comment="active, or provisional or quality_failed, which no training takes",
    )

    status_reason: Mapped[str | None] = mapped_column(comment="why it is not active")
    version: Mapped[int] = mapped_column(Integer, comment="counts datasets of one name from 1")
    digest: Mapped[str] = mapped_column(comment="SHA-256 of pixels, labels and splits")
    code_version: Mapped[str] = mapped_column(comment="version of the code that collected it")
    snapshot_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("label_snapshots.id"),
        comment="newest snapshot of labels when it was collected; null before the first",
    )
    shards: Mapped[list[Any]] = mapped_column(
        comment="its objects: each image_path and mask_path, their SHA-256, n_samples, n_bytes"
    )
    n_by_split: Mapped[Json] = mapped_column(comment="split -> label source -> real and bogus")
    n_dropped: Mapped[Json] = mapped_column(comment="reason -> detections that were left out")
    quality: Mapped[Json] = mapped_column(comment="quality report")
    audit: Mapped[Json] = mapped_column(comment="leak audit: each check and what it found")
    dagster_run_id: Mapped[str | None] = mapped_column(comment="run that collected it")
    mlflow_run_id: Mapped[str | None] = mapped_column(
        comment="MLflow run training_data_<id>; null until it is logged", info=CLOCK
    )


class TrainingSample(Base):
    """One sample of a dataset. Never changed, which a trigger enforces."""

    __tablename__ = "training_samples"
    __table_args__ = (
        UniqueConstraint("dataset_id", "position"),
        states("split", *SPLITS),
        states("label_source", *LABEL_SOURCES),
        CheckConstraint(
            "label_source = 'human' OR split = 'train'", name="only_people_s_labels_measure"
        ),
        CheckConstraint(
            "(label_source = 'injection') = (detection_id IS NULL)", name="of_a_detection"
        ),
        Index(None, "detection_id"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True,
        server_default=func.gen_random_uuid(),
        comment="UUIDv5 of dataset and detection, or of injection",
    )
    dataset_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("training_datasets.id"), comment="dataset"
    )
    detection_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("detections.id"), comment="detection it shows; null for an injection"
    )
    image_path: Mapped[str] = mapped_column(
        String(500), comment="object key of the shard (n, 5, s, s) that holds its image stack"
    )
    mask_path: Mapped[str] = mapped_column(
        String(500), comment="object key of the shard (n, s, s) that holds its mask"
    )
    labels: Mapped[Json] = mapped_column(
        comment="is_anomaly, anomaly_type, confidence, reviewer_notes, label_source"
    )
    metadata_: Mapped[Json | None] = mapped_column(
        "metadata", comment="where it is from: run ids and object hashes, position, S/N, PSF"
    )
    created_at: Mapped[dt.datetime | None] = mapped_column(
        server_default=func.now(), comment="when frozen", info=CLOCK
    )

    observation_id: Mapped[UUID] = mapped_column(
        ForeignKey("observations.id"), comment="observation it is cut from"
    )
    position: Mapped[int] = mapped_column(Integer, comment="place in the dataset, from 0")
    shard_index: Mapped[int] = mapped_column(Integer, comment="place in its shards, from 0")
    sha256: Mapped[str] = mapped_column(comment="SHA-256 of its image's and its mask's pixels")
    split: Mapped[str] = mapped_column(comment="train, val or test")
    group_key: Mapped[str] = mapped_column(
        comment="what is never split: HEALPix cell, or field without WCS"
    )
    label_source: Mapped[str] = mapped_column(comment="human, model or injection")


class TrainingGroup(Base):
    """The split of a sky cell or of a night: decided once, for all datasets to come."""

    __tablename__ = "training_groups"
    __table_args__ = (
        states("kind", "cell", "night"),
        CheckConstraint(
            "split IN ('train', 'val', 'test') AND (kind = 'cell' OR split <> 'val')", name="split"
        ),
    )

    kind: Mapped[str] = mapped_column(primary_key=True, comment="cell or night")
    key: Mapped[str] = mapped_column(
        primary_key=True, comment="HEALPix cell or field; or survey and night"
    )
    split: Mapped[str] = mapped_column(
        comment="of a cell: train, val or test; of a night: test if held out, else train"
    )
    created_at: Mapped[dt.datetime] = clock("when decided")


class TrainingRun(Base):
    """One training of a model on a dataset."""

    __tablename__ = "training_runs"
    __table_args__ = (
        states("status", "running", "completed", "failed"),
        Index(None, "dataset_id"),
        Index(None, "started_at"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=func.gen_random_uuid(), comment="training run"
    )
    dataset_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("training_datasets.id"), comment="dataset trained on"
    )
    model_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("models.id"), comment="model it made; null while there is none"
    )
    mlflow_run_id: Mapped[str | None] = mapped_column(String(255), comment="MLflow run")
    training_params: Mapped[Json] = mapped_column(comment="configuration and seeds")
    performance_metrics: Mapped[Json | None] = mapped_column(
        comment="figures on the test split, with intervals"
    )
    status: Mapped[str | None] = mapped_column(
        String(50), server_default=text("'running'"), comment="running, completed or failed"
    )
    started_at: Mapped[dt.datetime | None] = mapped_column(
        server_default=func.now(), comment="when begun", info=CLOCK
    )
    completed_at: Mapped[dt.datetime | None] = mapped_column(comment="when ended", info=CLOCK)

    parent_model_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("models.id"), comment="model whose weights it began with; null from scratch"
    )
    code_version: Mapped[str] = mapped_column(comment="version of the training code")
    reason: Mapped[str] = mapped_column(comment="why it was asked for")
    requested_by: Mapped[str] = mapped_column(comment="who or what asked for it")
    dagster_run_id: Mapped[str | None] = mapped_column(comment="Dagster run that trained")
    error_type: Mapped[str | None] = mapped_column(comment="class of the error, when failed")
    error_message: Mapped[str | None] = mapped_column(comment="error with numbers and remedy")


class Promotion(Base):
    """A decision about which model judges from now on. Append-only."""

    __tablename__ = "promotions"
    __table_args__ = (
        states("decision", "promoted", "kept", "reverted"),
        Index(None, "created_at"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=func.gen_random_uuid(), comment="decision"
    )
    training_run_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("training_runs.id"), comment="training that offered the model"
    )
    dataset_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("training_datasets.id"), comment="frozen test set both were compared on"
    )
    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id"), comment="model offered")
    champion_id: Mapped[UUID] = mapped_column(
        ForeignKey("models.id"), comment="champion before the decision"
    )
    decision: Mapped[str] = mapped_column(comment="promoted, kept (the champion) or reverted")
    reason: Mapped[str] = mapped_column(comment="why, in a sentence with its figures")
    comparison: Mapped[Json] = mapped_column(comment="paired figures with intervals, by slice")
    decided_by: Mapped[str] = mapped_column(comment="rule or person")
    created_at: Mapped[dt.datetime] = clock("when decided")


class TrainingDataHealth(Base):
    """Health of the data that models are trained on, one row a day."""

    __tablename__ = "training_data_health"

    day: Mapped[dt.date] = mapped_column(primary_key=True, comment="UTC date")
    window_days: Mapped[int] = mapped_column(Integer, comment="days looked back")
    n_validated: Mapped[int] = mapped_column(comment="detections decided in these days")
    quality: Mapped[Json] = mapped_column(comment="quality of what they would be as samples")
    quality_score: Mapped[float | None] = mapped_column(comment="null where nothing was decided")
    drift: Mapped[Json] = mapped_column(comment="what the champion is shown against its training")
    code_version: Mapped[str] = mapped_column(comment="version of the code that measured")
    measured_at: Mapped[dt.datetime] = clock("when last measured")


class Alert(Base):
    """Something people are told of, once however often it is seen."""

    __tablename__ = "alerts"
    __table_args__ = (
        states("severity", "info", "warning", "error"),
        Index(
            "uq_alerts_open",
            "fingerprint",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
        Index(None, "last_seen_at"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, server_default=func.gen_random_uuid(), comment="alert"
    )
    kind: Mapped[str] = mapped_column(comment="what is watched, such as training_data_quality")
    severity: Mapped[str] = mapped_column(comment="info, warning or error")
    fingerprint: Mapped[str] = mapped_column(comment="what makes two sightings one alert")
    message: Mapped[str] = mapped_column(comment="what is the matter and what to do")
    details: Mapped[Json] = mapped_column(comment="the numbers behind the message")
    n_seen: Mapped[int] = mapped_column(comment="how often it was seen")
    first_seen_at: Mapped[dt.datetime] = clock("when first seen")
    last_seen_at: Mapped[dt.datetime] = clock("when last seen")
    deliveries: Mapped[list[Any]] = mapped_column(
        comment="each: channel, when, and the error where it failed"
    )
    resolved_at: Mapped[dt.datetime | None] = mapped_column(
        comment="when it was over; the next sighting is a new alert", info=CLOCK
    )
