"""Searching difference images, and the picture of the night's strongest candidate."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage, write_difference
from astrid_core.errors import ObjectMissingError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.frame import Frame, write_frame
from astrid_core.preview import difference_panels
from astrid_core.simulation.pair import PairConfig, simulate_pair
from astrid_core.stages.bench import Bench
from astrid_core.stages.candidates import (
    ExtractionTask,
    extract,
    picture_strongest,
    plan_extraction,
)
from astrid_core.storage import ObjectStore
from tests import rows
from tests.conftest import S3Store

SNR_RANGES = ((6, 12), (40, 60), (6, 12))
"""Of what was planted in each frame: the second has the strongest candidate."""


@dataclass(frozen=True)
class Night:
    """Difference images in a store, and the tasks that search them."""

    pairs: list[tuple[Frame, DifferenceImage]]
    tasks: list[ExtractionTask]
    bench: Bench


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Frame, DifferenceImage]]:
    made = []
    for seed, snr_range in enumerate(SNR_RANGES):
        config = PairConfig(seed=seed, shape=(200, 220), n_stars=40, snr_range=snr_range)
        simulated = simulate_pair(config)
        aligned = AlignedPair(simulated.science, simulated.reference)
        quality = AlignmentQuality(flux_ratio=1.0, n_matched=40, registration_rms_pix=0.02)
        image = assemble_difference(aligned, quality, DifferenceConfig())
        made.append((simulated.science, image))
    return made


@pytest.fixture
def night(pairs: list[tuple[Frame, DifferenceImage]], s3_empty: S3Store, tmp_path: Path) -> Night:
    store = ObjectStore(
        s3_empty.endpoint,
        s3_empty.bucket,
        SecretStr(s3_empty.access_key_id),
        SecretStr(s3_empty.secret_access_key),
    )
    processed, runs = [], []
    for number, (science, image) in enumerate(pairs):
        observation = rows.observation_row(number)
        frame = rows.preprocess_row(observation)
        run = rows.difference_row(frame) | {"night": observation["night"]}
        write_frame(science, tmp_path / "frame")
        frame["sha256"] = store.put_file(frame["processed_fits_path"], tmp_path / "frame")
        write_difference(image, tmp_path / "difference")
        run["sha256"] = store.put_file(run["difference_fits_path"], tmp_path / "difference")
        processed.append(frame)
        runs.append(run)
    tasks = plan_extraction("sim", runs, processed, ExtractionConfig())
    return Night(pairs, tasks, Bench(store, tmp_path, 1.0))


def test_the_frame_of_the_strongest_candidate_is_pictured(night: Night) -> None:
    outcomes = [extract(task, night.bench) for task in night.tasks]
    assert [outcome.row["status"] for outcome in outcomes] == ["completed"] * 3
    found = [row for outcome in outcomes for row in outcome.children]
    searched = {task.run_id for task in night.tasks}
    science, image = night.pairs[1]
    marks = [(row["x_pix"], row["y_pix"], row["is_negative"]) for row in outcomes[1].children]
    expected = difference_panels(
        science.data, image.reference, image.difference, image.scorr, marks
    )
    assert picture_strongest(night.tasks, searched, found, night.bench) == expected


def test_a_night_without_candidates_shows_a_frame_that_was_searched(night: Night) -> None:
    science, image = night.pairs[2]
    expected = difference_panels(science.data, image.reference, image.difference, image.scorr, [])
    searched = {night.tasks[2].run_id}
    assert picture_strongest(night.tasks, searched, [], night.bench) == expected
    assert picture_strongest(night.tasks, set(), [], night.bench) is None


def test_a_frame_that_is_gone_is_named(night: Night) -> None:
    task = night.tasks[0]
    night.bench.store.delete(task.preprocess["processed_fits_path"])
    with pytest.raises(ObjectMissingError, match=task.preprocess["processed_fits_path"]):
        picture_strongest(night.tasks, {task.run_id}, [], night.bench)
