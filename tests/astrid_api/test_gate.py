"""Whom a proxy is told to let through to Dagster and MLflow."""

import pytest
from starlette.testclient import TestClient

from astrid_core.curation.access import ROLES, Role
from tests.callers import HERE, Person

GET = {"X-Forwarded-Method": "GET"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


@pytest.mark.parametrize("role", ROLES)
def test_operators_and_nobody_else(
    client: TestClient, people: dict[Role, Person], role: Role
) -> None:
    answer = client.get("/gate/operator", headers=people[role].headers | GET)
    assert answer.status_code == (204 if role == "operator" else 403)


def test_nobody_is_shown_where_to_sign_in(client: TestClient) -> None:
    assert client.get("/gate/operator", headers=GET).status_code == 401
    page = client.get("/gate/operator", headers=GET | PAGE)
    assert page.status_code == 401
    assert 'action="/sign-in"' in page.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (GET, 204),
        (GET | {"Sec-Fetch-Site": "same-origin"}, 204),
        (GET | PAGE | {"Sec-Fetch-Site": "cross-site"}, 204),  # a link that was followed
        ({"X-Forwarded-Method": "POST", "Origin": HERE, "Sec-Fetch-Site": "same-origin"}, 204),
        # The same by a form: only the method tells.
        ({"X-Forwarded-Method": "POST", "Sec-Fetch-Site": "cross-site"} | PAGE, 403),
        ({"Sec-Fetch-Site": "cross-site"} | PAGE, 403),
        ({"X-Forwarded-Method": "POST", "Origin": "https://elsewhere.example"}, 403),
        (GET | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
def test_what_other_sites_pages_make_is_refused(
    client: TestClient, people: dict[Role, Person], headers: dict[str, str], status: int
) -> None:
    answer = client.get("/gate/operator", headers=people["operator"].headers | headers)
    assert answer.status_code == status
