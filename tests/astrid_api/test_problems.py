"""What clients see when things go wrong."""

import logging
import socket
import time
from http import HTTPStatus

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.headers import SECURITY_HEADERS
from astrid_api.problems import problem_of, status_of
from astrid_api.settings import ApiSettings
from astrid_core import errors
from astrid_core.curation.access import Role
from astrid_stack.errors import (
    DagsterRefusedError,
    DagsterUnavailableError,
    NightsError,
    StackError,
)
from astrid_stack.ports import LOOPBACK, any_free_port
from tests.callers import HERE, Person


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.SignInError, 401),
        (errors.NotAllowedError, 403),
        (errors.NoSuchItemError, 404),
        (errors.VerdictConflictError, 409),
        (errors.UserError, 409),
        (errors.VerdictError, 422),
        (errors.StoreError, 503),
        (errors.DatabaseError, 503),
        (DagsterUnavailableError, 503),
        (DagsterRefusedError, 502),
        (NightsError, 422),
        (StackError, 500),
        (errors.StoreRefusedError, 500),
        (errors.DatabaseRefusedError, 500),
        (errors.ObjectMissingError, 500),
        (errors.ObjectCorruptError, 500),
        (errors.BadFitsError, 500),
        (errors.AstridError, 500),
    ],
)
def test_each_error_has_its_status(kind: type[errors.AstridError], status: int) -> None:
    error = kind("It happened to thing 7.", remedy="Do that.")
    assert status_of(error) == status
    answer = bytes(problem_of(error).body).decode()
    # What is the server's fault is said in its log, not to clients.
    assert ("thing 7" in answer) == ("Do that." in answer) == (status < 500)


def test_every_error_has_a_status_and_a_kind_of_its_own() -> None:
    def below(kind: type[errors.AstridError]) -> set[type[errors.AstridError]]:
        return {kind}.union(*(below(sub) for sub in kind.__subclasses__()))

    for kind in below(errors.AstridError):
        error = kind("It happened.", retry_after_s=1)
        assert isinstance(status_of(error), HTTPStatus)
        assert problem_of(error).media_type == "application/problem+json"


def test_plain_http_errors_are_problems_too(client: TestClient) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/detections", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_a_method_that_a_path_has_not_is_answered_with_those_it_has(client: TestClient) -> None:
    for path, allowed in (
        ("/sign-in", "GET, POST"),
        ("/review/detections/any", "GET"),
        ("/runs", "POST"),
    ):
        answer = client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_request_that_is_too_large_is_refused(
    client: TestClient, settings: ApiSettings, people: dict[Role, Person]
) -> None:
    large = b"x" * (settings.max_body_bytes + 1)
    headers = people["reviewer"].headers | {"Idempotency-Key": "12345678"}
    url = f"/detections/{people['reviewer'].user.id}/validations"

    def in_pieces():  # without a length to go by
        yield from (large[:100], large[100:])

    for content in (large, in_pieces()):
        as_json = headers | {"Content-Type": "application/json"}
        answer = client.post(url, content=content, headers=as_json)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/sign-in", content=large, headers=form).status_code == 413


def test_every_answer_has_the_security_headers(
    app: FastAPI, client: TestClient, people: dict[Role, Person], caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the password is swordfish")

    asked = {
        "/health": 200,
        "/sign-in": 200,
        "/surveys": 401,
        "/nowhere": 404,
        "/broken": 500,
    }
    with caplog.at_level(logging.ERROR):
        for path, status in asked.items():
            answer = client.get(path)
            assert answer.status_code == status
            for name in SECURITY_HEADERS:
                assert name in answer.headers, (path, name)
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
    assert "swordfish" not in answer.text
    reference = answer.json()["detail"].split()[-1].rstrip(".")
    assert f"problem {reference}: RuntimeError" in caplog.text


def test_health_tells_operators_more(client: TestClient, people: dict[Role, Person]) -> None:
    assert client.get("/health").json() == {"status": "ok", "parts": None}
    told = client.get("/health", headers=people["viewer"].headers).json()
    assert told == {"status": "ok", "parts": None}
    parts = client.get("/health", headers=people["operator"].headers).json()["parts"]
    # The others are not configured here.
    assert [part["name"] for part in parts] == ["database", "store"]
    assert all(part["latency_ms"] > 0 for part in parts)
    assert client.get("/health", headers={"Authorization": "Bearer no"}).status_code == 401


def test_a_store_that_is_gone_is_said_so(settings: ApiSettings, people: dict[Role, Person]) -> None:
    gone = settings.model_copy(update={"s3_bucket": "no-such-bucket"})
    client = TestClient(create_app(gone), HERE)
    answer = client.get("/health", headers=people["operator"].headers)
    assert answer.status_code == 503
    assert answer.json()["status"] == "failing"
    assert [part["error_type"] for part in answer.json()["parts"]] == [None, "StoreRefusedError"]


def test_without_dagster_and_mlflow_people_can_go_on_judging(
    settings: ApiSettings, people: dict[Role, Person]
) -> None:
    nobody = f"http://127.0.0.1:{any_free_port()}"
    gone = settings.model_copy(update={"dagster_url": nobody, "mlflow_uri": nobody})
    client = TestClient(create_app(gone), HERE)
    answer = client.get("/health", headers=people["operator"].headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert [
        (part["name"], part["is_needed"], part["error_type"]) for part in answer.json()["parts"]
    ] == [
        ("database", True, None),
        ("store", True, None),
        ("dagster", False, "ConnectionError"),
        ("mlflow", False, "ConnectionError"),
    ]


def test_a_part_that_never_answers_does_not_keep_health_waiting(
    settings: ApiSettings, people: dict[Role, Person]
) -> None:
    with socket.socket() as silent:
        silent.bind((LOOPBACK, 0))
        silent.listen()  # takes connections and says nothing
        hangs = f"http://{LOOPBACK}:{silent.getsockname()[1]}"
        client = TestClient(create_app(settings.model_copy(update={"mlflow_uri": hangs})), HERE)
        begun = time.monotonic()
        answer = client.get("/health", headers=people["operator"].headers)
        assert time.monotonic() - begun < 8
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"][-1]["error_type"] in ("TimeoutError", "ReadTimeout")


def test_a_database_that_is_gone_is_said_so(settings: ApiSettings) -> None:
    address = f"postgresql://astrid:swordfish@127.0.0.1:{any_free_port()}/astrid"
    gone = settings.model_copy(update={"database_url": SecretStr(address)})
    client = TestClient(create_app(gone), HERE)
    health = client.get("/health", headers={"Authorization": "Bearer anything"})
    assert (health.status_code, health.json()) == (503, {"status": "failing", "parts": None})
    answer = client.get("/surveys", headers={"Authorization": "Bearer anything"})
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:astrid:problem:database"
    assert "127.0.0.1" not in answer.text
