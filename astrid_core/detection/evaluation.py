"""How good confidences are, and how raw scores become confidences.

Everything here works on arrays of labels and scores, wherever they came from.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from astrid_core.detection.card import Calibration

F64 = NDArray[np.float64]
Labels = NDArray[np.bool_]

SNR_BINS = ((3.0, 4.0), (4.0, 5.0), (5.0, 7.0), (7.0, 10.0), (10.0, np.inf))
"""Bins of true S/N that completeness is reported in."""

MIN_PER_CLASS = 20
"""Real and bogus each, below which a sample says nothing of confidences."""


def fit_calibration(
    scores: F64,
    is_real: Labels,
    default: Calibration | None = None,
    *,
    at_even_odds: bool = True,
) -> Calibration:
    """Platt scaling of mean log-odds (n,) by maximum likelihood.

    At even odds both classes weigh the same in all, for a sample whose share of real ones
    says nothing about the sky; else each of the sample counts once. Targets are Platt's
    (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2) instead of 1 and 0, which keeps the slope finite where
    the sample is separable. With fewer than 20 of either class, or where scores do not rise
    with reality, the sample cannot say: ``default`` is returned, the identity if None.
    """
    fallback = default or Calibration()
    n_real, n_bogus = int(is_real.sum()), int((~is_real).sum())
    if min(n_real, n_bogus) < MIN_PER_CLASS:
        return fallback
    target = np.where(is_real, (n_real + 1) / (n_real + 2), 1 / (n_bogus + 2))
    weights = even_weights(is_real) if at_even_odds else np.ones(len(scores))
    fit = LogisticRegression(C=1e6).fit(
        np.concatenate([scores, scores])[:, None],
        np.repeat([True, False], len(scores)),
        sample_weight=np.concatenate([target, 1 - target]) * np.tile(weights, 2),
    )
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    return Calibration(slope=slope, intercept=intercept) if slope > 0 else fallback


def even_weights(is_real: Labels) -> F64:
    """Weights (n,) of mean 1 that give both classes the same total."""
    n = len(is_real)
    share = np.where(is_real, is_real.sum(), n - is_real.sum())
    return np.asarray(n / 2 / np.maximum(share, 1))


def ranking_figures(score: F64, is_real: Labels) -> dict[str, float]:
    """Area under the ROC curve and average precision of any score."""
    return {
        "roc_auc": float(roc_auc_score(is_real, score)),
        "average_precision": float(average_precision_score(is_real, score)),
    }


def threshold_figures(
    confidence: F64, is_real: Labels, snr_true: F64, threshold: float
) -> dict[str, Any]:
    """Completeness and purity at a threshold, completeness also by true S/N.

    Parameters
    ----------
    snr_true
        (n,) S/N of the matched true source; NaN where bogus.
    """
    accepted = confidence >= threshold
    by_snr = {}
    for low, high in SNR_BINS:
        chosen = is_real & (snr_true >= low) & (snr_true < high)
        if chosen.any():
            name = f"{low:g}-{high:g}" if np.isfinite(high) else f"above-{low:g}"
            by_snr[name] = float(accepted[chosen].mean())
    return {
        "threshold": threshold,
        "completeness": float(accepted[is_real].mean()),
        "purity": float(is_real[accepted].mean()) if accepted.any() else 0.0,
        "bogus_rejected": float((~accepted[~is_real]).mean()),
        "completeness_by_snr": by_snr,
    }


def calibration_error(
    confidence: F64, is_real: Labels, bins: int = 10, weights: F64 | None = None
) -> float:
    """Expected calibration error over equal-width bins (Naeini et al. 2015).

    Parameters
    ----------
    weights
        (n,) of the sample; default gives even odds.
    """
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    weights = even_weights(is_real) if weights is None else weights
    off = np.bincount(index, weights * (confidence - is_real), minlength=bins)
    return float(np.abs(off).sum() / weights.sum())


def best_threshold(confidence: F64, is_real: Labels) -> float:
    """Confidence of greatest F1 (harmonic mean of completeness and purity) at even odds."""
    purity, completeness, thresholds = precision_recall_curve(
        is_real, confidence, sample_weight=even_weights(is_real)
    )
    f1 = 2 * purity * completeness / np.maximum(purity + completeness, 1e-9)
    return float(np.clip(thresholds[np.argmax(f1[:-1])], 0.05, 0.95))
