"""From a difference image to detections: every candidate judged, the rest searched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.card import ModelCard
from astrid_core.detection.components import find_components
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.discs import disc_radius
from astrid_core.detection.judging import calibrate, judge_positions
from astrid_core.detection.planes import planes_reader
from astrid_core.detection.unet import RealBogusModel
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.flags import NOT_SEARCHED
from astrid_core.frame import Frame

F64 = NDArray[np.float64]


class Positioned(Protocol):
    """Anything with a pixel position, such as an extracted ``Source``."""

    @property
    def x_pix(self) -> float:
        """0-based pixel centre."""

    @property
    def y_pix(self) -> float:
        """0-based pixel centre."""


@dataclass(frozen=True)
class ScoredSource:
    """A detection in pixels.

    Attributes
    ----------
    confidence_score
        Calibrated probability of real, 0 to 1.
    x_pix, y_pix
        0-based pixel centre: the candidate's, or the component's centroid.
    x_peak_pix, y_peak_pix
        Integer pixel that identifies it: the candidate's rounded position, or the
        component's peak of |S_corr|.
    is_negative
        Sign of S_corr there: fainter than the reference.
    candidate_index
        Index into the candidates given; None for a component.
    """

    confidence_score: float
    x_pix: float
    y_pix: float
    x_peak_pix: int
    y_peak_pix: int
    is_negative: bool
    candidate_index: int | None
    detection_type: Literal["candidate", "component"]


def detect(
    model: RealBogusModel,
    science: Frame,
    difference: DifferenceImage,
    candidates: Sequence[Positioned | tuple[float, float]],
    config: DetectionConfig,
) -> tuple[ScoredSource, ...]:
    """Judge the candidates of a difference image and search it for what they missed.

    A confidence is the mean log-odds of "real" in a disc of max(2 px, 1 FWHM), calibrated
    by the model card: for candidates and components apart, because their priors differ.

    Parameters
    ----------
    science
        The frame the difference was made from.
    candidates
        Extracted sources, or (x, y) in 0-based pixels.

    Returns
    -------
    One detection per candidate in their order, then the components, most significant first.
    """
    x, y = positions(candidates)
    planes_of = planes_reader(science, difference)
    fwhm = difference.psf.fwhm_pix
    scores = judge_positions(
        model, planes_of, science.shape, x, y, disc_radius(fwhm), config.batch_size
    )
    scorr = difference.scorr_without(NOT_SEARCHED)
    found = find_components(model, planes_of, scorr, (x, y), fwhm, config)
    ny, nx = science.shape
    x_peak = np.clip(np.rint(x), 0, nx - 1).astype(np.int64)
    y_peak = np.clip(np.rint(y), 0, ny - 1).astype(np.int64)
    judged = zip(calibrate(scores, model.card.calibration), x, y, x_peak, y_peak, strict=True)
    proposed = zip(
        component_confidence(model.card, found.scores, config.expected_components_per_mpix),
        found.x_pix,
        found.y_pix,
        found.x_peak_pix,
        found.y_peak_pix,
        strict=True,
    )
    return (
        *(_scored(difference, values, index) for index, values in enumerate(judged)),
        *(_scored(difference, values, None) for values in proposed),
    )


def component_confidence(card: ModelCard, scores: F64, expected_per_mpix: float) -> F64:
    """Confidences of components at the density of real ones that a survey expects.

    Calibrated at even odds, a score says how much likelier a component is real than bogus;
    on the sky noise has far more peaks than S/N 4 has changes.
    """
    prior = float(np.log(expected_per_mpix / card.component_bogus_per_mpix))
    return calibrate(scores, card.component_calibration, prior)


def positions(candidates: Sequence[Positioned | tuple[float, float]]) -> tuple[F64, F64]:
    """Positions (n,), (n,) of candidates in 0-based pixels."""
    pairs = [
        candidate if isinstance(candidate, tuple) else (candidate.x_pix, candidate.y_pix)
        for candidate in candidates
    ]
    xy = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return xy[:, 0], xy[:, 1]


def _scored(
    difference: DifferenceImage,
    values: tuple[float, float, float, int, int],
    candidate_index: int | None,
) -> ScoredSource:
    confidence, x, y, x_peak, y_peak = values
    return ScoredSource(
        confidence_score=float(confidence),
        x_pix=float(x),
        y_pix=float(y),
        x_peak_pix=int(x_peak),
        y_peak_pix=int(y_peak),
        is_negative=bool(difference.scorr[y_peak, x_peak] < 0),
        candidate_index=candidate_index,
        detection_type="component" if candidate_index is None else "candidate",
    )
