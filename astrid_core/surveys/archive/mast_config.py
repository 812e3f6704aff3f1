"""What a survey at MAST is: which observations, and which of their files.

What belongs here: options of the ``mast`` adapter. What does not: how politely it is asked
(``config``).
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from astrid_core.surveys.ranges import Nights

MAST = HttpUrl("https://mast.stsci.edu")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cone(_Model):
    """A place on the sky, which is a field of the survey."""

    field: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.+-]{1,80}$",
        description="Name of the field; null leaves it to each file's header or WCS.",
    )
    ra: float = Field(ge=0, lt=360, description="Degrees ICRS.")
    dec: float = Field(ge=-90, le=90, description="Degrees ICRS.")
    radius_deg: float = Field(default=0.05, gt=0, le=5, description="Radius of the search.")


class MastOptions(_Model):
    """Observations by where, when and with what; files by what they are."""

    url: HttpUrl = Field(default=MAST, description="The portal.")
    collections: tuple[str, ...] = Field(
        min_length=1, description="Missions as MAST names them: HST, JWST, PS1, HLA, ..."
    )
    instruments: tuple[str, ...] = Field(
        default=(), description="instrument_name, as 'ACS/WFC'; '*' is a wildcard. Empty: all."
    )
    filters: tuple[str, ...] = Field(
        default=(),
        description="Filters as globs ('F814W'); one of the elements in the beam ('F814W;CLEAR2L') "
        "must match. Empty: all.",
    )
    proposals: tuple[str, ...] = Field(default=(), description="Proposal ids. Empty: all.")
    cones: tuple[Cone, ...] = Field(default=(), description="Where. Empty: all of the sky.")
    dates: Nights = Field(description="Nights 'first..last' that the survey is of.")
    calibration_levels: tuple[int, ...] = Field(
        default=(2, 3),
        description="calib_level of the observations: 1 raw, 2 calibrated, 3 drizzled.",
    )
    product_types: tuple[str, ...] = Field(
        default=("SCIENCE",), description="productType of the files."
    )
    product_groups: tuple[str, ...] = Field(
        default=(),
        description="productSubGroupDescription: FLT, FLC, DRZ, DRC, I2D, CAL, ... Empty: all.",
    )
    file_names: tuple[str, ...] = Field(
        default=("*.fits", "*.fits.gz", "*.fits.fz"),
        min_length=1,
        description="Globs on the files' names, in any case.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Globs on the files' names to leave out."
    )
    max_observations: int = Field(
        default=5000,
        ge=1,
        le=50_000,
        description="Observations of a night, at most; more are refused, not cut off.",
    )

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if not (self.cones or self.proposals or self.instruments):
            raise ValueError("name 'cones', 'proposals' or 'instruments': all of MAST is no survey")
        return self
