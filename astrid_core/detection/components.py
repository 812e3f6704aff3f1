"""Components: connected pixels the network believes real where no candidate was found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.discs import disc_radius
from astrid_core.detection.judging import judge_positions
from astrid_core.detection.planes import PlanesOf
from astrid_core.detection.tiling import slide
from astrid_core.detection.unet import RealBogusModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_CENTROID_DECIMALS = 3
"""Centroids in pixels are rounded so that a row does not depend on the last bits of a sum."""


@dataclass(frozen=True)
class Components:
    """Components of a frame, the most probable peak first.

    Attributes
    ----------
    x_pix, y_pix
        (n,) centroids weighted by probability.
    x_peak_pix, y_peak_pix
        (n,) most probable pixels.
    scores
        (n,) mean log-odds of the disc around the peak, in a window of its own.
    """

    x_pix: F64
    y_pix: F64
    x_peak_pix: I64
    y_peak_pix: I64
    scores: F64


def find_components(
    model: RealBogusModel,
    planes_of: PlanesOf,
    shape: tuple[int, int],
    known: tuple[F64, F64],
    fwhm_pix: float,
    config: DetectionConfig,
) -> Components:
    """Search a whole frame for what extraction left out.

    A component is connected valid pixels above ``component_threshold`` (the card's unless
    configured), at least as many as a disc of half the FWHM holds, none of them within
    ``component_exclusion_fwhm`` of a known position. The pass over the frame proposes;
    each component is then judged in a window of its own, like a candidate.

    Parameters
    ----------
    known
        (x, y) of the candidates, 0-based pixels.
    """
    logits = slide(
        model,
        planes_of,
        shape,
        band_rows=config.band_rows,
        overlap=config.overlap,
        batch_size=config.batch_size,
    )
    return judge_components(model, logits, planes_of, known, fwhm_pix, config)


def judge_components(
    model: RealBogusModel,
    logits: F32,
    planes_of: PlanesOf,
    known: tuple[F64, F64],
    fwhm_pix: float,
    config: DetectionConfig,
) -> Components:
    """Components of a frame's log-odds (ny, nx), as :func:`find_components` describes them."""
    threshold = config.component_threshold or model.card.component_threshold
    labels, count = ndimage.label(logits > logit(threshold))
    keep = _unknown_labels(labels, count, known, fwhm_pix, config.component_exclusion_fwhm)
    odds = np.asarray(ndimage.maximum(logits, labels, keep)) if len(keep) else np.empty(0)
    keep = keep[np.argsort(-odds, kind="stable")[: config.max_components]]
    peaks = np.array(ndimage.maximum_position(logits, labels, keep), dtype=np.int64)
    centres = np.array(ndimage.center_of_mass(expit(logits), labels, keep), dtype=np.float64)
    y_peak, x_peak = peaks.reshape(-1, 2).T
    y, x = np.round(centres.reshape(-1, 2).T, _CENTROID_DECIMALS)
    scores = judge_positions(
        model,
        planes_of,
        (logits.shape[0], logits.shape[1]),
        x_peak.astype(np.float64),
        y_peak.astype(np.float64),
        disc_radius(fwhm_pix),
        config.batch_size,
    )
    return Components(x, y, x_peak, y_peak, scores)


def _unknown_labels(
    labels: NDArray[np.signedinteger],
    count: int,
    known: tuple[F64, F64],
    fwhm_pix: float,
    exclusion_fwhm: float,
) -> I64:
    """Labels large enough to be a source and clear of every known position."""
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    wanted = sizes >= np.pi * (fwhm_pix / 2) ** 2
    wanted[0] = False
    reach = exclusion_fwhm * fwhm_pix
    for x, y in zip(*known, strict=True):
        x0, y0 = max(0, int(x - reach)), max(0, int(y - reach))
        patch = labels[y0 : max(0, int(y + reach) + 2), x0 : max(0, int(x + reach) + 2)]
        yy, xx = np.indices(patch.shape)
        wanted[patch[(xx + x0 - x) ** 2 + (yy + y0 - y) ** 2 <= reach**2]] = False
    return np.flatnonzero(wanted).astype(np.int64)
