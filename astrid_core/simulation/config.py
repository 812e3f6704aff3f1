"""What the simulated survey looks like: one validated configuration, deterministic by seed."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Filter = Literal["g", "r", "i", "z"]
FILTERS: tuple[Filter, ...] = ("g", "r", "i", "z")

_REFERENCE_NIGHTS = tuple(dt.date(2025, 9, day) for day in (1, 2, 3))
_SCIENCE_NIGHTS = tuple(dt.date(2025, 9, day) for day in range(10, 14))


class SceneConfig(BaseModel):
    """The simulated sky, its telescope and its nights.

    Equal configurations give equal pixels, exposure by exposure, in any order. Fluxes are
    r-band electrons per exposure at full transparency unless said otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=20250901, ge=0, lt=2**63, description="Decides everything drawn.")
    n_fields: int = Field(
        default=10, ge=1, le=200, description="Fields, several degrees apart, one exposure a night."
    )
    shape: tuple[Annotated[int, Field(ge=128, le=2048)], Annotated[int, Field(ge=128, le=2048)]] = (
        Field(default=(512, 512), description="Rows and columns of an exposure.")
    )
    pixel_scale_arcsec: float = Field(default=1.0, ge=0.1, le=5.0, description="Arcsec per pixel.")
    longitude_deg: float = Field(
        default=-70.8, ge=-180, le=360, description="East longitude; decides the hours of a night."
    )
    filters: tuple[Filter, ...] = Field(
        default=("r",), min_length=1, description="One exposure per field, night and filter."
    )
    reference_nights: tuple[dt.date, ...] = Field(
        default=_REFERENCE_NIGHTS, min_length=1, description="Nights that changes are relative to."
    )
    science_nights: tuple[dt.date, ...] = Field(
        default=_SCIENCE_NIGHTS, min_length=1, description="Nights with transients."
    )

    exposure_s: float = Field(default=60.0, gt=0, le=3600, description="Exposure time.")
    zero_point_mag: float = Field(
        default=27.0, ge=15, le=35, description="AB magnitude of one electron per exposure."
    )
    gain_e_adu: float = Field(default=1.6, gt=0.1, le=20, description="Electrons per ADU.")
    read_noise_e: float = Field(default=6.0, ge=0, le=50, description="Rms per pixel, electrons.")
    full_well_adu: int = Field(
        default=60000, ge=5000, le=65535, description="Pixels hold no more; the rest bleeds."
    )

    stars_per_field: int = Field(
        default=250, ge=0, le=5000, description="Expected on 512 × 512 px; scales with area."
    )
    galaxies_per_field: int = Field(
        default=60, ge=0, le=1000, description="Expected on 512 × 512 px; scales with area."
    )
    sky_e: float = Field(default=700.0, gt=0, le=20000, description="Median sky per pixel.")
    sky_scatter: float = Field(default=0.2, ge=0, le=1, description="Lognormal sigma of the sky.")
    seeing_pix: float = Field(default=3.2, ge=2.0, le=8.0, description="Median FWHM.")
    seeing_scatter: float = Field(default=0.12, ge=0, le=0.5, description="Lognormal sigma.")
    seeing_range_pix: tuple[float, float] = Field(
        default=(2.6, 4.2), description="The FWHM is clipped to this."
    )
    transparency_range: tuple[float, float] = Field(
        default=(0.7, 1.0), description="Fraction of the light that clouds and airmass let through."
    )
    dither_pix: float = Field(default=15.0, ge=0, le=60, description="Largest offset on each axis.")
    rotation_deg: float = Field(default=0.15, ge=0, le=5, description="Largest field rotation.")
    pointing_error_pix: float = Field(
        default=0.5, ge=0, le=5, description="Largest error of the header's WCS on each axis."
    )
    psf_variation: float = Field(
        default=0.03, ge=0, le=0.2, description="Change of FWHM and shear towards the edges."
    )
    ellipticity_max: float = Field(default=0.1, ge=0, le=0.4, description="Of an exposure's PSF.")
    gradient_max: float = Field(
        default=0.06, ge=0, le=0.5, description="Edge-to-edge sky gradient, fraction of the sky."
    )

    cosmic_rays: float = Field(
        default=12.0, ge=0, le=500, description="Expected per exposure on 512 × 512 px."
    )
    bad_columns: int = Field(default=3, ge=0, le=50, description="Fixed on the detector.")
    hot_pixels: int = Field(default=40, ge=0, le=2000, description="Fixed on the detector.")
    trail_probability: float = Field(
        default=0.1, ge=0, le=1, description="Chance that a satellite crosses an exposure."
    )

    transients_per_field: float = Field(
        default=3.0, ge=0, le=50, description="Expected supernova-like events per field."
    )
    variables_per_field: float = Field(
        default=5.0, ge=0, le=100, description="Expected variable stars per field."
    )
    movers_per_field: float = Field(
        default=1.2, ge=0, le=20, description="Expected asteroids per field over the nights."
    )
    snr_range: tuple[float, float] = Field(
        default=(3.0, 50.0), description="Typical S/N of changes, log-uniform."
    )

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> "SceneConfig":
        for name in ("seeing_range_pix", "transparency_range", "snr_range"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be two positive numbers in order")
        if self.transparency_range[1] > 1:
            raise ValueError("transparency_range cannot exceed 1")
        if self.seeing_range_pix[0] < 2.0:
            raise ValueError("seeing_range_pix below 2 px is undersampled")
        return self

    @model_validator(mode="after")
    def _nights_and_filters_are_distinct(self) -> "SceneConfig":
        nights = (*self.reference_nights, *self.science_nights)
        if len(set(nights)) != len(nights):
            raise ValueError("reference_nights and science_nights must all be different nights")
        if len(set(self.filters)) != len(self.filters):
            raise ValueError("filters must be different")
        return self

    @property
    def nights(self) -> tuple[dt.date, ...]:
        """All nights, ascending."""
        return tuple(sorted((*self.reference_nights, *self.science_nights)))

    @property
    def area_ratio(self) -> float:
        """Area of an exposure over that of 512 × 512 px."""
        return self.shape[0] * self.shape[1] / 512**2
