"""Real telescope images the whole way from raw file to candidates.

How many candidates besides the known ones is printed (``pytest -s``), not gated here.
"""

import datetime as dt
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.extraction.sources import Source
from astrid_core.frame import Frame
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.process import process_frame
from astrid_core.preprocessing.raw import read_raw
from astrid_core.surveys.config import SurveyConfig, load_surveys
from astrid_core.surveys.ingest import ingest_file
from astrid_core.surveys.protocol import SourceFile

pytestmark = pytest.mark.real_data

MPIX = 4.0


@lru_cache(maxsize=16)
def processed(path: Path) -> Frame:
    """A raw file as the pipeline processes it, by the folder survey's defaults."""
    outcome = ingest_file(SourceFile(path.name, path), folder_survey(), dt.date(2013, 7, 1), MPIX)
    assert outcome.error is None, outcome.error
    raw = read_raw(path, asdict(outcome.observations[0]), MPIX)
    return process_frame(raw, None, PreprocessConfig()).frame


def folder_survey() -> SurveyConfig:
    survey = load_surveys().surveys["folder"]
    assert survey.folder is not None
    # Cropped files keep the checksums of the whole ones.
    options = survey.folder.model_copy(update={"checksums": "ignore"})
    return survey.model_copy(update={"folder": options})


def found_on(
    science: Path, reference: Path, config: DifferenceConfig | None = None
) -> tuple[DifferenceImage, tuple[Source, ...]]:
    config = config or DifferenceConfig()
    difference = subtract_frames(processed(science), processed(reference), config)
    found = extract_candidates(difference, processed(science), ExtractionConfig())
    print(
        f"\n{science.stem} - {reference.stem}: {len(found.candidates)} candidates, "
        f"sigma(S_corr) {difference.quality.scorr_sigma:.2f}, "
        f"{(np.abs(difference.scorr[difference.mask == 0]) >= 5).mean():.2%} of pixels beyond 5, "
        f"filtered {found.filter_counts}, degraded {difference.degraded_because}"
    )
    return difference, found.candidates


@pytest.mark.parametrize(
    ("science", "reference", "is_negative"),
    [
        ("0100", "0180", False),
        ("0100", "0042", False),
        ("0180", "0100", True),
    ],
)
def test_the_microlensing_event_is_the_strongest_candidate(
    real_data: Path, science: str, reference: str, is_negative: bool
):
    """No WCS, shifts of tens of pixels, seeing 3.7 to 6.1 px, a crowded field."""
    folder = real_data / "kb13475-saao1m"
    name = f"AKB13475I{science}"
    truth = json.loads((real_data / "truth.json").read_text())
    event = truth["kb13475-saao1m"]["frames"][name]
    _, candidates = found_on(folder / f"{name}.fits", folder / f"AKB13475I{reference}.fits")
    first = candidates[0]
    assert np.hypot(first.x_pix - event["x"], first.y_pix - event["y"]) < 1.0
    assert first.is_negative == is_negative
    assert first.snr > 50


def test_the_variable_star_of_a_handful(real_data: Path):
    """+12 % in 2018 against 2016, five stars in 256 × 256 px."""
    folder = real_data / "decam-variable-mini"
    late, early = (folder / f"DEC-{name}.mini.fits" for name in ("OBS04a", "OBS18a"))
    for science, reference, is_negative in ((late, early, False), (early, late, True)):
        difference, candidates = found_on(science, reference)
        first = candidates[0]
        assert np.hypot(first.x_pix - 129, first.y_pix - 128) < 1.5
        assert first.is_negative == is_negative
        assert len(candidates) <= 4
        assert 0.8 < difference.quality.scorr_sigma < 1.25
        assert difference.psf.is_fallback


def test_mosaics_get_their_noise_from_blank_sky(real_data: Path):
    """JWST mosaics are drizzled: taken for white, their noise makes S_corr far too wide."""
    reference, science = sorted((real_data / "jwst-nircam-a2744").glob("*.fits"))
    white, many = found_on(science, reference)
    measured, few = found_on(science, reference, DifferenceConfig(noise_model="autocovariance"))
    assert white.quality.scorr_sigma > 1.5
    assert 0.8 < measured.quality.scorr_sigma < 1.2
    assert len(few) < len(many) / 4


def test_nothing_varies_in_a_minute(real_data: Path):
    """Two Apogee exposures a minute apart, dust rings and bad columns and all."""
    first, second = sorted((real_data / "eso085-030-apogee").glob("*.fit"))
    difference, candidates = found_on(first, second)
    assert 0.9 < difference.quality.scorr_sigma < 1.2
    assert len(candidates) < 60
