"""Two nights under names: alike where ids alone differ, unlike where anything measured does."""

import hashlib
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from astropy.io import fits

from benchmarks.hostile_names import under_names
from benchmarks.snapshots import differing


def _night(root: Path, first_id: int, pixel: float = 1.0, flux_ratio: float = 1.0):
    """Rows of one observation, its reference and its difference, and their objects."""
    reference, difference = UUID(int=first_id), UUID(int=first_id + 1)
    paths = {}
    for run in (reference, difference):
        hdu = fits.PrimaryHDU(np.full((4, 4), pixel, np.float32))
        hdu.header["RUNID"] = str(run)
        hdu.add_checksum()
        root.mkdir(parents=True, exist_ok=True)
        ids = fits.Column("id", "36A", array=[str(run)])
        table = fits.BinTableHDU.from_columns([ids], name="IDS")
        fits.HDUList([hdu, table]).writeto(root / f"{run}.fits")
        paths[run] = f"{run}.fits"
    sums = {
        run: hashlib.sha256((root / key).read_bytes()).hexdigest() for run, key in paths.items()
    }
    observation = UUID(int=1)
    return under_names(
        {
            "observations": [{"id": observation, "archive_id": "good/a.fits"}],
            "reference_frames": [
                {
                    "run_id": reference,
                    "field": "F00",
                    "filter_band": "r",
                    "reference_fits_path": paths[reference],
                    "sha256": sums[reference],
                }
            ],
            "difference_runs": [
                {
                    "run_id": difference,
                    "observation_id": observation,
                    "reference_id": reference,
                    "reference_choice": [
                        {"id": str(reference)},
                        {"id": str(UUID(int=first_id + 9))},
                    ],
                    "flux_ratio": flux_ratio,
                    "difference_fits_path": paths[difference],
                    "sha256": sums[difference],
                }
            ],
            "extraction_runs": [],
            "model_runs": [],
            "candidates": [],
            "detections": [],
        },
        root,
    )


def test_nights_whose_ids_alone_differ_are_alike(tmp_path: Path) -> None:
    assert differing(_night(tmp_path / "a", 100), _night(tmp_path / "b", 200)) == []


@pytest.mark.parametrize(
    ("changed", "unlike"),
    [
        ({"flux_ratio": 1.1}, ["difference_runs"]),
        ({"pixel": 2.0}, ["difference_runs", "objects", "reference_frames"]),
    ],
)
def test_what_was_measured_otherwise_is_told(
    tmp_path: Path, changed: dict[str, float], unlike: list[str]
) -> None:
    night = _night(tmp_path / "a", 100)
    assert differing(night, _night(tmp_path / "b", 200, **changed)) == unlike
