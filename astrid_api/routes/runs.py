"""Runs that people ask for: nights to take in, or from files to light curves.

Dagster makes them and knows how they go; it is asked in the name of whoever asks here.
"""

import datetime as dt

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from astrid_api.access import Operator, Viewer, credential_shown
from astrid_api.problems import responses
from astrid_api.services import Services, TheServices
from astrid_core.curation.browse import Night
from astrid_core.surveys.config import load_surveys
from astrid_stack.dagster_client import DagsterClient
from astrid_stack.errors import DagsterUnavailableError
from astrid_stack.nights import ASSETS_OF, MAX_NIGHTS, Work, keys_between

router = APIRouter(tags=["runs"], responses=responses(401, 403, 422, 429, 502, 503))

ASKED_BY_TAG = "astrid/asked_by"


class AskedNights(BaseModel):
    """What to run, and for which nights."""

    model_config = ConfigDict(extra="forbid")

    survey: str = Field(max_length=200, description="Name of the survey.")
    first_night: Night = Field(description="Local observing night.")
    last_night: Night = Field(description=f"At most {MAX_NIGHTS} nights, first to last.")
    what: Work = Field(
        description="`ingest` takes the nights' files in; `process` goes on to detections and "
        "light curves. References are left as they are."
    )


class LaunchedNights(BaseModel):
    """What was launched."""

    backfill_id: str
    n_nights: int = Field(description="One run each.")
    dagster: str = Field(description="Where Dagster's UI shows it.")


class NightsProgress(BaseModel):
    """How it goes."""

    backfill_id: str
    status: str = Field(description="Dagster's of the backfill, such as REQUESTED or COMPLETED.")
    n_nights: int | None = Field(description="Null where Dagster no longer knows them.")
    n_by_status: dict[str, int] = Field(description="Runs so far by Dagster's status of each.")
    error: str | None = Field(description="Why no runs come of it; null where they do.")
    dagster: str = Field(description="Where Dagster's UI shows it.")


@router.post("/runs", status_code=202, responses=responses(400, 413))
def launch(
    operator: Operator,
    request: Request,
    response: Response,
    services: TheServices,
    asked: AskedNights,
) -> LaunchedNights:
    """Launch runs of a survey's nights, and say where to ask how they go.

    Harmless for nights that were run before: the same ids, the same bytes.
    """
    surveys = load_surveys(services.settings.surveys_file)
    today = dt.datetime.now(dt.UTC).date()
    keys = keys_between(surveys, asked.survey, asked.first_night, asked.last_night, today)
    title = f"{asked.what} {asked.survey} {asked.first_night} to {asked.last_night}"
    dagster = dagster_of(services, request)
    tags = {ASKED_BY_TAG: operator.name}
    backfill_id = dagster.backfill(ASSETS_OF[asked.what], keys, title, tags).backfill_id
    response.headers["Location"] = f"/runs/{backfill_id}"
    return LaunchedNights(
        backfill_id=backfill_id, n_nights=len(keys), dagster=dagster.address_of(backfill_id)
    )


@router.get("/runs/{backfill_id}", responses=responses(404))
def progress(
    _: Viewer, request: Request, services: TheServices, backfill_id: str
) -> NightsProgress:
    """How the runs go that were launched together."""
    dagster = dagster_of(services, request)
    found = dagster.progress(backfill_id)
    return NightsProgress(
        backfill_id=backfill_id,
        status=found.status,
        n_nights=found.n_partitions,
        n_by_status=dict(found.n_by_status),
        error=found.error,
        dagster=dagster.address_of(backfill_id),
    )


def dagster_of(services: Services, request: Request) -> DagsterClient:
    """Dagster, asked in the name of whoever asks here.

    Raises
    ------
    DagsterUnavailableError
        If none is configured.
    """
    settings = services.settings
    if not settings.dagster_url:
        raise DagsterUnavailableError(
            "No Dagster is configured.", remedy="Set ASTRID_DAGSTER_URL to its webserver."
        )
    shown = credential_shown(request)
    return DagsterClient(settings.dagster_url, shown.headers, settings.dagster_for_people)
