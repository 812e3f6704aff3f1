"""Who may use Dagster's webserver, on a real database. The real webserver is in test_stack."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from astrid_core.curation.access import (
    api_keys_of,
    issue_sign_in_link,
    revoke_api_key,
    sign_in,
    sign_out,
)
from astrid_stack.callers import REMEMBERED_S, Callers, SignedIn, sign_in_page
from astrid_stack.credentials import COOKIE
from astrid_stack.ports import any_free_port
from dbschema.session import make_engine
from tests.callers import Person, person

HERE = "http://localhost:3000"
API = "http://127.0.0.1:8000"
PAGE = {"Accept": "text/html,application/xhtml+xml"}


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells whom it was told of."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    user = scope.get("user")
    await JSONResponse({"name": user and user.name})(scope, receive, send)


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = make_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client_of(engine: Engine, clock: Clock, api: str | None = API) -> TestClient:
    callers = Callers(engine, clock)
    guarded = SignedIn(application, callers, lambda path: path == "/open", "/graphql", api)
    return TestClient(guarded, HERE, follow_redirects=False)


@pytest.fixture
def client(engine: Engine, clock: Clock) -> TestClient:
    return client_of(engine, clock)


@pytest.fixture
def viewer(engine: Engine) -> Person:
    with engine.begin() as connection:
        return person(connection, "viewer")


def test_nobody_is_sent_to_sign_in_by_the_name_they_used(client: TestClient) -> None:
    answer = client.get("/runs", headers=PAGE)
    assert answer.status_code == 303
    assert answer.headers["location"] == "http://localhost:8000/sign-in"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/logs/x"), ("POST", "/graphql"), ("POST", "/report_asset_check/x"), ("HEAD", "/")],
)
def test_nobody_gets_401_for_everything_else(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    if method != "HEAD":
        assert "http://localhost:8000/sign-in" in answer.text


def test_nobody_opens_a_websocket(client: TestClient, viewer: Person) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/graphql"):
        pass
    with client.websocket_connect("/graphql", headers=viewer.headers):
        pass


def test_what_does_not_hold_is_nobody(client: TestClient, viewer: Person) -> None:
    for headers in (
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": viewer.key},
        {"Cookie": f"{COOKIE}=wrong"},
        {"Cookie": f"{COOKIE}={viewer.key}"},  # a key is no session
    ):
        assert client.post("/graphql", headers=headers).status_code == 401, headers


def test_a_browser_that_signed_in_at_the_api_is_known(
    client: TestClient, engine: Engine, clock: Clock, viewer: Person
) -> None:
    with engine.begin() as connection:
        link = issue_sign_in_link(connection, viewer.user)
        _, session = sign_in(connection, link.secret)
    cookie = {"Cookie": f"{COOKIE}={session.secret.get_secret_value()}"}
    assert client.get("/runs", headers=cookie).json() == {"name": viewer.user.name}
    with engine.begin() as connection:
        sign_out(connection, session.secret)
    clock.now += REMEMBERED_S
    assert client.get("/runs", headers=cookie).status_code == 401


def test_only_operators_post_elsewhere_than_to_graphql(
    client: TestClient, engine: Engine, viewer: Person
) -> None:
    path = "/report_asset_materialization/x"
    with engine.begin() as connection:
        people = [person(connection, role) for role in ("reviewer", "operator")]
    statuses = [client.post(path, headers=each.headers).status_code for each in (viewer, *people)]
    assert statuses == [403, 403, 200]
    assert client.post("/graphql", headers=viewer.headers).status_code == 200
    assert client.post("/report_asset_check/graphql", headers=viewer.headers).status_code == 403


def test_users_are_remembered_for_seconds_and_no_longer(
    client: TestClient, engine: Engine, clock: Clock, viewer: Person
) -> None:
    assert client.get("/", headers=viewer.headers).status_code == 200
    with engine.begin() as connection:
        (key,) = api_keys_of(connection, viewer.user.id)
        revoke_api_key(connection, key.id)
    clock.now += REMEMBERED_S - 0.1
    assert client.get("/", headers=viewer.headers).status_code == 200
    clock.now += 0.2
    assert client.get("/", headers=viewer.headers).status_code == 401


def test_without_the_database_nobody_is_let_in(clock: Clock) -> None:
    gone = make_engine(f"postgresql://astrid:swordfish@127.0.0.1:{any_free_port()}/astrid")
    client = client_of(gone, clock)
    answer = client.get("/", headers={"Authorization": "Bearer anything"})
    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text
    assert client.get("/open").json() == {"name": None}


def test_where_the_api_is_not_known_pages_say_how(engine: Engine, clock: Clock) -> None:
    answer = client_of(engine, clock, api=None).get("/", headers=PAGE)
    assert answer.status_code == 401
    assert "Sign in at AstrID's API, or send an API key" in answer.text


@pytest.mark.parametrize(
    ("api", "host", "page"),
    [
        (API, "127.0.0.1:3000", "http://127.0.0.1:8000/sign-in"),
        (API, "localhost:3000", "http://localhost:8000/sign-in"),
        (API, "dagster.example", "http://127.0.0.1:8000/sign-in"),
        ("https://astrid.example/", "dagster.example", "https://astrid.example/sign-in"),
        ("https://astrid.example", "localhost:3000", "https://astrid.example/sign-in"),
        (API, "][", "http://127.0.0.1:8000/sign-in"),
    ],
)
def test_the_sign_in_page_has_the_name_that_the_browser_uses(
    api: str, host: str, page: str
) -> None:
    assert sign_in_page(api, host) == page
