"""Windows of a frame, cut around positions. No torch here."""

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.card import CHANNELS
from astrid_core.detection.planes import PlanesOf

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def cut_windows(
    planes_of: PlanesOf,
    shape: tuple[int, int],
    x_pix: F64,
    y_pix: F64,
    window_pix: int,
    n_planes: int = len(CHANNELS),
) -> F32:
    """Square windows around positions, padded with invalid pixels beyond the frame.

    The pixel nearest a position lies at index ``window_pix // 2`` of both axes.

    Parameters
    ----------
    planes_of
        Gives the planes of a rectangle, so that only what is cut is ever prepared.
    shape
        (ny, nx) of the frame.
    x_pix, y_pix
        (n,) 0-based pixel positions.
    n_planes
        How many planes it gives.

    Returns
    -------
    (n, n_planes, window_pix, window_pix) float32.
    """
    windows = np.zeros((len(x_pix), n_planes, window_pix, window_pix), dtype=np.float32)
    for index, (x0, y0) in enumerate(window_origins(x_pix, y_pix, window_pix)):
        rows, to_rows = _overlap(int(y0), window_pix, shape[0])
        columns, to_columns = _overlap(int(x0), window_pix, shape[1])
        windows[index, :, to_rows, to_columns] = planes_of(rows, columns)
    return windows


def window_origins(x_pix: F64, y_pix: F64, window_pix: int) -> NDArray[np.int64]:
    """Lower-left pixels (n, 2) as (x, y) of the windows around positions."""
    centres = np.stack([np.rint(x_pix), np.rint(y_pix)], axis=-1).astype(np.int64)
    return centres - window_pix // 2


def _overlap(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Part of start..start+length inside 0..size, and where it lies within the window."""
    inside = slice(min(max(start, 0), size), max(min(start + length, size), 0))
    return inside, slice(inside.start - start, inside.stop - start)
