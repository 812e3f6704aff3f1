"""Whether the parts answer."""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Literal

import requests
from fastapi import APIRouter, Request, Response
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from astrid_api.access import Bearer, SessionCookie, identify
from astrid_api.problems import responses
from astrid_api.services import Services, TheServices
from astrid_core.errors import AstridError
from astrid_stack.credentials import credential_of
from dbschema.transactions import transaction

router = APIRouter(tags=["health"], responses=responses(401, 403, 422, 429))
_log = logging.getLogger(__name__)

NEEDED = frozenset({"database", "store"})
"""Parts without which people cannot judge. Dagster and MLflow serve those who run the survey."""

_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class PartHealth:
    """One part.

    Attributes
    ----------
    is_needed
        Whether people cannot judge without it.
    latency_ms
        Milliseconds that a small question took; None where it failed.
    error_type
        Why it failed.
    """

    name: str
    is_needed: bool
    latency_ms: float | None
    error_type: str | None


@dataclass(frozen=True)
class Health:
    """Whether everything answers.

    Attributes
    ----------
    status
        ``ok``; ``degraded`` where people can judge, but something else does not answer;
        ``failing`` where they cannot.
    parts
        Told to operators only.
    """

    status: Literal["ok", "degraded", "failing"]
    parts: tuple[PartHealth, ...] | None


@router.get(
    "/health",
    responses={503: {"description": "A needed part does not answer", "model": Health}},
    openapi_extra={"security": [{}]},  # besides a key or a session: nothing
)
def health(
    request: Request,
    response: Response,
    services: TheServices,
    _: Bearer,
    __: SessionCookie,
) -> Health:
    """Whether database and store answer, and Dagster and MLflow where they are configured.

    Status 503 only where people cannot judge: without database or store. A proxy that looks
    here goes on sending reviewers while Dagster or MLflow is down, which `status` tells.
    Anybody may ask. Operators are told which part, and how long it took.
    """
    parts = ask_all(services)
    down = {part.name for part in parts if part.error_type is not None}
    status: Literal["ok", "degraded", "failing"] = "degraded" if down else "ok"
    if down & NEEDED:
        status, response.status_code = "failing", 503
    is_operator = False
    # Without a database nobody is known; that it is down is told all the same.
    if "database" not in down and credential_of(request) is not None:
        is_operator = identify(request, services).role == "operator"
    return Health(status, parts if is_operator else None)


def ask_all(services: Services) -> tuple[PartHealth, ...]:
    """Ask every part at once; whoever takes longer than :data:`_TIMEOUT_S` does not answer."""
    asked = {
        name: services.probes.submit(_probed, name, ask) for name, ask in _probes(services).items()
    }
    wait(asked.values(), _TIMEOUT_S)
    return tuple(_outcome(name, probe) for name, probe in asked.items())


def _probes(services: Services) -> Mapping[str, Callable[[], None]]:
    probes = {
        "database": lambda: _ask_database(services),
        "store": lambda: _ask_store(services),
    }
    settings = services.settings
    if settings.dagster_url:
        dagster = f"{settings.dagster_url.rstrip('/')}/server_info"
        probes["dagster"] = lambda: _ask_server(dagster)
    # Otherwise it is a file, and nobody to ask.
    if settings.mlflow_uri.startswith(("http://", "https://")):
        mlflow = f"{settings.mlflow_uri.rstrip('/')}/health"
        probes["mlflow"] = lambda: _ask_server(mlflow)
    return probes


def _outcome(name: str, probe: "Future[PartHealth]") -> PartHealth:
    if probe.done():
        return probe.result()
    probe.cancel()  # where it has not even begun
    _log.error("%s did not answer within %g s", name, _TIMEOUT_S)
    return PartHealth(name, name in NEEDED, None, TimeoutError.__name__)


def _probed(name: str, ask: Callable[[], None]) -> PartHealth:
    begun = time.monotonic()
    try:
        ask()
    except (AstridError, PoolTimeoutError, requests.RequestException) as error:
        _log.error("%s does not answer: %s", name, error)
        return PartHealth(name, name in NEEDED, None, type(error).__name__)
    took_ms = round(1000 * (time.monotonic() - begun), 1)
    return PartHealth(name, name in NEEDED, took_ms, None)


def _ask_database(services: Services) -> None:
    with transaction(services.engine) as connection:
        connection.execute(text("SELECT 1"))


def _ask_store(services: Services) -> None:
    # A listing, not a look at one object: that cannot tell a missing bucket.
    next(services.hasty_store.iterate("health/"), None)


def _ask_server(address: str) -> None:
    timeouts = (_CONNECT_TIMEOUT_S, _TIMEOUT_S)
    requests.get(address, timeout=timeouts, allow_redirects=False).raise_for_status()
