"""Components: connected pixels the network believes real where no candidate was found.

Only where S_corr stands out at all can there be anything to find, so the network looks
around the peaks that extraction passed over, fainter than its threshold or filtered out,
and not at the sky in between: a tenth of the windows, and no chance for empty sky to be
called real.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.discs import disc_radius
from astrid_core.detection.judging import disc_means
from astrid_core.detection.planes import PlanesOf
from astrid_core.detection.unet import RealBogusModel
from astrid_core.detection.windows import cut_windows, window_origins

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_CENTROID_DECIMALS = 3
"""Centroids in pixels are rounded so that a row does not depend on the last bits of a sum."""


@dataclass(frozen=True)
class Glimpses:
    """Peaks of |S_corr| that are no candidate, and the network's view of each.

    Attributes
    ----------
    x_peak_pix, y_peak_pix
        (n,) integer pixels, the most significant peak first.
    logits
        (n, w, w) log-odds of the window centred on each.
    validity
        (n, w, w), 1 where the pixel is usable.
    """

    x_peak_pix: I64
    y_peak_pix: I64
    logits: F32
    validity: F32


@dataclass(frozen=True)
class Components:
    """Components of a frame, the most significant first.

    Attributes
    ----------
    x_pix, y_pix
        (n,) centroids weighted by probability.
    x_peak_pix, y_peak_pix
        (n,) peaks of |S_corr|.
    scores
        (n,) mean log-odds of the disc around the peak.
    """

    x_pix: F64
    y_pix: F64
    x_peak_pix: I64
    y_peak_pix: I64
    scores: F64


def find_components(
    model: RealBogusModel,
    planes_of: PlanesOf,
    scorr: F32,
    known: tuple[F64, F64],
    fwhm_pix: float,
    config: DetectionConfig,
) -> Components:
    """Search a whole frame for what extraction left out.

    A component belongs to a peak of |S_corr| of at least ``component_min_scorr`` that lies
    ``component_exclusion_fwhm`` or more from every known position and every stronger peak.
    It is the connected valid pixels above ``component_threshold`` (the card's unless
    configured) that hold the peak, at least as many as a disc of half the FWHM holds.

    Parameters
    ----------
    planes_of
        Gives the planes of a rectangle of the frame.
    scorr
        (ny, nx) float32 significance image, 0 where ``NOT_SEARCHED``.
    known
        (x, y) of candidates, 0-based pixels.
    """
    x, y = unclaimed_peaks(scorr, known, fwhm_pix, config)
    glimpses = look(model, planes_of, scorr.shape, x, y, config.batch_size)
    return judge_components(
        glimpses, config.component_threshold or model.card.component_threshold, fwhm_pix
    )


def unclaimed_peaks(
    scorr: F32, known: tuple[F64, F64], fwhm_pix: float, config: DetectionConfig
) -> tuple[I64, I64]:
    """Local maxima of |S_corr| far from known positions and from stronger maxima.

    Returns
    -------
    x, y
        (n,) int64 pixels, the most significant first; ties in the order of rows.
    """
    reach_pix = config.component_exclusion_fwhm * fwhm_pix
    significance = np.abs(np.nan_to_num(scorr))
    steps = np.arange(-int(reach_pix), int(reach_pix) + 1)
    footprint = steps[:, None] ** 2 + steps[None, :] ** 2 <= reach_pix**2
    top = ndimage.maximum_filter(significance, footprint=footprint, mode="constant")
    y, x = np.nonzero((significance >= config.component_min_scorr) & (significance == top))
    distance2 = (x[:, None] - known[0][None, :]) ** 2 + (y[:, None] - known[1][None, :]) ** 2
    far = (distance2 > reach_pix**2).all(axis=1)
    x, y = x[far], y[far]
    order = np.argsort(-significance[y, x], kind="stable")[: config.max_components]
    return x[order], y[order]


def look(
    model: RealBogusModel,
    planes_of: PlanesOf,
    shape: tuple[int, ...],
    x_peak_pix: I64,
    y_peak_pix: I64,
    batch_size: int,
) -> Glimpses:
    """The network's log-odds in a window around each peak of a frame (ny, nx)."""
    size = model.card.window_pix
    x, y = x_peak_pix.astype(np.float64), y_peak_pix.astype(np.float64)
    windows = cut_windows(planes_of, (shape[0], shape[1]), x, y, size)
    return Glimpses(x_peak_pix, y_peak_pix, model.logits(windows, batch_size), windows[:, 3])


def judge_components(glimpses: Glimpses, threshold: float, fwhm_pix: float) -> Components:
    """Components among glimpses, at a pixel probability, as :func:`find_components` says."""
    believed = (glimpses.logits > logit(threshold)) & (glimpses.validity > 0)
    centre = glimpses.logits.shape[-1] // 2
    least_pixels = np.pi * (fwhm_pix / 2) ** 2
    keep, centroids = [], []
    for index in np.flatnonzero(believed[:, centre, centre]):
        labels, _ = ndimage.label(believed[index])
        own = labels == labels[centre, centre]
        if own.sum() >= least_pixels:
            keep.append(index)
            probability = np.where(own, expit(glimpses.logits[index]), 0.0)
            centroids.append(ndimage.center_of_mass(probability))
    x_peak, y_peak = glimpses.x_peak_pix[keep], glimpses.y_peak_pix[keep]
    x, y = x_peak.astype(np.float64), y_peak.astype(np.float64)
    origins = window_origins(x, y, glimpses.logits.shape[-1])
    offsets = np.array(centroids, dtype=np.float64).reshape(-1, 2)[:, ::-1]
    centres = np.round(origins + offsets, _CENTROID_DECIMALS)
    scores = disc_means(glimpses.logits[keep], glimpses.validity[keep], x, y, disc_radius(fwhm_pix))
    return Components(centres[:, 0], centres[:, 1], x_peak, y_peak, scores)
