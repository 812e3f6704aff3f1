"""The API against its own description: whatever may be asked, it answers as described.

What to ask is made from the description, what it allows and what it forbids, the same in
every run; ids are now and then those of rows that there are.
"""

import copy
import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis import Config
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from sqlalchemy import Engine, select, update

from astrid_api.access import PUBLIC
from astrid_api.paging import to_token
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import Role
from astrid_core.curation.queue import QueueConfig, next_items
from astrid_core.storage import ObjectStore
from astrid_core.training.browse import dataset_head
from dbschema.models import Detection, DifferenceRun, ValidationEvent
from tests import review, rows
from tests.callers import HERE, Person
from tests.training import Frozen

N_EXAMPLES = 5
"""Made at random of each operation, besides what each keyword of its schemas suggests."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "negative_data_rejection",
    "positive_data_acceptance",
    "ignored_auth",
)

UNTOLD = (
    "GET /detections",  # a cone is whole or not at all
    "GET /observations",
    "GET /surveys",
    "POST /detections/{detection_id}/validations",  # which kinds a verdict has
    "GET /training/datasets",
    "GET /training/datasets/{dataset_id}/samples",
    "POST /training/datasets/collect",  # which surveys there are, and what a window is
    "POST /runs",  # which surveys there are, and which nights they have
)
"""What may be refused although it is as described: a schema cannot tell what `after` may be."""

UNANSWERED = (
    "POST /runs",
    "GET /runs/{backfill_id}",
    "POST /training/datasets/collect",
)
"""What needs a Dagster, and none is configured here: where it is asked, status 503."""

COLLECTION = "GET /training/collections/{dataset_id}"
"""Answers without a Dagster only of what is collected already."""


@dataclass
class Answers:
    """What became of all that was asked.

    Attributes
    ----------
    statuses
        Of each operation, and how often; of requests by its own method.
    failures
        Answers that are not as described, and what else went wrong.
    """

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)


@pytest.fixture(name="settings")
def _settings(settings: ApiSettings) -> ApiSettings:
    """Nobody is told to wait: that would hide what the API makes of a question."""
    often = {"user_requests_per_minute": 1_000_000, "address_requests_per_minute": 1_000_000}
    return settings.model_copy(update=often | {"sign_ins_per_minute": 10_000})


@pytest.fixture
def migrated_url(frozen_url: str) -> str:
    """With a dataset in it."""
    return frozen_url


@pytest.fixture
def known(
    engine: Engine,
    store: ObjectStore,
    people: dict[Role, Person],
    frozen: Frozen,
    tmp_path: Path,
) -> dict[str, list[str]]:
    """Values that name something that there is, by the parameter or field that they go into."""
    pixels = np.random.default_rng(1).normal(100.0, 5.0, (1, 4, 63, 63)).astype(np.float32)
    stack = pixels.repeat(3, axis=0)  # alike: whichever hash is named, it is that of the cutout
    operator = people["operator"].user
    with engine.begin() as connection:
        # Of frames made up for the dataset only: they have none.
        without = {"cutout_path": None, "cutout_index": None, "cutout_sha256": None}
        connection.execute(update(Detection).values(**without))
    with engine.begin() as connection:
        detections = [
            one
            for number in range(2)
            for one in review.store_cutouts(
                connection, store, stack, tmp_path / f"{number}.fits", number=number
            )
        ]
        connection.execute(update(DifferenceRun).values(flux_ratio=0.5))
        thing = review.store_object(connection, [detections[0], detections[3]], [4.0, None])
        for by in people["reviewer"].user, operator:
            review.judge(connection, by, detections[0])
        held = next_items(connection, operator, 2, QueueConfig())
        known = {
            "detection_id": detections,
            "object_id": [thing],
            "event_id": connection.scalars(select(ValidationEvent.id)).all(),
            "reviewer_id": [person.user.id for person in people.values()],
            "lease_id": [item.lease_id for item in held],
            "cutout_sha256": connection.scalars(
                select(Detection.cutout_sha256)
                .where(Detection.cutout_sha256.is_not(None))
                .distinct()
            ).all(),
            "survey": [rows.SURVEY],
            "dataset_id": [frozen.id],
            "sample_id": [frozen.records[0].id],
            "sha256": [dataset_head(connection, frozen.id).shards[0].mask_sha256],
            "after": [
                to_token(*key)
                for key in (
                    (0.5, detections[0]),
                    (rows.NIGHT, detections[0]),
                    (rows.SURVEY,),
                    ("nan", detections[0]),
                    (dt.date.max, detections[0]),
                    ("\ud800",),
                )
            ],
        }
    return {name: [str(value) for value in values] for name, values in known.items()}


@pytest.fixture
def description(app: FastAPI, known: dict[str, list[str]]) -> dict[str, Any]:
    """The API's, in which known values stand beside all that a parameter or field may be.

    One of each is its example: a request of examples alone finds what it asks for.
    """
    description = copy.deepcopy(app.openapi())
    for methods in description["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if (values := known.get(parameter["name"])) is not None:
                    parameter["schema"] = _widen(parameter["schema"], values)
                    parameter["example"] = _example(parameter["schema"], values)
    bodies = {
        "/detections/{detection_id}/validations": {
            "verdict": "unsure",
            "cutout_sha256": known["cutout_sha256"][0],
        },
        "/training/datasets/collect": {"name": "mine", "survey_ids": [rows.SURVEY]},
        "/runs": {
            "survey": "simulated",
            "first_night": "2025-09-01",
            "last_night": "2025-09-03",
            "what": "ingest",
        },
    }
    for path, body in bodies.items():
        of_path = description["paths"][path]["post"]["requestBody"]["content"]
        of_path["application/json"]["example"] = body
    fields = description["components"]["schemas"]["GivenJudgement"]["properties"]
    for name in fields.keys() & known.keys():
        fields[name] = _widen(fields[name], known[name])
    return description


def _widen(schema: dict[str, Any], values: list[str]) -> dict[str, Any]:
    if schema.get("type") == "array":
        return schema | {"items": _widen(schema["items"], values)}
    return {"anyOf": [{"enum": values}, schema]}


def _example(schema: dict[str, Any], values: list[str]) -> str | list[str]:
    return values if schema.get("type") == "array" else values[0]


def ask(
    app: FastAPI, description: dict[str, Any], headers: dict[str, str], phases: dict[str, Any]
) -> Answers:
    """Ask whatever the description allows and forbids."""
    not_a_fault = {"not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]}}
    config = {
        "base-url": HERE,
        "headers": headers,
        "continue-on-failure": True,
        "generation": {"deterministic": True},
        "phases": {"enabled": False} | phases,
        "checks": {"enabled": False} | {name: {"enabled": True} for name in CHECKS},
        "operations": [
            {"include-name": [*UNTOLD], "checks": {"positive_data_acceptance": {"enabled": False}}},
            {"include-name": [*UNANSWERED, COLLECTION], "checks": not_a_fault},
        ],
    }
    schema = schemathesis.openapi.from_dict(description, config=Config.from_dict(config))
    schema.app = app
    answers = Answers()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _note(event.recorder, answers)
            case events.NonFatalError():
                answers.failures.append(f"{event.label}: {event.info.format()}")
            case events.FatalError():
                raise event.exception
    return answers


def _note(recorder: ScenarioRecorder, answers: Answers) -> None:
    for case_id, interaction in recorder.interactions.items():
        operation = recorder.cases[case_id].value.operation
        if interaction.response and interaction.request.method == operation.method.upper():
            answers.statuses[operation.label][int(interaction.response.status_code)] += 1
    answers.failures += [
        f"{check.name}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
        for checks in recorder.checks.values()
        for check in checks
        if check.failure_info is not None
    ]


def operations(description: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, methods in description["paths"].items()
        for method in methods
    }


def test_an_operator_is_answered_as_described(
    app: FastAPI, description: dict[str, Any], people: dict[Role, Person]
) -> None:
    phases = {
        "examples": {"enabled": True},
        "coverage": {"enabled": True},
        "fuzzing": {"enabled": True, "generation": {"max-examples": N_EXAMPLES}},
    }
    answers = ask(app, description, people["operator"].headers, phases)
    assert not answers.failures, "\n\n".join(answers.failures)
    # Otherwise it would prove nothing.
    done = {name for name, statuses in answers.statuses.items() if min(statuses) < 300}
    assert done == operations(description) - {*UNANSWERED, "POST /sign-in"}
    assert all(answers.statuses[name][503] for name in UNANSWERED)


def test_whoever_shows_nothing_is_told_nothing(app: FastAPI, description: dict[str, Any]) -> None:
    phases = {"fuzzing": {"enabled": True, "generation": {"max-examples": N_EXAMPLES}}}
    answers = ask(app, description, {}, phases)
    assert not answers.failures, "\n\n".join(answers.failures)
    assert answers.statuses.keys() == operations(description)
    for method, path in PUBLIC:
        answers.statuses.pop(f"{method} {path}")
    for name, statuses in answers.statuses.items():
        assert statuses[401], name
        # Where the path itself asks for an id, the router finds none for another text.
        missed = {404} if name == "GET /training/datasets/{dataset_id}" else set()
        assert statuses.keys() <= {400, 401, 422} | missed, name
