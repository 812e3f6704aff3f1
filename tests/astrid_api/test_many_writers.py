"""Many reviewers at once, over HTTP, on a server as people have it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import requests
from sqlalchemy import Connection, Engine, select

from astrid_core.curation.consensus import VerdictEvent, consensus_of, standing
from dbschema.models import Detection, DetectionConsensus, ValidationEvent
from tests import review
from tests.callers import Person, person

N_WRITERS = 100
N_DETECTIONS = 4
N_PEOPLE = 80
"""The other writers are some of these once more: a page sent again, its answer not awaited."""


@dataclass(frozen=True)
class Writer:
    """Who says what of which detection, and whether they take it back."""

    by: Person
    key: str
    detection: UUID
    said: dict[str, str | None]
    undoes: bool


def writers(connection: Connection, detections: list[UUID]) -> list[Writer]:
    """A hundred, of whom the last 20 are the first 20 again, with the same keys."""
    shown = {
        one: connection.scalar(select(Detection.cutout_sha256).where(Detection.id == one))
        for one in detections
    }
    people = [
        Writer(
            by=person(connection, "reviewer"),
            key=f"verdict-{number}",
            detection=(on := detections[number % N_DETECTIONS]),
            said={
                "verdict": ("real", "bogus", "unsure", "real", "real")[number % 5],
                "cutout_sha256": shown[on],
            },
            undoes=number % 7 == 0,
        )
        for number in range(N_PEOPLE)
    ]
    return people + people[: N_WRITERS - N_PEOPLE]


def events_on(connection: Connection, detection: UUID) -> list[VerdictEvent]:
    columns = (getattr(ValidationEvent, name) for name in VerdictEvent.__dataclass_fields__)
    query = select(*columns).where(ValidationEvent.detection_id == detection)
    return [VerdictEvent(**row) for row in connection.execute(query).mappings()]


def test_a_hundred_at_once_lose_and_double_nothing(address: str, engine: Engine) -> None:
    with engine.begin() as connection:
        detections = review.store_detections(connection, [0.5] * N_DETECTIONS)
        work = writers(connection, detections)
    together = threading.Barrier(len(work))

    def write(one: Writer) -> list[requests.Response]:
        with requests.Session() as client:
            client.headers.update(one.by.headers)
            together.wait(timeout=60)
            given = client.post(
                f"{address}/detections/{one.detection}/validations",
                json=one.said,
                headers={"Idempotency-Key": one.key},
            )
            if not one.undoes:
                return [given]
            undo = f"{address}/validations/{given.json()['event_id']}/undo"
            return [given, client.post(undo, headers={"Idempotency-Key": f"undo-{one.key}"})]

    with ThreadPoolExecutor(len(work)) as threads:
        answers = list(threads.map(write, work))
    # Nobody was told to come back: who finds every connection in use waits for one.
    assert {answer.status_code for sent in answers for answer in sent} == {200, 201}
    n_again = sum(answer.status_code == 200 for sent in answers for answer in sent)
    assert n_again == sum(1 + one.undoes for one in work[N_PEOPLE:])
    with engine.begin() as connection:
        for detection in detections:
            expected = [one for one in work[:N_PEOPLE] if one.detection == detection]
            events = events_on(connection, detection)
            assert len(events) == sum(1 + one.undoes for one in expected)
            assert {(event.reviewer_id, event.verdict) for event in standing(events)} == {
                (one.by.user.id, one.said["verdict"]) for one in expected if not one.undoes
            }
            consensus = consensus_of(events)
            assert consensus is not None
            columns = (getattr(DetectionConsensus, name) for name in vars(consensus))
            query = select(*columns).where(DetectionConsensus.detection_id == detection)
            assert dict(connection.execute(query).mappings().one()) == vars(consensus)
            row = select(Detection.n_verdicts, Detection.is_validated).where(
                Detection.id == detection
            )
            assert connection.execute(row).one() == (
                consensus.n_events,
                consensus.decided_by is not None,
            )
