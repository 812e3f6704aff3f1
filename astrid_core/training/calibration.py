"""From scores of the val split to a model card's calibrations and threshold."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.card import ModelCard
from astrid_core.detection.evaluation import MIN_PER_CLASS, best_threshold, fit_calibration
from astrid_core.detection.judging import calibrate
from astrid_core.training.samples import SampleRecord
from astrid_core.training.scoring import is_component

F64 = NDArray[np.float64]
Labels = NDArray[np.bool_]

RANDOM = "random"
"""Stratum of the queue that is drawn at random: its share of real ones is the sky's."""

CalibratedOn = Literal["random queue", "val split at even odds", "parent"]


@dataclass(frozen=True)
class Calibrated:
    """Card fields, and what they were learnt from."""

    fields: dict[str, Any]
    candidates_on: CalibratedOn
    components_on: CalibratedOn


def calibrate_on(records: list[SampleRecord], scores: F64, parent: ModelCard) -> Calibrated:
    """Calibrate on the val split, or keep what the parent has where it says too little.

    Candidates: on those the queue drew at random, at the odds they were found; where these
    are too few, on all at even odds, because what a queue prefers has odds of its own.
    Components: at even odds, as scoring expects. The pixel threshold of components and their
    rate are the parent's: only whole frames could tell others.
    """
    is_real = np.array([record.is_real for record in records], dtype=bool)
    component = is_component(records)
    at_random = random_queue(records) & ~component
    chosen, candidates_on = ~component, "val split at even odds"
    if enough(is_real, at_random):
        chosen, candidates_on = at_random, "random queue"
    elif not enough(is_real, chosen):
        candidates_on = "parent"
    calibration = fit_calibration(
        scores[chosen],
        is_real[chosen],
        parent.calibration,
        at_even_odds=candidates_on != "random queue",
    )
    fields = {
        "calibration": calibration,
        "component_calibration": fit_calibration(
            scores[component], is_real[component], parent.component_calibration
        ),
        "component_threshold": parent.component_threshold,
        "component_bogus_per_mpix": parent.component_bogus_per_mpix,
        "threshold": parent.threshold,
    }
    if candidates_on != "parent":
        confidence = calibrate(scores[~component], calibration)
        fields["threshold"] = best_threshold(confidence, is_real[~component])
    return Calibrated(
        fields,
        candidates_on,  # type: ignore[arg-type]
        "val split at even odds" if enough(is_real, component) else "parent",
    )


def random_queue(records: list[SampleRecord]) -> NDArray[np.bool_]:
    """(n,) put before people at random."""
    return np.array([RANDOM in record.metadata["strata"] for record in records], dtype=bool)


def enough(is_real: Labels, chosen: NDArray[np.bool_]) -> bool:
    """Whether those chosen are enough of either class to say something of confidences."""
    return bool(min((is_real & chosen).sum(), (~is_real & chosen).sum()) >= MIN_PER_CLASS)
