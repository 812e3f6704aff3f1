"""One request to a catalogue's service: bounded, patient, typed when it fails.

What belongs here: bytes over HTTP and VOTables out of them. What the columns mean is the
catalogues' business.
"""

import logging
import re
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
import requests
from astropy.io.votable import parse
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from astrid_core.crossmatch.config import ServiceConfig
from astrid_core.errors import CatalogueRefusedError, CatalogueUnavailableError
from astrid_core.votable import why_refused

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 16
_MIB = 1 << 20
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
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
        Address from the configuration; redirects are not followed.
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


def fetch(request: Request, config: ServiceConfig) -> bytes:
    """The body of a service's answer, tried again when it failed for the moment.

    Raises
    ------
    CatalogueUnavailableError
        If the service cannot be reached, is overloaded or breaks off, at the last attempt.
    CatalogueRefusedError
        If it refuses the request or answers more than ``max_response_mib``, at once.
    """
    exponential = wait_random_exponential(multiplier=0.5, max=config.longest_wait_s)

    def wait_s(state: RetryCallState) -> float:
        asked = _failure(state).details.get("retry_after_s")
        return min(float(str(asked)), config.longest_wait_s) if asked else exponential(state)

    def report(state: RetryCallState) -> None:
        _log.warning(
            "attempt %d failed, trying again: %s", state.attempt_number, _failure(state).message
        )

    retrying = Retrying(
        retry=retry_if_exception(
            lambda e: isinstance(e, CatalogueUnavailableError) and e.transient
        ),
        stop=stop_after_attempt(config.attempts),
        wait=wait_s,
        before_sleep=report,
        reraise=True,
    )
    return retrying(_fetch_once, request, config)


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


def _fetch_once(request: Request, config: ServiceConfig) -> bytes:
    is_get = request.method == "GET"
    try:
        with requests.request(
            request.method,
            request.url,
            params=request.parameters if is_get else None,
            data=None if is_get else request.parameters,
            timeout=config.timeout_s,
            stream=True,
            allow_redirects=False,
        ) as response:
            _check_status(request, response)
            return _read(request, response, config)
    except requests.RequestException as error:
        raise CatalogueUnavailableError(
            f"{request.catalogue} at {request.url} cannot be reached: {type(error).__name__}.",
            remedy="Check the network and the address; the next run asks again.",
        ) from error


def _check_status(request: Request, response: requests.Response) -> None:
    status = response.status_code
    if status in _TRANSIENT_STATUS:
        after = response.headers.get("Retry-After", "")
        details = {"retry_after_s": int(after)} if after.isdecimal() else {}
        raise CatalogueUnavailableError(
            f"{request.catalogue} at {request.url} is unavailable.",
            remedy="The next run asks again.",
            http_status=status,
            **details,
        )
    if status != requests.codes.ok:
        raise _refused(request, f"answered HTTP {status} {response.reason}")


def _read(request: Request, response: requests.Response, config: ServiceConfig) -> bytes:
    """The body, up to its limits in bytes and in time."""
    most_bytes = int(config.max_response_mib * _MIB)
    deadline = time.monotonic() + config.timeout_s
    body = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > most_bytes:
            raise _refused(
                request, f"answered more than max_response_mib ({config.max_response_mib:g})"
            )
        if time.monotonic() > deadline:
            raise CatalogueUnavailableError(
                f"{request.catalogue} at {request.url} took longer than "
                f"{config.timeout_s:g} s to answer.",
                remedy="Raise service.timeout_s, or wait; the next run asks again.",
            )
    return bytes(body)


def _refused(request: Request, what: str) -> CatalogueRefusedError:
    return CatalogueRefusedError(
        f"{request.catalogue} at {request.url} {what}.",
        remedy="Check the address and the limits under 'crossmatch' in the surveys file; "
        "the next run asks again.",
    )


def _failure(state: RetryCallState) -> CatalogueUnavailableError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, CatalogueUnavailableError)  # noqa: S101  no other is tried again
    return error


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()
