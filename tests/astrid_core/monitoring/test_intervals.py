"""Intervals against published values and by their coverage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, norm

from astrid_core.monitoring.intervals import poisson_interval, wilson_interval


@pytest.mark.parametrize(
    ("n_success", "n_trials", "low", "high"),
    [  # Newcombe (1998, Stat. Med. 17, 857), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_the_published_one(
    n_success: int, n_trials: int, low: float, high: float
) -> None:
    interval = wilson_interval(n_success, n_trials)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@given(n_trials=st.integers(1, 3000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_ends_are_where_the_score_test_just_rejects(
    n_trials: int, share: float, confidence: float
) -> None:
    n_success = round(share * n_trials)
    interval = wilson_interval(n_success, n_trials, confidence)
    assert 0 <= interval.low <= n_success / n_trials <= interval.high <= 1
    z = norm.isf((1 - confidence) / 2)
    for end in (interval.low, interval.high):
        if 0 < end < 1:
            deviation = abs(n_success / n_trials - end)
            assert deviation == pytest.approx(z * (end * (1 - end) / n_trials) ** 0.5, rel=1e-6)


@given(n_trials=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_mirrors(n_trials: int, share: float) -> None:
    n_success = round(share * n_trials)
    one = wilson_interval(n_success, n_trials)
    other = wilson_interval(n_trials - n_success, n_trials)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-12)


@pytest.mark.parametrize("truth", [0.05, 0.5, 0.9, 0.985])
def test_wilson_covers_as_often_as_it_says_on_average(truth: float) -> None:
    n = 100
    covered = sum(
        binom.pmf(k, n, truth)
        for k in range(n + 1)
        if wilson_interval(k, n).low <= truth <= wilson_interval(k, n).high
    )
    assert covered == pytest.approx(0.95, abs=0.035)


def test_wilson_lies_within_the_exact_interval_in_the_middle() -> None:
    interval = wilson_interval(30, 60)
    assert beta.ppf(0.025, 30, 31) < interval.low
    assert interval.high < beta.isf(0.025, 31, 30)


def test_nothing_tried_is_nothing_known() -> None:
    interval = wilson_interval(0, 0)
    assert (interval.low, interval.high) == (0, 1)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="5 successes of 4"):
        wilson_interval(5, 4)


@pytest.mark.parametrize(
    ("n_events", "low", "high"),
    [(0, 0.0, 1.841), (1, 0.173, 3.300), (10, 6.891, 14.27)],  # Gehrels (1986), tables 1-2
)
def test_poisson_is_the_published_one(n_events: int, low: float, high: float) -> None:
    interval = poisson_interval(n_events, confidence=0.6827)
    assert interval.low == pytest.approx(low, abs=2e-3)
    assert interval.high == pytest.approx(high, abs=5e-3)
