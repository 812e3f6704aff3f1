"""Lists and cones on a real server, against the same done by hand."""

from uuid import UUID

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from sqlalchemy import Connection, func, select, update

from astrid_core.curation.browse import (
    DetectionFilter,
    ListedDetection,
    PageCursor,
    cone_search,
    list_detections,
)
from astrid_core.sky import healpix_index
from dbschema.models import Detection, ModelRun, Observation
from tests import review, rows


def all_pages(
    connection: Connection, wanted: DetectionFilter, limit: int = 7
) -> list[ListedDetection]:
    found, cursor = list_detections(connection, wanted, limit=limit)
    while cursor is not None:
        page, cursor = list_detections(connection, wanted, cursor, limit)
        found += page
    return found


def ids_of(found: list[ListedDetection]) -> list[UUID]:
    return [one.id for one in found]


def test_pages_are_the_list_in_order_each_once(connection: Connection) -> None:
    # Many of one confidence: the id decides then.
    scores = [round(i / 40, 1) for i in range(40)]
    ids = review.store_detections(connection, scores)
    expected = sorted(zip(scores, ids, strict=True), reverse=True)
    found = all_pages(connection, DetectionFilter())
    assert [(one.confidence_score, one.id) for one in found] == expected
    page, cursor = list_detections(connection, DetectionFilter(), limit=40)
    assert cursor == PageCursor(page[-1].confidence_score, page[-1].id)
    assert list_detections(connection, DetectionFilter(), cursor, 40) == ([], None)


def test_filters(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.1, 0.3, 0.5, 0.7, 0.9])
    others = review.store_detections(connection, [0.4], number=1)
    expert = review.expert(connection)
    review.judge(connection, expert, ids[0], "real")
    review.judge(connection, expert, ids[4], "bogus")
    review.judge(connection, review.reviewer(connection), ids[2], "bogus")
    observed = rows.observation_row(1)
    connection.execute(
        update(Observation)
        .where(Observation.id == observed["id"])
        .values(night=rows.NIGHT.replace(day=5))
    )

    def found(**wanted: object) -> set[UUID]:
        return set(ids_of(all_pages(connection, DetectionFilter(**wanted))))

    assert found() == {*ids, *others}
    assert found(label="real") == {ids[0]}
    assert found(label="bogus") == {ids[4]}
    assert found(is_validated=True) == {ids[0], ids[4]}
    assert found(is_validated=False) == {*ids[1:4], *others}
    assert found(min_confidence=0.3, max_confidence=0.5) == {ids[1], ids[2], *others}
    assert found(night=rows.NIGHT) == set(ids)
    assert found(night=rows.NIGHT.replace(day=5), survey=rows.SURVEY) == set(others)
    assert found(survey="another") == set()
    labels = {one.id: one.label for one in all_pages(connection, DetectionFilter())}
    assert (labels[ids[0]], labels[ids[4]], labels[ids[2]]) == ("real", "bogus", None)


def test_current_runs_with_what_they_inherit_and_nothing_superseded(
    connection: Connection,
) -> None:
    old = review.store_detections(connection, [0.5, 0.5])
    review.judge(connection, review.expert(connection), old[0], "bogus")
    new = review.store_detections(connection, [0.6, 0.7], version="2")
    run = select(Detection.model_run_id).where(Detection.id == new[0]).scalar_subquery()
    connection.execute(
        update(ModelRun).where(ModelRun.run_id == run).values(selected_at=func.now() + review.DAY)
    )
    review.inherit(connection, *new)
    assert ids_of(all_pages(connection, DetectionFilter())) == [new[1], new[0]]
    (heir,) = all_pages(connection, DetectionFilter(label="bogus"))
    assert (heir.id, heir.is_validated) == (new[0], True)
    connection.execute(update(Detection).where(Detection.id == new[1]).values(status="superseded"))
    assert ids_of(all_pages(connection, DetectionFilter())) == [new[0]]


@pytest.mark.parametrize(
    ("ra", "dec", "radius"), [(150.0, 20.0, 0.02), (0.001, -60.0, 0.05), (75.0, 89.99, 0.03)]
)
def test_a_cone_holds_what_astropy_says(
    connection: Connection, ra: float, dec: float, radius: float
) -> None:
    ids = review.store_detections(connection, [0.5] * 60)
    rng = np.random.default_rng(1)
    centre = SkyCoord(ra, dec, unit="deg")
    places = centre.directional_offset_by(
        rng.uniform(0, 360, 60) * u.deg, 2 * radius * np.sqrt(rng.uniform(0, 1, 60)) * u.deg
    )
    for one, place in zip(ids, places, strict=True):
        values = {"ra": place.ra.deg, "dec": place.dec.deg}
        index = healpix_index(*values.values())
        connection.execute(
            update(Detection).where(Detection.id == one).values(**values, healpix=index)
        )
    separation = dict(zip(ids, centre.separation(places).deg, strict=True))
    expected = sorted((one for one in ids if separation[one] <= radius), key=separation.get)
    found = cone_search(connection, ra, dec, radius, limit=60)
    assert 5 < len(expected) < 40
    assert [one.id for one, _ in found] == expected
    assert [apart for _, apart in found] == pytest.approx([separation[one] for one in expected])
    assert [one.id for one, _ in cone_search(connection, ra, dec, radius, limit=3)] == expected[:3]


def test_what_makes_no_sense_is_refused(connection: Connection) -> None:
    for limit in (0, 501):
        with pytest.raises(ValueError, match="from 1 to 500"):
            list_detections(connection, DetectionFilter(), limit=limit)
    for cone in ((360.0, 0.0, 1.0), (0.0, 91.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 6.0)):
        with pytest.raises(ValueError, match="no cone"):
            cone_search(connection, *cone)


def test_pages_may_rise_instead(connection: Connection) -> None:
    scores = [round(i / 40, 1) for i in range(40)]
    ids = review.store_detections(connection, scores)
    found, cursor = list_detections(connection, DetectionFilter(), limit=7, ascending=True)
    while cursor is not None:
        page, cursor = list_detections(
            connection, DetectionFilter(), cursor, limit=7, ascending=True
        )
        found += page
    expected = sorted(zip(scores, ids, strict=True))
    assert [(one.confidence_score, one.id) for one in found] == expected
