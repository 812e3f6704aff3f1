"""The application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from astrid_api.access import require_roles
from astrid_api.guard import Guard
from astrid_api.headers import Headers
from astrid_api.limits import RateLimiter
from astrid_api.metrics import Metrics
from astrid_api.problems import add_problems
from astrid_api.routes import (
    detections,
    docs,
    gate,
    health,
    metrics,
    objects,
    pages,
    review,
    runs,
    session,
    surveys,
    training,
)
from astrid_api.services import Services
from astrid_api.settings import ApiSettings


def create_app(settings: ApiSettings) -> FastAPI:
    """The API over the database and store that settings name.

    Raises
    ------
    ConfigurationError
        If the database is not PostgreSQL, or a route says nothing of who may use it.
    """
    services = Services.of(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.engine.dispose()

    app = FastAPI(
        title="AstrID",
        description="Detections of what changed in the night sky, and verdicts on them.",
        version=version("astrid"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # both are routes of ours, which need a role
    )
    app.state.services = services
    app.state.metrics = Metrics(services)
    parts = (
        *(health, metrics, session, gate, surveys, detections, objects, review, runs, training),
        *(pages, docs),
    )
    for part in parts:
        app.include_router(part.router)
    require_roles(app)
    add_problems(app)
    app.add_middleware(
        Guard,
        host_names=settings.host_names,
        by_address=RateLimiter(settings.address_requests_per_minute),
        max_body_bytes=settings.max_body_bytes,
    )
    app.add_middleware(Headers, observe=app.state.metrics.observe)
    return app
