"""How good a dataset is: what people should know before they train on it, and the gate.

The gate blocks training, never collection: a dataset that fails it is there, with the reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.training.audit import Finding
from astrid_core.training.samples import IMAGE_PLANES, SampleRecord

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

ANOMALY_RATIO = (0.1, 0.9)
MIN_IMAGE_QUALITY = 0.7
DEGRADED_WORTH = 0.5
"""What a sample of a degraded frame counts."""

_LEAST_TO_SUSPECT = 10
"""Of each class; with fewer there is no telling which labels are odd."""


@dataclass(frozen=True)
class QualityReport:
    """Quality of a dataset; of what people or model labelled, injections aside.

    Attributes
    ----------
    anomaly_ratio
        Fraction that is real.
    image_quality_score
        Mean fraction of valid pixels, those of degraded frames counted half.
    label_consistency
        ``agreement`` times the share of labels that are not suspected.
    agreement
        Share of verdicts that are the label, where several judged; None where nowhere.
    n_suspected
        Labels that the model's confidences contradict (Northcutt et al. 2021, *Confident
        learning*); None where there are too few of a class to tell.
    suspected
        Their detections, the most suspect first, to be judged again.
    temporal_distribution
        Night → real and bogus.
    survey_coverage
        Survey → real and bogus.
    quality_score
        ``image_quality_score`` times ``label_consistency``.
    issues
        Why the gate stays shut; empty where it opens.
    """

    total_samples: int
    anomaly_ratio: float
    image_quality_score: float
    label_consistency: float
    agreement: float | None
    n_suspected: int | None
    suspected: Sequence[str]
    temporal_distribution: Mapping[str, Mapping[str, int]]
    survey_coverage: Mapping[str, Mapping[str, int]]
    quality_score: float
    issues: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """As the ``quality`` column and the API show it."""
        return asdict(self)


def image_quality(images: F32, is_degraded: bool) -> F64:
    """Quality (n,) of samples' images, 0 to 1."""
    valid = images[:, IMAGE_PLANES.index("validity")].mean(axis=(1, 2), dtype=np.float64)
    return np.asarray(valid * (DEGRADED_WORTH if is_degraded else 1.0))


def assess_quality(
    records: Sequence[SampleRecord],
    image_qualities: Sequence[float],
    findings: Sequence[Finding] = (),
) -> QualityReport:
    """Quality of labelled samples.

    Parameters
    ----------
    records, image_qualities
        Of the same samples, injections left out; at least one.
    findings
        Of the leak audit.
    """
    is_real = np.array([record.is_real for record in records])
    ratio = float(is_real.mean())
    image = float(np.mean(image_qualities))
    agreement = _agreement(records)
    suspected = suspected_labels(records)
    share = 0.0 if suspected is None else len(suspected) / len(records)
    consistency = (1.0 if agreement is None else agreement) * (1.0 - share)
    return QualityReport(
        total_samples=len(records),
        anomaly_ratio=ratio,
        image_quality_score=image,
        label_consistency=consistency,
        agreement=agreement,
        n_suspected=None if suspected is None else len(suspected),
        suspected=suspected or (),
        temporal_distribution=_by(records, "night"),
        survey_coverage=_by(records, "survey"),
        quality_score=image * consistency,
        issues=_issues(ratio, image, findings),
    )


def suspected_labels(records: Sequence[SampleRecord]) -> list[str] | None:
    """Detections whose label the model contradicts more than it errs, the worst first."""
    # Imported here: it brings pandas' and scikit-learn's whole weight.
    from cleanlab.filter import find_label_issues

    people = [record for record in records if record.label_source == "human"]
    labels = np.array([record.is_real for record in people], dtype=int)
    if np.bincount(labels, minlength=2).min() < _LEAST_TO_SUSPECT:
        return None
    confidence = np.array([record.metadata["confidence_score"] for record in people])
    found = find_label_issues(
        labels,
        np.stack([1.0 - confidence, confidence], axis=1),
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    return [str(people[int(index)].metadata["detection_id"]) for index in found]


def _agreement(records: Sequence[SampleRecord]) -> float | None:
    several = [r.metadata for r in records if r.metadata.get("n_judged", 0) > 1]
    n_judged = sum(int(one["n_judged"]) for one in several)
    return sum(int(one["n_agree"]) for one in several) / n_judged if n_judged else None


def _by(records: Sequence[SampleRecord], name: str) -> dict[str, dict[str, int]]:
    counts = Counter((str(r.metadata[name]), "real" if r.is_real else "bogus") for r in records)
    return {
        value: {label: counts[value, label] for label in ("real", "bogus")}
        for value in sorted({value for value, _ in counts})
    }


def _issues(ratio: float, image: float, findings: Sequence[Finding]) -> list[str]:
    low, high = ANOMALY_RATIO
    issues = []
    if not low <= ratio <= high:
        issues.append(
            f"The anomaly ratio is {ratio:.3f}, outside {low} to {high}: have more detections "
            f"judged of which there are few, or ask for sampling 'balanced'."
        )
    if image < MIN_IMAGE_QUALITY:
        issues.append(
            f"The image quality is {image:.2f}, below {MIN_IMAGE_QUALITY}: too many pixels are "
            "masked or frames degraded. Look at the nights' quality pages."
        )
    issues += [
        f"Leak: not true that {finding.check} ({finding.n_found} {finding.detail})."
        for finding in findings
        if finding.blocks and not finding.passed
    ]
    return issues
