"""Who may use which route: all of them, whoever asks."""

from uuid import uuid4

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from astrid_api.access import PUBLIC, require_roles, roles_of
from astrid_core.curation.access import ROLES, Role
from astrid_core.errors import ConfigurationError
from tests.callers import Person

PAGES = {"/", "/docs", "/openapi.json", "/review", "/review/judged", "/static/{name}"} | {
    "/review/detections/{detection_id}",
    "/review/samples/{sample_id}",
}
"""What people look at: not of the API that is described."""

NEEDED: dict[tuple[str, str], Role | None] = {
    ("GET", "/health"): None,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("GET", "/gate/operator"): "operator",
    ("GET", "/metrics"): "operator",
    ("GET", "/session"): "viewer",
    ("POST", "/sign-out"): "viewer",
    ("GET", "/docs"): "viewer",
    ("GET", "/openapi.json"): "viewer",
    ("GET", "/surveys"): "viewer",
    ("GET", "/observations"): "viewer",
    ("GET", "/detections"): "viewer",
    ("GET", "/detections/{detection_id}"): "viewer",
    ("GET", "/detections/{detection_id}/cutout"): "viewer",
    ("GET", "/objects/{object_id}"): "viewer",
    ("GET", "/"): "viewer",
    ("GET", "/static/{name}"): "viewer",
    ("GET", "/review"): "reviewer",
    ("GET", "/review/judged"): "viewer",
    ("GET", "/review/detections/{detection_id}"): "viewer",
    ("GET", "/review/queue"): "reviewer",
    ("GET", "/review/items/{detection_id}"): "reviewer",
    ("GET", "/review/progress"): "reviewer",
    ("DELETE", "/review/leases"): "reviewer",
    ("POST", "/detections/{detection_id}/validations"): "reviewer",
    ("POST", "/validations/{event_id}/undo"): "reviewer",
    ("GET", "/reviewers/me"): "reviewer",
    ("GET", "/reviewers/{reviewer_id}"): "reviewer",
    ("POST", "/runs"): "operator",
    ("GET", "/runs/{backfill_id}"): "viewer",
    ("POST", "/training/datasets/collect"): "operator",
    ("GET", "/training/collections/{dataset_id}"): "viewer",
    ("GET", "/training/datasets"): "viewer",
    ("GET", "/training/datasets/{dataset_id}"): "viewer",
    ("GET", "/training/datasets/{dataset_id}/quality"): "viewer",
    ("GET", "/training/datasets/{dataset_id}/samples"): "viewer",
    ("GET", "/training/datasets/{dataset_id}/samples/{position}/{kind}"): "viewer",
    ("GET", "/training/datasets/{dataset_id}/files/{sha256}"): "viewer",
    ("GET", "/training/datasets/{dataset_id}/manifest"): "viewer",
    ("GET", "/training/datasets/{dataset_id}/download"): "viewer",
    ("GET", "/training/samples/{sample_id}"): "viewer",
    ("GET", "/review/samples/{sample_id}"): "viewer",
}


IDS = ("detection_id", "object_id", "event_id", "reviewer_id", "backfill_id")
IDS += ("dataset_id", "sample_id")


def test_the_table_has_every_route(app: FastAPI) -> None:
    found = {(method, path): role for method, path, role in roles_of(app)}
    assert found == NEEDED
    assert {key for key, role in NEEDED.items() if role is None} == PUBLIC


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_route_lets_in_who_has_its_role(
    client: TestClient, people: dict[Role, Person], role: Role | None
) -> None:
    headers = people[role].headers if role else {}
    for (method, path), needed in NEEDED.items():
        for name in IDS:
            # One that there is not: whoever is let in is told so.
            path = path.replace(f"{{{name}}}", str(uuid4()))
        status = client.request(method, path, headers=headers).status_code
        if needed is None:
            assert status in (200, 401 if method == "POST" else 200), path
        elif role is None:
            assert status == 401, path
        elif ROLES.index(role) < ROLES.index(needed):
            assert status == 403, path
        elif path.startswith("/reviewers/") and not path.endswith("/me"):
            assert status == (404 if role == "operator" else 403), path
        elif path.startswith(("/runs/", "/training/collections/")):
            assert status == 503, path  # no Dagster is configured here
        else:
            assert status in (200, 204, 303, 404, 422), path


def test_a_route_that_anybody_could_use_keeps_the_application_from_being_made(
    app: FastAPI,
) -> None:
    @app.get("/everything")
    def everything() -> None: ...

    with pytest.raises(ConfigurationError, match="GET /everything"):
        require_roles(app)


def test_every_page_of_the_description_says_who_and_how(
    client: TestClient, people: dict[Role, Person]
) -> None:
    headers = people["viewer"].headers
    api = client.get("/openapi.json", headers=headers).json()
    described = {(m.upper(), path) for path, methods in api["paths"].items() for m in methods}
    assert described == {(method, path) for method, path in NEEDED if path not in PAGES}
    html = client.get("/docs", headers=headers)
    assert html.headers["content-type"].startswith("text/html")
    for method, path in described:
        assert f"{method} {path}" in html.text
    assert "//" not in html.text.replace("https://", "//").replace("<!doctype html>", "")


def test_every_route_tells_how_it_may_refuse(app: FastAPI) -> None:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            told = {int(status) for status in operation["responses"]}
            needed = NEEDED[method.upper(), path] is not None
            bodies = operation.get("requestBody", {}).get("content", ())
            assert told >= {403, 429}, path
            assert not needed or told >= {401, 503}, path
            assert method == "get" or 413 in told, path
            assert "application/json" not in bodies or told >= {400, 422}, path
