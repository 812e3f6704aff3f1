"""Dagster's webserver behind a guard, for it asks nobody who they are.

``python -m astrid_stack.webserver`` takes the arguments of ``dagster-webserver``. Bound to
loopback it is out of reach of other machines, but not of web pages open in this machine's
browser, which could launch runs or forge materializations. The guard refuses

* requests by another name than the allowed hosts' (DNS rebinding),
* requests and websockets from another site's page,
* posts that are not JSON (which a page can send without asking first),
* GraphQL by GET.
"""

import os
from collections.abc import Collection

from dagster_webserver import app as webserver_app
from dagster_webserver import cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from astrid_stack.hosts import LOOPBACK_NAMES, READING, is_foreign, name_in

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
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await PlainTextResponse(reason, status_code=403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        method = scope.get("method", "GET")
        origin = headers.get("origin")
        if name_in(host) not in self.allowed_hosts:
            return f"This server does not answer to that name; see {ALLOWED_HOSTS_VARIABLE}."
        if is_foreign(origin, host):
            return "Requests from other sites are refused."
        if scope["type"] == "websocket" or method in READING:
            # Links from elsewhere may be followed; GraphQL is never a page to open.
            by_link = scope["type"] == "http" and b"query=" in scope["query_string"]
            if by_link and scope["path"].endswith("/graphql"):
                return "GraphQL is taken by POST of JSON only."
            return None
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "Only JSON is taken."
        return None


class GuardedWebserver(DagsterWebserver):
    """Dagster's webserver with the :class:`Guard` before everything else."""

    def build_middleware(self) -> list[Middleware]:
        """The guard, then Dagster's own."""
        named = os.environ.get(ALLOWED_HOSTS_VARIABLE, "")
        allowed = LOOPBACK_NAMES | {name.strip() for name in named.split(",") if name.strip()}
        return [Middleware(Guard, allowed_hosts=allowed), *super().build_middleware()]


def main() -> None:
    """Run ``dagster-webserver`` with the guarded class in its place."""
    webserver_app.DagsterWebserver = GuardedWebserver  # type: ignore[misc]
    cli.main()


if __name__ == "__main__":
    main()
