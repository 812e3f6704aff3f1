"""Who is asking, and whether they may.

Programs show an API key (``Authorization: Bearer``), browsers a session cookie. A browser
sends its cookie with whatever any page makes it send; so, to change anything, a page must
show a token too that only the API's own pages can have read.

Each route says which role it needs by a parameter (:data:`Viewer`, :data:`Reviewer`,
:data:`Operator`). One that says nothing keeps the application from being made.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Security
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from astrid_api.services import Services, TheServices
from astrid_core.curation.access import KnownUser, Role
from astrid_core.errors import ConfigurationError, NotAllowedError, SignInError
from astrid_stack.credentials import COOKIE, Credential, credential_of
from astrid_stack.hosts import READING

CSRF_HEADER = "X-CSRF-Token"

PUBLIC = frozenset({("GET", "/health"), ("GET", "/sign-in"), ("POST", "/sign-in")})
"""The only routes that need no role."""

# What a request shows is read by credential_of; these two are for the API's description.
Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(HTTPBearer(auto_error=False, scheme_name="API key")),
]
SessionCookie = Annotated[
    str | None,
    Security(APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="session")),
]


@dataclass(frozen=True)
class Needs:
    """Dependency: the user who is asking, who must have a role or one above it."""

    role: Role

    def __call__(
        self, request: Request, services: TheServices, _: Bearer, __: SessionCookie
    ) -> KnownUser:
        """Find out who is asking.

        Raises
        ------
        SignInError
            If they show nothing that they are known by.
        NotAllowedError
            If their role does not do, or their page does not show the session's token.
        TooManyRequestsError
            If they ask too often.
        """
        user = identify(request, services)
        services.by_user.take(str(user.id))
        user.require(self.role)
        return user


Viewer = Annotated[KnownUser, Depends(Needs("viewer"))]
Reviewer = Annotated[KnownUser, Depends(Needs("reviewer"))]
Operator = Annotated[KnownUser, Depends(Needs("operator"))]


def identify(request: Request, services: Services) -> KnownUser:
    """The user who is asking, by their key or else their session.

    Raises
    ------
    SignInError
        If they show neither, or one that does not hold.
    NotAllowedError
        If a browser asks for a change without its session's token.
    """
    credential = credential_shown(request)
    user = services.ask(credential.user)
    shown = request.headers.get(CSRF_HEADER, "")
    if (
        credential.kind == "session"
        and request.method not in READING
        and not hmac.compare_digest(shown.encode(), csrf_token(credential.secret).encode())
    ):
        raise NotAllowedError(
            "The page did not show its session's token.",
            remedy=f"Send what GET /session gives as {CSRF_HEADER}.",
        )
    return user


def credential_shown(request: Request) -> Credential:
    """What a request shows its sender to be known by.

    Raises
    ------
    SignInError
        If nothing.
    """
    credential = credential_of(request)
    if credential is None:
        raise SignInError(
            "Nobody is signed in.",
            remedy="Send an API key as 'Authorization: Bearer KEY', or open a sign-in link.",
        )
    return credential


def csrf_token(session: SecretStr) -> str:
    """Token of a session: follows from its secret, which does not follow from it."""
    key = session.get_secret_value().encode()
    return hmac.new(key, b"csrf", hashlib.sha256).hexdigest()


def roles_of(app: FastAPI) -> Iterator[tuple[str, str, Role | None]]:
    """Method, path and role needed of every route; None where it declares none."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        role = None
        if isinstance(route, APIRoute):
            calls = (dependency.call for dependency in route.dependant.dependencies)
            role = next((call.role for call in calls if isinstance(call, Needs)), None)
        for method in sorted(context.methods or {"*"}):
            yield method, context.path_format or context.path or "", role


def require_roles(app: FastAPI) -> None:
    """Make sure that every route that is not :data:`PUBLIC` needs a role.

    Raises
    ------
    ConfigurationError
        If one does not.
    """
    for method, path, role in roles_of(app):
        if role is None and (method, path) not in PUBLIC:
            raise ConfigurationError(
                f"Anybody could use {method} {path}.",
                remedy="Give the route a Viewer, Reviewer or Operator parameter.",
            )
