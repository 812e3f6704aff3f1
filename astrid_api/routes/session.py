"""Signing in and out."""

import datetime as dt
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse

from astrid_api.access import SessionCookie, Viewer, csrf_token
from astrid_api.guard import address_of
from astrid_api.pages import page
from astrid_api.problems import responses, status_of
from astrid_api.services import TheServices
from astrid_core.curation.access import Role, sign_in, sign_out
from astrid_core.errors import SignInError
from astrid_stack.credentials import COOKIE

router = APIRouter(tags=["signing in"])

HOME = "/"
"""Where one finds oneself signed in."""


class SessionInfo(BaseModel):
    """Who is signed in."""

    name: str
    role: Role
    is_expert: bool = Field(description="Whether one verdict of theirs decides.")
    csrf_token: str | None = Field(
        description="To be sent as X-CSRF-Token with every change; null for an API key, which "
        "needs none."
    )


async def _link_sent(request: Request) -> SecretStr:
    """The link in a form as browsers send it."""
    fields = parse_qs((await request.body()).decode("ascii", "replace"))
    link = fields.get("link", [""])[0].strip()
    # Who pastes the whole address means the secret at its end.
    return SecretStr(link.rpartition("link=")[2])


@router.get("/sign-in", response_class=HTMLResponse, responses=responses(403, 422, 429))
def sign_in_page(
    link: Annotated[str, Query(max_length=300, description="The link's secret.")] = "",
) -> HTMLResponse:
    """Page that uses a sign-in link up at the press of a button.

    Opening it does nothing yet: whatever looks at addresses in messages would use it up.
    """
    return page("sign_in.html", link=link, problem="")


@router.post(
    "/sign-in",
    status_code=303,
    response_class=RedirectResponse,
    responses=responses(403, 413, 429, 503)
    | {401: {"description": "The link does not hold", "content": {"text/html": {}}}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["link"],
                        "properties": {"link": {"type": "string"}},
                    }
                }
            },
        }
    },
)
async def use_link(
    request: Request, services: TheServices, link: Annotated[SecretStr, Depends(_link_sent)]
) -> Response:
    """Use a sign-in link up, and sign this browser in."""
    services.sign_ins.take(address_of(request.scope))
    try:
        _, opened = await run_in_threadpool(services.ask, lambda c: sign_in(c, link))
    except SignInError as error:
        return page("sign_in.html", status_of(error), link="", problem=str(error))
    answer = RedirectResponse(HOME, 303)
    answer.set_cookie(
        COOKIE,
        opened.secret.get_secret_value(),
        expires=opened.expires_at and opened.expires_at.astimezone(dt.UTC),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/session", responses=responses(401, 403, 429, 503))
def session(user: Viewer, cookie: SessionCookie, request: Request) -> SessionInfo:
    """Who is signed in, and the token that their page must show to change anything."""
    token = None
    if cookie is not None and "authorization" not in request.headers:
        token = csrf_token(SecretStr(cookie))
    return SessionInfo(name=user.name, role=user.role, is_expert=user.is_expert, csrf_token=token)


@router.post("/sign-out", status_code=204, responses=responses(401, 403, 413, 429, 503))
def end_session(
    _: Viewer, cookie: SessionCookie, services: TheServices, response: Response
) -> None:
    """End this browser's session."""
    if cookie is not None:
        secret = SecretStr(cookie)
        services.ask(lambda connection: sign_out(connection, secret))
    response.delete_cookie(COOKIE)
