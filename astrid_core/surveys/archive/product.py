"""What an archive offers: files by name and address, found by whoever knows the archive.

What belongs here: the vocabulary between the adapters that find and the code that fetches.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal, Protocol

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Checksum:
    """A checksum as the archive states it: lower-case hexadecimal."""

    algorithm: Literal["md5", "sha1", "sha256"]
    digest: str


@dataclass(frozen=True)
class Product:
    """One file that an archive offers.

    Attributes
    ----------
    name
        The archive's own name for it, stable over queries: its archive id here.
    url
        Where it is fetched.
    size_bytes
        As the archive lists it; None where it does not say.
    is_size_estimated
        Whether that is an estimate, which plans with but proves nothing.
    field
        Field of its pointing where the survey names it; None leaves it to the file.
    """

    name: str
    url: str
    size_bytes: int | None = None
    checksum: Checksum | None = None
    field: str | None = None
    is_size_estimated: bool = False

    @property
    def file_name(self) -> str:
        """Its name as a harmless file name: no folder, no hidden file, not too long."""
        base = self.name.replace("\\", "/").rsplit("/", 1)[-1]
        return _UNSAFE.sub("_", base).lstrip(".-")[-_LONGEST_NAME:] or "unnamed.fits"


class Finder(Protocol):
    """What an adapter is: it finds, and fetches nothing."""

    def nights(self) -> list[dt.date]:
        """Nights that have files, ascending.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses or answers what cannot be read.
        """
        ...

    def products(self, night: dt.date) -> list[Product]:
        """Files of a night in a fixed order, names unique; none for a night without files.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses or answers what cannot be read.
        """
        ...
