"""The shipped weights, on a sky made for this test alone, through the whole pipeline."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astrid_core.detection.assess import judge_candidates, shard_planes
from astrid_core.detection.bootstrap_data import (
    FIRST_SEED,
    SCIENCE_NIGHTS,
    SKIES,
    expose,
    inject,
    make_reference,
    make_shard,
    plan_tasks,
    process_exposure,
    sky_config,
)
from astrid_core.detection.card import read_card
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.evaluation import ranking_figures
from astrid_core.detection.judging import calibrate
from astrid_core.detection.registry import shipped
from astrid_core.detection.scoring import detect
from astrid_core.detection.shards import Shard
from astrid_core.detection.unet import RealBogusModel, load_model
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.frame import Frame
from astrid_core.identity import config_digest
from astrid_core.simulation.scene import SimulatedExposure

SEED = FIRST_SEED + 100_000
CONFIG = DetectionConfig(device="cpu")


@pytest.fixture(scope="module")
def model() -> RealBogusModel:
    weights, card = shipped()
    read = read_card(card)
    return load_model(weights, read, read.sha256, "cpu")


@pytest.fixture(scope="module")
def exposures() -> tuple[SimulatedExposure, Frame, Frame]:
    """An exposure, the frame made of it, and its reference."""
    config = sky_config(SEED)
    exposure = expose(config, 0, SCIENCE_NIGHTS[0])
    # Without rejection of cosmic rays, so that there is bogus to tell apart.
    science = process_exposure(exposure, reject_cosmics=False)
    return exposure, science, make_reference(config, 0)


@pytest.fixture(scope="module")
def shard(exposures: tuple[SimulatedExposure, Frame, Frame]) -> Shard:
    return make_shard(*exposures, "test")


@pytest.fixture(scope="module")
def pair(exposures: tuple[SimulatedExposure, Frame, Frame]) -> tuple[Frame, DifferenceImage]:
    exposure, science, reference = exposures
    science, _ = inject(exposure, science, reference)
    return science, subtract_frames(science, reference, DifferenceConfig())


def test_weights_are_small_and_the_card_complete(model):
    weights, _ = shipped()
    assert weights.stat().st_size <= 4e6
    held_out = model.card.figures["held_out"]
    assert held_out["candidates"]["n_bogus"] >= 100
    unet, scorr = held_out["candidates"]["unet"], held_out["candidates"]["scorr"]
    assert unet["roc_auc"] > scorr["roc_auc"] + 0.1
    assert unet["average_precision"] > scorr["average_precision"]
    assert model.card.limits


def test_this_sky_was_never_trained_on(tmp_path: Path):
    seeds = {task.seed for task in plan_tasks(tmp_path)}
    assert SEED not in seeds
    assert len(seeds) == sum(SKIES.values())
    splits = {(task.split, task.seed) for task in plan_tasks(tmp_path)}
    assert len(splits) == len(seeds), "a sky lies in one split only"


def test_real_and_bogus_come_apart_as_the_card_says(model, shard):
    judged = judge_candidates(model, [shard], CONFIG)
    assert judged.is_real.sum() >= 30
    assert (~judged.is_real).sum() >= 10
    claimed = model.card.figures["held_out"]["candidates"]["unet"]
    confidence = calibrate(judged.scores, model.card.calibration)
    assert ranking_figures(confidence, judged.is_real)["roc_auc"] >= claimed["roc_auc"] - 0.05
    assert np.median(confidence[judged.is_real]) > 0.8
    assert np.median(confidence[~judged.is_real]) < 0.3


def test_detect_scores_as_training_did(model, shard, pair):
    """One preprocessing for both: the shard's half-precision planes change little."""
    science, difference = pair
    planes = shard_planes(shard)(slice(None), slice(None))
    chosen = shard.candidates[:40]
    at = [(float(c["x_pix"]), float(c["y_pix"])) for c in chosen]
    found = detect(model, science, difference, at, CONFIG)[: len(at)]
    judged = judge_candidates(
        model, [replace(shard, planes=planes, candidates=chosen[chosen["label"] != 255])], CONFIG
    )
    want = calibrate(judged.scores, model.card.calibration)
    got = [s.confidence_score for s, c in zip(found, chosen, strict=True) if c["label"] != 255]
    np.testing.assert_allclose(got, want, atol=0.02)


def test_components_are_what_the_card_allows(model, pair):
    science, difference = pair
    found = detect(model, science, difference, [], CONFIG)
    assert {source.detection_type for source in found} == {"component"}
    assert 10 <= len(found) <= CONFIG.max_components
    assert all(0 <= source.confidence_score <= 1 for source in found)
    assert detect(model, science, difference, [], CONFIG) == found, "deterministic on a CPU"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_scores_as_the_cpu_does(model, pair):
    weights, _ = shipped()
    science, difference = pair
    at = [(float(x), 256.0) for x in range(20, 500, 40)]
    on_gpu = load_model(weights, model.card, model.sha256, "cuda")
    cpu = detect(model, science, difference, at, CONFIG)
    gpu = detect(on_gpu, science, difference, at, DetectionConfig(device="cuda"))
    np.testing.assert_allclose(
        [source.confidence_score for source in gpu[: len(at)]],
        [source.confidence_score for source in cpu[: len(at)]],
        atol=1e-3,
    )


def test_where_it_ran_is_no_part_of_a_runs_identity():
    digests = {
        config_digest(DetectionConfig(device=device).model_dump(mode="json"))
        for device in ("auto", "cpu", "cuda")
    }
    assert len(digests) == 1
