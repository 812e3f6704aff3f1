"""From a difference image to detections: every candidate judged, the rest searched.

Candidates are judged in windows of their own. A pass over the whole frame then proposes
*components*, connected pixels the network believes real where extraction left no
candidate; each is judged in a window of its own like a candidate. A confidence is the
mean log-odds in the source's disc, calibrated by the model card.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from astrid_core.detection.card import Calibration
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.planes import preprocess
from astrid_core.detection.tiling import PlanesOf, cut_windows, slide, window_origins
from astrid_core.detection.unet import RealBogusModel
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.frame import Frame

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MIN_DISC_PIX = 2.0
"""Smallest radius of a source's disc: below it a disc is not round on the pixel grid."""

_CONFIDENCE_DECIMALS = 6
"""Confidences are rounded so that a row does not depend on the last bits of a sum."""


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
        component's most probable pixel.
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

    Parameters
    ----------
    science
        The frame the difference was made from.
    candidates
        Extracted sources, or (x, y) in 0-based pixels.

    Returns
    -------
    One detection per candidate in their order, then the components, most confident first.
    """
    x_pix, y_pix = positions(candidates)
    planes_of = planes_reader(science, difference)
    radius = disc_radius(difference.psf.fwhm_pix)
    scores = score_positions(model, planes_of, science.shape, x_pix, y_pix, radius, config)
    judged = [
        _scored(difference, x, y, confidence, index)
        for index, (x, y, confidence) in enumerate(
            zip(x_pix, y_pix, calibrate(scores, model.card.calibration), strict=True)
        )
    ]
    return (*judged, *find_components(model, science, difference, x_pix, y_pix, config))


def find_components(
    model: RealBogusModel,
    science: Frame,
    difference: DifferenceImage,
    x_pix: F64,
    y_pix: F64,
    config: DetectionConfig,
) -> list[ScoredSource]:
    """Connected pixels above the card's threshold and away from given positions.

    Each is at least a disc of half the FWHM large, counted in valid pixels, and holds no
    pixel within ``component_exclusion_fwhm`` of a given position.

    Returns
    -------
    Most confident first, at most ``max_components``.
    """
    fwhm = difference.psf.fwhm_pix
    planes_of = planes_reader(science, difference)
    logits = slide(
        model,
        planes_of,
        science.shape,
        band_rows=config.band_rows,
        overlap=config.overlap,
        batch_size=config.batch_size,
    )
    threshold = config.component_threshold or model.card.component_threshold
    probable = logits > logit(threshold)
    for rows in _row_slices(science.shape[0], config.band_rows):
        probable[rows] &= planes_of(rows, slice(None))[3] > 0

    labels, count = ndimage.label(probable)
    keep = _component_labels(labels, count, x_pix, y_pix, fwhm, config)
    if not len(keep):
        return []
    peaks = np.array(ndimage.maximum_position(logits, labels, keep))
    odds = ndimage.maximum(logits, labels, keep)
    strongest = np.argsort(-odds, kind="stable")[: config.max_components]
    keep, peaks = keep[strongest], peaks[strongest]
    centroids = np.array(ndimage.center_of_mass(expit(logits), labels, keep))
    scores = score_positions(
        model, planes_of, science.shape, peaks[:, 1], peaks[:, 0], disc_radius(fwhm), config
    )
    confidences = calibrate(scores, model.card.component_calibration)
    found = [
        ScoredSource(
            confidence_score=float(confidence),
            x_pix=float(x),
            y_pix=float(y),
            x_peak_pix=int(x_peak),
            y_peak_pix=int(y_peak),
            is_negative=bool(difference.scorr[y_peak, x_peak] < 0),
            candidate_index=None,
            detection_type="component",
        )
        for confidence, (y, x), (y_peak, x_peak) in zip(confidences, centroids, peaks, strict=True)
    ]
    return sorted(found, key=lambda source: -source.confidence_score)


def score_positions(
    model: RealBogusModel,
    planes_of: PlanesOf,
    shape: tuple[int, int],
    x_pix: F64,
    y_pix: F64,
    radius_pix: float,
    config: DetectionConfig,
) -> F64:
    """Mean log-odds (n,) in the discs around positions, each in a window of its own.

    Windows are cut a batch at a time: memory does not grow with the candidates.
    """
    window = model.card.window_pix
    scores = np.empty(len(x_pix), dtype=np.float64)
    for start in range(0, len(x_pix), config.batch_size):
        part = slice(start, start + config.batch_size)
        windows = cut_windows(planes_of, shape, x_pix[part], y_pix[part], window)
        logits = model.logits(windows, config.batch_size)
        scores[part] = disc_means(logits, windows[:, 3], x_pix[part], y_pix[part], radius_pix)
    return scores


def disc_means(logits: F32, validity: F32, x_pix: F64, y_pix: F64, radius_pix: float) -> F64:
    """Mean log-odds (n,) over the valid pixels of the disc in each window (n, w, w).

    A disc without a valid pixel is averaged over all its pixels: the network saw that
    there was nothing to see.
    """
    window = logits.shape[-1]
    origins = window_origins(x_pix, y_pix, window)
    grid = np.arange(window)
    dx = grid[None, None, :] - (x_pix - origins[:, 0])[:, None, None]
    dy = grid[None, :, None] - (y_pix - origins[:, 1])[:, None, None]
    disc = dx**2 + dy**2 <= radius_pix**2
    valid = disc & (validity > 0)
    weight = np.where(valid.any(axis=(1, 2), keepdims=True), valid, disc)
    total = (logits * weight).sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(total / weight.sum(axis=(1, 2)))


def calibrate(scores: F64, calibration: Calibration) -> F64:
    """Confidences from mean log-odds; increasing, because the slope is positive."""
    confidence = expit(calibration.slope * scores + calibration.intercept)
    return np.asarray(np.round(confidence, _CONFIDENCE_DECIMALS))


def disc_radius(fwhm_pix: float) -> float:
    """Radius in pixels of a source's disc, for labels and scores alike."""
    return max(MIN_DISC_PIX, fwhm_pix)


def planes_reader(science: Frame, difference: DifferenceImage) -> PlanesOf:
    """Reader of input planes of any rectangle of a pair."""

    def planes_of(rows: slice, columns: slice) -> F32:
        at = (rows, columns)
        return preprocess(
            science.data[at],
            science.variance[at],
            difference.reference[at],
            difference.difference[at],
            difference.variance[at],
            science.mask[at] | difference.mask[at],
        )

    return planes_of


def positions(candidates: Sequence[Positioned | tuple[float, float]]) -> tuple[F64, F64]:
    """Positions (n,), (n,) of candidates in 0-based pixels."""
    pairs = [
        candidate if isinstance(candidate, tuple) else (candidate.x_pix, candidate.y_pix)
        for candidate in candidates
    ]
    xy = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return xy[:, 0], xy[:, 1]


def _scored(
    difference: DifferenceImage, x: float, y: float, confidence: float, index: int
) -> ScoredSource:
    ny, nx = difference.scorr.shape
    x_peak, y_peak = round(min(max(x, 0), nx - 1)), round(min(max(y, 0), ny - 1))
    return ScoredSource(
        confidence_score=float(confidence),
        x_pix=float(x),
        y_pix=float(y),
        x_peak_pix=x_peak,
        y_peak_pix=y_peak,
        is_negative=bool(difference.scorr[y_peak, x_peak] < 0),
        candidate_index=index,
        detection_type="candidate",
    )


def _component_labels(
    labels: NDArray[np.signedinteger],
    count: int,
    x_pix: F64,
    y_pix: F64,
    fwhm: float,
    config: DetectionConfig,
) -> NDArray[np.int64]:
    """Labels large enough to be a source and clear of every given position."""
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    wanted = sizes >= np.pi * (fwhm / 2) ** 2
    wanted[0] = False
    reach = config.component_exclusion_fwhm * fwhm
    for x, y in zip(x_pix, y_pix, strict=True):
        rows = slice(max(0, int(y - reach)), max(0, int(np.ceil(y + reach)) + 1))
        columns = slice(max(0, int(x - reach)), max(0, int(np.ceil(x + reach)) + 1))
        patch = labels[rows, columns]
        yy, xx = np.ogrid[
            rows.start : rows.start + patch.shape[0], columns.start : columns.start + patch.shape[1]
        ]
        wanted[patch[(xx - x) ** 2 + (yy - y) ** 2 <= reach**2]] = False
    return np.flatnonzero(wanted)


def _row_slices(ny: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, ny)) for start in range(0, ny, step)]
