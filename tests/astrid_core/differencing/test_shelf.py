"""The shelf: nothing that could serve is overlooked, and the rest takes no room."""

import datetime as dt
import json
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.select import (
    Corners,
    ReferenceInfo,
    ScienceInfo,
    overlap_fraction,
    select_reference,
)
from astrid_core.differencing.shelf import Shelf
from astrid_core.stages.difference import plan_differences

NIGHT = dt.date(2025, 9, 20)
ra = st.floats(0, 360)
dec = st.floats(-89.5, 89.5)
half = st.floats(0.01, 20)


def square(ra_deg: float, dec_deg: float, half_deg: float) -> Corners:
    north, south = min(dec_deg + half_deg, 89.9), max(dec_deg - half_deg, -89.9)
    east, west = ra_deg + half_deg, ra_deg - half_deg
    return ((west, south), (east, south), (east, north), (west, north))


def science(footprint: Corners | None, field: str = "f1") -> ScienceInfo:
    return ScienceInfo(UUID(int=1), field, "r", NIGHT, footprint)


def reference(
    number: int, footprint: Corners | None, field: str = "elsewhere", band: str = "r"
) -> ReferenceInfo:
    return ReferenceInfo(
        UUID(int=100 + number), field, band, "completed", NIGHT, NIGHT, frozenset(), footprint
    )


@given(st.builds(square, ra, dec, half), st.lists(st.builds(square, ra, dec, half), max_size=12))
def test_what_touches_a_frame_is_near_it(frame: Corners, others: list[Corners]) -> None:
    shelf = Shelf([reference(number, one) for number, one in enumerate(others)])
    near = {one.id for one in shelf.near(science(frame))}
    for one in shelf.references:
        assert one.footprint is not None
        assert one.id in near or overlap_fraction(frame, one.footprint) == 0.0


@given(st.builds(square, ra, dec, half), st.lists(st.builds(square, ra, dec, half), max_size=12))
def test_the_choice_is_that_among_all(frame: Corners, others: list[Corners]) -> None:
    shelf = Shelf([reference(number, one) for number, one in enumerate(others)])
    asked = science(frame)
    among_all = select_reference(asked, shelf.references, 0)
    assert select_reference(asked, shelf.near(asked), 0).chosen == among_all.chosen


def test_the_frames_own_field_is_near_wherever_it_claims_to_be() -> None:
    own = [
        reference(0, square(10, 0, 0.1), field="f1"),
        reference(1, None, field="f1"),
        reference(2, square(200, 0, 0.1)),
        reference(3, None),
        reference(4, square(10, 0, 0.1), field="f1", band="g"),
    ]
    asked = science(square(100, 40, 0.1))
    near = Shelf(own).near(asked)
    assert [one.id for one in near] == [own[0].id, own[1].id]
    assert [entry["reason"] for entry in Shelf(own).told_of_others(asked, len(near))] == [
        "1 of another filter",
        "2 of other fields, not known to touch it",
    ]
    assert Shelf([]).near(asked) == [] == Shelf([]).told_of_others(asked, 0)


def test_rows_of_a_night_grow_with_its_frames_and_not_with_their_square() -> None:
    def told(n: int) -> int:
        places = [square(number * 360 / n, 0, 0.05) for number in range(n)]
        frames = [
            {
                "run_id": uuid4(),
                "observation_id": uuid4(),
                "field": f"f{number}",
                "filter_band": "r",
                "night": NIGHT,
                "footprint": place,
            }
            for number, place in enumerate(places)
        ]
        references = [
            {
                "run_id": uuid4(),
                "field": f"f{number}",
                "filter_band": "r",
                "status": "completed",
                "first_night": NIGHT,
                "last_night": NIGHT,
                "member_observation_ids": [],
                "footprint": place,
            }
            for number, place in enumerate(places)
        ]
        tasks = plan_differences("s", frames, references, 0.0, DifferenceConfig())
        assert all(task.reference is not None for task in tasks)
        return sum(len(json.dumps(task.row["reference_choice"])) for task in tasks)

    assert told(200) < 11 * told(20)
