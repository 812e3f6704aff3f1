"""Surveys and what they observed."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from astrid_api.access import Viewer
from astrid_api.paging import After, Limit, Page, from_token, to_token
from astrid_api.problems import responses
from astrid_api.services import TheServices
from astrid_core.curation.browse import Night
from astrid_core.curation.observations import (
    ListedObservation,
    ListedSurvey,
    ObservationCursor,
    Status,
    list_observations,
    list_surveys,
)

router = APIRouter(tags=["surveys"], responses=responses(401, 403, 422, 429, 503))


@router.get("/surveys")
def surveys(
    _: Viewer, services: TheServices, limit: Limit = 50, after: After = None
) -> Page[ListedSurvey]:
    """Surveys by name."""
    last = None if after is None else from_token(after, str)[0]
    found, following = services.ask(lambda c: list_surveys(c, last, limit))
    return Page(items=found, next=None if following is None else to_token(following))


@router.get("/observations")
def observations(
    _: Viewer,
    services: TheServices,
    survey: Annotated[str, Query(max_length=200, description="Name of the survey.")],
    night: Annotated[Night | None, Query(description="Local observing night.")] = None,
    status: Annotated[
        Status | None, Query(description="How the furthest stage reached went.")
    ] = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[ListedObservation]:
    """Observations of a survey, newest night first, and how far each has come."""
    last = None
    if after is not None:
        last = ObservationCursor(*from_token(after, dt.date.fromisoformat, UUID))
    found, following = services.ask(
        lambda c: list_observations(c, survey, night, status, last, limit)
    )
    token = following and to_token(following.night, following.observation_id)
    return Page(items=found, next=token)
