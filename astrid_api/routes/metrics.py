"""Metrics for Prometheus. Never public: counts of failures and people's work are in them."""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from astrid_api.access import Bearer, Needs, SessionCookie
from astrid_api.metrics import Metrics
from astrid_api.problems import responses
from astrid_api.routes.health import ask_all
from astrid_api.services import Services, TheServices
from astrid_core.curation.access import KnownUser
from astrid_stack.credentials import credential_of

router = APIRouter(tags=["health"], responses=responses(401, 403, 429, 503))


@dataclass(frozen=True)
class Scraper(Needs):
    """Dependency: an operator, or the token that Prometheus has (``ASTRID_METRICS_TOKEN``).

    The token is known without the database, so that metrics tell when that is down.
    """

    def __call__(  # type: ignore[override]  # who shows the token is no user
        self, request: Request, services: TheServices, bearer: Bearer, cookie: SessionCookie
    ) -> KnownUser | None:
        """Find out who is asking.

        Raises
        ------
        SignInError, NotAllowedError, TooManyRequestsError
            As :class:`Needs` does.
        """
        if _shows_token(request, services):
            return None
        return super().__call__(request, services, bearer, cookie)


def _shows_token(request: Request, services: Services) -> bool:
    token = services.settings.metrics_token
    credential = credential_of(request)
    if token is None or credential is None or credential.kind != "key":
        return False
    shown = credential.secret.get_secret_value().encode()
    return hmac.compare_digest(shown, token.get_secret_value().encode())


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(
    _: Annotated[KnownUser | None, Depends(Scraper("operator"))],
    request: Request,
    services: TheServices,
) -> Response:
    """Everything as Prometheus reads it: counts of rows (a minute old at most), parts, requests.

    Operators' keys do, and so does the token of `ASTRID_METRICS_TOKEN`.
    """
    told: Metrics = request.app.state.metrics
    for part in ask_all(services):
        told.note_part(part.name, part.latency_ms)
    return Response(generate_latest(told.registry), media_type=CONTENT_TYPE_LATEST)
