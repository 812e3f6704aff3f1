"""Keys, links, sessions, and pages of other sites that try to use them."""

import datetime as dt
import logging

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import (
    Role,
    change_user,
    issue_api_key,
    issue_sign_in_link,
    revoke_api_key,
)
from astrid_stack.credentials import COOKIE
from dbschema.models import SignInSession, ValidationEvent
from tests import review
from tests.callers import HERE, Person


def link_for(engine: Engine, person: Person) -> str:
    with engine.begin() as connection:
        return issue_sign_in_link(connection, person.user).secret.get_secret_value()


def test_a_link_signs_in_once_by_post(
    client: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    link = link_for(engine, people["viewer"])
    page = client.get("/sign-in", params={"link": link})
    assert page.status_code == 200
    assert f'value="{link}"' in page.text
    assert client.get("/session").status_code == 401  # to look at the page uses nothing up
    answer = client.post("/sign-in", data={"link": link})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert client.get("/session").json()["name"] == people["viewer"].user.name
    again = TestClient(client.app, HERE).post("/sign-in", data={"link": link})
    assert again.status_code == 401
    assert 'role="alert"' in again.text
    assert "set-cookie" not in again.headers


def test_the_whole_address_may_be_pasted(
    client: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    link = link_for(engine, people["viewer"])
    answer = client.post("/sign-in", data={"link": f" {HERE}/sign-in?link={link} "})
    assert answer.status_code == 303


def test_what_a_link_holds_is_shown_as_text(client: TestClient) -> None:
    html = client.get("/sign-in", params={"link": '"><script>alert(1)</script>'}).text
    assert "<script>" not in html


def test_the_cookie_is_secure_over_https(
    app: FastAPI, engine: Engine, people: dict[Role, Person]
) -> None:
    link = link_for(engine, people["viewer"])
    secure = TestClient(app, "https://localhost", follow_redirects=False)
    assert "Secure" in secure.post("/sign-in", data={"link": link}).headers["set-cookie"]


def test_signing_out_ends_the_session_itself(browser: TestClient, engine: Engine) -> None:
    cookie = browser.cookies[COOKIE]
    assert browser.post("/sign-out").status_code == 204
    assert COOKIE not in browser.cookies
    kept = {"Cookie": f"{COOKIE}={cookie}"}
    assert TestClient(browser.app, HERE).get("/session", headers=kept).status_code == 401
    with engine.connect() as connection:
        assert connection.scalar(select(func.count(SignInSession.ended_at))) == 1


def test_a_key_that_does_not_hold_is_nobody(browser: TestClient) -> None:
    for credentials in ("Bearer wrong", "Bearer ", "Basic dXNlcjpwdw==", "x"):
        # Not even where a good cookie comes with it: the key was meant.
        answer = browser.get("/surveys", headers={"Authorization": credentials})
        assert answer.status_code == 401, credentials
        assert answer.headers["www-authenticate"] == "Bearer"


def test_keys_stop_working(client: TestClient, engine: Engine, people: dict[Role, Person]) -> None:
    user = people["viewer"].user
    with engine.begin() as connection:
        revoked = issue_api_key(connection, user, "revoked")
        expired = issue_api_key(connection, user, "expired", dt.timedelta(seconds=-1))
        revoke_api_key(connection, revoked.id)
    for issued in (revoked, expired):
        headers = {"Authorization": f"Bearer {issued.secret.get_secret_value()}"}
        assert client.get("/surveys", headers=headers).status_code == 401
    assert client.get("/surveys", headers=people["viewer"].headers).status_code == 200
    with engine.begin() as connection:
        change_user(connection, user.id, role="viewer", is_expert=False, is_active=False)
    assert client.get("/surveys", headers=people["viewer"].headers).status_code == 401


def test_a_change_without_the_sessions_token_is_refused(
    browser: TestClient, engine: Engine
) -> None:
    with engine.begin() as connection:
        [detection] = review.store_detections(connection, [0.5])
        shown = review.judgement(connection, detection).cutout_sha256
    url, body = f"/detections/{detection}/validations", {"verdict": "real", "cutout_sha256": shown}
    key = {"Idempotency-Key": "a-key-of-this"}
    right = browser.headers.pop("X-CSRF-Token")
    for token in (None, "", "0" * 64, "ü", right[:-1]):
        headers = key if token is None else key | {"X-CSRF-Token": token.encode()}
        assert browser.post(url, json=body, headers=headers).status_code == 403, token
        assert browser.post("/sign-out", headers=headers).status_code == 403, token
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(ValidationEvent)) == 0
    good = key | {"X-CSRF-Token": right}
    assert browser.post(url, json=body, headers=good).status_code == 201


def test_a_token_is_of_its_session_alone(
    browser: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    other = TestClient(browser.app, HERE)
    other.post("/sign-in", data={"link": link_for(engine, people["reviewer"])})
    assert other.get("/session").json()["csrf_token"] != browser.headers["X-CSRF-Token"]
    assert (
        other.post(
            "/sign-out", headers={"X-CSRF-Token": browser.headers["X-CSRF-Token"]}
        ).status_code
        == 403
    )


FOREIGN = (
    {"Origin": "https://elsewhere.example"},
    {"Origin": "http://localhost:3000"},  # another server of this machine
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Host": "rebound.example"},
    {"Host": "[bad"},
)
OWN = (
    {"Origin": HERE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},  # a link followed
    {"Host": "127.0.0.1:8000"},
    {"Host": "[::1]:8000"},
)


def test_other_sites_pages_are_refused(
    browser: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    link = link_for(engine, people["reviewer"])
    for headers in FOREIGN:
        assert browser.post("/sign-in", data={"link": link}, headers=headers).status_code == 403
        answer = browser.get("/review/queue", headers=headers)
        assert answer.status_code == 403, headers
        assert answer.headers["content-type"] == "application/problem+json"
    navigating = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert browser.post("/sign-out", headers=navigating).status_code == 403
    assert browser.post("/sign-in", data={"link": link}).status_code == 303  # still unused


def test_own_pages_and_links_pass(client: TestClient, people: dict[Role, Person]) -> None:
    for headers in OWN:
        answer = client.get("/session", headers=headers | people["viewer"].headers)
        assert answer.status_code == 200, headers


def test_a_proxys_name_may_be_allowed(settings: ApiSettings, people: dict[Role, Person]) -> None:
    given = settings.model_copy(update={"allowed_hosts": "astrid.example, Other.example"})
    client = TestClient(create_app(given), "https://other.example")
    assert client.get("/surveys", headers=people["viewer"].headers).status_code == 200


def test_users_and_addresses_are_held_to_their_rates(
    settings: ApiSettings, people: dict[Role, Person]
) -> None:
    given = settings.model_copy(update={"user_requests_per_minute": 3, "sign_ins_per_minute": 2})
    client = TestClient(create_app(given), HERE)
    viewer, operator = people["viewer"].headers, people["operator"].headers
    asked = [client.get("/surveys", headers=viewer) for _ in range(4)]
    assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
    assert 0 < int(asked[-1].headers["retry-after"]) <= 60
    assert client.get("/surveys", headers=operator).status_code == 200
    tried = [client.post("/sign-in", data={"link": "guess"}) for _ in range(3)]
    assert [answer.status_code for answer in tried] == [401, 401, 429]
    few = settings.model_copy(update={"address_requests_per_minute": 2})
    client = TestClient(create_app(few), HERE)
    assert [client.get("/health").status_code for _ in range(3)] == [200, 200, 429]


def test_nothing_secret_is_logged(
    client: TestClient,
    engine: Engine,
    settings: ApiSettings,
    people: dict[Role, Person],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    link = link_for(engine, people["reviewer"])
    client.get("/sign-in", params={"link": link})
    client.post("/sign-in", data={"link": link})
    client.post("/sign-in", data={"link": link})
    token = client.get("/session").json()["csrf_token"]
    key = people["reviewer"].key
    misplaced = {"lease_id": key, "cutout_sha256": key, "verdict": key}
    headers = {"Idempotency-Key": "12345678", "X-CSRF-Token": token}
    url = f"/detections/{people['reviewer'].user.id}/validations"
    answer = client.post(url, json=misplaced, headers=headers)
    assert answer.status_code == 422
    client.get("/surveys", headers=people["reviewer"].headers)
    client.get("/nowhere", params={"key": key})
    secrets = [
        link,
        key,
        token,
        client.cookies[COOKIE],
        settings.database_url.get_secret_value(),
        settings.s3_secret_access_key.get_secret_value(),
    ]
    # All but the test's own client, which logs what it asks for.
    logged = [record for record in caplog.records if record.name != "httpx2"]
    assert any(record.getMessage().startswith("GET /sign-in 200") for record in logged)
    for secret in secrets:
        assert not [record for record in logged if secret in record.getMessage()]
        assert secret not in answer.text
