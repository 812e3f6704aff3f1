"""Asking for runs: what is refused before Dagster is asked, and when it cannot be.

Runs that really run are in ``tests/astrid_stack/test_stack.py``.
"""

import datetime as dt

import pytest
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import Role
from astrid_stack.dagster_client import DagsterClient
from astrid_stack.ports import any_free_port
from tests.callers import HERE, Person

NIGHTS = {
    "survey": "simulated",
    "first_night": "2025-09-01",
    "last_night": "2025-09-03",
    "what": "ingest",
}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"survey": "nowhere"}, "There is no survey 'nowhere'"),
        ({"last_night": "2025-08-31"}, "before they begin"),
        ({"first_night": "1999-12-31"}, "before the first partition"),
        ({"last_night": str(dt.date.today() + dt.timedelta(days=2))}, "has not come yet"),
        ({"first_night": "2021-01-01"}, "that may be asked for at once"),
        ({"what": "everything"}, "what"),
        ({"first_night": "yesterday"}, "first_night"),
        ({"first_night": 1_756_684_800}, "first_night"),
        ({"where": "here"}, "where"),
    ],
)
def test_nights_that_cannot_be_run_are_refused_with_what_to_do(
    client: TestClient, people: dict[Role, Person], wrong: dict[str, str], said: str
) -> None:
    answer = client.post("/runs", json=NIGHTS | wrong, headers=people["operator"].headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert answer.json()["remedy"]


def test_without_a_dagster_it_is_unavailable(
    client: TestClient, settings: ApiSettings, people: dict[Role, Person]
) -> None:
    nobody = f"http://127.0.0.1:{any_free_port()}"
    silent = create_app(settings.model_copy(update={"dagster_url": nobody}))
    for asked in (client, TestClient(silent, HERE)):
        headers = people["operator"].headers
        for answer in (
            asked.post("/runs", json=NIGHTS, headers=headers),
            asked.get("/runs/abcdefgh", headers=headers),
        ):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:astrid:problem:dagster-unavailable"
            assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize(
    ("changed", "address"),
    [
        ({}, None),
        ({"dagster_url": "http://webserver:3000/"}, "http://webserver:3000/"),
        (
            {"dagster_url": "http://webserver:3000", "dagster_address": "https://here.example/d"},
            "https://here.example/d",
        ),
        ({"dagster_address": "https://here.example/d"}, None),  # none that could be asked
    ],
)
def test_people_are_sent_to_dagster_where_they_reach_it(
    settings: ApiSettings, changed: dict[str, str], address: str | None
) -> None:
    found = settings.model_copy(update=changed)
    assert found.dagster_for_people == address
    if found.dagster_url:
        client = DagsterClient(found.dagster_url, {}, found.dagster_for_people)
        assert client.address_of("abc") == f"{(address or '').rstrip('/')}/runs/b/abc"


def test_a_browser_must_show_its_pages_token(client: TestClient, browser: TestClient) -> None:
    # The browser is a reviewer's: with the token it is known, and not allowed.
    assert "a reviewer" in browser.post("/runs", json=NIGHTS).json()["detail"]
    del browser.headers["X-CSRF-Token"]
    assert "token" in browser.post("/runs", json=NIGHTS).json()["detail"]
