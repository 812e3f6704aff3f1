"""What may be tuned in preprocessing, with ranges and reasons."""

from pydantic import BaseModel, ConfigDict, Field

PREPROCESS_VERSION = "3"
"""Code version of this stage: part of every preprocess run's id."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackgroundConfig(_Part):
    """Mesh background, iterated with a growing source mask."""

    mesh_pix: int = Field(
        default=128, ge=16, le=4096, description="Cell size; larger than any galaxy to be kept."
    )
    filter_cells: int = Field(default=3, ge=1, le=11, description="Median filter over cells.")
    passes: int = Field(default=2, ge=1, le=5, description="Background → source mask rounds.")
    source_sigma: float = Field(
        default=2.5, gt=0.5, le=20, description="Pixels above this are masked as source."
    )
    max_masked_cell: float = Field(
        default=0.75,
        gt=0,
        lt=1,
        description="A cell with more of its area masked is filled from its neighbours.",
    )


class MaskConfig(_Part):
    """Saturation, defects and trails."""

    saturation_fraction: float = Field(
        default=0.97, gt=0.3, le=1, description="Of the saturation level, where SATURATED begins."
    )
    saturation_grow_pix: int = Field(default=2, ge=0, le=20, description="Growth over bleeding.")
    column_sigma: float = Field(
        default=7.0, ge=3, le=100, description="Column offset, in its own error, that is BAD."
    )
    dark_sigma: float = Field(
        default=8.0, ge=4, le=100, description="Single pixels this far below the sky are BAD."
    )
    dark_current_sigma: float = Field(
        default=8.0,
        ge=3,
        le=100,
        description="Dark current this far above its neighbours', in the frame's noise, is BAD.",
    )
    dead_response: float = Field(
        default=0.5, gt=0, lt=1, description="Flat response below which a pixel is BAD."
    )
    find_trails: bool = Field(default=True, description="Look for satellite trails.")
    trail_sigma: float = Field(
        default=5.0, ge=3, le=100, description="Significance at which a line is looked at."
    )
    trail_min_length: float = Field(
        default=0.35, gt=0.05, le=1, description="Of the frame's shorter side."
    )


class DefectMapConfig(_Part):
    """Pixels that stand out in place over the exposures of one detector and night."""

    enabled: bool = Field(default=True, description="Look for them, and mask them as BAD.")
    min_pointings: int = Field(
        default=3, ge=3, le=100, description="With fewer different pointings nothing is told."
    )
    max_pointings: int = Field(
        default=24, ge=3, le=1000, description="No more exposures than this are looked at."
    )
    min_dither_pix: float = Field(
        default=20.0,
        ge=3,
        le=10_000,
        description="Pointings nearer than this are one; several FWHM, or stars stay in place.",
    )
    max_false_pixels: float = Field(
        default=0.01, gt=0, le=10, description="Expected per map if the sky alone decided."
    )
    max_fraction: float = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="More of the detector than this is a pattern, not defects: none is masked.",
    )


class CosmicsConfig(_Part):
    """L.A.Cosmic (van Dokkum 2001) as implemented by astroscrappy."""

    enabled: bool = True
    sigma_clip: float = Field(default=5.0, ge=2, le=50, description="Laplacian significance.")
    sigma_fraction: float = Field(default=0.3, gt=0, le=1, description="Of it, for neighbours.")
    object_limit: float = Field(
        default=5.0, ge=0.5, le=100, description="Contrast against the fine-structure image."
    )
    iterations: int = Field(default=2, ge=1, le=8)
    psf_margin: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="A hit is steeper than the PSF by this factor; less than 1 for its errors.",
    )
    confirm_sigma: float = Field(default=3.0, ge=1, le=50, description="And significantly so.")
    max_fraction: float = Field(
        default=0.02,
        gt=0,
        le=0.5,
        description="More than this of the frame hit is not cosmic rays: nothing is masked.",
    )


class CatalogueConfig(_Part):
    """Source catalogue and the choice of stars in it."""

    detect_sigma: float = Field(default=4.0, ge=1, le=100, description="Per-pixel threshold.")
    min_area_pix: int = Field(default=4, ge=1, le=1000)
    deblend_contrast: float = Field(default=0.002, ge=0, le=1)
    star_snr: float = Field(default=20.0, ge=6, le=1000, description="S/N a star should have.")
    few_stars: int = Field(
        default=8, ge=1, le=1000, description="With fewer stars, half the S/N is enough."
    )
    min_fwhm_pix: float = Field(
        default=1.15, ge=0.5, le=5, description="Sharper than this is a defect, not a star."
    )
    locus_width: float = Field(
        default=0.12, gt=0.01, le=1, description="Half-width of the star locus in ln(FWHM)."
    )
    ellipticity_width: float = Field(
        default=0.12, gt=0.01, le=1, description="Allowed distance from the locus' ellipticity."
    )
    contamination: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Neighbours' light at a star's centre, of its own peak, that it may have.",
    )
    max_measured: int = Field(
        default=1500, ge=10, le=100_000, description="Brightest sources whose shape is measured."
    )


class PsfConfig(_Part):
    """PSF from stars."""

    max_stars: int = Field(default=120, ge=5, le=2000)
    min_stars: int = Field(
        default=8, ge=3, le=1000, description="Fewer give a Moffat fallback, declared as such."
    )
    max_neighbours: int = Field(
        default=1000, ge=0, le=100_000, description="Brightest sources subtracted as neighbours."
    )
    fallback_min_stars: int = Field(
        default=2, ge=1, le=100, description="Fewer than this is TooFewStarsError."
    )
    order_1_min_stars: int = Field(default=15, ge=6, le=1000)
    order_2_min_stars: int = Field(default=30, ge=12, le=1000)
    max_order: int = Field(default=2, ge=0, le=2)
    half_width_fwhm: float = Field(
        default=3.5, ge=1.5, le=10, description="Stamp half-width in FWHM."
    )
    min_half_width_pix: int = Field(default=7, ge=3, le=60)
    max_half_width_pix: int = Field(default=31, ge=5, le=60)
    iterations: int = Field(default=4, ge=1, le=20)
    prior_scale: float = Field(
        default=0.3,
        gt=0,
        le=10,
        description="Expected departure from the Moffat profile, of the profile itself.",
    )


class CalibrationConfig(_Part):
    """How calibration frames are combined."""

    clip_sigma: float = Field(default=4.0, ge=2, le=20, description="Clipping of masters.")
    min_frames_clipped: int = Field(
        default=4, ge=3, le=50, description="Fewer frames are combined by their median."
    )


class QualityLimits(_Part):
    """Outside any of these a frame is ``degraded``: kept, flagged, not queued for review."""

    max_fwhm_pix: float = Field(default=15.0, gt=1, le=100)
    min_fwhm_pix: float = Field(
        default=1.8, gt=0, le=10, description="Coarser sampling is declared undersampled."
    )
    max_ellipticity: float = Field(default=0.75, gt=0, le=1)
    min_psf_stars: int = Field(
        default=3, ge=1, le=1000, description="Fewer leave the PSF a guess, fallback or not."
    )
    max_masked_fraction: float = Field(default=0.25, gt=0, le=1)


class PreprocessConfig(_Part):
    """Configuration of :func:`~astrid_core.preprocessing.process.process_frame`."""

    calibration: CalibrationConfig = CalibrationConfig()
    background: BackgroundConfig = BackgroundConfig()
    mask: MaskConfig = MaskConfig()
    defect_map: DefectMapConfig = DefectMapConfig()
    cosmics: CosmicsConfig = CosmicsConfig()
    catalogue: CatalogueConfig = CatalogueConfig()
    psf: PsfConfig = PsfConfig()
    quality: QualityLimits = QualityLimits()
