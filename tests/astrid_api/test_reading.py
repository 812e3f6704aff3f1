"""What the API shows of surveys, detections, cutouts and objects, against the rows themselves."""

import datetime as dt
import hashlib
import io
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from sqlalchemy import Engine, insert, update
from starlette.testclient import TestClient

from astrid_core.curation.access import Role
from astrid_core.extraction.cutouts import F32
from astrid_core.sky import healpix_index
from astrid_core.storage import ObjectStore
from dbschema.models import (
    Detection,
    DifferenceRun,
    Observation,
    ReferenceFrame,
    Survey,
)
from tests import review, rows
from tests.callers import Person


@pytest.fixture
def viewer(client: TestClient, people: dict[Role, Person]) -> TestClient:
    client.headers.update(people["viewer"].headers)
    return client


def pages(client: TestClient, path: str, **query: object) -> list[dict]:
    """All items of a list, a page at a time."""
    items: list[dict] = []
    while True:
        answer = client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= int(str(query["limit"]))
        items += page["items"]
        if page["next"] is None:
            return items
        query["after"] = page["next"]


def test_surveys_and_observations_come_page_by_page(viewer: TestClient, engine: Engine) -> None:
    later = rows.NIGHT + dt.timedelta(days=1)
    with engine.begin() as connection:
        connection.execute(insert(Survey), [rows.survey_row(name) for name in ("b", "a", "ç")])
        review.store_detections(connection, [0.5], number=1)
        more = [rows.observation_row(number, night=later) for number in range(3)]
        connection.execute(insert(Observation), more)
    found = pages(viewer, "/surveys", limit=1)
    assert [survey["name"] for survey in found] == ["a", "b", rows.SURVEY, "ç"]
    assert (found[2]["first_night"], found[2]["last_night"]) == (str(rows.NIGHT), str(later))
    assert found[0]["first_night"] is None
    listed = pages(viewer, "/observations", survey=rows.SURVEY, limit=2)
    assert [one["night"] for one in listed] == [str(later)] * 3 + [str(rows.NIGHT)]
    assert {one["id"] for one in listed[:3]} == {str(row["id"]) for row in more}
    assert (listed[3]["stage"], listed[3]["status"]) == ("model", "completed")
    night = pages(viewer, "/observations", survey=rows.SURVEY, night=str(rows.NIGHT), limit=9)
    assert night == listed[3:]
    assert pages(viewer, "/observations", survey=rows.SURVEY, status="failed", limit=9) == []
    assert pages(viewer, "/observations", survey="none such", limit=9) == []


def test_detections_by_confidence_both_ways(viewer: TestClient, engine: Engine) -> None:
    scores = [round(i / 9, 1) for i in range(9)]  # some alike
    with engine.begin() as connection:
        ids = review.store_detections(connection, scores)
    expected = [str(one) for _, one in sorted(zip(scores, ids, strict=True))]
    rising = pages(viewer, "/detections", sort="confidence", limit=2)
    assert [one["id"] for one in rising] == expected
    falling = pages(viewer, "/detections", limit=2)
    assert [one["id"] for one in falling] == expected[::-1]
    some = pages(viewer, "/detections", min_confidence=0.3, max_confidence=0.6, limit=2)
    assert {one["confidence_score"] for one in some} == {s for s in scores if 0.3 <= s <= 0.6}
    assert pages(viewer, "/detections", survey="another", limit=2) == []
    assert pages(viewer, "/detections", label="real", limit=2) == []


def test_a_cone_comes_nearest_first_and_is_filtered(viewer: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        ids = review.store_detections(connection, [0.1, 0.9, 0.9, 0.9, 0.9])
        # The middle two are equally far: their ids decide.
        for one, dec in zip(ids, (0.1, 0.2, 0.3, 0.3, 4.0), strict=True):
            place = {"ra": 359.99, "dec": dec, "healpix": healpix_index(359.99, dec)}
            connection.execute(update(Detection).where(Detection.id == one).values(**place))
    cone = {"ra": 0.01, "dec": 0.0, "radius_deg": 1.0}
    nearest = [ids[0], ids[1], *sorted(ids[2:4])]
    found = pages(viewer, "/detections", **cone, limit=1)
    assert [UUID(one["id"]) for one in found] == nearest
    assert found[0]["separation_deg"] == pytest.approx(np.hypot(0.02, 0.1), rel=1e-4)
    sure = pages(viewer, "/detections", **cone, min_confidence=0.5, limit=3)
    assert [UUID(one["id"]) for one in sure] == nearest[1:]


UNASKABLE = (
    "/surveys?limit=0",
    "/surveys?limit=501",
    "/surveys?after=nonsense",
    "/observations?limit=501&survey=sim",
    "/observations",
    "/observations?survey=sim&night=yesterday",
    "/observations?survey=sim&night=86400",
    "/detections?night=0",
    "/surveys?after=WyJcdWQ4MDAiXQ==",
    "/observations?survey=sim&status=odd",
    "/detections?limit=501",
    "/detections?limit=-1",
    "/detections?min_confidence=nan",
    "/detections?ra=10",
    "/detections?ra=360&dec=0&radius_deg=1",
    "/detections?ra=10&dec=0&radius_deg=5.1",
    "/detections?ra=nan&dec=0&radius_deg=1",
    "/detections?ra=10&dec=0&radius_deg=1&sort=confidence",
    "/detections?sort=name",
    "/detections?colour=red",
    "/detections?after=WyIxIl0=",
    "/detections/no-id",
    "/objects/no-id",
)


def test_what_cannot_be_asked_is_said_to_be_so(viewer: TestClient) -> None:
    for path in UNASKABLE:
        answer = viewer.get(path)
        assert answer.status_code == 422, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"], path


def test_a_detection_shows_everything_it_was_made_from(
    viewer: TestClient, engine: Engine, people: dict[Role, Person]
) -> None:
    reference = rows.reference_row("F0")
    with engine.begin() as connection:
        [one] = review.store_detections(connection, [0.5])
        connection.execute(insert(ReferenceFrame).values(**reference))
        connection.execute(update(DifferenceRun).values(reference_id=reference["run_id"]))
        for person, verdict in (("reviewer", "real"), ("operator", "bogus")):
            review.judge(connection, people[person].user, one, verdict, note="a note")
    found = viewer.get(f"/detections/{one}").json()
    observation = rows.observation_row(0)
    processed = rows.preprocess_row(observation)
    difference = rows.difference_row(processed)
    made_from = {step["stage"]: (step["key"], step["sha256"]) for step in found["made_from"]}
    assert made_from == {
        "raw": (observation["raw_fits_path"], observation["raw_sha256"]),
        "processed": (processed["processed_fits_path"], processed["sha256"]),
        "reference": (reference["reference_fits_path"], reference["sha256"]),
        "difference": (difference["difference_fits_path"], difference["sha256"]),
    }
    assert found["survey"] == rows.SURVEY
    assert found["observation"]["archive_id"] == observation["archive_id"]
    assert found["judged_by"]["weights_sha256"] == rows.model_row()["sha256"]
    assert found["judged_by"]["model_name"] == "test"
    assert found["cutout_sha256"] == rows.digest((0.0, 30.0))
    assert found["consensus"]["label"] == "disputed"
    assert [verdict["verdict"] for verdict in found["verdicts"]] == ["bogus", "real"]
    assert found["verdicts"][1]["reviewer"] == people["reviewer"].user.name
    assert "stratum" not in found["verdicts"][0]


def test_what_there_is_not_is_not_found(viewer: TestClient) -> None:
    for path in ("detections", "objects"):
        answer = viewer.get(f"/{path}/{uuid4()}")
        assert answer.status_code == 404
        assert answer.json()["remedy"]
    assert viewer.get(f"/detections/{uuid4()}/cutout").status_code == 404


# --- cutouts ------------------------------------------------------------------------------


@pytest.fixture
def cutouts() -> F32:
    rng = np.random.default_rng(5)
    stack = rng.normal(100.0, 5.0, (3, 4, 63, 63)).astype(np.float32)
    stack[1, 1, :5] = np.nan
    return stack


@pytest.fixture
def detections(engine: Engine, store: ObjectStore, cutouts: F32, tmp_path: Path) -> list[UUID]:
    with engine.begin() as connection:
        return review.store_cutouts(connection, store, cutouts, tmp_path / "c.fits")


def test_a_cutout_is_the_stored_pixels(
    viewer: TestClient, detections: list[UUID], cutouts: F32
) -> None:
    for one, expected in zip(detections, cutouts, strict=True):
        answer = viewer.get(f"/detections/{one}/cutout")
        assert answer.headers["x-cutout-shape"] == "4,63,63"
        assert hashlib.sha256(answer.content).hexdigest() == answer.headers["x-cutout-sha256"]
        got = np.frombuffer(answer.content, "<f4").reshape(4, 63, 63)
        np.testing.assert_array_equal(got, expected)
        as_fits = viewer.get(f"/detections/{one}/cutout", params={"format": "fits"})
        with fits.open(io.BytesIO(as_fits.content), checksum=True) as hdus:
            np.testing.assert_array_equal(hdus[0].data, expected)
        as_png = viewer.get(f"/detections/{one}/cutout", params={"format": "png"})
        assert as_png.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(as_png.content)) as picture:
            assert picture.width > 4 * 63


def test_pixels_that_are_not_those_cut_are_never_shown(
    viewer: TestClient, engine: Engine, detections: list[UUID]
) -> None:
    with engine.begin() as connection:
        connection.execute(update(Detection).values(cutout_sha256="0" * 64))
    answer = viewer.get(f"/detections/{detections[0]}/cutout")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:astrid:problem:object-corrupt"


def test_a_component_has_a_cutout_unless_it_is_an_old_one(
    viewer: TestClient, engine: Engine, detections: list[UUID], cutouts: F32
) -> None:
    cut, old, _ = detections
    none: dict[str, None] = dict.fromkeys(("cutout_path", "cutout_index", "cutout_sha256"))
    with engine.begin() as connection:
        connection.execute(update(Detection).values(candidate_id=None))
        connection.execute(update(Detection).where(Detection.id == old).values(**none))
    answer = viewer.get(f"/detections/{cut}/cutout")
    np.testing.assert_array_equal(
        np.frombuffer(answer.content, "<f4").reshape(4, 63, 63), cutouts[0]
    )
    found = viewer.get(f"/detections/{cut}").json()
    assert found["candidate"] is None
    assert found["cutout_sha256"] == answer.headers["x-cutout-sha256"]
    missing = viewer.get(f"/detections/{old}/cutout")
    assert missing.status_code == 404
    assert "detections" in missing.json()["remedy"]
    assert viewer.get(f"/detections/{old}").json()["cutout_sha256"] is None


# --- objects ------------------------------------------------------------------------------


def test_an_object_has_its_light_curve(viewer: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        ids = [review.store_detections(connection, [0.9], number=n)[0] for n in range(2)]
        connection.execute(update(DifferenceRun).values(flux_ratio=0.5))
        thing = review.store_object(connection, ids, [4.0, None])
    found = viewer.get(f"/objects/{thing}").json()
    assert (found["ra"], found["n_detections"]) == (10.0, 2)
    [point] = found["light_curve"]  # the masked epoch has none
    assert (point["flux"], point["flux_err"], point["snr"]) == (8.0, 1.0, 8.0)
    assert point["observation_time"].startswith(str(rows.NIGHT))
