"""Figures of weighted samples: precision, completeness, purity, errors at equal alarms.

Everything here works on arrays (n,) and weights (n,), so that a bootstrap can ask again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

F64 = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Accepted:
    """What a threshold accepts of weighted samples."""

    completeness: float
    purity: float
    n_false: float


def average_precision(score: F64, is_real: Labels, weights: F64) -> float:
    """Average precision; NaN where a class has no weight."""
    if not weights[is_real].any() or not weights[~is_real].any():
        return float("nan")
    return float(average_precision_score(is_real, _finite(score), sample_weight=weights))


def accepted(chosen: NDArray[np.bool_], is_real: Labels, weights: F64) -> Accepted:
    """Completeness, purity (NaN where there is nothing to divide by) and false alarms."""
    real, right = weights[is_real].sum(), weights[chosen & is_real].sum()
    false = weights[chosen & ~is_real].sum()
    return Accepted(_share(right, real), _share(right, right + false), float(false))


def right_share(chosen: NDArray[np.bool_], is_real: Labels, weights: F64) -> float:
    """Share of samples judged rightly."""
    return _share(weights[chosen == is_real].sum(), weights.sum())


def at_false_alarms(score: F64, is_real: Labels, weights: F64, n_false: float) -> Accepted:
    """What the lowest threshold accepts that lets at most ``n_false`` bogus ones pass.

    Samples of score −∞ are never accepted.
    """
    bogus = np.flatnonzero(~is_real & (weights > 0))
    order = bogus[np.argsort(-score[bogus], kind="stable")]
    too_many = np.flatnonzero(np.cumsum(weights[order]) > n_false)
    bar = score[order[too_many[0]]] if len(too_many) else -np.inf
    return accepted(score > bar, is_real, weights)


def purity_at_completeness(score: F64, is_real: Labels, weights: F64, completeness: float) -> float:
    """Purity of the highest threshold that accepts this share of the real; NaN where none can."""
    real = np.flatnonzero(is_real & (weights > 0) & np.isfinite(score))
    order = real[np.argsort(-score[real], kind="stable")]
    reached = np.cumsum(weights[order]) >= completeness * weights[is_real].sum() - 1e-9
    if not reached.any():
        return float("nan")
    return accepted(score >= score[order[reached.argmax()]], is_real, weights).purity


def _finite(score: F64) -> F64:
    """Scores with −∞ brought just below all others, for libraries that refuse it."""
    finite = np.isfinite(score)
    lowest = score[finite].min() - 1.0 if finite.any() else 0.0
    return np.where(finite, score, lowest)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
