"""Samples judged by a model, exactly as detection judges positions on a frame."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from astrid_core.detection.card import ModelCard
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.judging import calibrate, disc_means
from astrid_core.detection.scoring import component_confidence
from astrid_core.training.samples import SampleRecord
from astrid_core.training.stored import SampleSet
from astrid_core.training.windows import batches, centred, radii

F64 = NDArray[np.float64]

LogitsOf = Callable[[NDArray[np.float32], int], NDArray[np.float32]]

_BATCH = 64
_PIXEL_BINS = 4000


class PixelCounts:
    """Counts of real and other pixels by probability: all that their precision needs.

    Pixels of a large dataset do not fit into memory; in bins of 1/4000 they do.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, _PIXEL_BINS), dtype=np.int64)

    def add(self, logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Count pixels; those of other labels than 0 and 1 say nothing."""
        bins = np.minimum((expit(logits) * _PIXEL_BINS).astype(np.int64), _PIXEL_BINS - 1)
        for label in (0, 1):
            self._counts[label] += np.bincount(bins[labels == label], minlength=_PIXEL_BINS)

    def average_precision(self) -> float | None:
        """Area under precision over recall; None where no pixel is real."""
        other, real = self._counts[:, ::-1].cumsum(axis=1)
        if not real[-1]:
            return None
        precision = real / np.maximum(real + other, 1)
        return float((precision * np.diff(real, prepend=0)).sum() / real[-1])


def score_samples(
    logits_of: LogitsOf, samples: SampleSet, pixels: PixelCounts | None = None
) -> F64:
    """Mean log-odds (n,) in each sample's disc; pixels are counted on the way.

    Parameters
    ----------
    logits_of
        Windows and batch size → log-odds, as ``RealBogusModel.logits`` is.
    """
    scores = [np.zeros(0)]
    for part in batches(samples, _BATCH):
        windows = centred(part)
        logits = logits_of(windows.planes, _BATCH)
        x_pix, y_pix = part.values("x_pix"), part.values("y_pix")
        means = disc_means(logits, windows.planes[:, 3], x_pix, y_pix, radii(part.records))
        scores.append(means)
        if pixels is not None:
            pixels.add(logits, windows.labels)
    return np.concatenate(scores)


def is_component(records: Sequence[SampleRecord]) -> NDArray[np.bool_]:
    """(n,) proposed by the network itself, and by no significance."""
    return np.array([r.metadata["detection_type"] == "component" for r in records], dtype=bool)


def confidences(card: ModelCard, scores: F64, records: Sequence[SampleRecord]) -> F64:
    """Calibrated probability of real (n,), components at the odds that a survey expects."""
    found = calibrate(scores, card.calibration)
    component = is_component(records)
    expected = DetectionConfig().expected_components_per_mpix
    found[component] = component_confidence(card, scores[component], expected)
    return found
