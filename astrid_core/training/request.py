"""What is asked for when a training dataset is collected."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DEFAULT_DAYS = 180
"""Length of the window where no start is given."""


def _utc(time: dt.datetime) -> dt.datetime:
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


UtcTime = Annotated[dt.datetime, AfterValidator(_utc)]
"""A time; UTC where it does not say."""


class CollectionRequest(BaseModel):
    """Which detections a dataset is to be made of.

    Validated detections, real and bogus, are taken at any confidence. Only where the window
    holds none do unvalidated ones serve: confident ones that forced photometry confirms as
    positives, those of at most ``MODEL_NEGATIVE_CONFIDENCE`` as negatives, marked as the
    model's and never to measure by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Name of the dataset; asked for again, it is the next version.",
    )
    survey_ids: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        min_length=1, max_length=100, description="Names of the surveys to take from."
    )
    end: UtcTime = Field(
        default_factory=lambda: dt.datetime.now(dt.UTC),
        description="End of the window of mid-exposure times, exclusive; now if left out. UTC "
        "where it does not say.",
    )
    start: UtcTime = Field(
        default_factory=lambda data: data["end"] - dt.timedelta(days=DEFAULT_DAYS),
        description=f"Its start, inclusive; {DEFAULT_DAYS} days before its end if left out.",
    )
    confidence_threshold: float = Field(
        default=0.7,
        ge=0.0,
        le=1.0,
        description="Least confidence of unvalidated positives, which serve only where nothing "
        "is validated.",
    )
    max_samples: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Most samples, injections not counted."
    )
    description: str | None = Field(default=None, max_length=10_000, description="What it is for.")
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Decides which samples where there are too many."
    )
    sampling: Literal["random", "balanced", "within_4"] = Field(
        default="random",
        description="Which, where there are more than max_samples: any; as many real as bogus as "
        "far as there are; or of either label at most four times as many as of the other, which "
        "keeps more of a survey whose candidates are nearly all bogus.",
    )
    injections_per_frame: int = Field(
        default=0,
        ge=0,
        le=200,
        description="Sources injected into each frame before subtraction, as further positives "
        "of the train split. Never labels: they are marked, and nothing is measured by them.",
    )

    @model_validator(mode="after")
    def _window_is_a_window(self) -> "CollectionRequest":
        if self.start >= self.end:
            raise ValueError("start must be before end")
        if len(set(self.survey_ids)) != len(self.survey_ids):
            raise ValueError("survey_ids must be different")
        return self


MODEL_NEGATIVE_CONFIDENCE = 0.1
"""Unvalidated detections of at most this confidence serve as negatives."""

COLLECTION_JOB = "collect_training_data"
"""Dagster's job that collects; the partition is the dataset's id."""

COLLECTION_OP = "collect_dataset"
"""Its op that is configured with the request."""

DATASET_PARTITIONS = "training_dataset"
"""Name of Dagster's dynamic partitions, one per dataset."""
