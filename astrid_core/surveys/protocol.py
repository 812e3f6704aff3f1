"""What a survey is to the rest of AstrID: nights, and the files of a night, one at a time.

What belongs here: the protocol. What does not: any adapter (a file each) or what is read
out of a file (``ingest``).
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from astrid_core.errors import AstridError
from astrid_core.surveys.config import SurveyConfig


@dataclass(frozen=True)
class SourceFile:
    """One file of a survey's night, present on this machine.

    Attributes
    ----------
    name
        The archive's own name for it, stable over machines and runs.
    path
        Where it lies now. It may be temporary: valid until the next file is asked for.
    field
        Field of a pointing its header does not name, where the survey knows it (only the
        survey sees all dithers of a pointing); None leaves it to the file itself.
    """

    name: str
    path: Path
    field: str | None = None


@dataclass(frozen=True)
class UnfetchedFile:
    """One file of a survey's night that did not come: recorded as failed, never observed.

    Attributes
    ----------
    name
        The archive's own name for it.
    error
        Why it did not come.
    """

    name: str
    error: AstridError


@runtime_checkable
class Survey(Protocol):
    """A source of images, listed by local observing night."""

    @property
    def config(self) -> SurveyConfig:
        """Entry of ``surveys.yaml`` it was opened with."""
        ...

    def nights(self) -> list[dt.date]:
        """Nights that have files, ascending.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached.
        """
        ...

    def files(self, night: dt.date) -> Iterator[SourceFile | UnfetchedFile]:
        """Files of a night in a fixed order, lazily; none for a night without files.

        A survey whose files are all on this machine yields no :class:`UnfetchedFile`.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached: its single files' failures are theirs alone.
        """
        ...
