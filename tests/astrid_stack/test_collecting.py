"""Training data asked for over the API of a real stack: Dagster collects it meanwhile."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from astrid_core.storage import ObjectStore
from astrid_core.training.client import load_training_data
from astrid_stack.state import DEFAULT_PORTS, STATE_VARIABLE, State, port_variable
from astrid_stack.supervisor import Stack
from dbschema.session import make_engine
from tests import rows
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


def post(stack: Stack, **changes: Any) -> requests.Response:
    return requests.post(
        f"{stack.state.address('api')}/training/datasets/collect",
        json=ASKED | changes,
        headers={"Authorization": f"Bearer {stack.state.token().get_secret_value()}"},
        timeout=100,
    )


def get(stack: Stack, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {stack.state.token().get_secret_value()}"}
    answer = requests.get(stack.state.address("api") + path, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_dataset_is_collected_and_loaded(stack: Stack, tmp_path: Path) -> None:
    answer = post(stack)
    if answer.status_code == 202:  # a slow machine: it is asked again, as the answer says
        deadline = time.monotonic() + 120
        while (state := get(stack, answer.json()["status_url"]))["status"] != "done":
            assert state["status"] in ("queued", "running"), state
            assert time.monotonic() < deadline
            time.sleep(1)
        dataset = get(stack, state["dataset_url"])
    else:
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
    answer = post(stack, start="2020-01-01", end="2020-02-01")
    assert answer.status_code in (422, 202), answer.text
    if answer.status_code == 422:
        assert answer.json()["type"] == "urn:astrid:problem:empty-dataset"
        said = answer.json()["detail"]
    else:
        deadline = time.monotonic() + 120
        while (state := get(stack, answer.json()["status_url"]))["status"] != "failed":
            assert time.monotonic() < deadline
            time.sleep(1)
        said = state["error"]
    for remedy in ("date", "threshold", "detection"):
        assert remedy in said.lower()
    assert os.linesep not in said.strip()
