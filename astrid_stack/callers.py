"""Who asks Dagster's webserver, and what they are told when nobody knows them.

What belongs here: users by what their requests show, remembered for some seconds because one
page of the UI asks dozens of times. What users may do is decided where they do it.
"""

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from astrid_core.curation.access import KnownUser
from astrid_core.errors import DatabaseError, NotAllowedError, SignInError
from astrid_stack.credentials import Credential, credential_of
from astrid_stack.hosts import LOOPBACK_NAMES, READING, name_in
from dbschema.transactions import transaction

_log = logging.getLogger("dagster-webserver")

REMEMBERED_S = 5.0
"""How long somebody signed out, or with another role, may still be taken for who they were."""


class Callers:
    """Users by what their requests show.

    Parameters
    ----------
    engine
        The database that knows them.
    clock
        Seconds that only go forward.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._known: dict[Credential, tuple[float, KnownUser]] = {}

    async def user(self, request: HTTPConnection) -> KnownUser:
        """The user who makes a request.

        Raises
        ------
        SignInError
            If it shows nothing that a user is known by.
        DatabaseError
            If nobody can be looked up.
        """
        credential = credential_of(request)
        if credential is None:
            raise SignInError("Nobody is signed in.")
        now = self._clock()
        until, user = self._known.get(credential, (now, None))
        if user is None or until <= now:
            user = await run_in_threadpool(self._look_up, credential)
            still = {known: entry for known, entry in self._known.items() if entry[0] > now}
            self._known = still | {credential: (now + REMEMBERED_S, user)}
        return user

    def _look_up(self, credential: Credential) -> KnownUser:
        try:
            with transaction(self._engine) as connection:
                return credential.user(connection)
        except PoolTimeoutError as error:
            raise DatabaseError("Every connection to the database is in use.") from error


class SignedIn:
    """ASGI middleware that lets only known users through, as ``scope["user"]``.

    Those who are no operators may read: by GET, and by GraphQL, which knows itself what
    reading is.

    Parameters
    ----------
    callers
        Who is known.
    is_public
        Whether a path needs nobody to be known.
    graphql
        Path of GraphQL.
    api
        Address of the API, where people sign in; None where it is not known.
    """

    def __init__(
        self,
        app: ASGIApp,
        callers: Callers,
        is_public: Callable[[str], bool],
        graphql: str,
        api: str | None,
    ) -> None:
        self.app = app
        self.callers = callers
        self.is_public = is_public
        self.graphql = graphql
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the reason why not."""
        is_http = scope["type"] == "http"
        if scope["type"] == "websocket" or (is_http and not self.is_public(scope["path"])):
            request = HTTPConnection(scope)
            try:
                user = await self.callers.user(request)
                reads = not is_http or scope["method"] in READING or scope["path"] == self.graphql
                if not reads:
                    user.require("operator")
            except SignInError as error:
                await refuse(self._sign_in_first(request, error), scope, receive, send)
                return
            except NotAllowedError as error:
                await refuse(PlainTextResponse(str(error), 403), scope, receive, send)
                return
            except DatabaseError as error:
                _log.error("nobody can be known: %s", error)
                text = "AstrID's database does not answer: nobody can be known."
                await refuse(PlainTextResponse(text, 503), scope, receive, send)
                return
            scope["user"] = user
        await self.app(scope, receive, send)

    def _sign_in_first(self, request: HTTPConnection, error: SignInError) -> Response:
        page = self.api and sign_in_page(self.api, request.headers.get("host", ""))
        wants_page = "text/html" in request.headers.get("accept", "")
        if page and wants_page and request.scope.get("method") == "GET":
            return RedirectResponse(page, 303)
        where = f" ({page})" if page else ""
        text = (
            f"{error.message} Sign in at AstrID's API{where}, or send an API key as "
            "'Authorization: Bearer KEY'."
        )
        return PlainTextResponse(text, 401, {"WWW-Authenticate": "Bearer"})


def sign_in_page(api: str, host: str) -> str:
    """Address of the API's sign-in page, by the name that a browser calls this machine.

    Browsers keep cookies by name: who signs in at localhost is not known at 127.0.0.1.

    Parameters
    ----------
    api
        Address of the API.
    host
        ``Host`` header of the request.
    """
    parts = urlsplit(f"{api.rstrip('/')}/sign-in")
    name = name_in(host)
    if name is None or not {name, parts.hostname} <= LOOPBACK_NAMES:
        return urlunsplit(parts)
    bracketed = f"[{name}]" if ":" in name else name
    return urlunsplit(parts._replace(netloc=f"{bracketed}:{parts.port or 80}"))


async def refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a websocket's opening, with a refusal."""
    answered = "websocket.http.response" in scope.get("extensions", {})
    if scope["type"] == "http" or answered:
        await answer(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": bytes(answer.body).decode()})
