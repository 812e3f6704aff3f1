"""What a survey through SkyView is: which sky survey's images, where and how large.

What belongs here: options of the ``skyview`` adapter. What does not: how politely it is
asked (``config``).
"""

import datetime as dt
import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

SKYVIEW = HttpUrl("https://skyview.gsfc.nasa.gov/current/cgi/runquery.pl")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.+-]+")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cutout(_Model):
    """One image asked for, which is a field of the survey."""

    field: str = Field(
        pattern=r"^[A-Za-z0-9_.+-]{1,80}$", description="Name of the field and of its files."
    )
    ra: float = Field(ge=0, lt=360, description="Centre, degrees ICRS.")
    dec: float = Field(ge=-90, le=90, description="Centre, degrees ICRS.")


class SkyviewOptions(_Model):
    """Images by survey, size and scale. All are resampled by SkyView: for display only."""

    url: HttpUrl = Field(default=SKYVIEW, description="SkyView's address for programs.")
    surveys: tuple[str, ...] = Field(
        min_length=1, max_length=20, description="As SkyView names them: 'DSS2 Red', 'SDSSr', ..."
    )
    cutouts: tuple[Cutout, ...] = Field(min_length=1, max_length=500, description="Where.")
    pixels: int = Field(default=512, ge=16, le=4096, description="Pixels along a side.")
    scale_arcsec: float = Field(
        default=1.0, gt=0, le=600, description="Arcseconds per pixel along both sides."
    )
    night: dt.date = Field(
        description="Night under which the images are listed: sky surveys are of many."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what, names in (
            ("cutouts", [cutout.field for cutout in self.cutouts]),
            ("surveys", [file_part(survey) for survey in self.surveys]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two of the {what} would have the same file name")
        return self


def file_part(survey: str) -> str:
    """A sky survey's name as part of a file's: 'DSS2 Red' as 'DSS2_Red'."""
    return _NOT_IN_NAMES.sub("_", survey).strip("_")
