"""What every answer carries, and the one line that the log has of it."""

import logging
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": a browser would then hide where our own forms come from too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Set where the answer does not say otherwise."""


class Headers:
    """ASGI middleware that adds :data:`SECURITY_HEADERS` and logs each request.

    The log has the path but not the query: a sign-in link's secret is in it.

    Parameters
    ----------
    app
        What answers.
    observe
        Told of each request: scope, status, seconds.
    """

    def __init__(self, app: ASGIApp, observe: Callable[[Scope, int, float], None]) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.monotonic()

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                # As it came, percent-encoded: a decoded line break would forge a line.
                path = scope["raw_path"].decode("ascii", "replace")
                took_s = time.monotonic() - begun
                status = message["status"]
                fields = {
                    "method": scope["method"],
                    "path": path,
                    "status": status,
                    "took_ms": round(1000 * took_s),
                }
                line = "%s %s %d %.0f ms"
                told = (scope["method"], path, status, 1000 * took_s)
                _log.info(line, *told, extra={"fields": fields})
                self.observe(scope, status, took_s)
            await send(message)

        await self.app(scope, receive, complete)
