"""Calibrating and assessing a network on shards it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from astrid_core.detection.card import Calibration
from astrid_core.detection.components import (
    Glimpses,
    judge_components,
    look,
    unclaimed_peaks,
)
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.discs import disc_radius, match_radius
from astrid_core.detection.evaluation import (
    best_threshold,
    calibration_error,
    fit_calibration,
    ranking_figures,
    threshold_figures,
)
from astrid_core.detection.judging import calibrate, judge_positions
from astrid_core.detection.planes import PlanesOf
from astrid_core.detection.shards import IGNORED, MIN_REAL_SNR, REAL, Shard
from astrid_core.detection.unet import RealBogusModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

COMPONENT_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Pixel probabilities tried as the threshold of components."""

MAX_BOGUS_COMPONENTS_PER_MPIX = 6.0
"""On validation fields; a rate, because the share of real ones is that of the injections."""


@dataclass(frozen=True)
class Judged:
    """Judged positions of known truth; all (n,).

    Attributes
    ----------
    scores
        Mean log-odds, uncalibrated.
    snr_true
        NaN where bogus.
    scorr_peak
        Signed.
    is_default
        The default extraction keeps it; true for components.
    """

    scores: F64
    is_real: NDArray[np.bool_]
    snr_true: F64
    scorr_peak: F64
    is_default: NDArray[np.bool_]

    @classmethod
    def of(cls, parts: Sequence["Judged"]) -> "Judged":
        """Parts joined."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def where(self, chosen: NDArray[np.bool_]) -> "Judged":
        """Those chosen (n,)."""
        return Judged(*(column[chosen] for column in vars(self).values()))


def judge_candidates(
    model: RealBogusModel, shards: Sequence[Shard], config: DetectionConfig
) -> Judged:
    """Judge the candidates of shards whose truth is clear."""
    parts = []
    for shard in shards:
        known = shard.candidates[shard.candidates["label"] != IGNORED]
        scores = judge_positions(
            model,
            shard_planes(shard),
            shard.labels.shape,
            known["x_pix"],
            known["y_pix"],
            disc_radius(shard.fwhm_pix),
            config.batch_size,
        )
        is_real = known["label"] == REAL
        parts.append(
            Judged(scores, is_real, known["snr_true"], known["scorr_peak"], known["is_default"])
        )
    return Judged.of(parts)


def judge_found(glimpses: Sequence[Glimpses], shards: Sequence[Shard], threshold: float) -> Judged:
    """Components of shards at a pixel probability, and which of them are real.

    Parameters
    ----------
    glimpses
        :func:`glimpse_shards` of the shards.
    """
    parts = []
    for seen, shard in zip(glimpses, shards, strict=True):
        found = judge_components(seen, threshold, shard.fwhm_pix)
        real = shard.truth[shard.truth["snr_true"] >= MIN_REAL_SNR]
        n = len(found.scores)
        snr = np.full(n, np.nan)
        if len(real) and n:
            tree = KDTree(np.stack([real["x_pix"], real["y_pix"]], axis=1))
            distance, nearest = tree.query(np.stack([found.x_pix, found.y_pix], axis=1))
            matched = np.asarray(distance <= match_radius(shard.fwhm_pix))
            snr[matched] = real["snr_true"][np.asarray(nearest)[matched]]
        peaks = shard.scorr[found.y_peak_pix, found.x_peak_pix].astype(np.float64)
        parts.append(Judged(found.scores, np.isfinite(snr), snr, peaks, np.ones(n, dtype=bool)))
    return Judged.of(parts)


def glimpse_shards(
    model: RealBogusModel, shards: Sequence[Shard], config: DetectionConfig
) -> list[Glimpses]:
    """What the network sees at the peaks of shards that default extraction leaves out."""
    seen = []
    for shard in shards:
        kept = shard.candidates[shard.candidates["is_default"]]
        x, y = unclaimed_peaks(
            shard.scorr.astype(np.float32),
            (kept["x_pix"], kept["y_pix"]),
            shard.fwhm_pix,
            config,
        )
        seen.append(look(model, shard_planes(shard), shard.labels.shape, x, y, config.batch_size))
    return seen


def choose_component_threshold(
    model: RealBogusModel, shards: Sequence[Shard], config: DetectionConfig
) -> tuple[float, Judged]:
    """Lowest threshold with few enough bogus components, and the components there.

    Where none has, the highest tried: components then add next to nothing.
    """
    area_mpix = _area_mpix(shards)
    glimpses = glimpse_shards(model, shards, config)
    for threshold in COMPONENT_THRESHOLDS:
        judged = judge_found(glimpses, shards, threshold)
        if (~judged.is_real).sum() <= MAX_BOGUS_COMPONENTS_PER_MPIX * area_mpix:
            break
    return threshold, judged


def calibrate_model(
    model: RealBogusModel, shards: Sequence[Shard], config: DetectionConfig
) -> dict[str, Any]:
    """Calibrations and thresholds from validation shards, as fields of a model card."""
    judged = judge_candidates(model, shards, config)
    calibration = fit_calibration(judged.scores, judged.is_real)
    threshold, components = choose_component_threshold(model, shards, config)
    return {
        "calibration": calibration,
        "threshold": best_threshold(calibrate(judged.scores, calibration), judged.is_real),
        "component_threshold": threshold,
        "component_calibration": fit_calibration(
            components.scores, components.is_real, calibration
        ),
        "component_bogus_per_mpix": max(int((~components.is_real).sum()), 1) / _area_mpix(shards),
    }


def assess(
    model: RealBogusModel, shards: Sequence[Shard], config: DetectionConfig
) -> dict[str, Any]:
    """Figures on held-out shards, beside those of plain |S_corr| on the same candidates.

    ``candidates`` are all above the threshold, ``default_candidates`` those that the
    default extraction's filters leave: fewer bogus, and harder ones.
    """
    judged = judge_candidates(model, shards, config)
    components = judge_found(
        glimpse_shards(model, shards, config), shards, model.card.component_threshold
    )
    area_mpix = _area_mpix(shards)
    return {
        "n_fields": len({shard.sky for shard in shards}),
        "n_images": len(shards),
        "candidates": _candidate_figures(model, judged),
        "default_candidates": _candidate_figures(model, judged.where(judged.is_default)),
        "components": {
            "n_real": int(components.is_real.sum()),
            "n_bogus": int((~components.is_real).sum()),
            "bogus_per_mpix": float((~components.is_real).sum() / area_mpix),
            "confidence_mean_at_even_odds": _mean(
                calibrate(components.scores, model.card.component_calibration)
            ),
        },
    }


def _candidate_figures(model: RealBogusModel, judged: Judged) -> dict[str, Any]:
    confidence = calibrate(judged.scores, model.card.calibration)
    significance = np.abs(judged.scorr_peak)
    threshold = model.card.threshold
    counts = {"n_real": int(judged.is_real.sum()), "n_bogus": int((~judged.is_real).sum())}
    if not all(counts.values()):
        return counts
    matching = _threshold_of_completeness(confidence, significance, judged.is_real, threshold)
    return {
        **counts,
        "unet": {
            **ranking_figures(confidence, judged.is_real),
            **threshold_figures(confidence, judged.is_real, judged.snr_true, threshold),
            "expected_calibration_error": calibration_error(confidence, judged.is_real),
        },
        "scorr": {
            **ranking_figures(significance, judged.is_real),
            "at_equal_completeness": threshold_figures(
                significance, judged.is_real, judged.snr_true, matching
            ),
        },
    }


def _area_mpix(shards: Sequence[Shard]) -> float:
    return sum(shard.labels.size for shard in shards) / 1e6


def shard_planes(shard: Shard) -> PlanesOf:
    """Reader of a shard's planes."""

    def planes_of(rows: slice, columns: slice) -> F32:
        return shard.planes[:, rows, columns].astype(np.float32)

    return planes_of


def uncalibrated() -> dict[str, Any]:
    """Card fields of a network before its calibration."""
    return {
        "calibration": Calibration(),
        "component_calibration": Calibration(),
        "component_bogus_per_mpix": 1.0,
        "threshold": 0.5,
        "component_threshold": 0.5,
    }


def _threshold_of_completeness(
    confidence: F64, significance: F64, is_real: NDArray[np.bool_], threshold: float
) -> float:
    """|S_corr| that accepts as many real candidates as a confidence threshold does."""
    accepted = int((confidence[is_real] >= threshold).sum())
    return float(np.sort(significance[is_real])[::-1][max(accepted - 1, 0)])


def _mean(values: F64) -> float | None:
    return float(values.mean()) if len(values) else None
