"""Real ZTF cutouts that somebody else's classifier or person judged: does a model carry over?

Cutouts have no noise and no mask: both are estimated from the cutout alone, so that what a model
says of them is a lower bound of what it would say of whole frames.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from astropy.io import fits
from astropy.stats import mad_std
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from astrid_core.detection.discs import disc_radius
from astrid_core.detection.judging import calibrate, disc_means
from astrid_core.detection.unet import RealBogusModel
from astrid_core.training.resampling import estimate
from benchmarks.differencing_table import Figure, reported

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_SIDE = 64
_MIDDLE = 32.0
"""Index that the middle of a 63 pixel cutout gets in a window, where inference has sources."""
_STAMPS = ("Science", "Template", "Difference")
_BOGUS_DRB, _REAL_DRB = 0.1, 0.9


@dataclass(frozen=True)
class Cutout:
    """Science, template and difference (ny, nx) around one alert, and what is known of it."""

    science: F64
    reference: F64
    difference: F64
    fwhm_pix: float
    source: str
    is_real: bool


def transfer(model: RealBogusModel, data: Path) -> list[Figure]:
    """Figures of the model on the alerts below a folder, with what they cannot tell."""
    figures = []
    alerts = list(_alerts(data / "ztf-alerts"))
    score, confidence = _judge(model, alerts)
    real = np.array([one.is_real for one in alerts])
    groups = np.array([one.source for one in alerts])
    auc = estimate(lambda weights: _auc(score, real, weights), groups)
    figures.append(reported("alerts of drb >= .9 / < .1", f"{real.sum()} / {(~real).sum()}"))
    figures.append(
        reported(
            "area under ROC against drb",
            "none" if auc is None else f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})",
        )
    )
    for name, chosen in (("real by drb", real), ("bogus by drb", ~real)):
        figures.append(
            reported(f"confidence >= threshold, {name}", _share(model, confidence, groups, chosen))
        )
    triplets = list(_triplets(data / "btsbot-triplets"))
    _, confidence = _judge(model, triplets)
    groups = np.array([one.source for one in triplets])
    bright = np.array([one.is_real for one in triplets])
    for name, chosen in (("bright transients", bright), ("other real alerts", ~bright)):
        text = f"{int(chosen.sum())}: " + _share(model, confidence, groups, chosen)
        figures.append(reported(f"confidence >= threshold, BTSbot's {name}", text))
    return figures


def _judge(model: RealBogusModel, cutouts: list[Cutout]) -> tuple[F64, F64]:
    """Mean log-odds and calibrated confidences (n,)."""
    windows = np.stack([_planes(one) for one in cutouts])
    radii = np.array([disc_radius(one.fwhm_pix) for one in cutouts])
    middle = np.full(len(cutouts), _MIDDLE)
    score = disc_means(model.logits(windows, 32), windows[:, 3], middle, middle, radii)
    return score, calibrate(score, model.card.calibration)


def _planes(cutout: Cutout) -> F32:
    """Input planes (4, 64, 64), noise and flux ratio estimated from the cutout."""
    images = [_padded(i) for i in (cutout.science, cutout.reference, cutout.difference)]
    valid = np.all([np.isfinite(image) for image in images], axis=0)
    science, reference, difference = (_without_sky(image, valid) for image in images)
    sigma = _noise(science[valid])
    bright = valid & (science > 5 * sigma) & (reference > 5 * _noise(reference[valid]))
    ratio = float(np.median(science[bright] / reference[bright])) if bright.sum() > 5 else 1.0
    planes = np.zeros((4, _SIDE, _SIDE), dtype=np.float32)
    planes[0][valid] = np.arcsinh(science[valid] / sigma)
    planes[1][valid] = np.arcsinh(ratio * reference[valid] / sigma)
    planes[2][valid] = np.arcsinh(difference[valid] / _noise(difference[valid]))
    planes[3] = valid
    return planes


def _padded(image: F64) -> F64:
    out = np.full((_SIDE, _SIDE), np.nan)
    ny, nx = min(image.shape[0], _SIDE), min(image.shape[1], _SIDE)
    y0, x0 = (_SIDE - ny + 1) // 2, (_SIDE - nx + 1) // 2
    out[y0 : y0 + ny, x0 : x0 + nx] = image[:ny, :nx]
    return out


def _without_sky(image: F64, valid: NDArray[np.bool_]) -> F64:
    return np.asarray(np.where(valid, image - np.median(image[valid]), 0.0))


def _noise(values: F64) -> float:
    return max(float(mad_std(values)), 1e-12)


def _share(
    model: RealBogusModel, confidence: F64, groups: NDArray[np.str_], chosen: NDArray[np.bool_]
) -> str:
    accepted = (confidence[chosen] >= model.card.threshold).astype(float)
    share = estimate(
        lambda weights: float(np.average(accepted, weights=weights)) if weights.any() else np.nan,
        groups[chosen],
    )
    return "none" if share is None else f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"


def _auc(score: F64, real: NDArray[np.bool_], weights: F64) -> float:
    if not weights[real].any() or not weights[~real].any():
        return float("nan")
    return float(roc_auc_score(real, score, sample_weight=weights))


def _alerts(folder: Path) -> Iterator[Cutout]:
    """Whole, clearly scored alerts; edge stamps, whose middle is not the alert, are left out."""
    with (folder / "labels.csv").open(newline="") as listing:
        rows = {row["file"]: row for row in csv.DictReader(listing)}
    for name, row in sorted(rows.items()):
        drb = float(row["drb"])
        if row["shape_sci"] != "63x63" or _BOGUS_DRB <= drb < _REAL_DRB:
            continue
        science, reference, difference = _stamps(folder / name)
        yield Cutout(
            science, reference, difference, float(row["fwhm"]), row["objectId"], drb >= _REAL_DRB
        )


def _stamps(packet: Path) -> tuple[F64, F64, F64]:
    with packet.open("rb") as content:
        alert: Any = next(iter(fastavro.reader(content)))
    images = [_image(alert[f"cutout{name}"]["stampData"]) for name in _STAMPS]
    return images[0], images[1], images[2]


def _image(packed: bytes) -> F64:
    with fits.open(io.BytesIO(gzip.decompress(packed))) as hdus:
        return np.asarray(hdus[0].data, dtype=np.float64)


def _triplets(folder: Path) -> Iterator[Cutout]:
    triplets = np.load(folder / "usage_triplets.npy", allow_pickle=False)
    with (folder / "usage_candidates.csv").open(newline="") as listing:
        rows = list(csv.DictReader(listing))
    for images, row in zip(triplets, rows, strict=True):
        science, reference, difference = np.moveaxis(images.astype(np.float64), -1, 0)
        is_bright = bool(int(float(row["label"])))
        yield Cutout(science, reference, difference, float(row["fwhm"]), row["objectId"], is_bright)
