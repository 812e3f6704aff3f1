"""The network's input planes: one function for training and inference alike. No torch here."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame

F32 = NDArray[np.float32]

PlanesOf = Callable[[slice, slice], F32]
"""Input planes (4, ny, nx) of a rectangle (rows, columns) of the frame."""


def preprocess(
    science: F32,
    science_variance: F32,
    reference: F32,
    difference: F32,
    difference_variance: F32,
    mask: NDArray[np.uint16],
) -> F32:
    """Planes the U-Net reads, from images on the science grid.

    Science and reference are divided by the *same* noise, the science frame's, so that a
    star that did not change has the same value in both planes. The inverse hyperbolic
    sine is linear in the noise and logarithmic in stars.

    Parameters
    ----------
    science, reference, difference
        (ny, nx) float32: science frame, reference warped and scaled onto it, ZOGY's D.
    science_variance, difference_variance
        (ny, nx) float32, of science and of D.
    mask
        (ny, nx) uint16 of :class:`~astrid_core.flags.PixelFlag` bits; pixels with a bit of
        ``UNUSABLE`` are invalid. NaN pixels and pixels without variance are invalid too.

    Returns
    -------
    (4, ny, nx) float32: arcsinh(science/σ), arcsinh(reference/σ), arcsinh(D/σ_D), validity
    (0 or 1). Invalid pixels are 0 in all planes.
    """
    valid = (mask & np.uint16(UNUSABLE)) == 0
    for plane in (science, reference, difference):
        valid &= np.isfinite(plane)
    for variance in (science_variance, difference_variance):
        valid &= np.isfinite(variance) & (variance > 0)

    planes = np.zeros((4, *science.shape), dtype=np.float32)
    sigma = np.sqrt(science_variance[valid])
    planes[0][valid] = np.arcsinh(science[valid] / sigma)
    planes[1][valid] = np.arcsinh(reference[valid] / sigma)
    planes[2][valid] = np.arcsinh(difference[valid] / np.sqrt(difference_variance[valid]))
    planes[3] = valid
    return planes


def planes_reader(science: Frame, difference: DifferenceImage) -> PlanesOf:
    """Reader of input planes of any rectangle of a pair."""

    def planes_of(rows: slice, columns: slice) -> F32:
        at = (rows, columns)
        return preprocess(
            science.data[at],
            science.variance[at],
            difference.reference[at],
            difference.difference[at],
            difference.variance[at],
            science.mask[at] | difference.mask[at],
        )

    return planes_of
