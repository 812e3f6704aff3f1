"""Searching difference images, and the picture of the night's strongest candidate."""

from dataclasses import dataclass

import pytest

from astrid_core.errors import ObjectMissingError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.preview import difference_panels
from astrid_core.simulation.pair import PairConfig
from astrid_core.stages.bench import Bench
from astrid_core.stages.candidates import (
    ExtractionTask,
    extract,
    picture_strongest,
    plan_extraction,
)
from tests.astrid_core.stages.conftest import Pair, store_pair, subtracted

SNR_RANGES = ((6, 12), (40, 60), (6, 12))
"""Of what was planted in each frame: the second has the strongest candidate."""


@dataclass(frozen=True)
class Night:
    """Difference images in a store, and the tasks that search them."""

    pairs: list[Pair]
    tasks: list[ExtractionTask]
    bench: Bench


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [
        subtracted(PairConfig(seed=seed, shape=(200, 220), n_stars=40, snr_range=snr_range))
        for seed, snr_range in enumerate(SNR_RANGES)
    ]


@pytest.fixture
def night(pairs: list[Pair], bench: Bench) -> Night:
    stored = [store_pair(bench, number, pair) for number, pair in enumerate(pairs)]
    processed, runs = zip(*stored, strict=True)
    return Night(pairs, plan_extraction("sim", runs, processed, ExtractionConfig()), bench)


def test_the_frame_of_the_strongest_candidate_is_pictured(night: Night) -> None:
    outcomes = [extract(task, night.bench) for task in night.tasks]
    assert [outcome.row["status"] for outcome in outcomes] == ["completed"] * 3
    found = [row for outcome in outcomes for row in outcome.children]
    science, image = night.pairs[1]
    marks = [(row["x_pix"], row["y_pix"], row["is_negative"]) for row in outcomes[1].children]
    expected = difference_panels(
        science.data, image.reference, image.difference, image.scorr, marks
    )
    assert picture_strongest(night.tasks, found, night.bench) == expected


def test_a_night_without_candidates_shows_a_frame_that_was_searched(night: Night) -> None:
    science, image = night.pairs[2]
    expected = difference_panels(science.data, image.reference, image.difference, image.scorr, [])
    assert picture_strongest(night.tasks[2:], [], night.bench) == expected
    assert picture_strongest([], [], night.bench) is None


def test_a_frame_that_is_gone_is_named(night: Night) -> None:
    task = night.tasks[0]
    night.bench.store.delete(task.preprocess["processed_fits_path"])
    with pytest.raises(ObjectMissingError, match=task.preprocess["processed_fits_path"]):
        picture_strongest([task], [], night.bench)
