"""Bias, dark and flat: masters from a night's calibration frames, and their application.

A calibration frame is used where it exists and never invented: without a flat of the
science frame's filter the frame stays unflattened, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData
from astropy.stats import mad_std
from ccdproc import Combiner
from numpy.typing import NDArray

from astrid_core.errors import CalibrationError
from astrid_core.preprocessing.config import CalibrationConfig
from astrid_core.preprocessing.raw import RawFrame, has_overscan, trim

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class MasterCalibration:
    """Masters of one detector and shape. What is missing is None or absent, never made up.

    Attributes
    ----------
    instrument, detector, shape
        What a science frame must share; shape (ny, nx) after trimming.
    bias
        Raw units, above the overscan where there is one.
    dark
        Raw units per second, bias subtracted.
    flats
        Filter → response, median 1; NaN where no light arrives.
    observation_ids
        The frames that went in.
    """

    instrument: str
    detector: str
    shape: tuple[int, int]
    bias: F32 | None = None
    dark: F32 | None = None
    flats: dict[str, F32] = field(default_factory=dict)
    observation_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Calibrated:
    """A science frame with calibration applied.

    Attributes
    ----------
    raw
        Trimmed and corrected, raw units.
    saturated
        (ny, nx) bool: raw pixels at or above the stated level; all False without one.
    response
        (ny, nx) flat the data were divided by; None where no flat was applied.
    dark_level
        (ny, nx) subtracted dark in raw units, whose photons are noise; None without.
    """

    raw: RawFrame
    saturated: NDArray[np.bool_]
    response: F32 | None = None
    dark_level: F32 | None = None


def build_calibration(
    frames: Sequence[RawFrame], config: CalibrationConfig | None = None
) -> MasterCalibration:
    """Masters from the bias, dark and flat frames of one detector.

    Parameters
    ----------
    frames
        Calibration frames as read, before trimming; science frames are an error.

    Raises
    ------
    CalibrationError
        If there is none, one is not a calibration frame, or instrument, detector or shape
        differ between them.
    """
    config = config or CalibrationConfig()
    _check_group(frames)
    biases = [trim(frame) for frame in frames if frame.kind == "bias"]
    shape = trim(frames[0]).data.shape
    for frame in frames:
        _check_shape(trim(frame), (shape[0], shape[1]))
    bias = _combine([frame.data for frame in biases], config) if biases else None
    darks = [
        (trim(frame).data - (bias if bias is not None else 0)) / frame.meta.exposure_s
        for frame in frames
        if frame.kind == "dark" and frame.meta.exposure_s and _has_zero_level(frame, bias)
    ]
    dark = _combine(darks, config) if darks else None
    flats = _flats([frame for frame in frames if frame.kind == "flat"], bias, dark, config)
    return MasterCalibration(
        instrument=frames[0].meta.instrument,
        detector=frames[0].meta.detector,
        shape=(shape[0], shape[1]),
        bias=bias,
        dark=dark,
        flats=flats,
        observation_ids=tuple(sorted((frame.meta.observation_id for frame in frames), key=str)),
    )


def calibrate(
    raw: RawFrame, calibration: MasterCalibration | None, saturation_fraction: float
) -> Calibrated:
    """Trim a science frame and apply the masters that exist for it.

    Raises
    ------
    CalibrationError
        If the masters are of another detector or shape.
    """
    trimmed = trim(raw)
    saturated = _saturated(raw, saturation_fraction)
    if calibration is None:
        return Calibrated(trimmed, saturated)
    _check_fit(trimmed, calibration)
    data = trimmed.data
    if calibration.bias is not None:
        data = data - calibration.bias
    dark = None
    if calibration.dark is not None and raw.meta.exposure_s is not None:
        dark = (calibration.dark * np.float32(raw.meta.exposure_s)).astype(np.float32)
        data = data - dark
    response = calibration.flats.get(raw.meta.filter_band)
    meta = trimmed.meta
    if response is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            data = np.where(response > 0, data / response, np.nan)
    elif calibration.flats:
        meta = replace(meta, assumed=(*meta.assumed, "flat"))
    trimmed = replace(trimmed, data=data.astype(np.float32), meta=meta)
    return Calibrated(trimmed, saturated, response, dark)


# --- masters ------------------------------------------------------------------------------


def _has_zero_level(frame: RawFrame, bias: F32 | None) -> bool:
    """Whether the level of no light is known; counts above an unknown zero are no flat."""
    return bias is not None or has_overscan(frame) or frame.meta.unit == "electron"


def _flats(
    frames: Sequence[RawFrame], bias: F32 | None, dark: F32 | None, config: CalibrationConfig
) -> dict[str, F32]:
    """Response by filter, each flat scaled to median 1 before they are combined."""
    by_filter: dict[str, list[F32]] = {}
    for frame in frames:
        if not _has_zero_level(frame, bias):
            continue
        light = trim(frame).data - (bias if bias is not None else np.float32(0))
        if dark is not None and frame.meta.exposure_s is not None:
            light = light - dark * np.float32(frame.meta.exposure_s)
        level = float(np.nanmedian(light))
        if level > 0:
            by_filter.setdefault(frame.meta.filter_band, []).append(light / np.float32(level))
    return {band: _normalised(_combine(flats, config)) for band, flats in by_filter.items()}


def _normalised(flat: F32) -> F32:
    flat = flat / np.float32(np.nanmedian(flat))
    return np.where(flat > 0, flat, np.nan).astype(np.float32)


def _combine(planes: Sequence[F32], config: CalibrationConfig) -> F32:
    """Sigma-clipped mean; the median where there are too few to clip."""
    if len(planes) == 1:
        return np.asarray(planes[0], dtype=np.float32)
    combiner = Combiner([CCDData(plane, unit=u.adu) for plane in planes], dtype=np.float32)
    if len(planes) < config.min_frames_clipped:
        return np.asarray(combiner.median_combine().data, dtype=np.float32)
    combiner.sigma_clipping(
        low_thresh=config.clip_sigma,
        high_thresh=config.clip_sigma,
        func=np.ma.median,
        dev_func=mad_std,
    )
    return np.asarray(combiner.average_combine().data, dtype=np.float32)


# --- checks -------------------------------------------------------------------------------


def _saturated(raw: RawFrame, fraction: float) -> NDArray[np.bool_]:
    """Saturation is judged on raw counts: bias and overscan are part of the full scale."""
    limit = np.inf if raw.saturation_adu is None else raw.saturation_adu * fraction
    hit = replace(raw, data=(raw.data >= limit).astype(np.float32))
    header = hit.header.copy()
    header.remove("BIASSEC", ignore_missing=True)
    return trim(replace(hit, header=header)).data > 0.5


def _check_group(frames: Sequence[RawFrame]) -> None:
    if not frames:
        raise CalibrationError("No calibration frames were given", remedy="Give at least one.")
    for frame in frames:
        if frame.kind not in ("bias", "dark", "flat"):
            raise CalibrationError(
                f"Observation {frame.meta.observation_id} is no calibration frame",
                remedy="Check the survey's keyword map for frame_kind.",
                kind=frame.kind,
            )
        if frame.detector_key != frames[0].detector_key:
            raise CalibrationError(
                "Calibration frames of different detectors cannot be combined",
                remedy="Group them by instrument and detector.",
                first=frames[0].detector_key,
                other=frame.detector_key,
            )


def _check_shape(frame: RawFrame, shape: tuple[int, int]) -> None:
    if frame.data.shape != shape:
        raise CalibrationError(
            f"Calibration frame {frame.meta.observation_id} differs in shape from the others",
            remedy="Group calibration frames by binning and read-out window.",
            shape=frame.data.shape,
            expected=shape,
        )


def _check_fit(science: RawFrame, calibration: MasterCalibration) -> None:
    if science.data.shape != calibration.shape:
        raise CalibrationError(
            f"Observation {science.meta.observation_id} and its calibration differ in shape",
            remedy="Use calibration frames of the same binning and read-out window.",
            science=science.data.shape,
            calibration=calibration.shape,
        )
    if science.detector_key != (calibration.instrument, calibration.detector):
        raise CalibrationError(
            f"Observation {science.meta.observation_id} and its calibration differ in detector",
            remedy="Use calibration frames of the same instrument and detector.",
            science=science.detector_key,
            calibration=(calibration.instrument, calibration.detector),
        )
