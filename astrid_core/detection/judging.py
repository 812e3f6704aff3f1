"""Judging positions: a window each, the mean log-odds of the source's disc, a confidence."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from astrid_core.detection.card import Calibration
from astrid_core.detection.planes import PlanesOf
from astrid_core.detection.unet import RealBogusModel
from astrid_core.detection.windows import cut_windows, window_origins

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_CONFIDENCE_DECIMALS = 6
"""Confidences are rounded so that a row does not depend on the last bits of a sum."""


def judge_positions(
    model: RealBogusModel,
    planes_of: PlanesOf,
    shape: tuple[int, int],
    x_pix: F64,
    y_pix: F64,
    radius_pix: float,
    batch_size: int,
) -> F64:
    """Mean log-odds (n,) in the discs around positions, each in a window of its own.

    Windows are cut a batch at a time: memory does not grow with the positions.
    """
    window = model.card.window_pix
    scores = np.empty(len(x_pix), dtype=np.float64)
    for start in range(0, len(x_pix), batch_size):
        part = slice(start, start + batch_size)
        windows = cut_windows(planes_of, shape, x_pix[part], y_pix[part], window)
        logits = model.logits(windows, batch_size)
        scores[part] = disc_means(logits, windows[:, 3], x_pix[part], y_pix[part], radius_pix)
    return scores


def disc_means(logits: F32, validity: F32, x_pix: F64, y_pix: F64, radius_pix: float | F64) -> F64:
    """Mean log-odds (n,) over the valid pixels of the disc in each window (n, w, w).

    Discs are of one radius, or each of its own (n,).

    A disc without a valid pixel is averaged over all its pixels: the network saw that
    there was nothing to see.
    """
    origins = window_origins(x_pix, y_pix, logits.shape[-1])
    grid = np.arange(logits.shape[-1])
    dx = grid[None, None, :] - (x_pix - origins[:, 0])[:, None, None]
    dy = grid[None, :, None] - (y_pix - origins[:, 1])[:, None, None]
    disc = dx**2 + dy**2 <= np.asarray(radius_pix).reshape(-1, 1, 1) ** 2
    valid = disc & (validity > 0)
    weight = np.where(valid.any(axis=(1, 2), keepdims=True), valid, disc)
    total = (logits * weight).sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(total / weight.sum(axis=(1, 2)))


def calibrate(scores: F64, calibration: Calibration, log_prior_ratio: float = 0.0) -> F64:
    """Confidences from mean log-odds; increasing, because the slope is positive.

    Parameters
    ----------
    log_prior_ratio
        Logarithm of the odds of real here over the even odds of calibrations: what was
        learnt of likelihoods holds at other odds (Elkan 2001, *The foundations of
        cost-sensitive learning*, theorem 2).
    """
    confidence = expit(calibration.slope * scores + calibration.intercept + log_prior_ratio)
    return np.asarray(np.round(confidence, _CONFIDENCE_DECIMALS))
