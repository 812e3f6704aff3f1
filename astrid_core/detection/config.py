"""What may be set about scoring detections, and the version of the code that does it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DeviceChoice = Literal["auto", "cpu", "cuda"]
"""Where a network computes; auto takes CUDA when there is one."""

DETECTION_VERSION = "5"
"""Enters the id of every model run: raise it when the same inputs may score differently."""


class DetectionConfig(BaseModel):
    """Configuration of :func:`astrid_core.detection.scoring.detect`.

    What belongs to the weights (window, thresholds, calibration) lies in the model card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: DeviceChoice = Field(
        default="auto",
        exclude=True,  # where it was computed is not part of a run's identity
        description="Where the U-Net runs; auto takes CUDA when there is one.",
    )
    batch_size: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Windows per forward pass; sets peak memory of each that judges.",
    )
    component_min_scorr: float = Field(
        default=4.0,
        ge=3.0,
        le=20.0,
        description="Least |S_corr| of a peak that the network looks at though it is no candidate.",
    )
    component_threshold: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="Pixel probability a component must exceed; default is the model card's.",
    )
    expected_components_per_mpix: float = Field(
        default=1.0,
        gt=0.0,
        le=1000.0,
        description="Real changes too faint for candidates that 10^6 pixels of this survey are "
        "expected to hold: confidences of components are brought to these odds.",
    )
    component_exclusion_fwhm: float = Field(
        default=1.0,
        ge=0.0,
        le=10.0,
        description="A component within this many FWHM of a candidate, or of a component that "
        "stands out more, is that one.",
    )
    max_components: int = Field(
        default=200,
        ge=0,
        description="Most peaks looked at per frame, the most significant first.",
    )
