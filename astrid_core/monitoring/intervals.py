"""Intervals of counts: what a fraction or a number of events says about its true value."""

import math
from dataclasses import dataclass

from scipy.special import gammainccinv, gammaincinv, ndtri

CONFIDENCE = 0.95
"""Coverage of the two-sided intervals that are reported."""


@dataclass(frozen=True)
class Interval:
    """Two-sided interval, ``low`` ≤ true value ≤ ``high`` at the confidence asked."""

    low: float
    high: float


def wilson_interval(n_success: int, n_trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Score interval of a binomial fraction.

    Wilson (1927); recommended by Brown, Cai & DasGupta (2001, Stat. Sci. 16, 101) at any n
    and near 0 and 1, where the normal approximation fails. Without a trial it is (0, 1).

    Raises
    ------
    ValueError
        If the successes are not between 0 and the trials.
    """
    if not 0 <= n_success <= n_trials:
        raise ValueError(f"{n_success} successes of {n_trials} trials")
    if n_trials == 0:
        return Interval(0.0, 1.0)
    z2 = float(ndtri((1.0 - confidence) / 2.0)) ** 2
    fraction = n_success / n_trials
    middle = (fraction + z2 / (2 * n_trials)) / (1 + z2 / n_trials)
    spread = fraction * (1 - fraction) / n_trials + z2 / (4 * n_trials**2)
    half = math.sqrt(z2 * spread) / (1 + z2 / n_trials)
    # At the ends the sums are 0 and 1 but for rounding.
    low = 0.0 if n_success == 0 else middle - half
    high = 1.0 if n_success == n_trials else middle + half
    return Interval(low, high)


def poisson_interval(n_events: int, confidence: float = CONFIDENCE) -> Interval:
    """Central interval of a Poisson mean.

    Garwood (1936), by quantiles of the Γ distribution; the same as Gehrels (1986, ApJ 303,
    336), eq. 1-2.
    """
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if n_events == 0 else float(gammaincinv(n_events, tail))
    return Interval(low, float(gammainccinv(n_events + 1, tail)))
