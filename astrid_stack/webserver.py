"""Dagster's webserver behind a guard and AstrID's roles, for it asks nobody who they are.

``python -m astrid_stack.webserver`` takes the arguments of ``dagster-webserver``. Bound to
loopback it is out of reach of other machines, but not of web pages open in this machine's
browser, which could launch runs or forge materializations. The guard refuses

* requests by another name than the allowed hosts' (DNS rebinding),
* requests and websockets that another site's page makes, links to follow excepted,
* posts that are not JSON (which a page can send without asking first),
* GraphQL by GET.

What it lets through must show who asks, as the API wants it: the session of a browser that
signed in there, or an API key. Operators use all of Dagster. Viewers and reviewers look: for
them the webserver is in its own read-only mode, which hides buttons and refuses mutations.
"""

import os
import sys
from collections.abc import Callable, Collection

from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster_webserver import app as webserver_app
from dagster_webserver import cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from astrid_core.curation.access import KnownUser
from astrid_core.errors import AstridError, ConfigurationError
from astrid_stack.callers import Callers, SignedIn, refuse
from astrid_stack.hosts import READING, allowed_names, is_cross_site, is_foreign, name_in
from astrid_stack.state import ADDRESS_VARIABLE, DATABASE_VARIABLE
from dbschema.session import make_engine

ALLOWED_HOSTS_VARIABLE = "ASTRID_ALLOWED_HOSTS"
"""Names, separated by commas, under which a proxy serves the UI to people."""


class Guard:
    """ASGI middleware that lets only the UI's own requests and plain tools through.

    Parameters
    ----------
    app
        What is guarded.
    allowed_hosts
        Host names, without port, by which it may be called.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        self.app = app
        self.allowed_hosts = frozenset(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the reason why not."""
        reason = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self.app(scope, receive, send)
        else:
            await refuse(PlainTextResponse(reason, 403), scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        is_socket = scope["type"] == "websocket"
        if name_in(host) not in self.allowed_hosts:
            return f"This server does not answer to that name; see {ALLOWED_HOSTS_VARIABLE}."
        if is_socket:
            # Browsers always say whose page opens one.
            is_others = is_foreign(headers.get("origin"), host)
        else:
            is_others = is_cross_site(scope["method"], headers)
        if is_others:
            return "Requests from other sites are refused."
        if is_socket or scope["method"] in READING:
            # Links from elsewhere may be followed; GraphQL is never a page to open.
            by_link = not is_socket and b"query=" in scope["query_string"]
            if by_link and scope["path"].endswith("/graphql"):
                return "GraphQL is taken by POST of JSON only."
            return None
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "Only JSON is taken."
        return None


class GuardedWebserver(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    """Dagster's webserver with :class:`Guard` and roles before everything else."""

    def build_middleware(self) -> list[Middleware]:
        """The guard, who is asking, then Dagster's own.

        Raises
        ------
        ConfigurationError
            If no database is configured that knows users: it would serve anybody.
        """
        allowed = allowed_names(os.environ.get(ALLOWED_HOSTS_VARIABLE, ""))
        database = os.environ.get(DATABASE_VARIABLE)
        if not database:
            raise ConfigurationError(
                "Dagster's webserver does not know who may use it.",
                remedy=f"Set {DATABASE_VARIABLE} to the database that has AstrID's users.",
            )
        known = Middleware(
            SignedIn,
            callers=Callers(make_engine(database)),
            is_public=self.public_paths(),
            graphql=f"{self._app_path_prefix}/graphql",
            api=os.environ.get(ADDRESS_VARIABLE) or None,
        )
        return [Middleware(Guard, allowed_hosts=allowed), known, *super().build_middleware()]

    def public_paths(self) -> Callable[[str], bool]:
        """Whether a path is one of the UI's own files, or the answer to 'are you there'."""
        prefix, routes = self._app_path_prefix, self.build_static_routes()
        files = {f"{prefix}{route.path}" for route in routes if isinstance(route, Route)}
        files.add(f"{prefix}/server_info")
        folders = tuple(f"{prefix}{route.path}/" for route in routes if isinstance(route, Mount))
        return lambda path: path in files or path.startswith(folders)

    def _make_request_context(self, conn: HTTPConnection) -> WorkspaceRequestContext:
        context = super()._make_request_context(conn)
        user: KnownUser = conn.scope["user"]
        if user.role == "operator":
            return context
        return WorkspaceRequestContext(
            instance=context.instance,
            current_workspace=context.get_current_workspace(),
            process_context=context.process_context,
            version=context.version,
            source=context.source,
            read_only=True,
        )


def main() -> None:
    """Run ``dagster-webserver`` with the guarded class in its place."""
    webserver_app.DagsterWebserver = GuardedWebserver  # type: ignore[misc, assignment]
    try:
        cli.main()
    except AstridError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
