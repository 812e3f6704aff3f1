"""What may be tuned in registration, photometric matching and references."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from astrid_core.preprocessing.config import CatalogueConfig, PsfConfig


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PatternConfig(_Part):
    """Star patterns: triangles of bright stars compared by the ratios of their sides."""

    n_bright: int = Field(
        default=60, ge=6, le=400, description="Brightest sources of each frame in patterns."
    )
    n_neighbours: int = Field(
        default=7, ge=3, le=20, description="Triangles are made of a star and its neighbours."
    )
    invariant_radius: float = Field(
        default=0.02, gt=0, le=0.3, description="Largest difference of triangles' side ratios."
    )
    max_scale_change: float = Field(
        default=3.0, ge=1, le=20, description="Pixel scales may differ by this factor."
    )
    max_hypotheses: int = Field(
        default=500, ge=50, le=200_000, description="Transforms tried, most voted first."
    )


class RegistrationConfig(_Part):
    """Configuration of :func:`~astrid_core.differencing.registration.register`."""

    n_sources: int = Field(
        default=1500, ge=10, le=50_000, description="Brightest sources of each frame matched."
    )
    min_matched: int = Field(
        default=6, ge=3, le=1000, description="Fewer matched stars are TooFewStarsError."
    )
    wcs_error_arcsec: float = Field(
        default=15.0, gt=0, le=600, description="How far two WCS may disagree and still be used."
    )
    match_radius_pix: float = Field(
        default=1.5, gt=0, le=20, description="Final matching radius, reference pixels."
    )
    max_chance: float = Field(
        default=1e-6,
        gt=0,
        lt=1,
        description="Largest probability that so many matches arise by chance.",
    )
    max_rms_pix: float = Field(
        default=0.7, gt=0, le=5, description="Scatter of matched stars above this is no match."
    )
    max_order: int = Field(
        default=3, ge=1, le=5, description="Highest order of the polynomial between the frames."
    )
    min_stars_per_term: int = Field(
        default=6, ge=2, le=100, description="Stars per polynomial term for a higher order."
    )
    clip_sigma: float = Field(default=3.5, ge=2, le=10)
    patterns: PatternConfig = PatternConfig()


class PhotometryConfig(_Part):
    """Configuration of :func:`~astrid_core.differencing.photometric.match_photometry`."""

    max_stars: int = Field(default=400, ge=5, le=5000, description="Brightest stars measured.")
    min_stars: int = Field(default=3, ge=1, le=100, description="Fewer stars are TooFewStarsError.")
    min_snr: float = Field(default=10.0, ge=3, le=1000, description="Of a star in both frames.")
    ratio_max_order: int = Field(
        default=2, ge=0, le=4, description="Highest order of the flux ratio's polynomial."
    )
    shift_max_order: int = Field(
        default=2, ge=0, le=4, description="Highest order of the residual shift's polynomial."
    )
    stars_per_term: int = Field(
        default=8, ge=2, le=100, description="Stars per polynomial term for a higher order."
    )
    clip_sigma: float = Field(default=3.0, ge=2, le=10)
    background_mesh_pix: int = Field(
        default=128, ge=16, le=4096, description="Mesh of the residual background."
    )


class ReferenceConfig(_Part):
    """Configuration of :func:`~astrid_core.differencing.references.build_reference`."""

    method: Literal["single", "coadd"] = Field(
        default="coadd", description="The single best frame, or a coadd of the best."
    )
    max_members: int = Field(default=20, ge=1, le=500, description="Best frames used.")
    max_fwhm_ratio: float = Field(
        default=1.6, gt=1, le=10, description="Of a member's FWHM to the median of all."
    )
    max_depth_ratio: float = Field(
        default=3.0, gt=1, le=100, description="Of a member's 5σ flux to the median of all."
    )
    max_ellipticity: float = Field(default=0.5, gt=0, le=1)
    max_masked_fraction: float = Field(default=0.3, gt=0, le=1)
    min_overlap: float = Field(
        default=0.5, ge=0, le=1, description="Of the best frame that a member covers."
    )
    clip_sigma: float = Field(
        default=4.0, ge=2, le=20, description="A member's pixel further off is left out."
    )
    fwhm_weight: float = Field(
        default=1.0,
        ge=0,
        le=4,
        description="Members weigh 1/(variance · FWHM^(2·this)): 1 is best for point sources.",
    )
    min_coverage: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of the coadd's weight below which a pixel is EDGE.",
    )
    registration: RegistrationConfig = RegistrationConfig()
    photometry: PhotometryConfig = PhotometryConfig()
    catalogue: CatalogueConfig = CatalogueConfig()
    psf: PsfConfig = PsfConfig()
