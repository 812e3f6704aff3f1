"""An S3 server's line that misbehaves on demand: a proxy that understands HTTP.

What belongs here: how a request goes wrong between client and server. What does not: the
server, which is real, and when something is to go wrong (``faults``).
"""

import http.client
import random
import socket
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

StoreFault = Literal["busy", "reset", "truncated", "silent"]
"""503 instead of an answer; no answer; half of the body, either way; nothing until the client
gives up."""

_UPSTREAM_TIMEOUT_S = 60.0
_LONGEST_SILENCE_S = 120.0
_OF_ONE_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})


class FaultyStore:
    """A proxy before an S3 server.

    Parameters
    ----------
    port
        Loopback port of its own.
    upstream
        Address of the server.

    Attributes
    ----------
    done
        Faults made so far, by kind.
    """

    def __init__(self, port: int, upstream: str) -> None:
        address = urlsplit(upstream)
        assert address.hostname is not None
        assert address.port is not None
        self.upstream = (address.hostname, address.port)
        self.done: Counter[str] = Counter()
        self._armed: list[StoreFault] = []
        self._chance = 0.0
        self._random = random.Random(0)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.port = port
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True

    def arm(self, faults: list[StoreFault], chance: float, seed: str) -> None:
        """Let each of the next requests go wrong with some chance, until all faults are made.

        Those that others armed before, and that have not been made yet, are made too.
        """
        with self._lock:
            self._armed, self._chance = [*self._armed, *faults], chance
            self._random = random.Random(seed)

    def disarm(self) -> None:
        """Make no more faults."""
        with self._lock:
            self._armed = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _next(self) -> StoreFault | None:
        with self._lock:
            if not self._armed or self._random.random() >= self._chance:
                return None
            fault = self._armed.pop()
            self.done[fault] += 1
            return fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                with suppress(ConnectionError, TimeoutError):
                    proxy._pass_on(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: there are thousands."""

        return Handler

    def _pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        fault = self._next()
        length = int(asked.headers.get("Content-Length") or 0)
        if fault == "silent":
            self._closing.wait(_LONGEST_SILENCE_S)
        if fault in ("reset", "silent") or (fault == "truncated" and length):
            # Of a body that was being sent, the server gets nothing whole.
            asked.rfile.read(length // 2)
            return _hang_up(asked)
        body = asked.rfile.read(length)
        if fault == "busy":
            return _answer(asked, 503, {}, b"<Error><Code>SlowDown</Code></Error>")
        try:
            status, headers, content = self._ask(asked, body)
        except (OSError, http.client.HTTPException):
            return _hang_up(asked)  # the server itself is gone
        if fault == "truncated":
            return _answer(asked, status, headers, content, sent=len(content) // 2)
        return _answer(asked, status, headers, content)

    def _ask(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.upstream, timeout=_UPSTREAM_TIMEOUT_S)
        try:
            connection.putrequest(
                asked.command, asked.path, skip_host=True, skip_accept_encoding=True
            )
            # The host as the client signed it.
            for name, value in asked.headers.items():
                if name.lower() not in _OF_ONE_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


def _answer(
    asked: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    content: bytes,
    sent: int | None = None,
) -> None:
    asked.send_response_only(status)
    for name, value in headers.items():
        if name.lower() not in _OF_ONE_HOP and name.lower() != "content-length":
            asked.send_header(name, value)
    stated = headers.get("Content-Length") if asked.command == "HEAD" else None
    asked.send_header("Content-Length", stated or str(len(content)))
    asked.end_headers()
    if asked.command == "HEAD":
        return
    asked.wfile.write(content if sent is None else content[:sent])
    if sent is not None:
        _hang_up(asked)


def _hang_up(asked: BaseHTTPRequestHandler) -> None:
    asked.close_connection = True
    with suppress(OSError):
        asked.connection.shutdown(socket.SHUT_RDWR)
