"""Real telescope images, processed as the pipeline does it, and what is asked of differences.

Frames are ingested and processed by the entries of ``tests/real_surveys.yaml``.
"""

import fnmatch
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.assemble import robust_sigma
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.sources import find_peaks
from astrid_core.frame import Frame
from astrid_core.preprocessing.calibrate import MasterCalibration
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.process import process_frame
from astrid_core.preprocessing.raw import RawFrame, read_raw
from astrid_core.surveys.config import SurveyConfig, SurveysFile, load_surveys
from astrid_core.surveys.ingest import ingest_file
from astrid_core.surveys.protocol import SourceFile
from astrid_core.surveys.registry import open_survey

SURVEYS_FILE = Path(__file__).parents[1] / "tests" / "real_surveys.yaml"
_MPIX = 64.0
_FAINTEST = 0.3
"""Share of pixels, faintest in the reference, on which crowded fields are judged."""
_EVENT_PIX = 8.0


@dataclass(frozen=True)
class Sky:
    """A folder of real sets and how to process them."""

    folder: Path
    surveys: SurveysFile

    @classmethod
    def of(cls, folder: Path) -> "Sky":
        """The sets of a folder, by the surveys file of the tests."""
        os.environ["ASTRID_REAL_DATA"] = str(folder)
        return cls(folder, load_surveys(SURVEYS_FILE))

    def names(self, survey: str, pattern: str) -> list[str]:
        """Files of a survey that match a pattern, in alphabetical order."""
        opened = open_survey(self.surveys.surveys[survey])
        found = (source.name for night in opened.nights() for source in opened.files(night))
        return sorted(fnmatch.filter(found, pattern))

    def raw(self, survey: str, name: str) -> RawFrame:
        """One file of a survey as its archive delivered it."""
        return _raw(self.surveys.surveys[survey], name)

    def frame(self, survey: str, name: str, calibration: MasterCalibration | None = None) -> Frame:
        """One file of a survey, processed."""
        return process_frame(self.raw(survey, name), calibration, PreprocessConfig()).frame


def _raw(config: SurveyConfig, name: str) -> RawFrame:
    survey = open_survey(config)
    for night in survey.nights():
        for source in survey.files(night):
            if isinstance(source, SourceFile) and source.name == name:
                outcome = ingest_file(source, config, night, _MPIX)
                if outcome.error is not None:
                    raise outcome.error
                return read_raw(source.path, asdict(outcome.observations[0]), _MPIX)
    raise SystemExit(f"{config.name} has no file {name}")


# --- what is asked of any difference ------------------------------------------------------


def faintest(difference: DifferenceImage) -> NDArray[np.bool_]:
    """Unmasked pixels among the faintest 30 % of the reference's."""
    clear = difference.mask == 0
    limit = np.quantile(difference.reference[clear], _FAINTEST)
    return np.asarray(clear & (difference.reference <= limit))


def pixel_sigma(difference: DifferenceImage, where: NDArray[np.bool_]) -> float:
    """Robust σ of D in units of its predicted rms per pixel."""
    score = difference.difference / np.sqrt(difference.variance)
    return robust_sigma(score[where].astype(np.float32))


def n_peaks(difference: DifferenceImage, away_from: tuple[float, float] | None = None) -> int:
    """Peaks of |S_corr| >= 5 outside the mask, away from a known change."""
    peaks = find_peaks(difference, ExtractionConfig())
    kept = difference.mask[peaks["y_peak"], peaks["x_peak"]] == 0
    if away_from is not None:
        x, y = away_from
        kept &= np.hypot(peaks["x_peak"] - x, peaks["y_peak"] - y) > _EVENT_PIX
    return int(kept.sum())
