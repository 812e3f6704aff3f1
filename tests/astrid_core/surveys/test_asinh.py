"""Images stored as asinh: the light that comes back, and what is refused for want of cards."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.surveys.asinh import linearised
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.fits_input import read_image
from astrid_core.surveys.ingest import LINEARISED, LINEARITY, ObservationRecord, ingest_file
from astrid_core.surveys.protocol import SourceFile

NIGHT = dt.date(2025, 9, 10)
CONFIG = SurveyConfig.model_validate(
    {"name": "mine", "adapter": "simulated", "references": {"name": "none"}}
)


@settings(max_examples=60, deadline=None)
@given(
    flux=st.lists(st.floats(-1e4, 1e7), min_size=1, max_size=20),
    offset=st.floats(-100, 100),
    softening=st.floats(0.01, 1e3),
)
def test_light_comes_back(flux: list[float], offset: float, softening: float) -> None:
    light = np.array([flux])
    # As asinh magnitudes are defined: a magnitude is -2.5 log10, so 1 e-fold is 1.0857 of them.
    stored = 1.0857362 * np.arcsinh((light - offset) / (2.0 * softening))
    header = fits.Header({"BSOFTEN": softening, "BOFFSET": offset})
    back = linearised(stored.astype(np.float32), header)
    # float32 holds the stored value to 6e-8, which counts in e-folds.
    tolerance = 2e-5 * (np.abs(light - offset) + softening) + 1e-4
    assert np.all(np.abs(back - light) <= tolerance)


def test_pixels_are_linear_by_the_time_anybody_sees_them(tmp_path: Path) -> None:
    light = np.linspace(-50, 5000, 400, dtype=np.float32).reshape(20, 20)
    stored = (1.0857362 * np.arcsinh((light - 2.0) / 20.0)).astype(np.float32)
    path = _written(tmp_path / "stack.fits", stored, BSOFTEN=10.0, BOFFSET=2.0)
    pixels, _ = read_image(path, 0, 1.0)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, light, rtol=2e-5, atol=1e-2)


@pytest.mark.parametrize(
    ("cards", "marks"),
    [
        ({}, set()),
        ({"BSOFTEN": 12.5, "BOFFSET": 3.0}, {LINEARISED}),
        ({"BSOFTEN": 12.5}, {LINEARITY}),
        ({"BSOFTEN": 0.0, "BOFFSET": 3.0}, {LINEARITY}),
        ({"BSOFTEN": "much", "BOFFSET": 3.0}, {LINEARITY}),
        ({"BSOFTEN": True, "BOFFSET": 3.0}, {LINEARITY}),
    ],
)
def test_what_is_made_linear_is_marked_and_what_cannot_be_is_refused(
    tmp_path: Path, cards: dict[str, Any], marks: set[str]
) -> None:
    record = _record(tmp_path, **cards)
    assert marks == {LINEARISED, LINEARITY} & set(record.assumed)


def test_a_zero_point_per_second_is_one_of_the_whole_exposure(tmp_path: Path) -> None:
    assert _record(tmp_path, **{"HIERARCH FPA.ZP": 25.0}).zero_point_mag == pytest.approx(
        25.0 + 2.5 * np.log10(60.0)
    )
    stated = _record(tmp_path, MAGZERO=27.0, **{"HIERARCH FPA.ZP": 25.0})
    assert stated.zero_point_mag == 27.0
    assert _record(tmp_path, EXPTIME=0.0, **{"HIERARCH FPA.ZP": 25.0}).zero_point_mag is None


def _written(path: Path, pixels: np.ndarray, **cards: Any) -> Path:
    fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(path, overwrite=True)
    return path


def _record(folder: Path, **cards: Any) -> ObservationRecord:
    pixels = np.random.default_rng(1).normal(2.0, 0.1, (32, 32)).astype(np.float32)
    stated = {"DATE-OBS": "2025-09-10T03:00:00", "EXPTIME": 60.0, "FILTER": "r", "OBJECT": "f"}
    path = _written(folder / "one.fits", pixels, **(stated | cards))
    [record] = ingest_file(SourceFile("one", path), CONFIG, NIGHT, 4.0).observations
    return record
