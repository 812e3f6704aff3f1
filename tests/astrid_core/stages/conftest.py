"""What tests of stages share: a bench, simulated difference images, and these in the store."""

from pathlib import Path

import pytest

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage, write_difference
from astrid_core.frame import Frame, write_frame
from astrid_core.simulation.pair import PairConfig, simulate_pair
from astrid_core.stages.bench import Bench
from tests import rows
from tests.conftest import S3Store

Pair = tuple[Frame, DifferenceImage]


@pytest.fixture
def bench(s3_empty: S3Store, tmp_path: Path) -> Bench:
    return Bench(s3_empty.open(), tmp_path, 1.0)


def subtracted(config: PairConfig) -> Pair:
    """A simulated science frame and its difference image."""
    simulated = simulate_pair(config)
    aligned = AlignedPair(simulated.science, simulated.reference)
    quality = AlignmentQuality(flux_ratio=1.0, n_matched=config.n_stars, registration_rms_pix=0.02)
    return simulated.science, assemble_difference(aligned, quality, DifferenceConfig())


def store_pair(bench: Bench, number: int, pair: Pair) -> tuple[rows.Row, rows.Row]:
    """Both in the store; the rows of their preprocess and difference runs."""
    science, difference = pair
    observation = rows.observation_row(number)
    processed = rows.preprocess_row(observation)
    run = rows.difference_row(processed) | {"night": observation["night"]}
    path = bench.scratch / "to_store.fits"
    write_frame(science, path)
    processed["sha256"] = bench.store.put_file(processed["processed_fits_path"], path)
    write_difference(difference, path)
    run["sha256"] = bench.store.put_file(run["difference_fits_path"], path)
    return processed, run
