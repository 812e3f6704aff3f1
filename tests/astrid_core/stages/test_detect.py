"""Judging one difference image with the shipped model: every detection has its cutout."""

import json
from dataclasses import asdict, replace
from functools import partial
from uuid import UUID

import numpy as np
import pytest

from astrid_core.detection.card import read_card
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.registry import ChampionRef, shipped
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.cutouts import cut_triplets, cutout_sha256, read_cutouts
from astrid_core.extraction.extract import extract_candidates
from astrid_core.parallel import FramePool
from astrid_core.simulation.pair import PairConfig
from astrid_core.stages.bench import Bench
from astrid_core.stages.detect import DetectionTask, judge, plan_detection
from tests import rows
from tests.astrid_core.stages.conftest import Pair, store_pair, subtracted

CONFIG = DetectionConfig(device="cpu")
MODEL = rows.model_row()


@pytest.fixture(scope="module")
def champion() -> ChampionRef:
    weights, path = shipped()
    card = read_card(path)
    return ChampionRef(card.name, "1", card.sha256, weights, card, UUID(int=0), None)


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Changes too faint for candidates, and a few that are not."""
    return subtracted(PairConfig(seed=8, shape=(300, 320), n_stars=80, snr_range=(4, 7)))


@pytest.fixture
def task(pair: Pair, bench: Bench) -> DetectionTask:
    """The task as it reaches the op that has the GPU: planned, and sent as JSON."""
    science, difference = pair
    processed, run = store_pair(bench, 0, pair)
    found = extract_candidates(difference, science, ExtractionConfig()).candidates
    candidates = [
        rows.candidate_row(
            run, one.x_pix, one.y_pix, is_negative=one.is_negative, cutout_index=index
        )
        for index, one in enumerate(found)
    ]
    [planned] = plan_detection(
        "sim", [run], [processed], candidates, MODEL["id"], MODEL["sha256"], CONFIG
    )
    assert len(planned.candidates) == len(candidates) > 0
    return DetectionTask.from_json(json.loads(json.dumps(asdict(planned), default=str)))


def test_every_detection_has_its_cutout(
    champion: ChampionRef, pair: Pair, bench: Bench, task: DetectionTask
) -> None:
    science, difference = pair
    outcome = judge(task, bench, champion, CONFIG)
    assert not outcome.has_failed, outcome.row["error_message"]
    places = ("cutout_path", "cutout_index", "cutout_sha256")
    candidates = {one.id: tuple(getattr(one, name) for name in places) for one in task.candidates}
    components = [row for row in outcome.children if row["candidate_id"] is None]
    assert candidates == {
        str(row["candidate_id"]): tuple(row[name] for name in places)
        for row in outcome.children
        if row["candidate_id"] is not None
    }
    assert outcome.row["n_detections"] == len(candidates) + len(components)
    assert len(components) >= 3
    staged = outcome.staged
    assert staged is not None
    assert staged.key == f"component_cutouts/sim/{rows.NIGHT}/{task.run_id}.fits"
    assert (outcome.row["cutout_path"], outcome.row["sha256"]) == (staged.key, staged.sha256)
    stack, ids = read_cutouts(staged.path)
    assert ids == [row["id"] for row in components]
    x, y = (np.array([row[name] for row in components]) for name in ("x_pix", "y_pix"))
    np.testing.assert_array_equal(stack, cut_triplets(difference, science, x, y))
    for index, row in enumerate(components):
        assert tuple(row[name] for name in places) == (
            staged.key,
            index,
            cutout_sha256(stack[index]),
        )
    again = judge(task, bench, champion, CONFIG)
    assert (again.children, again.staged) == (outcome.children, staged)


def test_without_components_there_is_no_object(
    champion: ChampionRef, bench: Bench, task: DetectionTask
) -> None:
    outcome = judge(task, bench, champion, CONFIG.model_copy(update={"max_components": 0}))
    assert len(outcome.children) == outcome.row["n_detections"] == len(task.candidates)
    assert outcome.staged is None
    assert outcome.row.get("cutout_path") is None


def test_an_image_that_is_gone_is_a_failed_run_of_its_own(
    champion: ChampionRef, bench: Bench, task: DetectionTask
) -> None:
    lost = replace(task, difference=("difference_images/lost.fits", "0" * 64))
    outcome = judge(lost, bench, champion, CONFIG)
    assert (outcome.row["status"], outcome.row["error_type"]) == ("failed", "ObjectMissingError")
    assert (outcome.staged, outcome.children) == (None, ())


def test_what_is_judged_does_not_depend_on_the_number_of_workers(
    champion: ChampionRef, bench: Bench, task: DetectionTask
) -> None:
    work = partial(judge, bench=bench, champion=champion, config=CONFIG)
    tasks = [replace(task, cutout_key=f"component_cutouts/{number}.fits") for number in range(4)]
    alone, shared = (
        [outcome for _, outcome in FramePool(workers).map(work, tasks)] for workers in (1, 2)
    )
    assert not any(outcome.has_failed for outcome in alone)
    assert [one.children for one in shared] == [one.children for one in alone]


def test_workers_judge_with_one_thread_each() -> None:
    assert [n for _, n in FramePool(2).map(threads_of_torch, range(4))] == [1] * 4


def threads_of_torch(_: int) -> int:
    import torch

    return torch.get_num_threads()


def test_weights_that_are_not_the_champions_are_never_used(
    champion: ChampionRef, bench: Bench, task: DetectionTask
) -> None:
    outcome = judge(task, bench, replace(champion, sha256="0" * 64), CONFIG)
    assert (outcome.row["status"], outcome.row["error_type"]) == ("failed", "ModelIntegrityError")
