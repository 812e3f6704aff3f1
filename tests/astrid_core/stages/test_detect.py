"""Judging one difference image with the shipped model: every detection has its cutout."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from astrid_core.detection.card import read_card
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.registry import shipped
from astrid_core.detection.unet import RealBogusModel, load_model
from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage, write_difference
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.cutouts import cut_triplets, cutout_sha256, read_cutouts
from astrid_core.extraction.extract import extract_candidates
from astrid_core.frame import Frame, write_frame
from astrid_core.simulation.pair import PairConfig, simulate_pair
from astrid_core.stages.bench import Bench
from astrid_core.stages.detect import DetectionTask, judge, plan_detection
from astrid_core.storage import ObjectStore
from tests import rows
from tests.conftest import S3Store

CONFIG = DetectionConfig(device="cpu")
MODEL = rows.model_row()


@pytest.fixture(scope="module")
def model() -> RealBogusModel:
    weights, card = shipped()
    read = read_card(card)
    return load_model(weights, read, read.sha256, "cpu")


@pytest.fixture(scope="module")
def pair() -> tuple[Frame, DifferenceImage]:
    """Changes too faint for candidates, and a few that are not."""
    simulated = simulate_pair(PairConfig(seed=8, shape=(300, 320), n_stars=80, snr_range=(4, 7)))
    aligned = AlignedPair(simulated.science, simulated.reference)
    quality = AlignmentQuality(flux_ratio=1.0, n_matched=80, registration_rms_pix=0.02)
    return simulated.science, assemble_difference(aligned, quality, DifferenceConfig())


@pytest.fixture
def bench(s3_empty: S3Store, tmp_path: Path) -> Bench:
    store = ObjectStore(
        s3_empty.endpoint,
        s3_empty.bucket,
        SecretStr(s3_empty.access_key_id),
        SecretStr(s3_empty.secret_access_key),
    )
    return Bench(store, tmp_path, 1.0)


@pytest.fixture
def task(pair: tuple[Frame, DifferenceImage], bench: Bench) -> DetectionTask:
    """The task as it reaches the op that has the GPU: planned, and sent as JSON."""
    science, difference = pair
    observation = rows.observation_row(0)
    processed = rows.preprocess_row(observation)
    run = rows.difference_row(processed) | {"night": observation["night"]}
    write_frame(science, bench.scratch / "science.fits")
    write_difference(difference, bench.scratch / "difference.fits")
    processed["sha256"] = bench.store.put_file(
        processed["processed_fits_path"], bench.scratch / "science.fits"
    )
    run["sha256"] = bench.store.put_file(
        run["difference_fits_path"], bench.scratch / "difference.fits"
    )
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
    model: RealBogusModel, pair: tuple[Frame, DifferenceImage], bench: Bench, task: DetectionTask
) -> None:
    science, difference = pair
    outcome = judge(task, model, bench, CONFIG)
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
    again = judge(task, model, bench, CONFIG)
    assert (again.children, again.staged) == (outcome.children, staged)


def test_without_components_there_is_no_object(
    model: RealBogusModel, bench: Bench, task: DetectionTask
) -> None:
    outcome = judge(task, model, bench, CONFIG.model_copy(update={"max_components": 0}))
    assert len(outcome.children) == outcome.row["n_detections"] == len(task.candidates)
    assert outcome.staged is None
    assert outcome.row.get("cutout_path") is None


def test_an_image_that_is_gone_is_a_failed_run_of_its_own(
    model: RealBogusModel, bench: Bench, task: DetectionTask
) -> None:
    lost = replace(task, difference=("difference_images/lost.fits", "0" * 64))
    outcome = judge(lost, model, bench, CONFIG)
    assert (outcome.row["status"], outcome.row["error_type"]) == ("failed", "ObjectMissingError")
    assert (outcome.staged, outcome.children) == (None, ())
