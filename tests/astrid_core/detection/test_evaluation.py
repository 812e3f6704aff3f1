import numpy as np
import pytest
from scipy.special import expit

from astrid_core.detection.card import Calibration
from astrid_core.detection.evaluation import (
    best_threshold,
    calibration_error,
    fit_calibration,
    ranking_figures,
    threshold_figures,
)


def sample(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose probability of real at even odds is known: sigmoid(0.6 s)."""
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 3, n)
    return scores, rng.random(n) < expit(0.6 * scores)


def test_calibration_recovers_the_truth():
    scores, is_real = sample()
    fitted = fit_calibration(scores, is_real)
    assert fitted.slope == pytest.approx(0.6, abs=0.03)
    assert fitted.intercept == pytest.approx(0.0, abs=0.06)
    confidence = expit(fitted.slope * scores + fitted.intercept)
    assert calibration_error(confidence, is_real) < 0.015
    assert calibration_error(expit(3 * scores), is_real) > 0.1


def test_calibration_does_not_depend_on_the_share_of_injections():
    scores, is_real = sample()
    fewer = ~is_real | (np.arange(len(scores)) % 5 == 0)
    fitted = fit_calibration(scores[fewer], is_real[fewer])
    assert fitted.slope == pytest.approx(0.6, abs=0.06)
    assert fitted.intercept == pytest.approx(0.0, abs=0.12)


def test_separable_sample_gives_a_finite_slope():
    scores = np.concatenate([np.full(50, -2.0), np.full(50, 2.0)])
    fitted = fit_calibration(scores, scores > 0)
    assert 0 < fitted.slope < 5


def test_calibration_falls_back_where_the_sample_cannot_say():
    scores, is_real = sample(400)
    default = Calibration(slope=0.3, intercept=0.1)
    assert fit_calibration(scores, np.ones(400, bool), default) == default
    assert fit_calibration(-scores, is_real, default) == default
    assert fit_calibration(scores[:5], is_real[:5]) == Calibration()


def test_figures_of_a_perfect_ranking():
    is_real = np.array([True, True, True, False, False])
    confidence = np.array([0.9, 0.8, 0.7, 0.4, 0.1])
    snr = np.array([4.5, 6.0, 20.0, np.nan, np.nan])
    assert ranking_figures(confidence, is_real) == {"roc_auc": 1.0, "average_precision": 1.0}
    threshold = best_threshold(confidence, is_real)
    assert 0.4 < threshold <= 0.7
    figures = threshold_figures(confidence, is_real, snr, 0.75)
    assert figures["completeness"] == pytest.approx(2 / 3)
    assert figures["purity"] == 1.0
    assert figures["completeness_by_snr"] == {"4-5": 1.0, "5-7": 1.0, "above-10": 0.0}
