"""When an exposure was taken, and which night that is.

What belongs here: dates and times as headers write them. A text that is not a valid date
or time is not corrected: what it does not say stays unknown.
"""

import datetime as dt
import re
import warnings
from dataclasses import dataclass, replace

from astropy.time import Time, TimeDelta

from astrid_core.surveys.header import HeaderReader, parse_number

_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ]\s*(.+))?")
_OLD_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?\s*(Z|UTC?|[+-]\d{2}:?\d{2})?")
_OLD_CENTURY = 1900
_OLDEST_YEAR_IN_OLD_DATES = 50
"""DD/MM/YY means 19YY by the standard, but '05/10/24' of a CCD does not mean 1924."""
_SCALES = {
    "UTC": "utc",
    "UT": "utc",
    "UT1": "utc",  # within 0.9 s
    "GMT": "utc",
    "TAI": "tai",
    "TT": "tt",
    "TDT": "tt",
    "TDB": "tdb",
}
_JD_OF_MJD_0 = 2400000.5
MJD_RANGE = (0.0, 120000.0)
_LONGEST_S = 86400.0 * MJD_RANGE[1]
YEARS = range(1858, 2188)
"""The same in years: what lies outside is no date."""


@dataclass(frozen=True)
class ExposureTime:
    """When an exposure was taken, as far as its header says.

    Attributes
    ----------
    mid_utc
        Middle of the exposure, UTC; None without a usable time.
    mid_mjd_tai
        The same as MJD (TAI).
    date
        Date as stated, where there is one, even without a usable time.
    is_start
        True where the exposure is unknown, so that ``mid_utc`` is its start.
    """

    mid_utc: dt.datetime | None
    mid_mjd_tai: float | None
    date: dt.date | None
    is_start: bool = False


def exposure_time(reader: HeaderReader, exposure_s: float | None) -> ExposureTime:
    """Middle of an exposure from date and time, or from MJD, or not at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # erfa finds years before 1960 dubious for UTC
        scale = _SCALES.get((reader.text("time_scale") or "UTC").upper(), "utc")
        middle = _moment(reader, "mid", scale)
        told = None if middle is None else _exposure_time(middle, None, is_start=False)
        if told is not None and told.mid_utc is not None:
            return replace(told, date=told.mid_utc.date())
        start, date = _start(reader, scale)
        half_s = (exposure_s or 0.0) / 2
        if start is None or half_s > _LONGEST_S:
            return ExposureTime(None, None, date)
        middle = start + TimeDelta(half_s, format="sec")
        return _exposure_time(middle, date, is_start=exposure_s is None)


def night_of(time: ExposureTime, longitude_deg: float | None) -> dt.date | None:
    """Local observing night: the date at the last local mean noon; None without a date.

    Without longitude it is the UTC date. A date without a time cannot be told apart from
    its neighbour and counts as the night.
    """
    if time.mid_utc is None:
        return time.date
    if longitude_deg is None:
        return time.mid_utc.date()
    east_deg = (longitude_deg + 180.0) % 360.0 - 180.0
    return (time.mid_utc + dt.timedelta(hours=east_deg / 15.0 - 12.0)).date()


def parse_date(text: str, pattern: str | None = None) -> tuple[dt.date, str] | None:
    """Date and what follows it ('' for none) of a header text; None if it is no date.

    Parameters
    ----------
    pattern
        strptime format; without it ISO 8601, YYYY/MM/DD and the old DD/MM/YY.
    """
    try:
        if pattern is not None:
            moment = dt.datetime.strptime(text, pattern)  # its scale comes later
            has_clock = any(code in pattern for code in ("%H", "%I", "%T"))
            clock = moment.time().isoformat() if has_clock else ""
            return (moment.date(), clock) if moment.year in YEARS else None
        if match := _DATE.fullmatch(text.strip()):
            year, month, day, rest = match.groups()
            date = dt.date(int(year), int(month), int(day))
            return (date, rest or "") if date.year in YEARS else None
        match = _OLD_DATE.fullmatch(text.strip())
        if match and int(match[3]) >= _OLDEST_YEAR_IN_OLD_DATES:
            return dt.date(_OLD_CENTURY + int(match[3]), int(match[2]), int(match[1])), ""
    except ValueError:
        return None
    return None


def parse_clock(text: str) -> float | None:
    """Seconds after midnight UTC of 'hh:mm[:ss]', with zone; None if it is no time of day."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2]), float(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds >= 60:
        return None
    return hours * 3600 + minutes * 60 + seconds - _zone_seconds(match[4])


def _zone_seconds(zone: str | None) -> float:
    if zone is None or zone[0] not in "+-":
        return 0.0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _exposure_time(middle: Time, date: dt.date | None, *, is_start: bool) -> ExposureTime:
    """The middle as columns have it; no time where no calendar goes as far."""
    if not MJD_RANGE[0] < float(middle.mjd) < MJD_RANGE[1]:  # an exposure may be of any length
        return ExposureTime(None, None, date)
    return ExposureTime(
        # A middle within a leap second, which datetime has not, is told as the next second.
        mid_utc=middle.utc.to_datetime(timezone=dt.UTC, leap_second_strict="silent"),
        mid_mjd_tai=float(middle.tai.mjd),
        date=date,
        is_start=is_start,
    )


def _start(reader: HeaderReader, scale: str) -> tuple[Time | None, dt.date | None]:
    """Start of an exposure and its date; the time is None where only the date is usable."""
    date: dt.date | None = None
    for text in reader.texts("date"):
        parsed = parse_date(text, reader.keywords.date.format)
        if parsed is None:
            continue
        clocks = [parsed[1]] if parsed[1] else list(_clock_texts(reader))
        for clock in clocks:
            seconds = parse_clock(clock)
            if seconds is not None:
                return _at(parsed[0], seconds, scale), parsed[0]
        date = date or parsed[0]
    return _start_from_mjd(reader, scale, date)


def _clock_texts(reader: HeaderReader) -> list[str]:
    pattern = reader.keywords.time.format
    if pattern is None:
        return list(reader.texts("time"))
    found = (parse_date(text, pattern) for text in reader.texts("time"))
    return [parsed[1] for parsed in found if parsed is not None]


def _start_from_mjd(
    reader: HeaderReader, scale: str, date: dt.date | None
) -> tuple[Time | None, dt.date | None]:
    """Start from MJD, if it does not contradict a date already read.

    A whole number is a date without a time, as files exist whose MJD is that of midnight.
    """
    for text in reader.texts("mjd"):
        mjd = _as_mjd(text)
        if mjd is None:
            continue
        moment = Time(mjd, format="mjd", scale=scale)
        day = moment.to_datetime().date()
        if date is not None and abs((day - date).days) > 1:
            continue
        if mjd % 1.0 == 0.0:
            date = date or day
            continue
        return moment, day
    return None, date


def _as_mjd(text: str) -> float | None:
    number = parse_number(text)
    if number is None:
        return None
    mjd = number - _JD_OF_MJD_0 if number > _JD_OF_MJD_0 else number
    return mjd if MJD_RANGE[0] < mjd < MJD_RANGE[1] else None


def _moment(reader: HeaderReader, quantity: str, scale: str) -> Time | None:
    """First text of a quantity that is a full moment: date with time, MJD or JD."""
    for text in reader.texts(quantity):
        parsed = parse_date(text, getattr(reader.keywords, quantity).format)
        seconds = parse_clock(parsed[1]) if parsed and parsed[1] else None
        if parsed is not None and seconds is not None:
            return _at(parsed[0], seconds, scale)
        mjd = _as_mjd(text)
        if parsed is None and mjd is not None:
            return Time(mjd, format="mjd", scale=scale)
    return None


def _at(date: dt.date, seconds: float, scale: str) -> Time:
    return Time(date.isoformat(), format="iso", scale=scale) + TimeDelta(seconds, format="sec")
