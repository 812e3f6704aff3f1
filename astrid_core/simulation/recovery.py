"""Recovery: which planted changes a survey's detections found again, and which are bogus."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SNR_BINS: tuple[tuple[float, float], ...] = (
    (3.0, 4.0),
    (4.0, 5.0),
    (5.0, 7.0),
    (7.0, 10.0),
    (10.0, float("inf")),
)
"""Bins in which completeness is reported."""


FAINTEST_SNR = 2.0
"""Planted changes fainter than this cannot be what a 5 sigma detection is."""


@dataclass(frozen=True)
class Recovery:
    """Planted changes against detections, for one or more frames.

    Attributes
    ----------
    planted, recovered
        Counts per bin of :data:`SNR_BINS`.
    n_real, n_bogus
        Detections that match a planted change, and that match none.
    """

    planted: tuple[int, ...]
    recovered: tuple[int, ...]
    n_real: int
    n_bogus: int

    def __add__(self, other: "Recovery") -> "Recovery":
        return Recovery(
            tuple(a + b for a, b in zip(self.planted, other.planted, strict=True)),
            tuple(a + b for a, b in zip(self.recovered, other.recovered, strict=True)),
            self.n_real + other.n_real,
            self.n_bogus + other.n_bogus,
        )


NOTHING = Recovery((0,) * len(SNR_BINS), (0,) * len(SNR_BINS), 0, 0)


def match_radius_pix(fwhm_pix: float) -> float:
    """Largest distance between a detection and the change it is: max(1.5 px, FWHM/2)."""
    return max(1.5, 0.5 * fwhm_pix)


def match_changes(
    truth: NDArray[np.void],
    detections: Sequence[tuple[float, float, bool]],
    fwhm_pix: float,
) -> NDArray[np.intp]:
    """The change each detection is: the nearest of its own sign within the match radius.

    Parameters
    ----------
    truth
        Rows with ``x_pix``, ``y_pix`` and ``is_negative``.
    detections
        (x_pix, y_pix, is_negative) of each.

    Returns
    -------
    (n_detections,) index into ``truth``; -1 for a detection that is no change.
    """
    radius = match_radius_pix(fwhm_pix)
    match = np.full(len(detections), -1, dtype=np.intp)
    for index, (x, y, is_negative) in enumerate(detections):
        same_sign = truth["is_negative"] == is_negative
        distance = np.hypot(truth["x_pix"] - x, truth["y_pix"] - y)
        near = np.flatnonzero(same_sign & (distance <= radius))
        if near.size:
            match[index] = near[np.argmin(distance[near])]
    return match


def recover(
    truth: NDArray[np.void],
    detections: Sequence[tuple[float, float, bool]],
    fwhm_pix: float,
) -> Recovery:
    """Match one frame's detections to its planted changes.

    Parameters
    ----------
    truth
        ``TRUTH_DTYPE`` rows of the frame.
    detections
        (x_pix, y_pix, is_negative) of each.
    fwhm_pix
        Sets the match radius, see :func:`match_changes`.
    """
    match = match_changes(truth, detections, fwhm_pix)
    found = np.zeros(len(truth), dtype=bool)
    found[match[match >= 0]] = True
    n_real = int((match >= 0).sum())
    planted, recovered = [], []
    for low, high in SNR_BINS:
        in_bin = (truth["snr_true"] >= low) & (truth["snr_true"] < high)
        planted.append(int(in_bin.sum()))
        recovered.append(int((in_bin & found).sum()))
    return Recovery(tuple(planted), tuple(recovered), n_real, len(detections) - n_real)
