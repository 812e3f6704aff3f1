"""Requests that no client of ours would make, by people of every role: refused, never a fault.

They are given to the application as a server would hand them on, byte by byte: an HTTP client
would mend or refuse them first.
"""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from astrid_api.headers import SECURITY_HEADERS
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import ROLES, Role
from dbschema.models import SignInSession
from tests.callers import Person

FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
UNCONFIGURED = 503
"""No Dagster is configured here."""

Pairs = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(name="settings")
def _settings(settings: ApiSettings) -> ApiSettings:
    """Nobody is told to wait: that would hide what the API makes of a request."""
    often = {"user_requests_per_minute": 1_000_000, "address_requests_per_minute": 1_000_000}
    return settings.model_copy(update=often | {"sign_ins_per_minute": 100_000})


def ask(
    app: FastAPI, method: str, target: bytes, headers: Pairs = (), body: Sequence[bytes] = (b"",)
) -> Answer:
    """One request as a server hands it on; the application's faults are raised."""
    path, _, query = target.partition(b"?")
    names = {name.lower() for name, _ in headers}
    given_headers = [(name.lower(), value) for name, value in headers]
    if b"host" not in names:
        given_headers.append((b"host", b"localhost:8000"))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": given_headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    unread = [
        {"type": "http.request", "body": part, "more_body": index < len(body) - 1}
        for index, part in enumerate(body)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return unread.pop(0) if unread else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(app(scope, receive, send))
    start = sent[0]
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], told, content)


def check(answer: Answer, where: str) -> None:
    """An answer is no fault of the server's, and has what every answer has."""
    assert answer.status < 500 or answer.status == UNCONFIGURED, (where, answer)
    for name in SECURITY_HEADERS:
        assert name.lower() in answer.headers, (where, name)
    kind = answer.headers.get("content-type", "")
    if answer.status >= 400 and not kind.startswith("text/html"):  # the sign-in page says it so
        assert kind == "application/problem+json", where
        assert json.loads(answer.body)["status"] == answer.status, where


def key_of(person: Person) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {person.key}".encode()


def routes(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, context.path_format or context.path or "")
        for context in iter_route_contexts(app.routes)
        for method in sorted(context.methods or ())
    ]


BODIES = (
    b"", b"{", b"null", b"[]", b"0", b'"x"', b"\xff\xfe\x00", b"{}" * 9, b'{"a":' * 9000,
    b"[" * 60_000, b'{"verdict": NaN}', b'{"verdict": 1e999}', b'{"verdict": "\\ud800"}',
    b'{"verdict": "\\u0000", "note": "\\u0000"}', b'{"__proto__": {}, "constructor": {}}',
    b'{"verdict": "real", "verdict": "bogus"}', b'{"survey_ids": ' + b"9" * 5000 + b"}",
    '{"name": "☃\u202e"}'.encode(), b'{"first_night": "9999-12-31", "last_night": "0001-01-01"}',
)  # fmt: skip
KINDS = (
    b"application/json", b"application/json; charset=utf-7", b"text/plain", b"multipart/form-data",
    b"application/x-www-form-urlencoded", b"application/xml", b"", b"\xff",
    b"application/json" * 99, b"multipart/form-data; boundary=" + b"x" * 200,
)  # fmt: skip
TRICKS = (
    "..", "../..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "a%00b", "%ff%fe", "%E2%98%83",
    "x" * 5000, "%0d%0aSet-Cookie:%20a=b", "-1", "0", "1e999", "NaN", "{}", "${7*7}", "null",
    "00000000-0000-0000-0000-000000000000", "' OR 1=1 --", "<script>", "%ud800", ".", "%", "%2",
)  # fmt: skip


def test_every_route_takes_any_body_from_anybody(app: FastAPI, people: dict[Role, Person]) -> None:
    for method, path in routes(app):
        if method not in ("POST", "PUT", "DELETE"):
            continue
        target = path.replace("{", "").replace("}", "")
        for name in ("detection_id", "event_id", "dataset_id"):
            target = target.replace(name, str(uuid4()))
        for index, body in enumerate(BODIES):
            person = people[ROLES[index % len(ROLES)]]
            kind = KINDS[0] if index % 2 else KINDS[index // 2 % len(KINDS)]
            some = (key_of(person), (b"content-type", kind), (b"idempotency-key", b"12345678"))
            check(ask(app, method, target.encode(), some, [body]), f"{method} {path} {body[:40]!r}")


def test_every_route_takes_any_path_and_query(app: FastAPI, people: dict[Role, Person]) -> None:
    for number, (method, path) in enumerate(routes(app)):
        named = [part for part in path.split("/") if part.startswith("{")]
        for index in range(7):  # all of them over the routes
            trick = TRICKS[(7 * number + index) % len(TRICKS)]
            target = path
            for part in named:
                target = target.replace(part, quote(trick, safe="%/.") or "x")
            target += (
                f"?after={quote(trick, safe='%')}&limit={trick.replace(' ', '')}&ra={trick[:9]}"
            )
            person = people[ROLES[(number + index) % len(ROLES)]]
            answer = ask(app, method, target.encode(), [key_of(person)])
            check(answer, f"{method} {target[:200]}")
            assert b"root:" not in answer.body
            assert "set-cookie" not in answer.headers or path.startswith("/sign")


ODD_HEADERS: tuple[tuple[Pairs, int], ...] = (
    ([(b"origin", b"http://[")], 403),
    ([(b"origin", b"null")], 403),
    ([(b"origin", b"http://localhost:8000.evil.example")], 403),
    ([(b"origin", b"http://evil.example"), (b"origin", b"http://localhost:8000")], 403),
    ([(b"host", b"evil.example")], 403),
    ([(b"host", b"[")], 403),
    ([(b"host", b"")], 403),
    ([(b"host", b"localhost@evil.example")], 403),
    ([(b"host", b"evil.example#@localhost")], 403),
    ([(b"host", b"\xff")], 403),
    ([(b"host", b"evil.example"), (b"host", b"localhost")], 403),
    ([(b"sec-fetch-site", b"cross-site")], 403),
    ([(b"authorization", b"Bearer")], 401),
    ([(b"authorization", b"Bearer \xff\x00")], 401),
    ([(b"authorization", b"Bearer " + b"x" * 50_000)], 401),
    ([(b"authorization", b"Basic YTpi")], 401),
    ([(b"cookie", b"astrid_session=\xff; astrid_session=\x00;;==")], 401),
    ([(b"cookie", b"astrid_session=" + b"x" * 50_000)], 401),
    ([(b"content-length", b"99999999999999999999999999")], 401),
    ([(b"content-length", "９".encode())], 401),
    ([(b"content-length", b"-1")], 401),
    ([(b"accept", b"text/html" * 9000)], 401),
    ([(b"x-forwarded-host", b"localhost"), (b"host", b"evil.example")], 403),
)


def test_odd_headers_are_refused(app: FastAPI) -> None:
    for headers, status in ODD_HEADERS:
        answer = ask(app, "GET", b"/detections", headers)
        assert answer.status == status, headers
        assert "content-security-policy" in answer.headers
        # Sites are told apart before routes are, and routes before people.
        posted = ask(app, "POST", b"/detections", headers).status
        assert posted == (403 if status == 403 else 405), headers


NAMES = (
    b"origin", b"host", b"cookie", b"authorization", b"accept", b"content-type", b"content-length",
    b"x-csrf-token", b"if-none-match", b"sec-fetch-site", b"range",
)  # fmt: skip
VALUES = (b"http://[", b"*", b"bytes=0-", b"text/html")
TARGETS = (b"/detections", b"/sign-in", b"/review/leases", b"/health", b"/static/a.js")


@FEW
@given(
    headers=st.lists(
        st.tuples(st.sampled_from(NAMES), st.binary(max_size=40) | st.sampled_from(VALUES)),
        max_size=5,
    ),
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS", "BREW", ""]),
    target=st.binary(max_size=40).map(lambda junk: b"/" + quote(junk).encode())
    | st.sampled_from(TARGETS),
)
def test_no_headers_are_a_fault(app: FastAPI, headers: Pairs, method: str, target: bytes) -> None:
    answer = ask(app, method, target, headers)
    assert answer.status < 500, answer


@FEW
@given(
    after=st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.hex()),
    cut=st.integers(0, 60),
)
def test_cursors_that_were_tampered_with_are_refused(
    app: FastAPI, people: dict[Role, Person], after: str, cut: int
) -> None:
    texts = [after, base64.urlsafe_b64encode(json.dumps([after] * 2).encode()).decode()]
    texts.append(texts[1][:cut])
    for text in texts:
        for path in ("/detections", "/observations", "/training/datasets", "/review/judged"):
            target = f"{path}?after={quote(text, safe='')}".encode()
            check(ask(app, "GET", target, [key_of(people["viewer"])]), f"{path} {text!r}")


def test_large_bodies_are_refused_however_they_come(
    app: FastAPI, people: dict[Role, Person], settings: ApiSettings
) -> None:
    large = b"x" * settings.max_body_bytes
    for body in ([large, large], [b"x"] * (settings.max_body_bytes + 1), [large * 20]):
        answer = ask(app, "POST", b"/runs", [key_of(people["operator"])], body)
        assert answer.status == 413


def test_a_session_changes_nothing_without_its_token(
    app: FastAPI, engine: Engine, people: dict[Role, Person], browser: Any
) -> None:
    cookie = (b"cookie", f"astrid_session={browser.cookies['astrid_session']}".encode())
    token = browser.headers["X-CSRF-Token"].encode()
    wrong = ([], [b""], [token[:-1]], [token.upper()], [token + b"\0"], [b"\xff" * 64], [b"null"])
    for tokens in wrong:
        headers = [cookie, *((b"x-csrf-token", one) for one in tokens)]
        assert ask(app, "POST", b"/sign-out", headers).status == 403
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(SignInSession)) == 1
    assert ask(app, "POST", b"/sign-out", [cookie, (b"x-csrf-token", token)]).status < 400
