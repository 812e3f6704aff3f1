"""The one verb of this stage: a raw exposure becomes a frame to measure on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from astrid_core.errors import CalibrationError, NotAnImageError
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame, FrameMeta
from astrid_core.preprocessing.background import estimate_background
from astrid_core.preprocessing.calibrate import Calibrated, MasterCalibration, calibrate
from astrid_core.preprocessing.catalogue import find_stars, without_masked
from astrid_core.preprocessing.config import PREPROCESS_VERSION, PreprocessConfig
from astrid_core.preprocessing.cosmics import find_cosmics
from astrid_core.preprocessing.defectmap import DefectMap
from astrid_core.preprocessing.defects import (
    bad_columns,
    blank_pixels,
    border,
    dark_pixels,
    detected_saturation,
    grow_saturation,
    hot_in_dark,
)
from astrid_core.preprocessing.noise import pixel_noise
from astrid_core.preprocessing.photometry import zero_point
from astrid_core.preprocessing.psf import measure_psf, stamp_half_width
from astrid_core.preprocessing.quality import FrameQuality, assess, limits_missed
from astrid_core.preprocessing.raw import RawFrame
from astrid_core.preprocessing.trails import find_trails
from astrid_core.preprocessing.variance import Noise, noise_model

__all__ = ["PREPROCESS_VERSION", "ProcessedFrame", "process_frame"]

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]

_MIN_USABLE = 0.05


@dataclass(frozen=True)
class ProcessedFrame:
    """A frame, how good it is, and which limits it misses.

    Attributes
    ----------
    degraded_because
        Limits missed, such as ``undersampled (1.52)``; empty for a good frame.
    """

    frame: Frame
    quality: FrameQuality
    degraded_because: tuple[str, ...]


def process_frame(
    raw: RawFrame,
    calibration: MasterCalibration | None,
    config: PreprocessConfig,
    defects: DefectMap | None = None,
) -> ProcessedFrame:
    """Calibrate, subtract the background, mask, and measure stars and PSF.

    Parameters
    ----------
    raw
        From :func:`~astrid_core.preprocessing.raw.read_raw`; not changed.
    calibration
        Masters of its detector; None where the night has none.
    defects
        Pixels known not to measure sky; None where the night tells of none.

    Returns
    -------
    ProcessedFrame, in electrons where the gain is known and physical, else in the raw
    unit; what had to be assumed is named in ``frame.meta.assumed``.

    Raises
    ------
    CalibrationError
        If the masters are of another detector or shape, or leave nothing of a frame that is
        not blank without them.
    NotAnImageError
        If the frame is blank.
    TooFewStarsError
        If no PSF can be measured.
    """
    calibrated = calibrate(raw, calibration, config.mask.saturation_fraction)
    mask = _instrument_mask(calibrated, config, defects)
    bad = (mask & int(UNUSABLE)) != 0
    _require_sky(bad, raw, calibration, config)
    background, sources = estimate_background(calibrated.raw.data, bad, config.background)
    noise = noise_model(calibrated, background, bad | sources, config.background.mesh_pix)
    scale = np.float32(noise.units_per_raw)
    data = np.where(bad, 0.0, (calibrated.raw.data - background) * scale).astype(np.float32)
    mask = mask | _line_defects(data, noise.variance, bad, config)
    meta = _frame_meta(calibrated.raw, noise)
    frame = _measure(data, noise.variance, mask, meta, config)
    frame = replace(frame, wcs=calibrated.raw.wcs, sky=float(np.median(background) * scale))
    quality = assess(frame)
    return ProcessedFrame(frame, quality, limits_missed(quality, config.quality))


# --- steps --------------------------------------------------------------------------------


def _instrument_mask(
    calibrated: Calibrated, config: PreprocessConfig, defects: DefectMap | None
) -> U16:
    """What is known before the sky is: blank, saturated, dead, hot and warm pixels."""
    data = calibrated.raw.data
    blank = blank_pixels(data)
    noise = pixel_noise(np.where(blank, 0.0, data), ~blank)
    blank |= border(data, blank, noise)
    saturated = calibrated.saturated
    if calibrated.raw.saturation_adu is None:
        level = detected_saturation(data, blank)
        saturated = np.zeros(data.shape, dtype=bool) if level is None else data >= level
    saturated = grow_saturation(saturated & ~blank, config.mask.saturation_grow_pix)
    mask = _bits(blank, PixelFlag.NODATA) | _bits(saturated, PixelFlag.SATURATED)
    if calibrated.response is not None:
        dead = ~(calibrated.response > config.mask.dead_response)
        mask |= _bits(dead, PixelFlag.BAD)
    if calibrated.dark_level is not None:
        hot = hot_in_dark(calibrated.dark_level, noise, config.mask.dark_current_sigma)
        mask |= _bits(hot, PixelFlag.BAD)
    # Exposures trimmed otherwise show other pixels of the detector.
    if defects is not None and defects.shape == data.shape:
        mask |= _bits(defects.plane(), PixelFlag.BAD)
    return mask


def _require_sky(
    bad: NDArray[np.bool_],
    raw: RawFrame,
    calibration: MasterCalibration | None,
    config: PreprocessConfig,
) -> None:
    """Refuse a frame with next to no usable pixel, and say whether it or its masters did it."""
    if not _is_blank(bad):
        return
    what = f"Observation {raw.meta.observation_id} has next to no usable pixel"
    usable_fraction = round(float(1 - bad.mean()), 4)
    if calibration is not None:
        alone = _instrument_mask(
            calibrate(raw, None, config.mask.saturation_fraction), config, None
        )
        if not _is_blank((alone & int(UNUSABLE)) != 0):
            raise CalibrationError(
                f"{what} once it is calibrated; as it was read it has",
                remedy="Mend or remove the calibration frame among these that is none: "
                + ", ".join(str(one) for one in calibration.observation_ids),
                usable_fraction=usable_fraction,
            )
    raise NotAnImageError(
        what,
        remedy="Check the raw file; if it is a sky image, its blank or saturation values.",
        usable_fraction=usable_fraction,
    )


def _is_blank(bad: NDArray[np.bool_]) -> bool:
    return bool(bad.mean() > 1 - _MIN_USABLE)


def _line_defects(
    data: F32,
    variance: F32,
    bad: NDArray[np.bool_],
    config: PreprocessConfig,
) -> U16:
    """Bad columns, rows and dark pixels."""
    noise = np.sqrt(variance)
    # Sources are left in: a bad column looks like one, and would never be judged.
    found = bad_columns(data, noise, bad, config.mask)
    found |= dark_pixels(data, noise, bad, config.mask.dark_sigma)
    return _bits(found, PixelFlag.BAD)


def _measure(
    data: F32, variance: F32, mask: U16, meta: FrameMeta, config: PreprocessConfig
) -> Frame:
    """Stars, PSF, and the masks that need a PSF to be told from stars."""
    gain = meta.source_gain
    stars = find_stars(data, variance, mask, config.catalogue, gain)
    psf = measure_psf(data, variance, mask, stars, config.psf, gain)
    bad = (mask & int(UNUSABLE)) != 0
    cosmics = find_cosmics(data, variance, bad, psf, gain, config.cosmics)
    trails = find_trails(data, np.sqrt(variance), bad | cosmics, psf.fwhm_pix, config.mask)
    mask = mask | _bits(cosmics, PixelFlag.COSMIC) | _bits(trails, PixelFlag.TRAIL)
    mask |= _edge(mask, stamp_half_width(psf.fwhm_pix, config.psf) // 2)
    stars = without_masked(stars, mask)
    return Frame(data=data, variance=variance, mask=mask, psf=psf, meta=meta, stars=stars)


def _edge(mask: U16, width_pix: int) -> U16:
    """EDGE where a stamp would reach beyond the data."""
    blank = np.pad((mask & int(PixelFlag.NODATA)) != 0, 1, constant_values=True)
    near = binary_dilation(blank, structure=np.ones((3, 3), dtype=bool), iterations=width_pix)
    return _bits(near[1:-1, 1:-1], PixelFlag.EDGE)


def _frame_meta(raw: RawFrame, noise: Noise) -> FrameMeta:
    """Meta in frame units, with everything that was assumed."""
    meta = raw.meta
    saturation = raw.saturation_adu
    return replace(
        meta,
        unit=noise.unit,
        source_gain=noise.source_gain,
        read_noise=noise.read_noise,
        saturation=None if saturation is None else saturation * noise.units_per_raw,
        zero_point_mag=zero_point(meta.zero_point_mag, meta.unit, raw.header, noise.units_per_raw),
        assumed=tuple(sorted({*meta.assumed, *noise.assumed})),
    )


def _bits(where: NDArray[Any], flag: PixelFlag) -> U16:
    return np.where(where, np.uint16(flag), np.uint16(0))
