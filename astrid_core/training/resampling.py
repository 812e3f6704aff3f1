"""How sure figures are: whole groups of samples drawn again, with replacement.

Samples of one sky cell share frames, artefacts and objects: drawn one by one they would
make intervals too narrow (Efron & Tibshirani 1993, *An introduction to the bootstrap*, ch. 8).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

REPLICATES = 400
CONFIDENCE = 0.95
_SEED = 20260915


@dataclass(frozen=True)
class Estimate:
    """A figure with its two-sided 95 % interval, by percentiles over groups."""

    value: float
    low: float
    high: float


def group_weights(groups: NDArray[np.str_], replicates: int = REPLICATES) -> Iterator[F64]:
    """For each replicate how often each sample (n,) is in it; equal groups, equal draws."""
    names, index = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(_SEED)
    for _ in range(replicates):
        drawn = rng.integers(len(names), size=len(names))
        yield np.bincount(drawn, minlength=len(names)).astype(np.float64)[index]


def estimate(
    figure: Callable[[F64], float], groups: NDArray[np.str_], replicates: int = REPLICATES
) -> Estimate | None:
    """A figure of weighted samples, with its interval; None where it has no value.

    Parameters
    ----------
    figure
        Weights (n,) → figure, NaN where it has none. Replicates without one are left out.
    """
    value = figure(np.ones(len(groups)))
    if not np.isfinite(value):
        return None
    found = np.array([figure(weights) for weights in group_weights(groups, replicates)])
    found = found[np.isfinite(found)]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(found, [tail, 100 - tail]) if len(found) else (value, value)
    return Estimate(float(value), float(low), float(high))
