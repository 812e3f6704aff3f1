"""The one place of configuration: what may differ from machine to machine.

Everything is read from ``ASTRID_*`` environment variables. Secrets come only from there
and are :class:`~pydantic.SecretStr`, which no log or repr prints.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DefinitionSettings(BaseSettings):
    """What the asset graph itself depends on; no address and no secret."""

    model_config = SettingsConfigDict(env_prefix="ASTRID_", extra="ignore")

    surveys_file: Path | None = Field(
        default=None, description="A surveys.yaml of your own; default is the packaged one."
    )
    executor: Literal["in_process", "multiprocess", "celery", "kubernetes"] = Field(
        default="in_process", description="Where the steps of a run are computed."
    )


class Settings(DefinitionSettings):
    """Configuration of a running AstrID, embedded or production.

    The embedded stack (``astrid up``) sets the addresses and secrets itself.
    """

    database_url: SecretStr = Field(
        description="PostgreSQL, as postgresql+psycopg://user:password@host/database."
    )
    s3_endpoint: str = Field(description="Address of the S3 object store.")
    s3_bucket: str = Field(default="astrid", min_length=3, max_length=63)
    s3_region: str = Field(default="auto", description="R2 wants 'auto'.")
    s3_access_key_id: SecretStr
    s3_secret_access_key: SecretStr
    mlflow_uri: str = Field(description="MLflow tracking server.")
    dagster_url: str | None = Field(
        default=None, description="Dagster's webserver; without it the API launches no runs."
    )
    broker_url: SecretStr | None = Field(
        default=None, description="Redis that Celery's queues are in, as redis://:password@host."
    )
    claim_s: int = Field(
        default=60,
        ge=2,
        le=3600,
        description="Seconds of a Celery worker's silence after which its step is lost.",
    )
    alert_url: SecretStr | None = Field(
        default=None, description="http(s) address that failed runs are posted to as JSON."
    )
    alert_urls: SecretStr | None = Field(
        default=None,
        description="Where alerts go besides the log: Apprise addresses (mailto://, json://, "
        "slack://, ...) separated by blanks.",
    )
    retrain_min_labels: int = Field(
        default=500, ge=1, description="New labels that ask for another training dataset."
    )
    retrain_max_days: float = Field(
        default=30.0, gt=0, description="Age of the newest training dataset that asks for another."
    )
    cache_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "astrid",
        description="Where fetched model weights are kept, by SHA-256.",
    )
    scratch_dir: Path | None = Field(
        default=None, description="Where steps stage files; default is the system's folder."
    )
    workers: int = Field(
        default_factory=lambda: max(1, min(os.cpu_count() or 1, 16)),
        ge=0,
        le=256,
        description="Worker processes inside a step; 0 computes in the step's own process.",
    )
    max_frame_mpix: float = Field(
        default=256.0, gt=0, le=4096, description="Largest frame accepted, in 10^6 pixels."
    )
    labels_min_verdicts: int = Field(
        default=50, ge=1, le=50_000, description="New verdicts that suffice to make labels anew."
    )
    labels_max_wait_s: float = Field(
        default=900,
        gt=0,
        le=7 * 86400,
        description="Seconds that a new verdict waits for labels at most, however few there are.",
    )
    max_waiting_detections: int = Field(
        default=10_000, ge=0, description="Detections awaiting a verdict above which a check warns."
    )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Settings of this process, read from the environment once."""
    return Settings()  # values come from the environment
