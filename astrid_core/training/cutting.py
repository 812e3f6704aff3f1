"""Samples' pixels: what the network is shown around positions, and what is true of each pixel.

What belongs here: one pair of frames and positions on it, to image stacks and masks. The
planes are made by the very function that makes them for inference. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrid_core.detection.discs import disc_radius, discs
from astrid_core.detection.planes import PlanesOf, planes_reader
from astrid_core.detection.windows import cut_windows
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.flags import NOT_SEARCHED
from astrid_core.frame import Frame
from astrid_core.training.samples import IGNORED, IMAGE_PLANES, SIDE_PIX

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

REAL, QUIET = 1, 0

LOUD_SCORR = 3.0
"""|S_corr| from which a pixel may be of something that nobody has judged."""

QUIET_FWHM = 3.0
"""Quiet sky is farther than this many FWHM from every loud pixel."""


@dataclass(frozen=True)
class Positions:
    """Positions of known truth on a frame; all (n,)."""

    x_pix: F64
    y_pix: F64
    is_real: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float, bool]]) -> "Positions":
        """Positions from (x, y, is_real)."""
        x, y, real = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(x, float), np.array(y, float), np.array(real, bool))

    def table(self, wanted: NDArray[np.bool_]) -> NDArray[np.void]:
        table = np.zeros(int(wanted.sum()), dtype=[("x_pix", "f8"), ("y_pix", "f8")])
        table["x_pix"], table["y_pix"] = self.x_pix[wanted], self.y_pix[wanted]
        return table


def cut_samples(
    science: Frame, difference: DifferenceImage, known: Positions, x_pix: F64, y_pix: F64
) -> tuple[F32, U8]:
    """Image stacks and masks around positions.

    Parameters
    ----------
    known
        Everything on the frame whose truth is known, whether or not it is cut out.
    x_pix, y_pix
        (n,) 0-based positions to cut around.

    Returns
    -------
    images, masks
        (n, 5, s, s) float32, planes in the order of ``IMAGE_PLANES``, and (n, s, s) uint8 with
        s = ``SIDE_PIX``; beyond the frame invalid and ignored.
    """
    planes_of = sample_planes(science, difference)
    images = cut_windows(
        planes_of, science.shape, x_pix, y_pix, SIDE_PIX, n_planes=len(IMAGE_PLANES)
    )
    whole = truth_mask(difference, known)

    def mask_of(rows: slice, columns: slice) -> F32:
        return (whole[None, rows, columns].astype(np.float32)) - IGNORED

    # Shifted by IGNORED, so that the zeros beyond the frame become ignored pixels.
    masks = cut_windows(mask_of, science.shape, x_pix, y_pix, SIDE_PIX, n_planes=1)[:, 0] + IGNORED
    masks[images[:, IMAGE_PLANES.index("validity")] == 0] = IGNORED
    return images, masks.astype(np.uint8)


def sample_planes(science: Frame, difference: DifferenceImage) -> PlanesOf:
    """Reader of samples' planes of any rectangle of a pair."""
    of_network = planes_reader(science, difference)
    scorr = difference.scorr_without(NOT_SEARCHED)

    def planes_of(rows: slice, columns: slice) -> F32:
        *images, validity = of_network(rows, columns)
        significance = np.where(validity > 0, np.nan_to_num(scorr[rows, columns]), np.float32(0))
        return np.stack([*images, significance.astype(np.float32), validity])

    return planes_of


def truth_mask(difference: DifferenceImage, known: Positions) -> U8:
    """What is true of each pixel (ny, nx): 1 real, 0 bogus or quiet sky, 255 not known.

    Discs of max(2 px, 1 FWHM) are 1 at real positions and 0 at bogus ones; where they meet it
    is not known which pixel is whose, but real wins. Pixels farther than 3 FWHM from any
    |S_corr| ≥ 3 are quiet sky.
    """
    fwhm = difference.psf.fwhm_pix
    loud = ~(np.abs(np.nan_to_num(difference.scorr)) < LOUD_SCORR)
    distance = ndimage.distance_transform_edt(~loud) if loud.any() else np.full(loud.shape, np.inf)
    mask = np.where(np.asarray(distance) > QUIET_FWHM * fwhm, QUIET, IGNORED).astype(np.uint8)
    radius = disc_radius(fwhm)
    mask[discs(mask.shape, known.table(~known.is_real), radius)] = QUIET
    mask[discs(mask.shape, known.table(known.is_real), radius)] = REAL
    return mask


def peak_scorr(images: F32, radius_pix: float) -> F64:
    """Signed S_corr (n,) of greatest amount within a radius of the samples' centres."""
    scorr = images[:, IMAGE_PLANES.index("scorr")]
    steps = np.arange(SIDE_PIX) - SIDE_PIX // 2
    near = steps[:, None] ** 2 + steps[None, :] ** 2 <= radius_pix**2
    inside = scorr[:, near]
    best = np.abs(inside).argmax(axis=1)
    return np.asarray(inside[np.arange(len(inside)), best], dtype=np.float64)
