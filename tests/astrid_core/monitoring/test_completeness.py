"""The completeness curve is found again from what it made."""

import numpy as np
import pytest

from astrid_core.monitoring.completeness import (
    MIN_INJECTIONS,
    bin_edges,
    completeness_bins,
    fit_completeness,
)


def drawn(seed: int, n: int, m50: float = 21.3, width: float = 0.15, plateau: float = 0.97):
    """Sources uniform in magnitude, found with the probability of a curve of known m50."""
    rng = np.random.default_rng(seed)
    m_half = m50 - width * np.log(2 * plateau - 1)
    magnitude = rng.uniform(19, 22, n)
    chance = plateau / (1 + np.exp((magnitude - m_half) / width))
    return magnitude, rng.random(n) < chance


def test_m50_is_recovered_within_its_error() -> None:
    pulls, errors = [], []
    for seed in range(10):
        fit = fit_completeness(*drawn(seed, 300), np.random.default_rng(0))
        pulls.append((fit.m50 - 21.3) / fit.m50_err)
        errors.append(fit.m50_err)
    assert np.median(errors) < 0.08
    assert abs(np.mean(pulls)) < 1.0
    assert 0.5 < np.std(pulls) < 1.6


def test_the_curve_has_half_its_value_where_it_says() -> None:
    fit = fit_completeness(*drawn(3, 2000, plateau=0.9), np.random.default_rng(0))
    assert fit.at(np.array([fit.m50]))[0] == pytest.approx(0.5, abs=1e-9)
    assert fit.plateau == pytest.approx(0.9, abs=0.03)
    assert fit.width == pytest.approx(0.15, abs=0.05)
    assert fit.at(np.array([fit.m_half]))[0] == pytest.approx(fit.plateau / 2)


def test_the_same_sources_give_the_same_fit() -> None:
    one = fit_completeness(*drawn(5, 200), np.random.default_rng(1))
    assert one == fit_completeness(*drawn(5, 200), np.random.default_rng(1))


def test_what_does_not_bracket_half_is_not_fitted() -> None:
    magnitude, found = drawn(1, 300)
    rng = np.random.default_rng(0)
    few = slice(0, MIN_INJECTIONS - 1)
    assert fit_completeness(magnitude[few], found[few], rng) is None
    assert fit_completeness(magnitude, np.ones(300, dtype=bool), rng) is None
    assert fit_completeness(magnitude, np.zeros(300, dtype=bool), rng) is None
    bright = magnitude < 20.5
    assert (~found[bright]).any()
    assert fit_completeness(magnitude[bright], found[bright], rng) is None


def test_bins_count_each_source_once() -> None:
    magnitude, found = drawn(2, 500)
    edges = bin_edges(magnitude, 0.5)
    bins = completeness_bins(magnitude, found, edges)
    assert [one.low for one in bins] == [19.0, 19.5, 20.0, 20.5, 21.0, 21.5]
    assert sum(one.n_injected for one in bins) == 500
    assert sum(one.n_recovered for one in bins) == found.sum()
    for one in bins:
        assert one.completeness_low <= one.completeness <= one.completeness_high


def test_an_empty_bin_knows_nothing_and_an_open_one_has_no_end() -> None:
    (one,) = completeness_bins(np.array([3.0]), np.array([True]), [(10.0, float("inf"))])
    assert (one.completeness, one.completeness_low, one.completeness_high) == (None, 0.0, 1.0)
    assert one.high is None
    assert bin_edges(np.zeros(0), 0.5) == []
