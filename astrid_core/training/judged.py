"""The test split as a model judges it: what evaluation and promotion are made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.unet import RealBogusModel
from astrid_core.errors import DatasetQualityError
from astrid_core.training.samples import SampleRecord
from astrid_core.training.scoring import PixelCounts, confidences, is_component, score_samples
from astrid_core.training.stored import SampleSet

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

SNR_BINS = ((3.0, 5.0), (5.0, 7.0), (7.0, 10.0), (10.0, 20.0), (20.0, np.inf))
"""Bins of |S/N| as it was measured, for real and bogus alike."""


@dataclass(frozen=True)
class TestSet:
    """Truth of a test split; all (n,).

    Attributes
    ----------
    significance
        |S_corr| of what the named filters let pass; −∞ of components, which they did not.
    slices
        Name → members, of samples of which it is known.
    mpix
        10^6 searched pixels of all difference images that the samples are from.
    """

    __test__ = False  # not pytest's

    records: Sequence[SampleRecord]
    is_real: Mask
    groups: NDArray[np.str_]
    significance: F64
    slices: dict[str, Mask]
    mpix: float

    @classmethod
    def of(cls, records: Sequence[SampleRecord]) -> "TestSet":
        """Truth of samples.

        Raises
        ------
        DatasetQualityError
            If a class is missing: nothing could be measured.
        """
        is_real = np.array([record.is_real for record in records], dtype=bool)
        if not is_real.any() or is_real.all():
            raise DatasetQualityError(
                f"The test split holds {int(is_real.sum())} real and {int((~is_real).sum())} "
                "bogus samples: nothing can be measured.",
                remedy="Have more detections judged, on more of the sky, and collect again.",
            )
        peaks = np.array([float(record.metadata["scorr_peak"]) for record in records])
        return cls(
            records=records,
            is_real=is_real,
            groups=np.array([record.group_key for record in records], dtype=np.str_),
            significance=np.where(is_component(records), -np.inf, np.abs(peaks)),
            slices=dict(_slices(records)),
            mpix=_area_mpix(records),
        )


@dataclass(frozen=True)
class Judgement:
    """A model's verdicts on a test split.

    Attributes
    ----------
    confidence, accepted
        (n,) calibrated, and whether it reaches the model's own threshold.
    pixel_average_precision
        Of pixels against the masks; None where none is real.
    """

    confidence: F64
    accepted: Mask
    pixel_average_precision: float | None


def judge(model: RealBogusModel, samples: SampleSet) -> Judgement:
    """Judge samples with a model."""
    pixels = PixelCounts()
    scores = score_samples(model.logits, samples, pixels)
    confidence = confidences(model.card, scores, samples.records)
    return Judgement(confidence, confidence >= model.card.threshold, pixels.average_precision())


def _slices(records: Sequence[SampleRecord]) -> Iterator[tuple[str, Mask]]:
    snr = np.abs([_number(record.metadata.get("snr")) for record in records])
    for low, high in SNR_BINS:
        chosen = (snr >= low) & (snr < high)
        if chosen.any():
            yield f"S/N {low:g}-{high:g}" if np.isfinite(high) else f"S/N > {low:g}", chosen
    for name in ("survey", "environment", "detection_type"):
        values = [record.metadata.get(name) for record in records]
        for value in sorted({str(value) for value in values if value is not None}):
            yield f"{name} {value}", np.array([str(one) == value for one in values], dtype=bool)


def _area_mpix(records: Sequence[SampleRecord]) -> float:
    frames: dict[str, Any] = {
        str(record.metadata["made_from"]["difference"]["run_id"]): record.metadata["mpix"]
        for record in records
    }
    return float(sum(frames.values()))


def _number(value: object) -> float:
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]
