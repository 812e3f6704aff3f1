"""What errors look like on the wire: problem details (RFC 9457), in one place.

An error of ours keeps its message and its remedy. Of those that are the server's own fault
(status 500 and above) only the kind is said: their messages name hosts and objects, which
are the operator's business. They are logged under a reference that the answer names.
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from astrid_api.errors import BadRequestError, CrossSiteError, TooLargeError, TooManyRequestsError
from astrid_api.headers import SECURITY_HEADERS
from astrid_api.pages import page
from astrid_core.errors import (
    AstridError,
    DatabaseError,
    NoSuchItemError,
    NotAllowedError,
    ReviewError,
    SignInError,
    StoreError,
    TrainingDataError,
    UserError,
    VerdictConflictError,
)
from astrid_stack.errors import DagsterRefusedError, DagsterUnavailableError, NightsError

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_KEPT = frozenset({"www-authenticate", "retry-after", "allow"})
"""Headers of a problem that it keeps as a page."""

_STATUSES: Mapping[type[AstridError], HTTPStatus] = {
    BadRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CrossSiteError: HTTPStatus.FORBIDDEN,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    SignInError: HTTPStatus.UNAUTHORIZED,
    NotAllowedError: HTTPStatus.FORBIDDEN,
    NoSuchItemError: HTTPStatus.NOT_FOUND,
    VerdictConflictError: HTTPStatus.CONFLICT,
    UserError: HTTPStatus.CONFLICT,
    ReviewError: HTTPStatus.UNPROCESSABLE_ENTITY,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseError: HTTPStatus.SERVICE_UNAVAILABLE,
    TrainingDataError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NightsError: HTTPStatus.UNPROCESSABLE_ENTITY,
    DagsterUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    DagsterRefusedError: HTTPStatus.BAD_GATEWAY,
}


class Problem(BaseModel):
    """Problem details: why a request was not answered."""

    type: str = Field(description="Which kind of problem: a URN, the same for the same kind.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What happened, and to what.")
    remedy: str = Field(description="What can be done about it; may be empty.")


class ProblemAnswer(JSONResponse):
    """A problem on its way."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.model_dump(), problem.status)
        self.problem = problem


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Description of the problems that a route may answer with."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def status_of(error: AstridError) -> HTTPStatus:
    """HTTP status of an error: its own, or that of the nearest kind above it.

    What will fail again the same way is not answered as unavailable for the moment.
    """
    kinds = (kind for kind in type(error).__mro__ if kind in _STATUSES)
    status = _STATUSES.get(next(kinds, AstridError), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not error.transient:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return status


def problem_of(error: AstridError) -> ProblemAnswer:
    """An error as an answer."""
    status = status_of(error)
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()
    title = (type(error).__doc__ or "").partition("\n")[0]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _own_fault(status, kind, title, error)
    answer = _answer(status, kind, title, error.message, error.remedy)
    if isinstance(error, SignInError):
        answer.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequestsError):
        answer.headers["Retry-After"] = str(error.details["retry_after_s"])
    return answer


def add_problems(app: FastAPI) -> None:
    """Answer every error of an application with problem details."""

    @app.exception_handler(AstridError)
    def _ours(request: Request, error: AstridError) -> Response:
        return _for_people(request, problem_of(error))

    @app.exception_handler(HTTPException)
    def _plain(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        answer = _answer(status, "http", status.phrase, f"{error.detail}.", "See /docs.")
        answer.headers.update(error.headers or {})
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            # The router names the methods of the first route of the path only.
            answer.headers["Allow"] = ", ".join(_methods_at(app, request))
        return _for_people(request, answer)

    @app.exception_handler(RequestValidationError)
    def _unreadable(request: Request, error: RequestValidationError) -> Response:
        # What was given is left out: it may be a secret in the wrong place.
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors()
        )
        title = "A request does not fit its description."
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return _for_people(request, _answer(status, "bad-request", title, wrong, "See /docs."))

    @app.exception_handler(PoolTimeoutError)
    def _busy(_: Request, error: PoolTimeoutError) -> Response:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return _own_fault(status, "busy", "Every connection to the database is in use.", error)

    @app.exception_handler(Exception)
    def _unforeseen(_: Request, error: Exception) -> Response:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        answer = _own_fault(status, "unforeseen", "Something unforeseen happened.", error)
        # This one is sent outside of all middleware.
        answer.headers.update(SECURITY_HEADERS)
        return answer


def _methods_at(app: FastAPI, request: Request) -> list[str]:
    """Methods that some route of the requested path has."""
    return sorted(
        method
        for route in iter_route_contexts(app.routes)
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    )


def _for_people(request: Request, answer: ProblemAnswer) -> Response:
    """A problem as a page, where somebody opened an address in a browser."""
    if not request.headers.get("accept", "").startswith("text/html"):
        return answer
    problem = answer.problem
    if problem.status == HTTPStatus.UNAUTHORIZED:
        shown = page("sign_in.html", problem.status, link="", problem=problem.detail)
    else:
        shown = page("problem.html", problem.status, problem=problem)
    for name in _KEPT.intersection(answer.headers):
        shown.headers[name] = answer.headers[name]
    return shown


def _own_fault(status: HTTPStatus, kind: str, title: str, error: Exception) -> ProblemAnswer:
    reference = token_hex(4)
    _log.error("problem %s: %s: %s", reference, type(error).__name__, error)
    detail = f"{title} The server's log says more under {reference}."
    later = "Try again in a moment, or ask" if status == HTTPStatus.SERVICE_UNAVAILABLE else "Ask"
    return _answer(status, kind, title, detail, f"{later} an operator to look it up.")


def _answer(status: HTTPStatus, kind: str, title: str, detail: str, remedy: str) -> ProblemAnswer:
    problem = Problem(
        type=f"urn:astrid:problem:{kind}",
        title=title,
        status=status,
        detail=detail,
        remedy=remedy,
    )
    return ProblemAnswer(problem)
