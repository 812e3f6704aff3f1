"""Pages as a browser asks for them, without one."""

from uuid import uuid4

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from astrid_core.curation.access import Role
from tests import review
from tests.callers import HERE, Person

LOOK = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_whoever_is_not_signed_in_is_shown_how(client: TestClient) -> None:
    answer = client.get("/review", headers=LOOK)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert 'action="/sign-in"' in answer.text
    assert client.get("/review").headers["content-type"] == "application/problem+json"


def test_problems_are_pages_to_people(client: TestClient, people: dict[Role, Person]) -> None:
    headers = LOOK | people["viewer"].headers
    missing = client.get(f"/review/detections/{uuid4()}", headers=headers)
    assert missing.status_code == 404
    assert 'role="alert"' in missing.text
    refused = client.get("/review", headers=headers)
    assert refused.status_code == 403
    assert "needs a reviewer" in refused.text
    nowhere = client.get("/nowhere", headers=headers)
    assert nowhere.status_code == 404
    assert nowhere.headers["content-type"].startswith("text/html")


def test_each_role_has_a_home(client: TestClient, people: dict[Role, Person]) -> None:
    homes = {
        role: client.get("/", headers=one.headers).headers["location"]
        for role, one in people.items()
    }
    assert homes == {
        "viewer": "/review/judged",
        "reviewer": "/review",
        "operator": "/review",
    }


def test_a_page_loads_nothing_from_elsewhere(browser: TestClient) -> None:
    page = browser.get("/review", headers=LOOK)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in page.text.replace("http-equiv", "")


def test_a_module_is_sent_once(browser: TestClient) -> None:
    first = browser.get("/static/triplet.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = browser.get("/static/triplet.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("none.js", "..%2fpages.py", "style.css"):
        assert browser.get(f"/static/{name}").status_code == 404


@pytest.fixture
def judged(engine: Engine) -> None:
    """Five detections: judged by an expert, a reviewer, one without verdict."""
    with engine.begin() as connection:
        found = review.store_detections(connection, [0.9, 0.2, 0.99, 0.5, 0.5])
        judge = review.expert(connection)
        review.judge(connection, judge, found[0], "real", subtype="moving")
        review.judge(connection, judge, found[1], "bogus")
        review.judge(connection, judge, found[2], "bogus", subtype="noise")
        review.judge(connection, review.reviewer(connection), found[3], "real")


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("", 4),
        ("?label=bogus", 2),
        ("?label=&subtype=&survey=&night=&min_disagreement=0.0", 4),  # as a form sends it
        ("?subtype=moving", 1),
        ("?min_disagreement=0.8", 1),
        ("?label=pending", 1),
        ("?night=2026-09-01", 4),
        ("?night=2026-09-02", 0),
        ("?survey=elsewhere", 0),
        ("?mine=true", 0),
    ],
)
@pytest.mark.usefixtures("judged")
def test_what_was_judged_by_filters(browser: TestClient, query: str, n: int) -> None:
    page = browser.get(f"/review/judged{query}", headers=LOOK)
    assert page.status_code == 200
    assert page.text.count("<li ") == n


@pytest.mark.usefixtures("judged")
def test_what_was_judged_comes_a_page_at_a_time(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrid_api.routes.pages._PER_PAGE", 3)
    first = browser.get("/review/judged?label=", headers=LOOK).text
    assert first.count("<li ") == 3
    address = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = browser.get(f"/review/judged{address}", headers=LOOK)
    assert second.text.count("<li ") == 1
    assert 'rel="next"' not in second.text
    broken = browser.get("/review/judged?after=nonsense", headers=LOOK)
    assert broken.status_code == 422


def test_what_people_wrote_is_shown_as_text(browser: TestClient, engine: Engine) -> None:
    said = "</script><script>alert(1)</script>"
    with engine.begin() as connection:
        [found] = review.store_detections(connection, [0.5])
        review.judge(connection, review.expert(connection), found, note=said)
    page = browser.get(f"/review/detections/{found}", headers=LOOK)
    assert said not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


def test_a_link_of_another_address_is_no_page_of_ours(client: TestClient) -> None:
    assert TestClient(client.app, HERE).get("/review/items/x", headers=LOOK).status_code == 401
