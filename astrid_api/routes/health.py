"""Whether the parts answer."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from fastapi import APIRouter, Request, Response
from sqlalchemy import text

from astrid_api.access import Bearer, SessionCookie, identify
from astrid_api.problems import responses
from astrid_api.services import Services, TheServices
from astrid_core.errors import AstridError
from dbschema.transactions import transaction

router = APIRouter(tags=["health"], responses=responses(401, 403, 422, 429))
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartHealth:
    """One part.

    Attributes
    ----------
    latency_ms
        Milliseconds that a small question took; None where it failed.
    error_type
        Why it failed.
    """

    name: str
    latency_ms: float | None
    error_type: str | None


@dataclass(frozen=True)
class Health:
    """Whether everything answers.

    Attributes
    ----------
    parts
        Told to operators only.
    """

    status: Literal["ok", "failing"]
    parts: tuple[PartHealth, ...] | None


@router.get("/health", responses={503: {"description": "A part does not answer", "model": Health}})
def health(
    request: Request,
    response: Response,
    services: TheServices,
    bearer: Bearer,
    session: SessionCookie,
) -> Health:
    """Whether database and store answer; status 503 where one does not.

    Anybody may ask. Operators are told which part, and how long it took.
    """
    parts = (
        _probed("database", lambda: _ask_database(services)),
        _probed("store", lambda: _ask_store(services)),
    )
    database, _ = parts
    is_ok = all(part.error_type is None for part in parts)
    if not is_ok:
        response.status_code = 503
    is_operator = False
    # Without a database nobody is known; that it is down is told all the same.
    if database.error_type is None and (bearer or session):
        is_operator = identify(request, services, bearer, session).role == "operator"
    return Health("ok" if is_ok else "failing", parts if is_operator else None)


def _probed(name: str, ask: Callable[[], None]) -> PartHealth:
    begun = time.monotonic()
    try:
        ask()
    except AstridError as error:
        _log.error("%s does not answer: %s", name, error)
        return PartHealth(name, None, type(error).__name__)
    return PartHealth(name, round(1000 * (time.monotonic() - begun), 1), None)


def _ask_database(services: Services) -> None:
    with transaction(services.engine) as connection:
        connection.execute(text("SELECT 1"))


def _ask_store(services: Services) -> None:
    # A listing, not a look at one object: that cannot tell a missing bucket.
    once = replace(services.store, attempts=1, connect_timeout_s=2.0, read_timeout_s=5.0)
    next(once.iterate("health/"), None)
