"""The choice of a reference, and the reason given for each other one."""

import datetime as dt
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.differencing.select import (
    ReferenceInfo,
    ScienceInfo,
    overlap_fraction,
    select_reference,
    separation_days,
)

NIGHT = dt.date(2025, 9, 20)
OBSERVATION = UUID(int=1)


def square(ra: float, dec: float, half: float):
    return (
        (ra - half, dec - half),
        (ra + half, dec - half),
        (ra + half, dec + half),
        (ra - half, dec + half),
    )


def science(**changes) -> ScienceInfo:
    values = {
        "observation_id": OBSERVATION,
        "field": "f1",
        "filter_band": "r",
        "night": NIGHT,
        "footprint": square(150.0, 0.0, 0.1),
    }
    return ScienceInfo(**(values | changes))


def reference(number: int, last: dt.date = dt.date(2025, 9, 5), **changes) -> ReferenceInfo:
    values = {
        "id": UUID(int=100 + number),
        "field": "f1",
        "filter_band": "r",
        "status": "completed",
        "first_night": last,
        "last_night": last,
        "members": frozenset({UUID(int=50 + number)}),
        "footprint": square(150.0, 0.0, 0.1),
    }
    return ReferenceInfo(**(values | changes))


def test_newest_that_qualifies_is_chosen():
    old, new = reference(1, dt.date(2025, 9, 1)), reference(2, dt.date(2025, 9, 10))
    choice = select_reference(science(), [old, new], 0)
    assert choice.chosen == new.id
    assert [entry["verdict"] for entry in choice.considered] == ["chosen", "eligible"]


def test_a_reference_of_another_field_never_goes_before_the_fields_own():
    own = reference(1, dt.date(2025, 9, 1))
    huge = reference(2, dt.date(2025, 9, 10), field="lie", footprint=square(150.0, 0.0, 20.0))
    choice = select_reference(science(), [huge, own], 0)
    assert choice.chosen == own.id
    assert [entry["verdict"] for entry in choice.considered] == ["chosen", "eligible"]
    assert "of field lie" in choice.considered[1]["reason"]
    assert select_reference(science(), [huge], 0).chosen == huge.id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed"}, "status"),
        ({"filter_band": "g"}, "filter g, not r"),
        ({"members": frozenset({OBSERVATION})}, "contains this observation"),
        ({"first_night": None}, "nights are unknown"),
        ({"footprint": square(150.17, 0.0, 0.1)}, "covers 15%"),
        ({"footprint": square(30.0, 0.0, 0.1)}, "covers 0%"),
        ({"footprint": None, "field": "f2"}, "field f2, not f1"),
        ({"last_night": dt.date(2025, 9, 19)}, "1 d from this night"),
    ],
)
def test_each_rejection_says_why(changes, reason):
    choice = select_reference(science(), [reference(1, **changes)], 3)
    assert choice.chosen is None
    (entry,) = choice.considered
    assert entry["verdict"] == "rejected"
    assert reason in entry["reason"]


def test_references_after_the_science_night_serve():
    later = reference(1, NIGHT + dt.timedelta(days=30))
    assert select_reference(science(), [later], 10).chosen == later.id


def test_no_reference_is_an_outcome():
    choice = select_reference(science(), [], 0)
    assert choice.chosen is None
    assert choice.considered == []


def test_fields_without_wcs_are_compared_by_name():
    bare = reference(1, footprint=None)
    assert select_reference(science(footprint=None), [bare], 0).chosen == bare.id


@given(st.permutations(range(5)), st.integers(0, 10))
def test_order_does_not_matter(order, days):
    references = [reference(n, NIGHT - dt.timedelta(days=2 * n)) for n in range(5)]
    shuffled = [references[n] for n in order]
    assert select_reference(science(), shuffled, days) == select_reference(
        science(), references, days
    )


def test_rows_become_infos():
    row = {
        "run_id": UUID(int=3),
        "field": "f1",
        "filter_band": "r",
        "status": "completed",
        "first_night": NIGHT,
        "last_night": NIGHT,
        "member_observation_ids": [UUID(int=9)],
        "footprint": [list(corner) for corner in square(150.0, 0.0, 0.1)],
    }
    info = ReferenceInfo.from_row(row)
    assert info.members == {UUID(int=9)}
    observed = {"observation_id": str(OBSERVATION), "field": "f1", "filter_band": "r"}
    assert ScienceInfo.from_row(observed | {"night": NIGHT, "footprint": None}).footprint is None


@given(
    st.floats(-0.3, 0.3),
    st.floats(-0.3, 0.3),
    st.floats(0, 359.9),
    st.sampled_from([-89.9, -45.0, 0.0, 60.0]),
)
def test_overlap_of_squares(dx, dy, ra, dec):
    """Squares on the equator of a rotated sky overlap as squares of a plane."""
    expected = max(0.2 - abs(dx), 0) * max(0.2 - abs(dy), 0) / 0.04
    at_equator = overlap_fraction(square(180, 0, 0.1), square(180 + dx, dy, 0.1))
    assert at_equator == pytest.approx(expected, abs=2e-3)
    assert overlap_fraction(square(ra, dec * 0.99, 0.1), square(ra, dec * 0.99, 0.1)) > 0.999


def test_overlap_across_the_meridian():
    assert overlap_fraction(square(0.0, 10, 0.1), square(359.95, 10, 0.1)) == pytest.approx(
        0.75, abs=0.01
    )


def test_separation_is_to_the_nearest_night():
    first, last = dt.date(2025, 9, 1), dt.date(2025, 9, 5)
    assert separation_days(dt.date(2025, 8, 30), first, last) == 2
    assert separation_days(dt.date(2025, 9, 3), first, last) == 0
    assert separation_days(dt.date(2025, 9, 8), first, last) == 3
