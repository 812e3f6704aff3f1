"""What a survey in the Virtual Observatory is: which service, where, when, which images.

What belongs here: options of the ``ivoa`` adapter. What does not: how politely it is asked
(``config``).
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from astrid_core.surveys.archive.mast_config import Cone
from astrid_core.surveys.ranges import Nights

_NAME = r"^[A-Za-z_][A-Za-z0-9_.]*$"


class IvoaOptions(BaseModel):
    """Images of a service by where, when and with what; files by their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: HttpUrl = Field(
        description="The service: the query address of SIA 2 or SIA 1, the base address of TAP."
    )
    protocol: Literal["sia2", "sia1", "obscore"] = Field(
        description="Simple Image Access 2 or 1, or a table of ObsCore through TAP."
    )
    cones: tuple[Cone, ...] = Field(
        min_length=1, description="Where: images that overlap a cone. A named cone is a field."
    )
    dates: Nights = Field(description="Nights 'first..last' that the survey is of.")
    collections: tuple[str, ...] = Field(
        default=(), description="obs_collection, as the archive spells it. Empty: all."
    )
    instruments: tuple[str, ...] = Field(
        default=(), description="instrument_name as globs, in any case. Empty: all."
    )
    filters: tuple[str, ...] = Field(
        default=(), description="Filters as globs, in any case. Empty: all."
    )
    filter_column: str | None = Field(
        default=None,
        pattern=_NAME,
        description="Column that names the filter: ObsCore has none, archives add their own "
        "(energy_bandpassname, filter). Null: SIA 1's bandpass; of the others none.",
    )
    calibration_levels: tuple[Annotated[int, Field(ge=0, le=4)], ...] = Field(
        default=(2,),
        min_length=1,
        description="calib_level: 1 raw, 2 calibrated, 3 combined. SIA 1 knows none.",
    )
    table: str = Field(
        default="ivoa.obscore", pattern=_NAME, description="Table of ObsCore, for TAP."
    )
    overlap: Literal["region", "centre"] = Field(
        default="region",
        description="'centre' for TAP services that cannot intersect s_region: only images whose "
        "centre is in a cone are then found.",
    )
    file_names: tuple[str, ...] = Field(
        default=("*.fits", "*.fits.gz", "*.fits.fz", "*.fits.bz2"),
        min_length=1,
        description="Globs on the files' names, in any case.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Globs on the files' names to leave out."
    )
    max_images: int = Field(
        default=5000,
        ge=1,
        le=50_000,
        description="Images of an answer, at most: where there are more, nights are asked for by "
        "halves, and what one night has more is refused, not cut off.",
    )

    @model_validator(mode="after")
    def _asks_what_the_protocol_knows(self) -> Self:
        if self.protocol == "sia1" and (self.collections or self.calibration_levels != (2,)):
            raise ValueError("SIA 1 knows no 'collections' and no 'calibration_levels'")
        if self.protocol != "sia1" and self.filters and self.filter_column is None:
            raise ValueError("'filters' need the 'filter_column' that they are told by")
        return self
