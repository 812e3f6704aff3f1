"""The proxy as it is shipped, a real Caddy, before the real API: whom it lets through to what."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import ROLES, Role, issue_sign_in_link, sign_in
from astrid_stack import ports, processes
from astrid_stack.credentials import COOKIE
from astrid_stack.processes import Program
from dbschema.session import make_engine
from tests.callers import Person, person
from tests.conftest import REPOSITORY, S3Store, copy_of
from tests.serving import served

CADDYFILE = REPOSITORY / "docker" / "proxy" / "Caddyfile"
CADDY = Path(sys.executable).with_name("caddy")
BEHIND = ("/dagster/runs", "/mlflow/ajax-api/2.0/mlflow/runs/search", "/dagster", "/mlflow/")
TIMEOUT_S = 10


def whatever() -> Starlette:
    """Stands for Dagster and MLflow: says what reached it."""

    async def tell(request: Request) -> JSONResponse:
        headers = {name: request.headers.get(name) for name in ("authorization", "cookie", "host")}
        return JSONResponse(headers | {"path": request.url.path})

    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    return Starlette(
        routes=[
            Route("/{path:path}", tell, methods=["GET", "POST"]),
            WebSocketRoute("/{path:path}", greet),
        ]
    )


@pytest.fixture(scope="module")
def database(postgres_server, migrated_template) -> Iterator[str]:
    with copy_of(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def proxy(database: str, s3: S3Store, servers_folder: Path) -> Iterator[str]:
    """Address of the proxy; it ends with the tests."""
    settings = ApiSettings(
        database_url=SecretStr(database),
        s3_endpoint=s3.endpoint,
        s3_bucket=s3.bucket,
        s3_access_key_id=SecretStr(s3.access_key_id),
        s3_secret_access_key=SecretStr(s3.secret_access_key),
    )
    with ExitStack() as running:
        app = create_app(settings)
        running.callback(app.state.services.engine.dispose)
        api = running.enter_context(served(app))
        behind = running.enter_context(served(whatever()))
        address = f"http://localhost:{ports.any_free_port()}"
        program = Program(
            name="caddy",
            argv=(str(CADDY), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"),
            environment=processes.base_environment()
            | {
                "ASTRID_SITE": address,
                "ASTRID_API_SERVER": urlsplit(api).netloc,
                "ASTRID_DAGSTER_SERVER": urlsplit(behind).netloc,
                "ASTRID_MLFLOW_SERVER": urlsplit(behind).netloc,
                "XDG_DATA_HOME": str(servers_folder / "caddy"),
                "XDG_CONFIG_HOME": str(servers_folder / "caddy"),
            },
            log=servers_folder / "caddy.log",
        )
        leash = processes.start_leashed(program)
        running.callback(processes.let_go, leash, 10.0)
        port = urlsplit(address).port
        assert port
        remedy = "Read its log."
        processes.wait_until_ready(program, leash, lambda: ports.answers(port), 30.0, remedy)
        yield address


@pytest.fixture(scope="module")
def people(database: str) -> dict[Role, Person]:
    engine = make_engine(database)
    with engine.begin() as connection:
        found = {role: person(connection, role) for role in ROLES}
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def session(database: str, people: dict[Role, Person]) -> str:
    """Cookie of a browser that the operator signed in with."""
    engine = make_engine(database)
    with engine.begin() as connection:
        link = issue_sign_in_link(connection, people["operator"].user)
        _, opened = sign_in(connection, link.secret)
    engine.dispose()
    return f"{COOKIE}={opened.secret.get_secret_value()}"


def ask(address: str, headers: dict[str, str], method: str = "GET") -> requests.Response:
    return requests.request(
        method, address, headers=headers, timeout=TIMEOUT_S, allow_redirects=False
    )


def test_the_configuration_is_formatted_and_valid() -> None:
    environment = os.environ | {"ASTRID_SITE": "https://astrid.example"}
    for command in (
        ("fmt", "--diff", str(CADDYFILE)),
        ("validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"),
    ):
        done = subprocess.run(
            [CADDY, *command], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", BEHIND)
@pytest.mark.parametrize("role", [None, *ROLES])
def test_operators_alone_reach_what_is_behind(
    proxy: str, people: dict[Role, Person], role: Role | None, path: str
) -> None:
    answer = ask(proxy + path, dict(people[role].headers) if role else {})
    assert answer.status_code == {None: 401, "operator": 200}.get(role, 403)
    if role == "operator":
        assert answer.json()["path"] == path


def test_a_browser_is_shown_where_to_sign_in(proxy: str) -> None:
    answer = ask(f"{proxy}/dagster/", {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 401
    assert 'action="/sign-in"' in answer.text


def test_dagster_is_told_who_asks_and_mlflow_is_not(proxy: str, session: str) -> None:
    headers = {"Cookie": session}
    dagster = ask(f"{proxy}/dagster/", headers).json()
    assert dagster["cookie"] == session
    assert dagster["host"] == urlsplit(proxy).netloc
    assert ask(f"{proxy}/mlflow/", headers).json()["cookie"] is None
    assert ask(f"{proxy}/mlflow/", headers).json()["authorization"] is None


def test_another_site_s_page_does_not_post_with_an_operator_s_session(
    proxy: str, session: str
) -> None:
    page = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for other in (
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"} | page,
    ):
        answer = ask(f"{proxy}/mlflow/ajax-api/x", {"Cookie": session} | other, "POST")
        assert answer.status_code == 403, other
    own = {"Origin": proxy, "Sec-Fetch-Site": "same-origin"}
    assert ask(f"{proxy}/mlflow/ajax-api/x", {"Cookie": session} | own, "POST").ok


def test_a_forged_method_or_address_is_not_believed(proxy: str, session: str) -> None:
    forged = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}
    other = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    answer = ask(f"{proxy}/mlflow/x", {"Cookie": session} | forged | other, "POST")
    assert answer.status_code == 403


def test_websockets_are_for_operators_too(
    proxy: str, session: str, people: dict[Role, Person]
) -> None:
    address = f"{proxy.replace('http', 'ws', 1)}/dagster/graphql"
    with connect(address, additional_headers={"Cookie": session}) as socket:
        assert socket.recv() == "hello"
    for headers in ({}, people["viewer"].headers):
        with pytest.raises(InvalidStatus):
            connect(address, additional_headers=dict(headers))
    foreign = {"Cookie": session, "Origin": "https://elsewhere.example"}
    with pytest.raises(InvalidStatus):
        connect(address, additional_headers=foreign)


@pytest.mark.parametrize(
    "path",
    ["//dagster/runs", "/./dagster/runs", "/x/../dagster/runs", "/DAGSTER/runs", "/%64agster"],
)
def test_no_spelling_of_a_path_leads_around_the_gate(proxy: str, path: str) -> None:
    url = requests.Request("GET", proxy).prepare()
    url.url = proxy + path  # as it is written
    answer = requests.Session().send(url, timeout=TIMEOUT_S, allow_redirects=False)
    # It is asked about, or goes to the API, which has no such thing.
    assert answer.status_code in (401, 404), answer.text


def test_the_api_is_reached_as_it_is_and_its_gate_is_not(
    proxy: str, people: dict[Role, Person]
) -> None:
    assert ask(f"{proxy}/health", {}).json()["status"] == "ok"
    assert ask(f"{proxy}/surveys", dict(people["viewer"].headers)).status_code == 200
    assert ask(f"{proxy}/surveys", {}).status_code == 401
    assert ask(f"{proxy}/gate/operator", dict(people["operator"].headers)).status_code == 404
