"""Items to judge, verdicts given and taken back, and what reviewers did."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from sqlalchemy import Engine, func, select
from starlette.testclient import TestClient

from astrid_core.curation.access import Role
from dbschema.models import Detection, ReviewLease, ValidationEvent
from tests import review
from tests.callers import Person


def stored(engine: Engine, n: int = 1) -> list[UUID]:
    with engine.begin() as connection:
        return review.store_detections(connection, [0.5] * n)


def said(engine: Engine, detection: UUID, verdict: str = "real", **more: object) -> dict:
    """Body of a verdict by somebody who saw the detection's cutout."""
    query = select(Detection.cutout_sha256).where(Detection.id == detection)
    with engine.connect() as connection:
        return {"verdict": verdict, "cutout_sha256": connection.scalar(query)} | more


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def n_events(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(ValidationEvent)) or 0


def test_a_verdict_by_the_queue(browser: TestClient, engine: Engine) -> None:
    detections = {str(one) for one in stored(engine, 5)}
    items = browser.get("/review/queue", params={"n": 3}).json()["items"]
    assert len(items) == 3
    assert {item["detection_id"] for item in items} < detections
    assert items[0].keys() == {"lease_id", "detection_id", "expires_at"}  # no score, no stratum
    assert browser.get("/review/queue", params={"n": 3}).json()["items"][0].keys()
    [first, second, _] = items
    body = said(engine, UUID(first["detection_id"]), lease_id=first["lease_id"], time_taken_s=1.5)
    answer = browser.post(
        f"/detections/{first['detection_id']}/validations", json=body, headers=key()
    )
    assert answer.status_code == 201
    assert answer.json()["consensus"]["label"] == "pending"
    assert answer.json()["confidence_score"] == 0.5
    given_back = browser.delete(
        "/review/leases", params={"lease_id": [second["lease_id"], first["lease_id"]]}
    )
    assert given_back.json() == {"n_ended": 1}  # the first was closed by its verdict
    with engine.connect() as connection:
        still_open = select(func.count()).where(ReviewLease.closed_at.is_(None))
        assert connection.scalar(still_open) == 1
    mine = browser.get("/reviewers/me").json()["statistics"]
    assert (mine["n_real"], mine["median_time_s"]) == (1, 1.5)


def test_two_reviewers_get_different_items(
    client: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    stored(engine, 6)
    given = [
        client.get("/review/queue", params={"n": 3}, headers=people[role].headers).json()["items"]
        for role in ("reviewer", "operator")
    ]
    assert len({item["detection_id"] for items in given for item in items}) == 6


def test_the_same_post_twice_is_one_verdict(browser: TestClient, engine: Engine) -> None:
    [one] = stored(engine)
    url, body, headers = f"/detections/{one}/validations", said(engine, one), key()
    first, second = (browser.post(url, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["event_id"] == second.json()["event_id"]
    assert n_events(engine) == 1
    other = browser.post(url, json=body | {"verdict": "bogus"}, headers=headers)
    assert other.status_code == 409
    assert "idempotency key" in other.json()["detail"]
    assert n_events(engine) == 1


def test_so_are_many_at_once(
    client: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    [one] = stored(engine)
    body, headers = said(engine, one), people["reviewer"].headers | key()

    def post(_: int) -> int:
        url = f"/detections/{one}/validations"
        return client.post(url, json=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(post, range(16)))
    assert statuses == [200] * 15 + [201]
    assert n_events(engine) == 1


def test_an_undo_is_exact(browser: TestClient, engine: Engine) -> None:
    [one] = stored(engine)
    before = browser.get(f"/detections/{one}").json()
    given = browser.post(f"/detections/{one}/validations", json=said(engine, one), headers=key())
    undone, headers = f"/validations/{given.json()['event_id']}/undo", key()
    assert [browser.post(undone, headers=headers).status_code for _ in range(2)] == [201, 200]
    assert browser.post(undone, headers=key()).status_code == 409
    after = browser.get(f"/detections/{one}").json()
    assert [verdict["verdict"] for verdict in after["verdicts"]] == ["withdrawn", "real"]
    assert after | {"verdicts": []} == before
    assert browser.post(f"/validations/{uuid4()}/undo", headers=key()).status_code == 404


def test_only_operators_undo_others_verdicts(
    client: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    [one] = stored(engine)
    with engine.begin() as connection:
        event = review.judge(connection, review.reviewer(connection), one).event_id
    for role, status in (("reviewer", 403), ("operator", 201)):
        answer = client.post(f"/validations/{event}/undo", headers=people[role].headers | key())
        assert answer.status_code == status


def test_what_is_no_verdict_is_not_recorded(browser: TestClient, engine: Engine) -> None:
    [one] = stored(engine)
    good = said(engine, one)
    url = f"/detections/{one}/validations"
    assert browser.post(url, json=good).status_code == 422  # no key
    assert browser.post(url, json=good, headers={"Idempotency-Key": "short"}).status_code == 422
    wrong: list[tuple[int, dict]] = [
        (422, {"verdict": "maybe"}),
        (422, {"subtype": "dipole"}),  # of bogus, not of real
        (422, {"taxonomy_version": "0"}),
        (422, {"note": "a\0b"}),
        (422, {"note": "n" * 2001}),
        (422, {"time_taken_s": -1}),
        (422, {"stratum": "gold"}),
        (422, {"cutout_sha256": "none"}),
        (409, {"cutout_sha256": "0" * 64}),
        (409, {"cutout_sha256": None}),
        (404, {"lease_id": str(uuid4())}),
    ]
    for status, change in wrong:
        answer = browser.post(url, json=good | change, headers=key())
        assert answer.status_code == status, change
        assert answer.json()["remedy"], change
    unread = {"Content-Type": "application/json"} | key()
    assert browser.post(url, content=b"\xff", headers=unread).status_code == 400
    for body in (b"{", b'{"note": "\\ud800"}', b'{"time_taken_s": NaN}', b'{"\\ud800": 1}', b"[]"):
        assert browser.post(url, content=body, headers=unread).status_code == 422, body
    assert browser.get("/review/queue", params={"n": 101}).status_code == 422
    assert browser.delete("/review/leases").status_code == 422
    assert n_events(engine) == 0


def test_statistics_are_ones_own_or_an_operators_business(
    client: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    reviewer, operator = people["reviewer"], people["operator"]
    [one] = stored(engine)
    with engine.begin() as connection:
        review.judge(connection, reviewer.user, one, "bogus")
    url = f"/reviewers/{reviewer.user.id}"
    own = client.get(url, headers=reviewer.headers).json()
    assert own["statistics"]["n_bogus"] == 1
    assert client.get(url, headers=operator.headers).json() == own
    assert client.get("/reviewers/me", headers=reviewer.headers).json() == own
    others = f"/reviewers/{operator.user.id}"
    assert client.get(others, headers=reviewer.headers).status_code == 403
    assert client.get(others, headers=operator.headers).json()["statistics"] is None
    later = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(minutes=1)
    for since in (
        later.isoformat(),
        "0001-01-01T00:00:00+14:00",
        "0736-11-07T18:17:15+21:43",
        "9999-12-31T23:59:59-14:00",
    ):
        answer = client.get(url, params={"since": since}, headers=reviewer.headers)
        assert answer.status_code == 200, since
        assert (answer.json()["statistics"] is None) == (since[0] != "0")
    for since in ("20260901", "0", "2026-09-01T00:00:00+24:00"):
        answer = client.get(url, params={"since": since}, headers=reviewer.headers)
        assert answer.status_code == 422, since
