"""Catalogues of transients: a CSV file to places and dates, bad rows told apart.

What belongs here: reading and judging rows. What does not: looking for images of them
(``pairs``).
"""

import csv
import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from astropy import units as u
from astropy.coordinates import Angle, SkyCoord

from astrid_core.errors import ConfigurationError

COLUMNS = ("name", "ra", "dec", "discovery_date")
_SAME_PLACE_ARCSEC = 1.0
_MAX_ROWS = 10_000
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Transient:
    """Something that appeared.

    Attributes
    ----------
    ra, dec
        Degrees ICRS.
    discovered
        When, UTC; midnight where only the date is known.
    line
        Of the file it stands in.
    """

    name: str
    ra: float
    dec: float
    discovered: dt.datetime
    line: int


@dataclass(frozen=True)
class RejectedRow:
    """A row that is no transient to look for, and why.

    Attributes
    ----------
    is_duplicate
        Whether it is one that stands before it in the file.
    """

    line: int
    name: str
    reason: str
    is_duplicate: bool = False


def read_transients(path: Path) -> tuple[list[Transient], list[RejectedRow]]:
    """Transients of a CSV file with the columns name, ra, dec and discovery_date.

    Right ascension and declination are degrees, or hours and degrees with colons; the date is
    ISO 8601. Further columns are not read. Two rows of one name or one place (within an
    arcsecond) are one transient: the first stands.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, lacks a column or has too many rows.
    """
    found: list[Transient] = []
    rejected: list[RejectedRow] = []
    for line, row in _rows(path):
        name = row["name"][:_LONGEST_NAME]
        try:
            transient = _transient(name, row, line)
        except ValueError as error:
            rejected.append(RejectedRow(line, name, str(error)))
            continue
        twin = _twin(transient, found)
        if twin is None:
            found.append(transient)
        else:
            why = f"is {twin.name} of line {twin.line} again"
            rejected.append(RejectedRow(line, name, why, is_duplicate=True))
    return found, rejected


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = {str(name).strip().lower(): name for name in reader.fieldnames or ()}
            missing = [name for name in COLUMNS if name not in columns]
            if missing:
                raise ConfigurationError(
                    f"Catalogue {path} has no column {', '.join(missing)}.",
                    remedy=f"Its first line must name {', '.join(COLUMNS)}.",
                )
            for number, row in enumerate(reader):
                if number >= _MAX_ROWS:
                    raise ConfigurationError(
                        f"Catalogue {path} has more than {_MAX_ROWS} rows.",
                        remedy="Take it in parts.",
                    )
                yield (
                    reader.line_num,
                    {name: (row[columns[name]] or "").strip() for name in COLUMNS},
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"Catalogue {path} cannot be read: {error}.", remedy="Give a CSV file in UTF-8."
        ) from error


def _transient(name: str, row: dict[str, str], line: int) -> Transient:
    """A row as a transient; ValueError says what of it cannot be read."""
    if not name:
        raise ValueError("has no name")
    ra = _degrees(row["ra"], u.hourangle)
    dec = _degrees(row["dec"], u.deg)
    if ra is None or not 0 <= ra < 360:
        raise ValueError(f"'{row['ra'][:40]}' is no right ascension from 0 to 360 degrees")
    if dec is None or abs(dec) > 90:
        raise ValueError(f"'{row['dec'][:40]}' is no declination from -90 to 90 degrees")
    try:
        discovered = dt.datetime.fromisoformat(row["discovery_date"])
    except ValueError as error:
        raise ValueError(f"'{row['discovery_date'][:40]}' is no ISO date") from error
    if discovered.tzinfo is None:
        discovered = discovered.replace(tzinfo=dt.UTC)
    if discovered > dt.datetime.now(dt.UTC):
        raise ValueError(f"its discovery, {row['discovery_date']}, has not come yet")
    return Transient(name, ra, dec, discovered.astimezone(dt.UTC), line)


def _degrees(text: str, unit: u.UnitBase) -> float | None:
    try:
        value = float(Angle(text, unit=unit).deg) if ":" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _twin(transient: Transient, found: list[Transient]) -> Transient | None:
    """The same transient under an earlier line."""
    for one in found:
        if one.name.lower() == transient.name.lower():
            return one
    if not found:
        return None
    places = SkyCoord([one.ra for one in found], [one.dec for one in found], unit="deg")
    here = SkyCoord(transient.ra, transient.dec, unit="deg")
    away = here.separation(places).arcsec
    nearest = int(away.argmin())
    return found[nearest] if away[nearest] < _SAME_PLACE_ARCSEC else None
