"""Cosmic rays and hot pixels: what is sharper than the PSF."""

from typing import Any

import astroscrappy
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from astrid_core.preprocessing.config import CosmicsConfig

Mask = NDArray[np.bool_]


def find_cosmics(
    residual: NDArray[Any],
    variance: NDArray[Any],
    bad: Mask,
    source_gain: float,
    config: CosmicsConfig,
) -> Mask:
    """(ny, nx) bool of cosmic-ray hits by L.A.Cosmic.

    Parameters
    ----------
    residual, variance
        (ny, nx) background subtracted, and its background variance.
    bad
        (ny, nx) bool: pixels to leave out, saturated stars above all.
    source_gain
        Electrons per data unit; 0 where photon noise is unknown.
    """
    if not config.enabled:
        return np.zeros(bad.shape, dtype=bool)
    photons = np.maximum(residual, 0.0) / source_gain if source_gain > 0 else 0.0
    hits, _ = astroscrappy.detect_cosmics(
        np.ascontiguousarray(np.where(bad, 0.0, residual), dtype=np.float32),
        inmask=np.ascontiguousarray(bad),
        invar=np.ascontiguousarray(
            np.where(bad, np.median(variance), variance + photons), dtype=np.float32
        ),
        sigclip=config.sigma_clip,
        sigfrac=config.sigma_fraction,
        objlim=config.object_limit,
        gain=1.0,
        readnoise=1.0,
        satlevel=np.inf,
        niter=config.iterations,
        sepmed=True,
        cleantype="medmask",
        fsmode="median",
    )
    hits = np.asarray(hits) & ~bad
    return hits if hits.mean() <= config.max_fraction else np.zeros(bad.shape, dtype=bool)
