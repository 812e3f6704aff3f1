"""Association on a real server: fields as wholes, verdicts, re-runs, nights in any order."""

import datetime as dt
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import OperationalError

from astrid_core.curation.objects import ObjectConfig
from astrid_core.curation.sightings import FieldObjects, associate_night
from astrid_core.identity import field_id, object_id
from astrid_core.sky import cone_ranges
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    SkyObject,
    Survey,
)
from dbschema.session import make_engine
from tests import rows
from tests.rows import add

CONFIG = ObjectConfig()
MODEL = rows.model_row()
REFERENCE = rows.reference_row("F0")
NIGHTS = [rows.NIGHT + dt.timedelta(days=day) for day in range(3)]
FIELD = field_id(rows.SURVEY, "F0")


@pytest.fixture
def connection(migrated_url: str) -> Iterator[Connection]:
    engine = make_engine(migrated_url)
    with engine.begin() as connection:
        add(connection, Survey, rows.survey_row())
        add(connection, Model, MODEL)
        add(connection, ReferenceFrame, REFERENCE)
        yield connection
    engine.dispose()


def store_night(
    connection: Connection,
    night: dt.date,
    *detections: dict[str, Any],
    field: str = "F0",
    version: str = "1",
) -> list[rows.Row]:
    """One frame of a night and the detections on it."""
    observation = rows.observation_row(
        0 if field == "F0" else 1, night=night, field=field, footprint=None
    )
    processed = rows.preprocess_row(observation)
    difference = rows.difference_row(
        processed, version, reference_id=REFERENCE["run_id"], registration_rms_pix=0.1
    )
    run = rows.model_run_row(difference, MODEL, version)
    if version == "1":
        add(connection, Observation, observation)
        add(connection, PreprocessRun, processed)
    add(connection, DifferenceRun, difference)
    add(connection, ModelRun, run)
    found = []
    for values in detections:
        candidate = rows.candidate_row(difference, *values["at"], snr=values.get("snr", 10.0))
        detection = rows.detection_row(
            run,
            candidate,
            x_reference_pix=values["at"][0] + 5.0,
            y_reference_pix=values["at"][1] - 3.0,
            confidence_score=values.get("score", 0.9),
        )
        add(connection, Candidate, candidate)
        add(connection, Detection, detection)
        found.append(detection)
    return found


def associated(connection: Connection, night: dt.date) -> FieldObjects:
    return associate_night(connection, rows.SURVEY, night, CONFIG)


def test_one_place_over_nights_is_one_object(connection: Connection) -> None:
    shown = [{"at": (100.0, 50.0)}, {"at": (100.4, 50.1), "snr": 40.0}, {"at": (99.8, 50.0)}]
    detections = [store_night(connection, *pair)[0] for pair in zip(NIGHTS, shown, strict=True)]
    found = associated(connection, NIGHTS[1])
    assert found.field_ids == (FIELD,)
    (one,) = found.objects
    assert one["n_detections"] == 3
    assert one["best_detection_id"] == detections[1]["id"]
    assert (one["x_reference_pix"], one["y_reference_pix"]) == (105.4, 47.1)
    assert one["reference_id"] == REFERENCE["run_id"]
    assert (one["ra"], one["healpix"]) == (None, None)
    assert one["first_seen"].date() == NIGHTS[0]
    assert one["last_seen"].date() == NIGHTS[2]
    links = {row["detection_id"]: row["separation_pix"] for row in found.links}
    assert links.keys() == {row["id"] for row in detections}
    assert links[detections[1]["id"]] == 0.0
    add(connection, SkyObject, one)


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:4])
def test_nights_in_any_order_make_the_same_objects(
    connection: Connection, order: tuple[int, ...]
) -> None:
    shown = [
        [{"at": (100.0, 50.0)}, {"at": (20.0, 20.0)}],
        [{"at": (100.4, 50.1), "snr": 40.0}],
        [{"at": (99.8, 50.0)}, {"at": (200.0, 20.0)}],
    ]
    for index in order:
        store_night(connection, NIGHTS[index], *shown[index])
    results = [associated(connection, night) for night in NIGHTS]
    assert results[0] == results[1] == results[2]
    places = {(row["n_detections"], row["id"]) for row in results[0].objects}
    first = rows.observation_row(0, night=NIGHTS[0])["id"]
    last = rows.observation_row(0, night=NIGHTS[2])["id"]
    assert places == {
        (3, object_id(first, 100, 50)),
        (1, object_id(first, 20, 20)),
        (1, object_id(last, 200, 20)),
    }


def test_fields_are_not_mixed(connection: Connection) -> None:
    store_night(connection, NIGHTS[0], {"at": (100.0, 50.0)})
    store_night(connection, NIGHTS[1], {"at": (100.0, 50.0)}, field="F1")
    assert [row["field"] for row in associated(connection, NIGHTS[0]).objects] == ["F0"]
    assert [row["field"] for row in associated(connection, NIGHTS[1]).objects] == ["F1"]
    assert associated(connection, NIGHTS[2]) == FieldObjects((), (), (), 0, 0)


def test_confidence_and_people_decide_what_is_worth_an_object(connection: Connection) -> None:
    sure, doubtful, bogus, real = store_night(
        connection,
        NIGHTS[0],
        {"at": (10.0, 10.0)},
        {"at": (50.0, 10.0), "score": 0.3},
        {"at": (90.0, 10.0)},
        {"at": (130.0, 10.0), "score": 0.1},
    )
    for detection, label in ((bogus, "bogus"), (real, "real")):
        consensus = {"detection_id": detection["id"], "label": label, "n_events": 1}
        add(connection, DetectionConsensus, consensus | {"decided_by": "expert"})
    linked = {row["detection_id"] for row in associated(connection, NIGHTS[0]).links}
    assert linked == {sure["id"], real["id"]}
    assert doubtful["id"] not in linked


def test_verdicts_count_where_they_are_inherited(connection: Connection) -> None:
    (judged,) = store_night(connection, NIGHTS[0], {"at": (10.0, 10.0)})
    consensus = {"detection_id": judged["id"], "label": "bogus", "n_events": 1}
    add(connection, DetectionConsensus, consensus | {"decided_by": "expert"})
    (heir,) = store_night(connection, NIGHTS[0], {"at": (10.2, 10.0)}, version="2")
    connection.execute(
        update(ModelRun)
        .where(ModelRun.run_id == heir["model_run_id"])
        .values(selected_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    )
    assert [row["best_detection_id"] for row in associated(connection, NIGHTS[0]).objects] == [
        heir["id"]
    ]
    connection.execute(
        update(Detection).where(Detection.id == heir["id"]).values(inherited_from=judged["id"])
    )
    assert associated(connection, NIGHTS[0]).objects == ()


def test_superseded_detections_are_gone(connection: Connection) -> None:
    (detection,) = store_night(connection, NIGHTS[0], {"at": (10.0, 10.0)})
    connection.execute(
        update(Detection).where(Detection.id == detection["id"]).values(status="superseded")
    )
    assert associated(connection, NIGHTS[0]).objects == ()


def test_on_the_sky_objects_are_found_by_the_index(connection: Connection) -> None:
    footprint = [[150.0, 20.0], [149.9, 20.0], [149.9, 20.1], [150.0, 20.1]]
    for night in NIGHTS[:2]:
        (detection,) = store_night(connection, night, {"at": (100.0, 50.0)})
        connection.execute(update(Observation).values(footprint=footprint))
        connection.execute(
            update(Detection)
            .where(Detection.id == detection["id"])
            .values(ra=149.95 + 1e-5 * night.day, dec=20.05)
        )
    (one,) = associated(connection, NIGHTS[0]).objects
    assert one["n_detections"] == 2
    assert (one["reference_id"], one["x_reference_pix"]) == (None, None)
    add(connection, SkyObject, one)
    ranges = cone_ranges(149.95, 20.05, 5 / 3600)
    near = [
        connection.scalar(select(SkyObject.id).where(SkyObject.healpix.between(low, high)))
        for low, high in ranges
    ]
    assert one["id"] in near


def test_detections_without_a_place_are_counted(connection: Connection) -> None:
    store_night(connection, NIGHTS[0], {"at": (10.0, 10.0)}, {"at": (50.0, 10.0)})
    connection.execute(update(Detection).where(Detection.x_pix < 20).values(x_reference_pix=None))
    found = associated(connection, NIGHTS[0])
    assert (len(found.objects), found.n_unplaced) == (1, 1)


def test_two_nights_of_a_survey_wait_for_each_other(
    connection: Connection, migrated_url: str
) -> None:
    """The second must see what the first stores, or its rows would be of the past."""
    store_night(connection, NIGHTS[0], {"at": (10.0, 10.0)})
    associated(connection, NIGHTS[0])
    other = make_engine(migrated_url)
    with other.begin() as second:
        second.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            associated(second, NIGHTS[1])
    with other.begin() as second:
        associate_night(second, "another survey", NIGHTS[1], CONFIG)
    other.dispose()
