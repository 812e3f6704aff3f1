"""How a model is trained on a dataset. No torch here: the API and Dagster show it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from astrid_core.detection.config import DeviceChoice

TRAINING_VERSION = "1"
"""Version of the code that trains: raise it when the same configuration may learn otherwise."""

TRAINING_PARTITIONS = "training_run"
"""Name of Dagster's dynamic partitions, one per training run."""

TRAINING_JOB = "train_model"
"""Dagster's job that trains, evaluates and decides; the partition is the training run's id."""


class TrainingConfig(BaseModel):
    """Configuration of a training run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, lt=2**31, description="Of weights and augmentation.")
    start_from: Literal["champion", "scratch"] = Field(
        default="champion",
        description="Begin with the champion's weights, or with random ones in its architecture.",
    )
    steps: int = Field(default=400, ge=1, le=1_000_000, description="Batches at most.")
    batch_size: int = Field(default=32, ge=2, le=4096, description="Windows of a batch.")
    learning_rate: float = Field(
        default=5e-4, gt=0.0, le=0.1, description="Peak of the one-cycle schedule."
    )
    weight_decay: float = Field(default=1e-2, ge=0.0, le=1.0, description="Of AdamW.")
    jitter_pix: int = Field(
        default=8, ge=0, le=8, description="Windows are moved by at most this many pixels."
    )
    use_injections: bool = Field(
        default=True,
        description="Let injected sources of the train split stand for some of the real ones.",
    )
    validate_every: int = Field(
        default=50, ge=1, le=100_000, description="Steps between looks at the val split."
    )
    patience: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="Looks without a lower val loss after which training stops. The weights of "
        "the lowest are kept.",
    )
    checkpoint_every: int = Field(
        default=100, ge=1, le=100_000, description="Steps between checkpoints to resume from."
    )
    device: DeviceChoice = Field(
        default="auto", description="Where to train; auto takes CUDA when there is one."
    )
    mixed_precision: bool = Field(
        default=True, description="Compute in bfloat16 on CUDA; a CPU never does."
    )
