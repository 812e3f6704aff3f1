"""What is refused before anybody asks who it is from.

Bound to loopback the API is out of reach of other machines, but not of web pages open in
this machine's browser. The guard refuses

* requests by another name than the allowed hosts' (DNS rebinding),
* requests that another site's page makes, links to follow excepted,
* more requests from one address than are allowed, and larger ones.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astrid_api.errors import CrossSiteError, TooLargeError
from astrid_api.limits import RateLimiter
from astrid_api.problems import problem_of
from astrid_core.errors import AstridError
from astrid_stack.hosts import is_cross_site, name_in

_LONGEST_NUMBER = 20
"""Digits of a length that a server may have let through."""


class Guard:
    """ASGI middleware that lets only the API's own pages and plain tools through.

    Parameters
    ----------
    app
        What is guarded.
    host_names
        Names, without port, by which it may be called.
    by_address
        How often one address may ask.
    max_body_bytes
        Largest request taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        host_names: Collection[str],
        by_address: RateLimiter,
        max_body_bytes: int,
    ) -> None:
        self.app = app
        self.host_names = frozenset(host_names)
        self.by_address = by_address
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the reason why not."""
        if scope["type"] == "http":
            try:
                self.by_address.take(address_of(scope))
                self._check_site(scope)
                receive = await self._whole(scope, receive)
            except AstridError as error:
                await problem_of(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _whole(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body here, as far as it may go; no route wants it in pieces."""
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and len(declared) < _LONGEST_NUMBER:
            self._check_size(int(declared))
        body, is_whole = b"", False
        while not is_whole:
            message = await receive()
            if message["type"] == "http.disconnect":
                return receive
            body += message.get("body", b"")
            self._check_size(len(body))
            is_whole = not message.get("more_body", False)
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return unread.pop() if unread else await receive()

        return replay

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self.max_body_bytes:
            raise TooLargeError(
                f"A request may have up to {self.max_body_bytes} bytes.",
                remedy="Send less at once.",
            )

    def _check_site(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if name_in(headers.get("host", "")) not in self.host_names:
            raise CrossSiteError(
                "This server does not answer to that name.",
                remedy="Use one of ASTRID_ALLOWED_HOSTS, or 127.0.0.1.",
            )
        if is_cross_site(scope["method"], headers):
            raise CrossSiteError(
                "Requests from other sites are refused.", remedy="Use the API's own pages."
            )


def address_of(scope: Scope) -> str:
    """Address that a request comes from."""
    client = scope.get("client")
    return client[0] if client else "unknown"
