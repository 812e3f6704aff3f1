"""What the API can be asked, for people and for machines."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from astrid_api.access import SessionCookie, Viewer, roles_of
from astrid_api.pages import own_page

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
def description(_: Viewer, request: Request) -> dict[str, Any]:
    """OpenAPI description."""
    api: dict[str, Any] = request.app.openapi()
    return api


@router.get("/docs")
def documentation(user: Viewer, cookie: SessionCookie, request: Request) -> HTMLResponse:
    """The same as a page. FastAPI's own fetches its scripts from elsewhere."""
    roles = {(method, path): role for method, path, role in roles_of(request.app)}
    return own_page("docs.html", user, cookie, api=request.app.openapi(), roles=roles)
