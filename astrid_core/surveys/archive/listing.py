"""Images as archives list them, before any file is fetched.

What belongs here: the vocabulary of listings, and reading the texts in which the Virtual
Observatory writes regions. What does not: asking (the adapters).
"""

import datetime as dt
import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from astropy.time import Time

from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.times import MJD_RANGE, ExposureTime, night_of

_CIRCLE_CORNERS = 24
_LONGEST_REGION = 4096
_STRAIGHT = 1e-2
"""Sine of a turn that is none: the plane of :func:`is_convex` bends sides by as much."""
Corners = tuple[tuple[float, float], ...]
"""Corners of a region in order around it, (ra, dec) in degrees ICRS."""


@dataclass(frozen=True)
class ListedImage:
    """One image as an archive lists it; what it does not say is None or ''.

    Attributes
    ----------
    product
        Its file. Where ``is_link``, its address is of what leads there and must be resolved.
    mid_mjd
        Middle of the exposure, MJD (UTC).
    night
        Local observing night of that.
    filter_text, instrument
        As the archive spells them.
    footprint
        Where it lies.
    """

    product: Product
    mid_mjd: float
    night: dt.date
    filter_text: str = ""
    instrument: str = ""
    footprint: Corners | None = None
    is_link: bool = False


class Lister(Protocol):
    """An adapter that can also tell what it found."""

    def listed(self, first: dt.date, last: dt.date) -> list[ListedImage]:
        """Images of nights, both included, within the survey's dates.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses or answers what cannot be read.
        """
        ...

    def resolved(self, image: ListedImage) -> Product | None:
        """File of an image, its link followed; None where the rules leave it out.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached.
        """
        ...


def matches(texts: Sequence[str], globs: Sequence[str]) -> bool:
    """Whether one of some texts is of one of some glob patterns, in any case; of none, all are."""
    return not globs or any(
        fnmatch.fnmatchcase(text.lower(), glob.lower()) for text in texts for glob in globs
    )


def is_wanted_file(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a file's name is of the patterns wanted, and of none to leave out."""
    return matches((name,), include) and not (exclude and matches((name,), exclude))


def mjd_around(first: dt.date, last: dt.date) -> tuple[float, float]:
    """Span of MJD (UTC) that holds nights, both included, at any longitude.

    A day on both sides, as nights are not UTC days.
    """
    span = first - dt.timedelta(days=1), last + dt.timedelta(days=2)
    begin, end = (float(Time(day.isoformat(), scale="utc").mjd) for day in span)
    return begin, end


def is_date(mjd: float) -> bool:
    """Whether a number can be the MJD of an observation."""
    return MJD_RANGE[0] < mjd < MJD_RANGE[1]


def night_of_mjd(mid_mjd: float, longitude_deg: float | None) -> dt.date:
    """Local observing night of a moment, MJD (UTC)."""
    moment = Time(mid_mjd, format="mjd", scale="utc").to_datetime(timezone=dt.UTC)
    night = night_of(ExposureTime(moment, None, None), longitude_deg)
    assert night is not None  # noqa: S101  there is a moment
    return night


def parse_region(text: str) -> Corners | None:
    """Corners of an STC-S or DALI region; None where it is another shape or no region.

    ``POLYGON [frame] ra dec …``, ``CIRCLE [frame] ra dec radius`` and bare numbers (DALI),
    of which three are a circle. Only equatorial frames are taken: in others the numbers are
    no right ascensions.
    """
    words = text[:_LONGEST_REGION].replace(",", " ").split()
    shape = words.pop(0).upper() if words and words[0].isalpha() else ""
    frames = [word.upper() for word in words if not _is_number(word)]
    numbers = [float(word) for word in words if _is_number(word)]
    if not all(frame in _EQUATORIAL for frame in frames) or not all(map(math.isfinite, numbers)):
        return None
    if shape in ("CIRCLE", "") and len(numbers) == 3 and 0 < numbers[2] < 90:
        return circle(*numbers)
    if shape in ("POLYGON", "") and len(numbers) >= 6 and len(numbers) % 2 == 0:
        corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        return corners[:-1] if corners[0] == corners[-1] else corners
    return None


def circle(ra: float, dec: float, radius_deg: float) -> Corners:
    """A circle on the sky as a polygon, degrees."""
    centre, radius = math.radians(dec), math.radians(radius_deg)
    corners = []
    for number in range(_CIRCLE_CORNERS):
        angle = 2 * math.pi * number / _CIRCLE_CORNERS
        sine = math.sin(centre) * math.cos(radius) + math.cos(centre) * math.sin(radius) * math.cos(
            angle
        )
        away = math.atan2(
            math.sin(angle) * math.sin(radius) * math.cos(centre),
            math.cos(radius) - math.sin(centre) * sine,
        )
        corners.append(((ra + math.degrees(away)) % 360.0, math.degrees(math.asin(sine))))
    return tuple(corners)


def is_convex(corners: Corners) -> bool:
    """Whether a region of a few degrees at most has no corner that points inwards."""
    ra, dec = corners[0]
    scale = math.cos(math.radians(dec))
    plane = [(((x - ra + 180.0) % 360.0 - 180.0) * scale, y - dec) for x, y in corners]
    turns = []
    for number, (x, y) in enumerate(plane):
        (x0, y0), (x1, y1) = plane[number - 1], plane[(number + 1) % len(plane)]
        ahead, after = (x - x0, y - y0), (x1 - x, y1 - y)
        turn = ahead[0] * after[1] - ahead[1] * after[0]
        # Corners on a side, as far as degrees are told, turn nowhere.
        turns.append(turn / (math.hypot(*ahead) * math.hypot(*after) or 1.0))
    return min(turns) > -_STRAIGHT or max(turns) < _STRAIGHT


_EQUATORIAL = frozenset(
    {
        *("ICRS", "FK5", "J2000", "UNKNOWNFRAME", "SPHERICAL2", "CARTESIAN2"),
        *("TOPOCENTER", "GEOCENTER", "BARYCENTER", "UNKNOWNREFPOS"),
    }
)
"""Words of an STC-S phrase that leave its numbers degrees of right ascension and declination;
FK5 differs from ICRS by less than any footprint is known."""


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
