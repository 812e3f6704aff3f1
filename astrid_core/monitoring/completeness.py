"""Completeness: which fraction of what was there was found, binned and as a curve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from astrid_core.monitoring.intervals import CONFIDENCE, wilson_interval

F64 = NDArray[np.float64]

MIN_INJECTIONS = 20
"""Fewer say too little about three parameters."""

_BOOTSTRAP = 60
_WIDTH_MAG = (0.02, 2.0)
_PLATEAU = (0.55, 1.0)
_TINY = 1e-9


@dataclass(frozen=True)
class CompletenessBin:
    """Found of planted between two edges, with its binomial interval.

    Attributes
    ----------
    low, high
        Edges; ``high`` is None where the bin is open.
    completeness
        Fraction found; None where nothing was planted.
    completeness_low, completeness_high
        Wilson interval at 95 %.
    """

    low: float
    high: float | None
    n_injected: int
    n_recovered: int
    completeness: float | None
    completeness_low: float
    completeness_high: float


@dataclass(frozen=True)
class CompletenessFit:
    """Completeness against magnitude: ``plateau / (1 + exp((m − m_half) / width))``.

    Attributes
    ----------
    m50, m50_err
        Where the curve falls through 50 %, and the 1 σ error of that.
    m_half
        Where it falls through half the plateau.
    width
        Magnitudes per unit of the exponent.
    plateau
        Completeness of bright sources.
    """

    m50: float
    m50_err: float
    m_half: float
    width: float
    plateau: float

    def at(self, magnitude: F64) -> F64:
        """The curve."""
        return _curve(np.array([self.m_half, math.log(self.width), self.plateau]), magnitude)


def completeness_bins(
    values: F64, is_recovered: NDArray[np.bool_], edges: Sequence[tuple[float, float]]
) -> tuple[CompletenessBin, ...]:
    """Completeness in bins ``low ≤ value < high``.

    Parameters
    ----------
    values, is_recovered
        (n,) S/N or magnitude of each planted source, and whether it was found.
    """
    bins = []
    for low, high in edges:
        inside = (values >= low) & (values < high)
        n, k = int(inside.sum()), int((inside & is_recovered).sum())
        interval = wilson_interval(k, n, CONFIDENCE)
        bins.append(
            CompletenessBin(
                low=low,
                high=high if math.isfinite(high) else None,
                n_injected=n,
                n_recovered=k,
                completeness=k / n if n else None,
                completeness_low=interval.low,
                completeness_high=interval.high,
            )
        )
    return tuple(bins)


def bin_edges(values: F64, width: float) -> list[tuple[float, float]]:
    """Bins of a width that cover the values, their edges at multiples of it."""
    if not len(values):
        return []
    first, last = math.floor(values.min() / width), math.floor(values.max() / width)
    return [(width * index, width * (index + 1)) for index in range(first, last + 1)]


def fit_completeness(
    magnitude: F64, is_recovered: NDArray[np.bool_], rng: np.random.Generator
) -> CompletenessFit | None:
    """Maximum-likelihood curve through found and missed sources, unbinned.

    The error of m50 is half the central 68 % of a bootstrap over the sources, which
    contains the error of the width and of the plateau.

    Parameters
    ----------
    magnitude, is_recovered
        (n,) of each planted source; any logarithmic measure of faintness will do.

    Returns
    -------
    None where the sources do not bracket m50: fewer than ``MIN_INJECTIONS``, all found, all
    missed, or a curve that crosses 50 % outside their range.
    """
    if len(magnitude) < MIN_INJECTIONS or is_recovered.all() or not is_recovered.any():
        return None
    start = np.array([_first_guess(magnitude, is_recovered), math.log(0.2), 0.95])
    best = _maximise(magnitude, is_recovered, start)
    m50 = _half_point(best)
    if not magnitude.min() <= m50 <= magnitude.max():
        return None
    again = []
    for _ in range(_BOOTSTRAP):
        drawn = rng.integers(0, len(magnitude), len(magnitude))
        again.append(_half_point(_maximise(magnitude[drawn], is_recovered[drawn], best)))
    low, high = np.percentile(again, [15.87, 84.13])
    return CompletenessFit(
        m50=m50,
        m50_err=float(high - low) / 2,
        m_half=float(best[0]),
        width=math.exp(float(best[1])),
        plateau=float(best[2]),
    )


def _curve(parameters: F64, magnitude: F64) -> F64:
    m_half, log_width, plateau = parameters
    return np.asarray(plateau * expit((m_half - magnitude) / math.exp(log_width)))


def _half_point(parameters: F64) -> float:
    m_half, log_width, plateau = parameters
    return float(m_half + math.exp(log_width) * math.log(2 * plateau - 1))


def _first_guess(magnitude: F64, is_recovered: NDArray[np.bool_]) -> float:
    """Between the typical faint source found and the typical bright one missed."""
    found, missed = magnitude[is_recovered], magnitude[~is_recovered]
    return float(np.percentile(found, 80) + np.percentile(missed, 20)) / 2


def _maximise(magnitude: F64, is_recovered: NDArray[np.bool_], start: F64) -> F64:
    def loss(parameters: F64) -> tuple[float, F64]:
        """−log likelihood and its gradient."""
        m_half, log_width, plateau = parameters
        t = (m_half - magnitude) / math.exp(log_width)
        share = expit(t)
        p = np.clip(plateau * share, _TINY, 1 - _TINY)
        by_p = np.where(is_recovered, -1 / p, 1 / (1 - p))
        slope = by_p * plateau * share * (1 - share)
        gradient = [slope.sum() / math.exp(log_width), -(slope * t).sum(), (by_p * share).sum()]
        return -float(np.log(np.where(is_recovered, p, 1 - p)).sum()), np.array(gradient)

    bounds = [
        (magnitude.min() - 1, magnitude.max() + 1),
        (math.log(_WIDTH_MAG[0]), math.log(_WIDTH_MAG[1])),
        _PLATEAU,
    ]
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
