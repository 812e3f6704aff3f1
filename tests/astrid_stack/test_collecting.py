"""Training data asked for over the API of a real stack: Dagster collects it meanwhile."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.storage import ObjectStore
from astrid_core.training.client import load_training_data
from astrid_stack.state import DEFAULT_PORTS, STATE_VARIABLE, State, port_variable
from astrid_stack.supervisor import Stack
from dbschema.session import make_engine
from tests import rows
from tests.callers import HERE
from tests.conftest import REPOSITORY
from tests.sky_to_learn_from import store_sky

ASKED = {
    "name": "mine",
    "survey_ids": [rows.SURVEY],
    "start": "2026-08-30T00:00:00",
    "end": "2026-09-10T00:00:00",
}


@pytest.fixture(scope="module")
def stack(servers_folder: Path) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        folder = servers_folder / "collecting"
        patch.setenv(STATE_VARIABLE, str(folder))
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        sample = random.sample(range(20_000, 32_000), len(DEFAULT_PORTS))
        for name, port in zip(DEFAULT_PORTS, sample, strict=True):
            patch.setenv(port_variable(name), str(port))
        running = Stack(State.create(folder))
        try:
            running.up()
            _put_sky(running)
            yield running
        finally:
            running.down()


def _put_sky(stack: Stack) -> None:
    environment = stack.state.environment()
    store = ObjectStore(
        environment["ASTRID_S3_ENDPOINT"],
        environment.get("ASTRID_S3_BUCKET", "astrid"),
        SecretStr(environment["ASTRID_S3_ACCESS_KEY_ID"]),
        SecretStr(environment["ASTRID_S3_SECRET_ACCESS_KEY"]),
    )
    engine = make_engine(environment["ASTRID_DATABASE_URL"])
    with engine.begin() as connection:
        store_sky(connection, store)
    engine.dispose()


def api(stack: Stack, wait_s: float) -> TestClient:
    """The stack's API, which waits for a dataset as long as the test needs it to."""
    settings = ApiSettings.model_validate(
        {
            name.removeprefix("ASTRID_").lower(): value
            for name, value in stack.state.environment().items()
            if name.startswith("ASTRID_")
        }
        | {"collect_wait_s": wait_s}
    )
    headers = {"Authorization": f"Bearer {stack.state.token().get_secret_value()}"}
    return TestClient(create_app(settings), HERE, headers=headers)


def test_a_dataset_is_collected_and_loaded(stack: Stack, tmp_path: Path) -> None:
    answer = api(stack, 240).post("/training/datasets/collect", json=ASKED)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert answer.headers["Location"] == f"/training/datasets/{dataset['id']}"
    assert dataset["total_samples"] > 0
    assert set(dataset["n_by_split"]) == {"train", "val", "test"}
    key = stack.state.token().get_secret_value()
    splits = load_training_data(dataset["id"], stack.state.address("api"), key, tmp_path)
    assert sum(map(len, splits)) == dataset["total_samples"]
    assert splits[0][0]["image"].shape == (5, 80, 80)


def test_an_empty_window_is_answered_with_what_to_do(stack: Stack) -> None:
    nothing = ASKED | {"start": "2020-01-01", "end": "2020-02-01"}
    answer = api(stack, 240).post("/training/datasets/collect", json=nothing)
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "urn:astrid:problem:empty-dataset"
    for remedy in ("date", "threshold", "detection"):
        assert remedy in answer.json()["detail"].lower()


def test_who_is_not_kept_waiting_is_told_where_to_ask(stack: Stack) -> None:
    asked = api(stack, 0)
    answer = asked.post("/training/datasets/collect", json=ASKED | {"name": "later"})
    assert answer.status_code == 202, answer.text
    later = answer.json()
    assert answer.headers["Location"] == later["status_url"]
    assert later["status"] in ("queued", "running")
    deadline = time.monotonic() + 240
    while (state := asked.get(later["status_url"]).json())["status"] != "done":
        assert state["status"] in ("queued", "running"), state
        assert state["dagster_run_id"] in state["dagster"]
        assert time.monotonic() < deadline
        time.sleep(1)
    assert asked.get(state["dataset_url"]).json()["name"] == "later"
