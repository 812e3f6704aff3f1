"""Splits: nothing that is tested by is learnt from, and what was decided stays decided."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.errors import TooFewGroupsError
from astrid_core.training.splits import (
    Place,
    assign,
    cell_of,
    cell_order,
    merged,
    overlapping,
)


def place(ra: float, night: str = "n0", dec: float = 10.0, **changes) -> Place:
    values = {"survey": "s", "field": "f", "scale_arcsec": 1.0, "ties": ()} | changes
    return Place(night=night, ra=ra, dec=dec, **values)


def grid(n_fields: int = 12, n_nights: int = 4, per_frame: int = 3) -> list[Place]:
    return [
        place(10.0 + 3.0 * f + 0.01 * i, f"n{n}", ties=((f, i),))
        for f in range(n_fields)
        for n in range(n_nights)
        for i in range(per_frame)
    ]


def test_test_is_where_held_out_cells_meet_held_out_nights() -> None:
    places = grid()
    found = assign(places, {})
    by_night = {key: split for (kind, key), split in found.decided.items() if kind == "night"}
    by_cell = {key: split for (kind, key), split in found.decided.items() if kind == "cell"}
    for one, split, cell in zip(places, found.splits, found.cells, strict=True):
        held_night = by_night[f"s|{one.night}"] == "test"
        if split == "test":
            assert held_night
            assert by_cell[cell] == "test"
        elif split is not None:
            assert not held_night
            assert by_cell[cell] == split
    n_dropped = sum(split is None for split in found.splits)
    assert n_dropped == sum(found.dropped.values()) > 0
    assert {"train", "val", "test"} <= set(found.splits)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 25), st.integers(2, 6))
def test_what_was_decided_is_kept_and_nothing_is_in_two_splits(
    seed: int, n_fields: int, n_nights: int
) -> None:
    rng = np.random.default_rng(seed)
    places = [
        place(
            float(5 + 4 * rng.integers(n_fields) + rng.uniform(0, 0.3)),
            f"n{rng.integers(n_nights)}",
            ties=(int(rng.integers(40)),) if rng.random() < 0.5 else (),
        )
        for _ in range(120)
    ]
    try:
        first = assign(places[:60], {})
        second = assign(places, first.decided)
    except TooFewGroupsError:
        return
    assert not set(first.decided) & set(second.decided)
    splits_of_cell = defaultdict(set)
    splits_of_tie = defaultdict(set)
    for one, split, cell in zip(places, second.splits, second.cells, strict=True):
        if split is not None:
            splits_of_cell[cell].add(split)
            for tie in one.ties:
                splits_of_tie[tie].add(split)
    assert all(len(splits) == 1 for splits in splits_of_cell.values())
    assert all(len(splits) == 1 for splits in splits_of_tie.values())
    again = {k: v for k, v in first.decided.items() if k[0] == "cell"}
    for cell, split in zip(second.cells, second.splits, strict=True):
        if split is not None and ("cell", cell) in again:
            assert split == again["cell", cell]
    for looser, stricter in (("train", "test"), ("train", "val"), ("val", "test")):
        mine = [p for p, s in zip(places, second.splits, strict=True) if s == looser]
        theirs = [p for p, s in zip(places, second.splits, strict=True) if s == stricter]
        assert not overlapping(mine, theirs)


def test_cells_that_share_an_object_or_a_trajectory_are_one_group() -> None:
    groups = merged(["a", "b", "c", "d"], [("o",), ("o",), (), ("m",)])
    assert groups["a"] == groups["b"] == "a"
    assert len({groups["a"], groups["c"], groups["d"]}) == 3


def test_a_cell_within_another_s_is_its_group() -> None:
    fine, coarse = cell_of(place(33.0)), cell_of(place(33.0, scale_arcsec=30.0))
    assert fine != coarse
    assert len(set(merged([fine, coarse], [(), ()]).values())) == 1


@pytest.mark.parametrize("scale_arcsec", [0.03, 1.0, 2.5, 21.0])
def test_two_cutouts_fit_into_a_cell(scale_arcsec: float) -> None:
    cell_deg = 58.6 / 2 ** cell_order(scale_arcsec)
    assert cell_deg >= 2 * 80 * scale_arcsec / 3600


def test_without_wcs_a_field_is_a_group() -> None:
    assert cell_of(Place("s", "f", "n", None, None, None)) == "field:s:f"


def test_too_few_groups_or_nights_say_how_many_are_needed() -> None:
    with pytest.raises(TooFewGroupsError, match="at least 5 groups"):
        assign(grid(n_fields=3), {})
    with pytest.raises(TooFewGroupsError, match="2 nights"):
        assign(grid(n_nights=1), {})


def test_an_object_that_joins_cells_decided_apart_stays_with_the_stricter() -> None:
    places = grid()
    first = assign(places, {})
    cells = {s: p for p, s in zip(places, first.splits, strict=True) if s is not None}
    joined = [
        *places,
        place(cells["train"].ra, cells["train"].night, ties=("late",)),
        place(cells["test"].ra, cells["test"].night, ties=("late",)),
    ]
    found = assign(joined, first.decided)
    assert found.splits[-1] == "test"
    assert found.splits[-2] is None
    assert found.dropped["object or trajectory in another split"] >= 1
