"""Metrics: right, never public, told though the database is down, and the board asks for them."""

import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import Engine, insert
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.metrics import Counts
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import ROLES, Role
from astrid_core.errors import DatabaseError
from astrid_core.monitoring.tally import Tally
from astrid_core.storage import ObjectStore
from astrid_stack.ports import any_free_port
from dbschema.models import Observation, PreprocessRun
from tests import rows
from tests.callers import HERE, Person
from tests.care import make_world
from tests.conftest import REPOSITORY

Sample = tuple[str, frozenset[tuple[str, str]]]
TOKEN = "a token for Prometheus alone"


def samples(text: str) -> dict[Sample, float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict[Sample, float], name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def world(engine: Engine, store: ObjectStore, tmp_path: Path) -> None:
    with engine.begin() as connection:
        make_world(connection, store, tmp_path)
        failed = rows.preprocess_row(rows.observation_row(9), "1", status="failed")
        rows.add(connection, Observation, rows.observation_row(9))
        connection.execute(insert(PreprocessRun).values(**failed))


def test_counts_are_those_of_the_rows(
    client: TestClient, people: dict[Role, Person], world: None
) -> None:
    answer = client.get("/metrics", headers=people["operator"].headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    found = samples(answer.text)
    sim = {"survey": "sim"}
    assert value(found, "astrid_observations", **sim, frame_kind="science") == 3
    assert value(found, "astrid_frames", **sim, stage="preprocess", status="completed") == 2
    assert value(found, "astrid_frames", **sim, stage="preprocess", status="failed") == 1
    assert value(found, "astrid_frames", **sim, stage="detection", status="completed") == 2
    failed = {"stage": "preprocess", "error_type": "BadFitsError"}
    assert value(found, "astrid_frames_failed", **sim, **failed) == 1
    assert value(found, "astrid_candidates", **sim) == 28
    assert value(found, "astrid_detections", **sim) == 28
    assert value(found, "astrid_files", **sim, status="completed", error_type="") == 2
    midnight = rows.NIGHT.toordinal() - 719_163
    assert value(found, "astrid_latest_night_timestamp_seconds", **sim) == midnight * 86_400
    assert value(found, "astrid_verdicts", verdict="real") == 5
    assert value(found, "astrid_verdicts", verdict="bogus") == 5
    assert value(found, "astrid_labels", label="real") == 4
    assert value(found, "astrid_training_datasets", status="active") == 1
    assert value(found, "astrid_training_samples", label_source="human") == 20
    assert value(found, "astrid_review_waiting_detections") == 24
    assert value(found, "astrid_part_up", part="database") == 1
    assert value(found, "astrid_part_up", part="store") == 1
    assert value(found, "astrid_counts_known") == 1


@pytest.mark.parametrize(("role", "status"), [(None, 401), *((r, 403) for r in ROLES[:-1])])
def test_nobody_else_is_told(
    client: TestClient, people: dict[Role, Person], role: Role | None, status: int
) -> None:
    headers = people[role].headers if role else {}
    assert client.get("/metrics", headers=headers).status_code == status
    # No token is configured: an empty one, or none, opens nothing.
    for shown in ("Bearer ", "Bearer None", "Bearer null"):
        assert client.get("/metrics", headers={"Authorization": shown}).status_code == 401


def test_the_token_opens_metrics_and_nothing_else(settings: ApiSettings) -> None:
    app = create_app(settings.model_copy(update={"metrics_token": SecretStr(TOKEN)}))
    client = TestClient(app, HERE, raise_server_exceptions=False)
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/metrics", headers=shown).status_code == 200
    assert client.get("/detections", headers=shown).status_code == 401
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
    app.state.services.engine.dispose()


def test_a_short_token_is_refused() -> None:
    with pytest.raises(ValueError, match="metrics_token"):
        ApiSettings.model_validate({"metrics_token": "short"})


def test_it_tells_that_the_database_is_down(settings: ApiSettings) -> None:
    nowhere = f"postgresql+psycopg://me:hunter2@127.0.0.1:{any_free_port()}/astrid"
    changed = {"database_url": SecretStr(nowhere), "metrics_token": SecretStr(TOKEN)}
    app = create_app(settings.model_copy(update=changed))
    client = TestClient(app, HERE, raise_server_exceptions=False)
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    found = samples(answer.text)
    assert value(found, "astrid_part_up", part="database") == 0
    assert value(found, "astrid_part_up", part="store") == 1
    assert value(found, "astrid_counts_known") == 0
    assert value(found, "astrid_counts_age_seconds") == -1
    assert "hunter2" not in answer.text


def test_rows_are_counted_once_a_minute_and_kept_while_that_fails() -> None:
    now = 0.0
    asked: list[float] = []

    def ask() -> list[Tally]:
        asked.append(now)
        if len(asked) == 2:
            raise DatabaseError("gone")
        return [Tally("astrid_x", "x", (), (((), float(len(asked))),))]

    counts = Counts(ask, lambda: now)

    def told() -> list[tuple[str, float]]:
        return [(one.name, sample.value) for one in counts.collect() for sample in one.samples]

    assert told() == [
        ("astrid_x", 1),
        ("astrid_counts_known", 1),
        ("astrid_counts_age_seconds", 0),
    ]
    now = 59.0
    assert told()[0] == ("astrid_x", 1)
    now = 61.0
    assert told() == [
        ("astrid_x", 1),
        ("astrid_counts_known", 0),
        ("astrid_counts_age_seconds", 61),
    ]
    now = 62.0
    told()
    assert asked == [0.0, 61.0], "who has just failed is not asked again at once"
    now = 77.0
    assert told()[:2] == [("astrid_x", 3), ("astrid_counts_known", 1)]


def test_requests_are_timed_by_route_and_never_by_what_callers_invent(
    app: FastAPI, client: TestClient, people: dict[Role, Person]
) -> None:
    headers = people["operator"].headers
    client.get("/detections/00000000-0000-0000-0000-000000000000", headers=headers)
    client.get("/nothing/here-0123456789", headers=headers)
    client.request("BREW", "/coffee")
    client.get("/surveys", headers=headers)
    text = client.get("/metrics", headers=headers).text
    assert "0123456789" not in text
    assert "BREW" not in text
    counted = {
        (labels["method"], labels["route"], labels["status"]): number
        for (name, pairs), number in samples(text).items()
        if name == "astrid_http_request_duration_seconds_count"
        for labels in [dict(pairs)]
    }
    assert counted == {
        ("GET", "/detections/{detection_id}", "404"): 1,
        ("none", "none", "404"): 2,
        ("GET", "/surveys", "200"): 1,
    }


def test_the_board_asks_for_what_there_is(
    client: TestClient, people: dict[Role, Person], world: None
) -> None:
    board = json.loads((REPOSITORY / "docker" / "grafana" / "astrid.json").read_text())
    headers = people["operator"].headers
    client.get("/surveys", headers=headers)
    text = client.get("/metrics", headers=headers).text
    there = {name for name, _ in samples(text)} | {
        match[1] for match in re.finditer(r"^# TYPE (\S+)", text, re.MULTILINE)
    }
    labels = {name: set() for name in there}
    for name, pairs in samples(text):
        labels.setdefault(name, set()).update(label for label, _ in pairs)
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(queries) > 15
    for query in queries:
        asked = re.findall(r"\bastrid_[a-z_]+", query)
        assert asked, query
        assert set(asked) <= there, query
        grouped = re.findall(r"by \(([^)]*)\)", query)
        for group in grouped:
            wanted = {label.strip() for label in group.split(",")}
            known = set().union(*(labels[name] for name in asked))
            # What there is none of here has no labels to look at.
            assert not known or wanted <= known, query
    unasked = {
        name
        for name in there
        if not any(name.removesuffix("_bucket") in query for query in queries)
        and not name.startswith("astrid_http_request")
    }
    assert unasked <= {
        "astrid_build",
        "astrid_counts_age_seconds",
        "astrid_latest_night_timestamp_seconds",
    }
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
