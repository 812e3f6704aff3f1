"""Verdicts inherited by reference, on a real server."""

import datetime as dt
from collections.abc import Iterator
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sqlalchemy import Connection, select

from astrid_core.curation.inherit import inherit_verdicts, mutual_nearest
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    Survey,
)
from dbschema.session import make_engine
from tests import rows
from tests.rows import add

Position = tuple[float, float]
MODEL = rows.model_row()
EARLY, LATE = (dt.datetime(2026, 9, day, tzinfo=dt.UTC) for day in (2, 3))


@pytest.fixture
def connection(migrated_url: str) -> Iterator[Connection]:
    engine = make_engine(migrated_url)
    with engine.begin() as connection:
        add(connection, Survey, rows.survey_row())
        add(connection, Model, MODEL)
        for number in range(2):
            add(connection, Observation, rows.observation_row(number))
            add(connection, PreprocessRun, rows.preprocess_row(rows.observation_row(number)))
        yield connection
    engine.dispose()


def store_run(
    connection: Connection,
    version: str,
    *positions: Position,
    number: int = 0,
    fwhm_pix: float | None = 3.0,
    **changes: object,
) -> tuple[UUID, list[UUID]]:
    """Detections of one more run on an observation: (model run, detection ids)."""
    processed = rows.preprocess_row(rows.observation_row(number))
    difference = rows.difference_row(processed, version, fwhm_pix=fwhm_pix)
    run = rows.model_run_row(difference, MODEL, version)
    add(connection, DifferenceRun, difference)
    add(connection, ModelRun, run)
    found = []
    for x_pix, y_pix in positions:
        candidate = rows.candidate_row(difference, x_pix, y_pix, **changes)
        add(connection, Candidate, candidate)
        detection = rows.detection_row(run, candidate)
        add(connection, Detection, detection)
        found.append(detection["id"])
    return run["run_id"], found


def judge(connection: Connection, detection: UUID, when: dt.datetime = EARLY) -> None:
    """What the review page does when a consensus is reached."""
    consensus = {"detection_id": detection, "label": "real", "n_events": 1, "decided_by": "expert"}
    add(connection, DetectionConsensus, consensus | {"updated_at": when})
    connection.execute(
        Detection.__table__.update().where(Detection.id == detection).values(is_validated=True)
    )


def origins(connection: Connection) -> dict[UUID, UUID | None]:
    query = select(Detection.id, Detection.inherited_from, Detection.is_validated)
    found = connection.execute(query).all()
    assert all(row.is_validated for row in found if row.inherited_from)
    return {row.id: row.inherited_from for row in found}


def test_the_same_source_inherits_the_others_do_not(connection: Connection) -> None:
    _, (judged, unjudged) = store_run(connection, "1", (100.0, 100.0), (200.0, 200.0))
    judge(connection, judged)
    run, (same, near_unjudged, far) = store_run(
        connection, "2", (101.0, 101.5), (200.5, 200.0), (104.0, 100.0)
    )
    assert inherit_verdicts(connection, [run]) == 1
    assert origins(connection) == {
        judged: None, unjudged: None, same: judged, near_unjudged: None, far: None
    }  # fmt: skip
    assert inherit_verdicts(connection, [run]) == 0


def test_only_the_nearest_of_two_inherits(connection: Connection) -> None:
    _, (judged,) = store_run(connection, "1", (100.0, 100.0))
    judge(connection, judged)
    run, (second, first) = store_run(connection, "2", (102.0, 100.0), (100.5, 100.0))
    inherit_verdicts(connection, [run])
    assert origins(connection)[first] == judged
    assert origins(connection)[second] is None


def test_an_unjudged_nearer_one_is_not_passed_over(connection: Connection) -> None:
    """The new source is the unjudged one; taking the judged neighbour's verdict would lie."""
    _, (judged, _nearer) = store_run(connection, "1", (100.0, 100.0), (102.0, 100.0))
    judge(connection, judged)
    run, (new,) = store_run(connection, "2", (101.6, 100.0))
    assert inherit_verdicts(connection, [run]) == 0
    assert origins(connection)[new] is None


def test_sign_observation_and_radius_must_agree(connection: Connection) -> None:
    _, (judged,) = store_run(connection, "1", (100.0, 100.0))
    judge(connection, judged)
    fading, _ = store_run(connection, "2", (100.0, 100.0), is_negative=True)
    elsewhere, _ = store_run(connection, "3", (100.0, 100.0), number=1)
    unknown, _ = store_run(connection, "4", (100.0, 100.0), fwhm_pix=None)
    sharp, _ = store_run(connection, "5", (101.0, 100.0), fwhm_pix=0.9)
    assert inherit_verdicts(connection, [fading, elsewhere, unknown, sharp]) == 0


def test_the_consensus_decided_last_wins(connection: Connection) -> None:
    _, (old,) = store_run(connection, "1", (100.0, 100.0))
    _, (newer,) = store_run(connection, "2", (101.0, 100.0))
    judge(connection, newer, LATE)
    judge(connection, old, EARLY)
    run, (heir,) = store_run(connection, "3", (100.0, 100.0))
    inherit_verdicts(connection, [run])
    assert origins(connection)[heir] == newer


def test_heirs_refer_to_the_judged_one_not_to_each_other(connection: Connection) -> None:
    _, (judged,) = store_run(connection, "1", (100.0, 100.0))
    judge(connection, judged)
    second_run, (second,) = store_run(connection, "2", (101.0, 100.0))
    inherit_verdicts(connection, [second_run])
    third_run, (third,) = store_run(connection, "3", (101.0, 100.0))
    inherit_verdicts(connection, [third_run])
    assert origins(connection) == {judged: None, second: judged, third: judged}


def test_what_people_judged_themselves_stays(connection: Connection) -> None:
    _, (one,) = store_run(connection, "1", (100.0, 100.0))
    run, (other,) = store_run(connection, "2", (100.0, 100.0))
    judge(connection, one)
    judge(connection, other)
    assert inherit_verdicts(connection, [run]) == 0


def test_a_judged_source_that_was_superseded_still_bequeaths(connection: Connection) -> None:
    _, (judged,) = store_run(connection, "1", (100.0, 100.0))
    judge(connection, judged)
    connection.execute(Detection.__table__.update().values(status="superseded"))
    run, (heir,) = store_run(connection, "2", (100.0, 100.0))
    inherit_verdicts(connection, [run])
    assert origins(connection)[heir] == judged


POINTS = st.integers(0, 25).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=st.floats(0, 30, width=16), unique=False)
)


@given(one=POINTS, other=POINTS, radius=st.floats(0.1, 10))
def test_mutual_nearest_equals_its_definition(
    one: np.ndarray, other: np.ndarray, radius: float
) -> None:
    pairs = mutual_nearest(one, other, radius)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    if not len(one) or not len(other):
        assert pairs == []
        return
    distances = np.linalg.norm(one[:, None] - other[None], axis=2)
    for i, j in pairs:
        assert distances[i, j] == distances[i].min() == distances[:, j].min() <= radius
    # Where no distance occurs twice the definition leaves no choice.
    if np.unique(distances).size == distances.size:
        wanted = [
            (i, int(distances[i].argmin()))
            for i in range(len(one))
            if distances[:, distances[i].argmin()].argmin() == i and distances[i].min() <= radius
        ]
        assert pairs == wanted
