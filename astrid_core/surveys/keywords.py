"""Where a survey's headers keep what AstrID wants to know.

What belongs here: the map from quantities to header keywords and its defaults. What does
not: reading a header with it (``header``).
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator


class Quantity(BaseModel):
    """How one quantity is found: the first of value, file name and keywords that yields it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str | int | float | None = Field(
        default=None, description="Constant; the header is not asked (use it where headers lie)."
    )
    filename: str | None = Field(
        default=None, description="Regular expression on the file's name; group 1, or all of it."
    )
    keywords: tuple[str, ...] = Field(
        default=(), description="Header keywords in order of preference."
    )
    pattern: str | None = Field(
        default=None, description="Regular expression on a keyword's text; group 1, or all of it."
    )
    format: str | None = Field(
        default=None, description="strptime format of a date or time that is not ISO 8601."
    )
    scale: float | None = Field(
        default=None,
        description="Factor on numbers; without it the unit named in the card's comment counts.",
    )
    aliases: dict[str, str] = Field(
        default_factory=dict, description="Text as found to the text to use ('58' to 'I')."
    )

    @field_validator("filename", "pattern")
    @classmethod
    def _is_regular_expression(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                re.compile(text)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return text


def _from_shorthand(given: Any) -> Any:
    """A keyword or a list of keywords stands for a quantity with these keywords."""
    if isinstance(given, str):
        return {"keywords": (given,)}
    if isinstance(given, list | tuple):
        return {"keywords": tuple(given)}
    return given


Lookup = Annotated[Quantity, BeforeValidator(_from_shorthand)]


def _keywords(*names: str) -> Any:
    return Field(default=Quantity(keywords=names))


class KeywordMap(BaseModel):
    """Quantities of an observation and where headers keep them.

    The defaults know the common dialects. A survey states only what differs; what it
    states replaces the default list of that quantity. A quantity no header yields stays
    unknown and is named in the observation's ``assumed``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: Lookup = _keywords("DATE-OBS", "DATE-BEG", "DATE_OBS", "DATEOBS", "UTDATE", "UT-DATE")
    """Start of the exposure: date, with or without time."""
    time: Lookup = _keywords(
        "UTSTART", "UTCSTART", "UTC-OBS", "TIME-OBS", "TIME-BEG", "UT", "UTC", "TAIHMS"
    )
    """Start of the exposure: time of day, where the date has none."""
    mjd: Lookup = _keywords("MJD-OBS", "MJD-BEG", "MJD_OBS", "MJDOBS", "EXPSTART", "MJD", "JD")
    """Start of the exposure as MJD or JD, where date and time do not give it."""
    mid: Lookup = _keywords()
    """Middle of the exposure (ISO 8601, MJD or JD). No default: DATE-AVG, DATE-MID and
    MJD-AVG of real files often hold the start, or are left over from another frame."""
    time_scale: Lookup = _keywords("TIMESYS")
    """Time scale of the above; UTC where not stated, as FITS files mostly mean."""
    exposure: Lookup = _keywords("EXPTIME", "EXPOSURE", "EXP_TIME", "XPOSURE", "ITIME", "TEXP")
    """Exposure in seconds, or in the unit named in the card's comment."""
    filter_band: Lookup = _keywords(
        "BAND", "FILTER", "FILTNAME", "FILTNAM", "FILTNAM1", "FILTERID", "FPA.FILTERID",
        "INSFLNAM", "FILTERS", "FILTER1", "FILT",
    )  # fmt: skip
    gain: Lookup = _keywords(
        "EGAIN", "CCDGAIN", "ATODGAIN", "GAINEFF", "GAIN", "CELL.GAIN", "GAINA"
    )
    """Electrons per raw unit. EGAIN first: amateur cameras keep a dial setting in GAIN."""
    read_noise: Lookup = _keywords(
        "RDNOISE", "READNOIS", "RON", "ENOISE", "READNSE", "READNSEA", "RDNOISEA"
    )
    """Electrons rms."""
    saturation: Lookup = _keywords("SATURATE", "SATLEVEL", "SATURAT", "MAXLIN", "CELL.SATURATION")
    """Raw units."""
    field: Lookup = _keywords("OBJECT", "FIELD", "FIELDID", "TARGNAME", "OBJNAME", "TARGET")
    """Name of the pointing, the same for all its dithers."""
    frame_kind: Lookup = _keywords("IMAGETYP", "OBSTYPE", "FRAMETYP", "FRAME", "PRODTYPE")
    instrument: Lookup = _keywords("INSTRUME", "FPA.INSTRUMENT", "CAMERA", "TELESCOP")
    detector: Lookup = _keywords("DETECTOR", "CCDNUM", "CCDID", "CCDNAME", "DETECTID", "CHIP")
    unit: Lookup = _keywords("BUNIT")
    zero_point: Lookup = _keywords("MAGZERO", "MAGZPT", "ZPMAG")
    """AB magnitude of one raw unit in total: not per second, not Vega, not ST (PHOTZPT)."""
    zero_point_per_s: Lookup = _keywords("FPA.ZP")
    """AB magnitude of one raw unit per second, where the total one is not stated."""

    @model_validator(mode="after")
    def _formats_are_for_dates(self) -> "KeywordMap":
        for name in type(self).model_fields:
            if getattr(self, name).format is not None and name not in {"date", "time", "mid"}:
                raise ValueError(f"keywords.{name}: format is for date, time and mid only")
        return self
