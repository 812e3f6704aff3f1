"""Health of training data, day by day: what people decided lately, and does the champion drift.

From rows alone, so that it costs seconds: image quality is that of the difference images.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, func, select

from astrid_core.curation.current import is_of_current_run
from astrid_core.monitoring.alerts import Sighting
from astrid_core.monitoring.intervals import wilson_interval
from astrid_core.settings import Settings
from astrid_core.training.frames import record_of
from astrid_core.training.labelled import Labelled, lately_validated
from astrid_core.training.quality import DEGRADED_WORTH, QualityReport, assess_quality
from dbschema.models import Detection, DetectionConsensus, TrainingDataset

HEALTH_VERSION = "1"
WINDOW_DAYS = 7
COMPARED_DAYS = 180
MIN_SCORE = 0.8
"""Quality below which people are alerted."""

MAX_INDEX = 0.25
"""Population stability index of confidences that is called drift (Siddiqi 2006)."""

_LEAST_COMPARED = 50
FINGERPRINTS = ("training_data_quality", "champion_drift")


@dataclass(frozen=True)
class Drift:
    """What the champion is shown lately against before.

    Attributes
    ----------
    stability_index
        Of its confidences, this window against the 180 days before; None where either has
        fewer than 50.
    n_judged, n_contradicted
        Detections decided lately, and those whose label its confidence contradicts.
    contradicted_low
        Lower 95 % bound of their share; None where none was decided.
    """

    stability_index: float | None
    n_judged: int
    n_contradicted: int
    contradicted_low: float | None

    @property
    def has_drifted(self) -> bool:
        """Whether it is another sky than it was."""
        return self.stability_index is not None and self.stability_index > MAX_INDEX


@dataclass(frozen=True)
class Health:
    """Health of one day."""

    day: dt.date
    quality: QualityReport | None
    drift: Drift

    def row(self) -> dict[str, Any]:
        """Row of ``training_data_health``."""
        return {
            "day": self.day,
            "window_days": WINDOW_DAYS,
            "n_validated": 0 if self.quality is None else self.quality.total_samples,
            "quality": {} if self.quality is None else self.quality.to_json(),
            "quality_score": None if self.quality is None else self.quality.quality_score,
            "drift": vars(self.drift) | {"has_drifted": self.drift.has_drifted},
            "code_version": HEALTH_VERSION,
        }

    def metrics(self) -> dict[str, float]:
        """Numbers for MLflow."""
        drift = {"n_contradicted": float(self.drift.n_contradicted)}
        if self.drift.stability_index is not None:
            drift["stability_index"] = self.drift.stability_index
        if self.quality is None:
            return {"n_validated": 0.0, **drift}
        return {
            "n_validated": float(self.quality.total_samples),
            "anomaly_ratio": self.quality.anomaly_ratio,
            "data_quality_score": self.quality.quality_score,
            "image_quality_score": self.quality.image_quality_score,
            "label_consistency": self.quality.label_consistency,
            **drift,
        }

    def sightings(self) -> list[Sighting]:
        """What people should be told."""
        found = []
        quality = self.quality
        if quality is not None and quality.quality_score < MIN_SCORE:
            found.append(
                Sighting(
                    "training_data_quality",
                    "warning",
                    FINGERPRINTS[0],
                    f"The quality of what was judged in the last {WINDOW_DAYS} days is "
                    f"{quality.quality_score:.2f}, below {MIN_SCORE} (images "
                    f"{quality.image_quality_score:.2f}, labels "
                    f"{quality.label_consistency:.2f}). Look at the nights' quality pages, and "
                    "have the suspected labels judged again.",
                    self.metrics(),
                )
            )
        if self.drift.has_drifted:
            found.append(
                Sighting(
                    "champion_drift",
                    "warning",
                    FINGERPRINTS[1],
                    f"The champion's confidences of the last {WINDOW_DAYS} days are not what they "
                    f"were (stability index {self.drift.stability_index:.2f}, above {MAX_INDEX}). "
                    "Have detections judged, and train on them.",
                    self.metrics(),
                )
            )
        return found


def measure_health(connection: Connection, now: dt.datetime) -> Health:
    """Health as of a moment."""
    since = now - dt.timedelta(days=WINDOW_DAYS)
    lately = lately_validated(connection, since)
    return Health(
        day=now.astimezone(dt.UTC).date(),
        quality=_quality(lately),
        drift=_drift(connection, lately, since),
    )


def why_collect_again(
    connection: Connection, now: dt.datetime, settings: Settings
) -> tuple[TrainingDataset, str] | None:
    """The newest dataset that people or their labels gave, and why another is due.

    Returns
    -------
    None where none is due, or none was ever collected.
    """
    newest = connection.execute(
        select(TrainingDataset.__table__)
        .where(TrainingDataset.status == "active")
        .order_by(TrainingDataset.created_at.desc())
        .limit(1)
    ).one_or_none()
    if newest is None:
        return None
    n_new = connection.scalar(
        select(func.count())
        .select_from(DetectionConsensus)
        .where(
            DetectionConsensus.decided_by.is_not(None),
            DetectionConsensus.updated_at > newest.created_at,
        )
    )
    assert n_new is not None  # noqa: S101  a count is a number
    age = (now - newest.created_at).total_seconds() / 86_400
    dataset: Any = newest
    if n_new >= settings.retrain_min_labels:
        return dataset, f"{n_new} labels are new since dataset {newest.name} {newest.version}"
    if n_new and age >= settings.retrain_max_days:
        return dataset, f"dataset {newest.name} {newest.version} is {age:.0f} days old"
    since = now - dt.timedelta(days=WINDOW_DAYS)
    drift = _drift(connection, lately_validated(connection, since), since)
    if n_new and drift.has_drifted:
        return dataset, f"the champion drifts (stability index {drift.stability_index:.2f})"
    return None


def _quality(lately: Sequence[Labelled]) -> QualityReport | None:
    if not lately:
        return None
    records = [record_of(one, "train", "", 0.0) for one in lately]
    return assess_quality(records, [_image_quality(one) for one in lately])


def _image_quality(one: Labelled) -> float:
    """Unmasked share of a detection's difference image, half of it where degraded."""
    return one.frame.unmasked * (DEGRADED_WORTH if one.frame.is_degraded else 1.0)


def _drift(connection: Connection, lately: Sequence[Labelled], since: dt.datetime) -> Drift:
    n_against = sum((one.confidence_score > 0.5) != one.is_real for one in lately)
    before = and_(
        Detection.created_at < since,
        Detection.created_at >= since - dt.timedelta(days=COMPARED_DAYS),
    )
    return Drift(
        stability_index=stability_index(
            _tenths(connection, Detection.created_at >= since), _tenths(connection, before)
        ),
        n_judged=len(lately),
        n_contradicted=n_against,
        contradicted_low=wilson_interval(n_against, len(lately)).low if lately else None,
    )


def stability_index(now: NDArray[np.float64], before: NDArray[np.float64]) -> float | None:
    """Population stability index Σ (p − q) ln(p / q) of two histograms; None if either is small.

    Empty bins count as half a detection.
    """
    if min(now.sum(), before.sum()) < _LEAST_COMPARED:
        return None
    p, q = (np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum() for counts in (now, before))
    return float(((p - q) * np.log(p / q)).sum())


def _tenths(connection: Connection, where: ColumnElement[bool]) -> NDArray[np.float64]:
    """Detections of current runs by tenth of their confidence."""
    tenth = func.least(func.floor(Detection.confidence_score * 10), 9)
    rows = connection.execute(
        select(tenth, func.count())
        .where(where, Detection.status == "active", is_of_current_run())
        .group_by(tenth)
    )
    counts = np.zeros(10)
    for index, count in rows:
        counts[int(index)] = count
    return counts
