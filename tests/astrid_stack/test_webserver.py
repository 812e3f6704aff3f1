"""What the guard before Dagster's webserver lets through."""

import asyncio
from collections.abc import Callable

import pytest
from dagster_graphql.schema import create_schema
from starlette.types import Message, Receive, Scope, Send

from astrid_stack.hosts import LOOPBACK_NAMES
from astrid_stack.webserver import Guard

HERE = "http://localhost:3000"
JSON = {"content-type": "application/json"}
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts whatever it gets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def ask(kind: str, method: str, path: str, headers: dict[str, str]) -> list[Message]:
    """What the guarded application sends in answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": f"{kind}.disconnect"}

    path, _, query = path.partition("?")
    given = {"host": "localhost:3000"} | headers
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    } | ({"method": method} if kind == "http" else {})
    asyncio.run(Guard(application, LOOPBACK_NAMES)(scope, receive, send))
    return sent


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/runs", {"referer": "https://elsewhere.example/"}),
        ("GET", "/graphql", {}),  # the playground page
        ("POST", "/graphql", JSON),
        ("POST", "/graphql", JSON | {"origin": HERE}),
        ("POST", "/graphql", {"content-type": "application/json; charset=utf-8"}),
        ("GET", "/", {"host": "127.0.0.1:3000"}),
        ("GET", "/", {"host": "[::1]:3000"}),
        ("GET", "/runs", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("GET", "/runs", FOLLOWED),  # a link on another site
        ("GET", "/runs", FOLLOWED | {"sec-fetch-dest": "document"}),
        ("POST", "/graphql", JSON | {"origin": HERE, "sec-fetch-site": "same-origin"}),
    ],
)
def test_own_pages_and_plain_tools_pass(method: str, path: str, headers: dict) -> None:
    assert ask("http", method, path, headers)[0]["status"] == 200


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {"host": "evil.example"}),
        ("GET", "/", {"host": "localhost.evil.example:3000"}),
        ("GET", "/", {"host": "]["}),
        ("POST", "/graphql", JSON | {"origin": "https://evil.example"}),
        ("POST", "/graphql", JSON | {"origin": "http://localhost:8888"}),
        ("POST", "/graphql", JSON | {"origin": "null"}),
        ("POST", "/graphql", {"content-type": "text/plain"}),
        ("POST", "/report_asset_materialization/x", {}),
        ("GET", "/graphql?query={version}", {}),
        ("GET", "/runs", FOLLOWED | {"sec-fetch-dest": "iframe"}),
        ("GET", "/runs", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("GET", "/runs", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}),
        ("POST", "/graphql", JSON | FOLLOWED),
        ("POST", "/graphql", JSON | {"sec-fetch-site": "same-site"}),
    ],
)
def test_other_sites_and_disguises_are_refused(method: str, path: str, headers: dict) -> None:
    assert ask("http", method, path, headers)[0]["status"] == 403


def test_websocket_of_the_own_page_passes() -> None:
    assert ask("websocket", "", "/graphql", {"origin": HERE})[0]["type"] == "websocket.accept"


def test_websocket_of_another_site_is_refused() -> None:
    sent = ask("websocket", "", "/graphql", {"origin": "https://evil.example"})
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_every_mutation_that_changes_something_asks_for_a_permission() -> None:
    """Of another release of Dagster too: read-only users must not find one that does not ask."""
    mutations = create_schema().graphql_schema.mutation_type
    assert mutations is not None
    unasked = {name for name, field in mutations.fields.items() if not asks(field.resolve)}
    # The first launches each run as launchRun does; the others change nothing of ours.
    assert unasked <= {"launchMultipleRuns", "logTelemetry", "setNuxSeen"}


def asks(resolver: Callable | None) -> bool:
    """Whether one of Dagster's decorators that check a permission is on a resolver."""
    while resolver is not None:
        if "permission" in resolver.__code__.co_freevars:
            return True
        resolver = getattr(resolver, "__wrapped__", None)
    return False
