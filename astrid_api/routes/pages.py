"""The pages: review, what was judged, one detection."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field, model_validator
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from astrid_api.access import Reviewer, SessionCookie, Viewer
from astrid_api.pages import module, own_page
from astrid_api.paging import from_token, time_of, to_token
from astrid_api.routes.training import linked_lineage
from astrid_api.services import TheServices
from astrid_core.curation.details import detection_details
from astrid_core.curation.item import review_item
from astrid_core.curation.judged import JudgedCursor, JudgedFilter, list_judged
from astrid_core.curation.observations import list_surveys

router = APIRouter(include_in_schema=False)

_PER_PAGE = 24


class JudgedQuery(JudgedFilter):
    """Which judged detections, and which page of them."""

    mine: bool = Field(default=False, description="Only what one judged oneself.")
    after: str | None = Field(default=None, max_length=300)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        """A form sends its empty fields too."""
        return {name: value for name, value in dict(given).items() if value != ""}


@router.get("/")
def home(user: Viewer) -> RedirectResponse:
    """Where one finds oneself signed in."""
    return RedirectResponse("/review/judged" if user.role == "viewer" else "/review", 303)


@router.get("/static/{name}")
def static(_: Viewer, name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """A module of the pages."""
    found = module(name, if_none_match)
    if found is None:
        raise HTTPException(404, f"There is no {name}")
    return found


@router.get("/review")
def review(user: Reviewer, cookie: SessionCookie) -> HTMLResponse:
    """Judge what the queue gives, or one detection that is named."""
    return own_page("review.html", user, cookie)


@router.get("/review/judged")
def judged(
    user: Viewer,
    cookie: SessionCookie,
    services: TheServices,
    request: Request,
    query: Annotated[JudgedQuery, Query()],
) -> HTMLResponse:
    """What people judged, the latest first."""
    after = None
    if query.after is not None:
        after = JudgedCursor(*from_token(query.after, time_of, UUID))
    by = user.id if query.mine else None
    found, following = services.ask(lambda c: list_judged(c, query, by, after, _PER_PAGE))
    surveys, _ = services.ask(list_surveys)
    next_page = following and request.url.include_query_params(
        after=to_token(following.updated_at.isoformat(), following.detection_id)
    )
    return own_page(
        "judged.html",
        user,
        cookie,
        query=query,
        found=found,
        surveys=[survey.name for survey in surveys],
        next_page=next_page and f"?{next_page.query}",
    )


@router.get("/review/detections/{detection_id}")
def one_detection(
    user: Viewer, cookie: SessionCookie, services: TheServices, detection_id: UUID
) -> HTMLResponse:
    """A detection with all that it came from, and what was said of it."""
    found = services.ask(lambda connection: detection_details(connection, detection_id))
    shown = services.ask(lambda connection: review_item(connection, detection_id))
    return own_page("detection.html", user, cookie, found=found, shown=shown)


@router.get("/review/samples/{sample_id}")
def one_sample(
    user: Viewer, cookie: SessionCookie, services: TheServices, sample_id: UUID
) -> HTMLResponse:
    """A training sample with all that it was made from."""
    return own_page("sample.html", user, cookie, found=linked_lineage(services, sample_id))
