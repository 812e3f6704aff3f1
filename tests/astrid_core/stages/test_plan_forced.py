"""Which objects are measured on which images: a rule of times, not of the order of runs."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from astrid_core.extraction.config import ExtractionConfig
from astrid_core.stages.forced import ForcedTask, plan_forced
from tests import rows

START = dt.datetime(2026, 9, 1, 4, tzinfo=dt.UTC)
NAMESPACE = UUID(int=7)
PRECOVERY_DAYS = 30.0

times = st.none() | st.integers(0, 100).map(lambda days: START + dt.timedelta(days=days))


def image(number: int, time: dt.datetime | None, field: str = "F0") -> rows.Row:
    observation = rows.observation_row(number)
    run = rows.difference_row(rows.preprocess_row(observation))
    return run | {"observation_time": time, "field": field}


def sky_object(number: int, first_seen: dt.datetime | None, field: str = "F0") -> rows.Row:
    place = {"ra": 10.0 + number, "dec": -20.0}
    nowhere = dict.fromkeys(("reference_id", "x_reference_pix", "y_reference_pix"))
    identity = uuid5(NAMESPACE, f"{field} {number}")
    return {"id": identity, "field": field, "first_seen": first_seen} | place | nowhere


def plan(images: Sequence[rows.Row], objects: Sequence[rows.Row]) -> list[ForcedTask]:
    return plan_forced(images, {}, objects, ExtractionConfig(), PRECOVERY_DAYS)


@given(st.lists(times, max_size=6), st.lists(times, max_size=6), st.randoms())
def test_an_object_is_measured_from_some_days_before_its_first_detection(
    of_images: list[dt.datetime | None], of_objects: list[dt.datetime | None], random
) -> None:
    images = [image(number, time) for number, time in enumerate(of_images)]
    objects = [sky_object(number, time) for number, time in enumerate(of_objects)]
    expected = {
        (run["run_id"], one["id"])
        for run in images
        for one in objects
        if None in (run["observation_time"], one["first_seen"])
        or (one["first_seen"] - run["observation_time"]).days <= PRECOVERY_DAYS
    }
    tasks = plan(images, objects)
    assert expected == {
        (task.difference["run_id"], target.id) for task in tasks for target in task.targets
    }
    assert all(task.targets for task in tasks), "an image without objects is not fetched"
    shuffled = random.sample(objects, len(objects))
    assert plan(images, shuffled) == tasks


def test_a_new_object_leaves_images_of_long_before_as_they_are() -> None:
    old, near = image(0, START), image(1, START + dt.timedelta(days=50))
    known = sky_object(0, START)
    newcomer = sky_object(1, START + dt.timedelta(days=60))
    before = [task.row for task in plan([old, near], [known])]
    after = [task.row for task in plan([old, near], [known, newcomer])]
    assert after[0] == before[0]
    assert after[1]["objects_digest"] != before[1]["objects_digest"]
    assert after[1]["run_id"] == before[1]["run_id"]


def test_objects_of_another_field_are_not_measured() -> None:
    assert plan([image(0, START, "F1")], [sky_object(0, START)]) == []


def test_images_of_one_reference_follow_each_other() -> None:
    references = [UUID(int=number % 3) for number in range(12)]
    images = [image(n, START) | {"reference_id": one} for n, one in enumerate(references)]
    tasks = plan(images, [sky_object(0, START)])
    assert [task.difference["reference_id"] for task in tasks] == sorted(references)
