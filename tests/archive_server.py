"""A local archive: real HTTP on loopback, real bytes, and misbehaviour on demand.

Files are put under paths; whatever else an archive answers (portals, VO services) is a
function from :class:`Asked` to :class:`Reply` under a path. A fault is a function from the
right reply to a wrong one: given once (:meth:`ArchiveServer.fault`), for ever
(:meth:`ArchiveServer.always`) or to a seeded random share of all requests
(:meth:`ArchiveServer.at_random`), which does not depend on how threads interleave.
"""

import hashlib
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Asked:
    """A request as it came in.

    Attributes
    ----------
    query
        Parameters of the address and, for a form, of the body.
    at
        Seconds, monotonic.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def target(self) -> str:
        """Path with the parameters of the address, decoded: what a fault may be for alone."""
        given = "&".join(
            f"{name}={value}" for name, values in self.query.items() for value in values
        )
        return f"{self.path}?{given}" if given and self.method == "GET" else self.path

    def one(self, name: str, default: str = "") -> str:
        """First value of a parameter, in any case of its name."""
        found = {key.lower(): values for key, values in self.query.items()}
        return found.get(name.lower(), [default])[0]


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes
    ----------
    cut_at
        Bytes of the body after which the connection is closed; None sends all.
    length
        Content-Length to announce; None announces the body's, a negative one nothing.
    delay_s
        Before anything is sent.
    hang_up
        Close without a word.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    length: int | None = None
    delay_s: float = 0.0
    hang_up: bool = False

    def with_header(self, name: str, value: str) -> "Reply":
        return replace(self, headers={**self.headers, name: value})


Answer = Callable[[Asked], Reply]
Fault = Callable[[Reply, Asked], Reply]


class ArchiveServer:
    """The archive; a context manager that serves while it is entered.

    Attributes
    ----------
    log
        Every request, in the order they came.
    most_at_once
        Requests that were being answered at the same time, at most.
    is_down
        True closes every connection without a word.
    """

    def __init__(self) -> None:
        self.log: list[Asked] = []
        self.most_at_once = 0
        self.is_down = False
        self._answers: dict[str, Answer] = {}
        self._once: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._random: tuple[float, int, Sequence[Fault]] | None = None
        self._counts: dict[str, int] = defaultdict(int)
        self._now = 0
        self._lock = threading.Lock()

    # --- what it holds ---------------------------------------------------------------------

    def put(
        self, path: str, body: bytes, *, etag: bool = True, ranges: bool = True, **headers: str
    ) -> str:
        """Serve a file. Returns its address."""

        def answer(asked: Asked) -> Reply:
            return _file(asked, body, etag=etag, ranges=ranges, headers=headers)

        return self.answer(path, answer)

    def answer(self, path: str, answer: Answer) -> str:
        """Serve whatever a function answers. Returns its address."""
        self._answers[path] = answer
        return self.url(path)

    def remove(self, path: str) -> None:
        del self._answers[path]

    def fault(self, path: str, *faults: Fault) -> None:
        """Misbehave once for each fault, at the next requests of a path (or path?query)."""
        self._once[path].extend(faults)

    def always(self, path: str, fault: Fault) -> None:
        """Misbehave at every request of a path (or path?query)."""
        self._always[path] = fault

    def at_random(self, share: float, seed: int, faults: Sequence[Fault]) -> None:
        """Misbehave at a share of all requests."""
        self._random = (share, seed, faults)

    def behave(self) -> None:
        """No more faults."""
        self._once.clear()
        self._always.clear()
        self._random = None
        self.is_down = False

    # --- where it is -----------------------------------------------------------------------

    @property
    def host(self) -> str:
        """Host and port, as an allow-list names them."""
        return f"127.0.0.1:{self._server.server_port}"

    def url(self, path: str = "") -> str:
        return f"http://{self.host}{path}"

    def asked(self, path: str) -> list[Asked]:
        """Requests of a path (or path?query) so far."""
        return [one for one in self.log if path in (one.path, one.target)]

    def __enter__(self) -> Self:
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                archive._serve(self)

            def do_POST(self) -> None:
                archive._serve(self)

            def do_HEAD(self) -> None:
                archive._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Clients hang up; that is what is tested."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- serving ---------------------------------------------------------------------------

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        asked = _asked(handler)
        with self._lock:
            self.log.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            reply = Reply(hang_up=True) if self.is_down else self._reply(asked)
            _send(handler, reply)
        finally:
            with self._lock:
                self._now -= 1

    def _reply(self, asked: Asked) -> Reply:
        known = self._answers.get(asked.path)
        right = known(asked) if known else html(Reply(), asked, status=404)
        fault = self._fault(asked)
        return fault(right, asked) if fault else right

    def _fault(self, asked: Asked) -> Fault | None:
        with self._lock:
            self._counts[asked.target] += 1
            count = self._counts[asked.target]
            for name in (asked.target, asked.path):
                if self._once[name]:
                    return self._once[name].popleft()
        for name in (asked.target, asked.path):
            if name in self._always:
                return self._always[name]
        if self._random is None:
            return None
        share, seed, faults = self._random
        digest = hashlib.sha256(f"{seed} {asked.target} {count}".encode()).digest()
        chance = int.from_bytes(digest[:6], "big") / 2**48
        return faults[digest[6] % len(faults)] if chance < share else None


def _asked(handler: BaseHTTPRequestHandler) -> Asked:
    parts = urlsplit(handler.path)
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    query = parse_qs(parts.query)
    if handler.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        query |= parse_qs(body.decode())
    headers = {name.lower(): value for name, value in handler.headers.items()}
    return Asked(handler.command, unquote(parts.path), query, headers, body, time.monotonic())


def _file(
    asked: Asked, body: bytes, *, etag: bool, ranges: bool, headers: Mapping[str, str]
) -> Reply:
    """A file, or the rest of it where asked for and unchanged."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    tag = f'"{hashlib.md5(body).hexdigest()}"'
    told = {"Content-Type": "application/fits", **({"ETag": tag} if etag else {}), **named}
    if ranges:
        told["Accept-Ranges"] = "bytes"
    match = _RANGE.fullmatch(asked.headers.get("range", ""))
    condition = asked.headers.get("if-range")
    if not ranges or match is None or condition not in (None, tag, told.get("Last-Modified")):
        return Reply(body, headers=told)
    start = int(match[1])
    if start >= len(body):
        return Reply(b"", 416, {"Content-Range": f"bytes */{len(body)}"})
    told["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return Reply(body[start:], 206, told)


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    time.sleep(reply.delay_s)
    if reply.hang_up:
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    length = len(reply.body) if reply.length is None else reply.length
    if length >= 0:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(reply.body[: reply.cut_at])
    if reply.cut_at is not None or length != len(reply.body):
        handler.close_connection = True


# --- faults ---------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Fault:
    """An error page of that status."""

    def fault(right: Reply, asked: Asked) -> Reply:
        page = html(right, asked, status=code)
        return replace(page, headers={**page.headers, **_named(headers)})

    return fault


def busy(retry_after: str) -> Fault:
    """429 with Retry-After."""
    return status(429, Retry_After=retry_after)


def slow(seconds: float) -> Fault:
    """The right answer, late."""
    return lambda right, asked: replace(right, delay_s=seconds)


def cut(right: Reply, asked: Asked) -> Reply:
    """Announces all of it, sends half, closes the connection."""
    return replace(right, cut_at=len(right.body) // 2)


def hang_up(right: Reply, asked: Asked) -> Reply:
    """Closes without a word."""
    return replace(right, hang_up=True)


def html(right: Reply, asked: Asked, status: int = 200) -> Reply:
    """A page for people, whatever was asked for."""
    page = b"<!DOCTYPE html><html><body><h1>The archive is being maintained</h1></body></html>"
    return Reply(page, status, {"Content-Type": "text/html"})


def flipped(right: Reply, asked: Asked) -> Reply:
    """The right length, one wrong byte in the middle."""
    middle = len(right.body) // 2
    changed = bytes([right.body[middle] ^ 0xFF]) if right.body else b""
    return replace(right, body=right.body[:middle] + changed + right.body[middle + 1 :])


def shorter(right: Reply, asked: Asked) -> Reply:
    """Less than there is, announced as if it were all."""
    return replace(right, body=right.body[: len(right.body) * 2 // 3])


def redirect(url: str, code: int = 302) -> Fault:
    """Elsewhere."""
    return lambda right, asked: Reply(b"", code, {"Location": url})


def round_and_round(right: Reply, asked: Asked) -> Reply:
    """A redirect to where it came from."""
    return Reply(b"", 302, {"Location": quote(asked.target, safe="/?=&:")})


def malformed_votable(right: Reply, asked: Asked) -> Reply:
    """A VOTable that ends in the middle of a row."""
    text = (
        b'<?xml version="1.0"?><VOTABLE version="1.3"><RESOURCE type="results"><TABLE>'
        b'<FIELD name="a" datatype="int"/><DATA><TABLEDATA><TR><TD>1</T'
    )
    return Reply(text, 200, {"Content-Type": "application/x-votable+xml"})


def unannounced(right: Reply, asked: Asked) -> Reply:
    """The right answer, its length not said beforehand."""
    return replace(right, length=-1)


PASSING = (status(500), status(503), busy("0"), cut, hang_up, html, flipped, shorter)
"""Faults that another attempt survives."""


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
