"""What may be tuned in extraction, with ranges and reasons."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

FilterName = Literal[
    "edge",
    "masked",
    "duplicate",
    "sidelobe",
    "sharp",
    "contradiction",
    "trail_part",
    "dipole_partner",
]
"""Named filters, in the order in which they are applied.

edge            peak in the EDGE band, where the kernels are incomplete
masked          too much of its PSF lies on unusable pixels
duplicate       fitted to the place of a brighter candidate: a masked column cut one source in two
sidelobe        not significant once the wings of brighter candidates are taken away
sharp           much sharper than the PSF: nothing in the sky is
contradiction   the PSF flux on D has the other sign, or is not significant at all
trail_part      part of a streak that another candidate stands for
dipole_partner  weaker half of a dipole that the stronger half stands for
"""

FILTER_NAMES: tuple[FilterName, ...] = get_args(FilterName)


class ExtractionConfig(BaseModel):
    """Configuration of :func:`~astrid_core.extraction.extract.extract_candidates`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold_sigma: float = Field(
        default=5.0, ge=2.5, le=50, description="Peak of |S_corr| a candidate needs."
    )
    deblend_contrast: float = Field(
        default=0.01, ge=0, le=1, description="SEP's contrast between peaks of a blend."
    )
    disabled_filters: frozenset[FilterName] = Field(
        default=frozenset(), description="Named filters to leave out."
    )
    max_masked_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of a source's PSF² weight on unusable pixels above which it is "
        "'masked'; below, it is flagged NEAR_MASKED.",
    )
    sharp_flag_ratio: float = Field(
        default=1.6, gt=1, le=10, description="Peak over the fitted PSF's peak: flagged SHARP."
    )
    sharp_filter_ratio: float = Field(
        default=3.0, gt=1, le=20, description="The same: filtered as 'sharp'."
    )
    min_flux_snr: float = Field(
        default=2.0, ge=0, le=10, description="PSF flux on D below this is a 'contradiction'."
    )
    elongation_flag: float = Field(default=2.0, gt=1, le=20, description="Flagged ELONGATED.")
    trail_length_fwhm: float = Field(
        default=8.0, ge=3, le=100, description="A connected streak longer than this is a trail."
    )
    trail_aspect: float = Field(
        default=4.0, ge=2, le=100, description="Length over width a trail needs."
    )
    dipole_separation_fwhm: float = Field(
        default=1.6, gt=0, le=5, description="Largest distance between a dipole's halves."
    )
    dipole_balance: float = Field(
        default=0.25, gt=0, le=1, description="Weaker over stronger half of a dipole, at least."
    )
    near_saturated_fwhm: float = Field(
        default=3.0, ge=0, le=50, description="Distance from saturation: flagged NEAR_SATURATED."
    )
    on_source_sigma: float = Field(
        default=2.5, gt=0, le=50, description="3x3 mean of the reference: flagged ON_SOURCE."
    )
    max_candidates: int = Field(
        default=5000, ge=1, le=1_000_000, description="The strongest are kept; rest counted."
    )
