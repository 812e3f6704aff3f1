"""Windows of a frame: cut around positions, or slid over all of it in bounded memory."""

from collections.abc import Iterator

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray

from astrid_core.detection.planes import PlanesOf
from astrid_core.detection.unet import RealBogusModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def cut_windows(
    planes_of: PlanesOf, shape: tuple[int, int], x_pix: F64, y_pix: F64, window_pix: int
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

    Returns
    -------
    (n, 4, window_pix, window_pix) float32.
    """
    windows = np.zeros((len(x_pix), 4, window_pix, window_pix), dtype=np.float32)
    for index, (x0, y0) in enumerate(window_origins(x_pix, y_pix, window_pix)):
        rows, to_rows = _overlap(int(y0), window_pix, shape[0])
        columns, to_columns = _overlap(int(x0), window_pix, shape[1])
        windows[index, :, to_rows, to_columns] = planes_of(rows, columns)
    return windows


def window_origins(x_pix: F64, y_pix: F64, window_pix: int) -> NDArray[np.int64]:
    """Lower-left pixels (n, 2) as (x, y) of the windows around positions."""
    centres = np.stack([np.rint(x_pix), np.rint(y_pix)], axis=-1).astype(np.int64)
    return centres - window_pix // 2


def slide(
    model: RealBogusModel,
    planes_of: PlanesOf,
    shape: tuple[int, int],
    *,
    band_rows: int,
    overlap: float,
    batch_size: int,
) -> F32:
    """Log-odds of every pixel of a frame, by overlapping windows; −inf where invalid.

    A frame is worked through in bands of rows that overlap by a window, so that the peak
    memory beyond the result is set by a band. Where windows overlap, those nearer their
    centre weigh more (MONAI's Gaussian).

    Returns
    -------
    (ny, nx) float32.
    """
    window = model.card.window_pix
    out = np.empty(shape, dtype=np.float32)
    for rows, core in bands(shape[0], band_rows, window // 2):
        planes = planes_of(rows, slice(0, shape[1]))
        with torch.inference_mode():
            logits = sliding_window_inference(
                torch.from_numpy(planes)[None],
                roi_size=(window, window),
                sw_batch_size=batch_size,
                predictor=model.network,
                overlap=overlap,
                mode="gaussian",
                sw_device=model.device,
                device=torch.device("cpu"),
            )
        known = np.where(planes[3] > 0, logits[0, 0].numpy(), -np.inf)
        out[core] = known[core.start - rows.start : core.stop - rows.start]
    return out


def bands(ny: int, band_rows: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Rows to read and, within them, rows to keep: the cores tile 0..ny exactly once."""
    for start in range(0, ny, band_rows):
        stop = min(start + band_rows, ny)
        yield slice(max(0, start - margin), min(ny, stop + margin)), slice(start, stop)


def _overlap(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Part of start..start+length inside 0..size, and where it lies within the window."""
    inside = slice(min(max(start, 0), size), max(min(start + length, size), 0))
    return inside, slice(inside.start - start, inside.stop - start)
