"""One request to a catalogue's service, and the table that it answers.

What belongs here: VOTables out of bytes. What does not: hops, pace, patience and limits (the
session of archives, which asks for us), what the columns mean (the catalogues).
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from astropy.io.votable import parse

from astrid_core.crossmatch.config import ServiceConfig
from astrid_core.errors import (
    CatalogueRefusedError,
    CatalogueUnavailableError,
    ForbiddenAddressError,
)
from astrid_core.remote.config import ArchiveOptions
from astrid_core.remote.session import ArchiveSession, host_of, place
from astrid_core.remote.votable import why_refused

_VOTABLE = re.compile(rb"<(?:\w+:)?VOTABLE\b")
_TAG = re.compile(r"<[^>]*>")
_NOTHING_FOUND = "no solar system object"
"""SkyBoT says so, in whatever status, where nothing is in the cone."""


@dataclass(frozen=True)
class Request:
    """What is asked of a service.

    Attributes
    ----------
    catalogue
        Name for messages.
    url
        Address from the configuration; redirects are followed within its host.
    method
        GET sends the parameters in the address, POST as a form.
    """

    catalogue: str
    url: str
    method: Literal["GET", "POST"]
    parameters: Mapping[str, str]


class Columns:
    """The columns of a VOTable by the ID or name of their field, in any case."""

    def __init__(self, arrays: Mapping[str, Any], request: Request, n_rows: int) -> None:
        self._arrays = arrays
        self._request = request
        self.n_rows = n_rows

    def numbers(self, name: str) -> list[float | None]:
        """Values as floats; None where null or not finite."""
        try:
            return [None if value is None else _finite(value) for value in self._values(name)]
        except (TypeError, ValueError) as error:
            raise _refused(self._request, f"answered {name} that is no number") from error

    def degrees(self, name: str, low: float, high: float) -> list[float | None]:
        """Angles between two limits; None where null."""
        angles = self.numbers(name)
        if any(angle is not None and not low <= angle <= high for angle in angles):
            raise _refused(self._request, f"answered {name} outside {low:g} to {high:g} degrees")
        return angles

    def texts(self, name: str) -> list[str | None]:
        """Values as stripped text; None where null or empty."""
        return [None if value is None else _text(value) or None for value in self._values(name)]

    def _values(self, name: str) -> list[Any]:
        if self.n_rows == 0:
            return []
        try:
            values = self._arrays[name.lower()]
        except KeyError as error:
            raise _refused(
                self._request, f"answered without column {name}; it has {sorted(self._arrays)}"
            ) from error
        mask = np.ma.getmaskarray(values)
        return [
            None if np.all(is_null) else value
            for value, is_null in zip(np.ma.getdata(values), mask, strict=True)
        ]


class CatalogueSession(ArchiveSession):
    """The session of archives, whose failures are those of a catalogue.

    Parameters
    ----------
    request
        What will be asked: its host is the only one spoken to.
    """

    def __init__(self, request: Request, config: ServiceConfig) -> None:
        super().__init__(request.catalogue, _options(request, config))
        self._request = request

    def refused(self, url: str, what: str) -> CatalogueRefusedError:
        """The error of an answer that is no use."""
        return _refused(self._request, what, url)

    def unavailable(self, url: str, what: str, **details: object) -> CatalogueUnavailableError:
        """The error of a service that fails for the moment."""
        return CatalogueUnavailableError(
            f"{self._request.catalogue} at {place(url)} {what}.",
            remedy="Check the network, the address and 'crossmatch.service' in the surveys file; "
            "the next run asks again.",
            **details,
        )


def fetch(request: Request, config: ServiceConfig) -> bytes:
    """The body of a service's answer, tried again when it failed for the moment.

    Raises
    ------
    CatalogueUnavailableError
        If the service cannot be reached, is overloaded or breaks off, at the last attempt.
    CatalogueRefusedError
        If it refuses the request, answers more than ``max_answer_mib`` or leads elsewhere, at
        once.
    """
    form = {"params" if request.method == "GET" else "data": request.parameters}
    with CatalogueSession(request, config) as session:
        try:
            return session.ask(request.method, request.url, **form).content
        except ForbiddenAddressError as error:
            raise _refused(request, f"leads where nothing is asked: {error.message}") from error


def read_votable(body: bytes, request: Request) -> Columns:
    """Columns of the first table of a VOTable.

    Raises
    ------
    CatalogueRefusedError
        If the body is no VOTable, a broken one, or says that the query failed or was cut
        short: a part of the sources would pass for all of them.
    """
    if not _VOTABLE.search(body[:4096]):
        said = " ".join(_TAG.sub(" ", body[:2048].decode("utf-8", "replace")).split())[:120]
        raise _refused(request, f"answered no VOTable but '{said}'")
    why_not = why_refused(body)
    if why_not is not None:
        raise _refused(request, f"answered a VOTable that {why_not}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # services depart from the standard in small ways
            document = parse(BytesIO(body), verify="ignore")
    except Exception as error:
        # astropy and the parsers under it raise whatever they do on what they cannot read.
        raise _refused(request, f"answered a broken VOTable ({error})") from error
    infos = [*document.infos, *(info for resource in document.resources for info in resource.infos)]
    for info in (info for info in infos if info.name == "QUERY_STATUS"):
        said = " ".join(str(info.content or "").split())
        if _NOTHING_FOUND in said.lower():
            return Columns({}, request, 0)
        if info.value != "OK":
            raise _refused(request, f"answered {info.value}: '{said[:200]}'")
    table = next(iter(document.iter_tables()), None)
    if table is None:
        return Columns({}, request, 0)
    arrays = {
        name.lower(): table.array[field.ID]
        for field in table.fields
        for name in (field.name, field.ID)
        if name
    }
    return Columns(arrays, request, len(table.array))


def _options(request: Request, config: ServiceConfig) -> ArchiveOptions:
    return ArchiveOptions(
        allowed_hosts=(host_of(request.url),),
        allow_private=config.allow_private,
        rate_per_s=config.rate_per_s,
        parallel=1,
        timeout_s=config.timeout_s,
        attempts=config.attempts,
        longest_wait_s=config.longest_wait_s,
        max_answer_mib=config.max_answer_mib,
    )


def _refused(request: Request, what: str, url: str | None = None) -> CatalogueRefusedError:
    return CatalogueRefusedError(
        f"{request.catalogue} at {place(url or request.url)} {what}.",
        remedy="Check the address and the limits under 'crossmatch' in the surveys file; "
        "the next run asks again.",
    )


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
