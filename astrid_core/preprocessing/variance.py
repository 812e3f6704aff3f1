"""The noise of a frame: its unit, its gain and its background variance.

Photons and read noise predict it where gain is known; the differences of adjacent pixels
measure it where not, or where they prove the stated gain wrong (stacked, resampled or
sky-subtracted frames keep the header of their raw frames).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from astrid_core.preprocessing.calibrate import Calibrated
from astrid_core.preprocessing.noise import noise_map, white_noise

F32 = NDArray[np.float32]

_TRUSTED_RATIO = (0.75, 1.35)
"""Measured over predicted variance within which prediction stands."""


@dataclass(frozen=True)
class Noise:
    """Noise of a frame in its own unit.

    Attributes
    ----------
    variance
        (ny, nx) float32, background only.
    unit
        ``electron``, or the raw unit.
    units_per_raw
        Factor from raw to frame units.
    source_gain
        Electrons per frame unit; 0 where unknowable.
    read_noise
        Rms per pixel in frame units; 0 where unknown.
    assumed
        What nothing stated.
    """

    variance: F32
    unit: str
    units_per_raw: float
    source_gain: float
    read_noise: float
    assumed: tuple[str, ...] = ()


def noise_model(
    calibrated: Calibrated, background: F32, not_sky: NDArray[np.bool_], cell_pix: int
) -> Noise:
    """Noise of a calibrated frame.

    Parameters
    ----------
    background
        (ny, nx) sky in raw units.
    not_sky
        (ny, nx) bool: pixels that are bad or under sources.
    cell_pix
        Size of cells in which measured noise may differ.
    """
    raw = calibrated.raw
    blank = ~not_sky
    data = np.where(np.isfinite(raw.data), raw.data, 0.0).astype(np.float32)
    measured = white_noise(data - background, blank)
    gain = 1.0 if raw.meta.unit == "electron" else raw.gain_e_adu
    if gain is not None:
        predicted = _predicted(calibrated, background, gain, measured)
        if _agree(predicted, measured, blank, gain):
            return predicted
    return _measured(calibrated, data - background, background, blank, cell_pix, gain)


def _predicted(calibrated: Calibrated, background: F32, gain: float, measured: float) -> Noise:
    """Photon noise of the sky and read noise, through the flat, in electrons."""
    raw = calibrated.raw
    sky = np.maximum(background, 0.0) * np.float32(gain)
    response = calibrated.response
    flat = np.float32(1.0) if response is None else np.where(response > 0, response, np.inf)
    photons = sky * flat
    if calibrated.dark_level is not None:
        photons = photons + np.maximum(calibrated.dark_level, 0.0) * np.float32(gain)
    assumed: tuple[str, ...] = ()
    read_noise = raw.read_noise_e
    if read_noise is None:
        assumed = ("read_noise",)
        left = (measured * gain) ** 2 - float(np.median(sky))
        read_noise = float(np.sqrt(max(left, 0.0))) if np.isfinite(left) else 0.0
    variance = (photons + np.float32(read_noise**2)) / flat**2
    positive = variance[variance > 0]
    floor = float(np.median(positive)) * 1e-3 if len(positive) else 0.0
    variance = np.maximum(variance, floor).astype(np.float32)
    return Noise(variance, "electron", gain, 1.0, read_noise, assumed)


def _agree(predicted: Noise, measured: float, blank: NDArray[np.bool_], gain: float) -> bool:
    """Whether measured noise leaves the prediction standing."""
    if not np.isfinite(measured):
        return bool((predicted.variance > 0).all())
    expected = float(np.median(predicted.variance[blank]))
    if not expected > 0:
        return False
    low, high = _TRUSTED_RATIO
    return low < (measured * gain) ** 2 / expected < high


def _measured(
    calibrated: Calibrated,
    residual: F32,
    background: F32,
    blank: NDArray[np.bool_],
    cell_pix: int,
    gain: float | None,
) -> Noise:
    """Noise by adjacent differences, in the raw unit.

    In adu on a positive sky, photon transfer gives the gain that explains the noise: sky
    over variance. Elsewhere the photon noise of sources is unknowable.
    """
    raw = calibrated.raw
    variance = noise_map(residual, blank, cell_pix) ** 2
    level = float(np.median(variance))
    sky = float(np.median(background))
    is_counts = raw.meta.unit in ("adu", "electron")
    source_gain = gain or 0.0
    if is_counts and level > 0 and sky > 3 * np.sqrt(level):
        source_gain = sky / level
    variance = np.maximum(variance, np.finfo(np.float32).tiny).astype(np.float32)
    return replace(
        Noise(variance, raw.meta.unit, 1.0, source_gain, 0.0),
        assumed=("gain", "read_noise"),
    )
