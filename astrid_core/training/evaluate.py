"""What a model is worth on the test split, beside plain |S_corr| and beside the champion.

Others are compared *at equal false alarms per 10^6 pixels*: each gets the threshold that
lets as many bogus ones pass as the model does at its own.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.evaluation import calibration_error
from astrid_core.training.calibration import enough, random_queue
from astrid_core.training.figures import accepted, at_false_alarms, average_precision
from astrid_core.training.judged import Judgement, TestSet
from astrid_core.training.resampling import Estimate, estimate

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """Figures of part of the test split, at the model's own threshold."""

    name: str
    n_real: int
    n_bogus: int
    completeness: Estimate | None
    purity: Estimate | None


@dataclass(frozen=True)
class Reliability:
    """How far confidences are off.

    Attributes
    ----------
    of
        ``random queue``, at the odds of the sky; or ``all at even odds`` where that is short.
    """

    of: str
    n: int
    expected_calibration_error: float


@dataclass(frozen=True)
class Rival:
    """Something else on the same samples, with as many false alarms.

    Attributes
    ----------
    completeness_gain, purity_gain
        Of the model over it, paired.
    purity
        None where it accepts nothing.
    """

    name: str
    average_precision: Estimate | None
    completeness: float
    purity: float | None
    completeness_gain: Estimate | None
    purity_gain: Estimate | None


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on a frozen test split.

    Attributes
    ----------
    false_per_mpix
        Bogus samples accepted per 10^6 searched pixels.
    """

    n_real: int
    n_bogus: int
    n_groups: int
    mpix: float
    threshold: float
    average_precision: Estimate | None
    completeness: Estimate | None
    purity: Estimate | None
    false_per_mpix: Estimate | None
    pixel_average_precision: float | None
    reliability: Reliability
    slices: tuple[Slice, ...]
    rivals: tuple[Rival, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        values: dict[str, Any] = asdict(self)
        return values | {
            "slices": [asdict(one) for one in self.slices],
            "rivals": [asdict(one) for one in self.rivals],
        }


def evaluate(
    test: TestSet, model: Judgement, threshold: float, champion: Judgement | None
) -> Evaluation:
    """Figures of a model; beside the champion's where there is another."""
    everything = np.ones(len(test.is_real), dtype=bool)
    whole = _slice("all", test, model, everything)
    rivals = [_rival("S_corr and filters", test, model, test.significance)]
    if champion is not None:
        rivals.append(_rival("champion", test, model, champion.confidence))

    def false_per_mpix(weights: F64) -> float:
        return accepted(model.accepted, test.is_real, weights).n_false / test.mpix

    return Evaluation(
        n_real=whole.n_real,
        n_bogus=whole.n_bogus,
        n_groups=len(np.unique(test.groups)),
        mpix=test.mpix,
        threshold=threshold,
        average_precision=_precision(test, model.confidence),
        completeness=whole.completeness,
        purity=whole.purity,
        false_per_mpix=estimate(false_per_mpix, test.groups),
        pixel_average_precision=model.pixel_average_precision,
        reliability=_reliability(test, model),
        slices=tuple(_slice(name, test, model, chosen) for name, chosen in test.slices.items()),
        rivals=tuple(rivals),
    )


def _slice(name: str, test: TestSet, model: Judgement, chosen: NDArray[np.bool_]) -> Slice:
    real, taken = test.is_real[chosen], model.accepted[chosen]

    def completeness(weights: F64) -> float:
        return accepted(taken, real, weights).completeness

    def purity(weights: F64) -> float:
        return accepted(taken, real, weights).purity

    return Slice(
        name=name,
        n_real=int(real.sum()),
        n_bogus=int((~real).sum()),
        completeness=estimate(completeness, test.groups[chosen]),
        purity=estimate(purity, test.groups[chosen]),
    )


def _precision(test: TestSet, score: F64) -> Estimate | None:
    return estimate(lambda weights: average_precision(score, test.is_real, weights), test.groups)


def _rival(name: str, test: TestSet, model: Judgement, score: F64) -> Rival:
    def pair(weights: F64) -> tuple[float, float, float, float]:
        ours = accepted(model.accepted, test.is_real, weights)
        theirs = at_false_alarms(score, test.is_real, weights, ours.n_false)
        return ours.completeness, ours.purity, theirs.completeness, theirs.purity

    def gain(index: int) -> Callable[[F64], float]:
        return lambda weights: (both := pair(weights))[index] - both[index + 2]

    _, _, completeness, purity = pair(np.ones(len(test.is_real)))
    return Rival(
        name=name,
        average_precision=_precision(test, score),
        completeness=completeness,
        purity=purity if np.isfinite(purity) else None,
        completeness_gain=estimate(gain(0), test.groups),
        purity_gain=estimate(gain(1), test.groups),
    )


def _reliability(test: TestSet, model: Judgement) -> Reliability:
    at_random = random_queue(list(test.records))
    if enough(test.is_real, at_random):
        error = calibration_error(
            model.confidence[at_random],
            test.is_real[at_random],
            weights=np.ones(int(at_random.sum())),
        )
        return Reliability("random queue", int(at_random.sum()), error)
    error = calibration_error(model.confidence, test.is_real)
    return Reliability("all at even odds", len(test.is_real), error)
