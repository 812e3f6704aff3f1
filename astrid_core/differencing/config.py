"""What may be tuned in differencing, with ranges and reasons."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from astrid_core.differencing.registration_config import PhotometryConfig, RegistrationConfig
from astrid_core.preprocessing.config import PsfConfig

DIFFERENCE_VERSION = "5"
"""Code version of this stage: part of every difference run's id."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MaskGrowth(_Part):
    """How far unusable pixels spoil their surroundings in D and S_corr."""

    defect_fwhm: float = Field(
        default=0.5,
        ge=0,
        le=5,
        description="Bad pixels, cosmic rays and saturated stars with their wings, filled before "
        "subtraction, grow by this.",
    )
    edge_fwhm: float = Field(
        default=1.0, ge=0, le=10, description="Width of the EDGE band along missing data."
    )
    saturation_residual: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Saturated stars are masked out to where this fraction of their profile "
        "sinks below the noise: how well a bright star's wings subtract.",
    )
    saturation_max_fwhm: float = Field(
        default=8.0, ge=1, le=50, description="But never further than this beyond saturation."
    )


class DifferenceLimits(_Part):
    """Outside any of these a difference image is ``degraded``: kept, flagged, not queued."""

    scorr_sigma: tuple[float, float] = Field(
        default=(0.8, 1.25), description="Range of the raw robust sigma of S_corr."
    )
    min_overlap_fraction: float = Field(default=0.3, ge=0, le=1)
    max_masked_fraction: float = Field(default=0.25, ge=0, le=1)
    min_fwhm_pix: float = Field(
        default=1.8, gt=0, le=10, description="Coarser sampling is declared undersampled."
    )
    max_registration_rms_pix: float = Field(default=0.5, gt=0, le=10)


class DifferenceConfig(_Part):
    """Configuration of :func:`~astrid_core.differencing.subtract.subtract_frames`."""

    tile_pix: int = Field(
        default=512, ge=64, le=4096, description="Largest side of a ZOGY tile's core."
    )
    psf_change: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="Tiles are halved until the PSF changes by less than this, relative to "
        "itself, from their centre to their corners.",
    )
    margin_pix: int = Field(
        default=32, ge=8, le=128, description="Overlap of tiles; wider than the kernels' wings."
    )
    background_mesh_pix: int = Field(
        default=128, ge=16, le=4096, description="Mesh of the background removed from D."
    )
    noise_model: Literal["propagated", "autocovariance"] = Field(
        default="propagated",
        description="Where correlated noise comes from: the warp's kernel, or, for mosaics "
        "delivered resampled, the autocovariance of blank sky (never in crowded fields).",
    )
    growth: MaskGrowth = MaskGrowth()
    limits: DifferenceLimits = DifferenceLimits()
    registration: RegistrationConfig = RegistrationConfig()
    photometry: PhotometryConfig = PhotometryConfig(max_stars=150)
    psf: PsfConfig = Field(
        default=PsfConfig(max_stars=80), description="PSF of the warped reference."
    )
