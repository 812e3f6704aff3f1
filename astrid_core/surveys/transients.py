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

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle
from numpy.typing import NDArray

from astrid_core.errors import ConfigurationError
from astrid_core.sky import unit_vectors
from astrid_core.surveys.times import YEARS
from astrid_core.text import readable

COLUMNS = ("name", "ra", "dec", "discovery_date")
_SAME_PLACE_RAD = math.radians(1.0 / 3600.0)
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
    found = _Found()
    rejected: list[RejectedRow] = []
    for line, row in _rows(path):
        name = readable(row["name"])[:_LONGEST_NAME]
        try:
            transient = _transient(name, row, line)
        except ValueError as error:
            rejected.append(RejectedRow(line, name, str(error)))
            continue
        twin = found.twin(transient)
        if twin is None:
            found.add(transient)
        else:
            why = f"is {twin.name} of line {twin.line} again"
            rejected.append(RejectedRow(line, name, why, is_duplicate=True))
    return found.all, rejected


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
    if discovered.year not in YEARS:
        raise ValueError(f"its discovery, {row['discovery_date']}, is no date of an observation")
    if discovered > dt.datetime.now(dt.UTC):
        raise ValueError(f"its discovery, {row['discovery_date']}, has not come yet")
    return Transient(name, ra, dec, discovered.astimezone(dt.UTC), line)


def _degrees(text: str, unit: u.UnitBase) -> float | None:
    try:
        value = float(Angle(text, unit=unit).deg) if ":" in text else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class _Found:
    """Transients so far, looked up by name and by place."""

    def __init__(self) -> None:
        self.all: list[Transient] = []
        self._by_name: dict[str, Transient] = {}
        self._directions = np.zeros((_MAX_ROWS, 3))

    def add(self, transient: Transient) -> None:
        """One more."""
        self._directions[len(self.all)] = _direction(transient)
        self._by_name[transient.name.lower()] = transient
        self.all.append(transient)

    def twin(self, transient: Transient) -> Transient | None:
        """The same transient under an earlier line."""
        if named := self._by_name.get(transient.name.lower()):
            return named
        if not self.all:
            return None
        away = self._directions[: len(self.all)] - _direction(transient)
        apart = np.einsum("ij,ij->i", away, away)
        nearest = int(apart.argmin())
        return self.all[nearest] if apart[nearest] < _SAME_PLACE_RAD**2 else None


def _direction(transient: Transient) -> NDArray[np.float64]:
    """(3,) unit vector; between near ones the distance is their separation in radians."""
    return unit_vectors(np.array([transient.ra]), np.array([transient.dec]))[0]
