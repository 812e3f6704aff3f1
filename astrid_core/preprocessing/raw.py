"""A raw exposure: pixels as the archive delivered them, with what is known about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_core.frame import FrameMeta
from astrid_core.preprocessing.astrometry import trustworthy_wcs
from astrid_core.surveys.fits_input import MIN_SIDE_PIX, read_image

F32 = NDArray[np.float32]

_SECTION = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


@dataclass(frozen=True)
class RawFrame:
    """One exposure before anything was done to it.

    Attributes
    ----------
    data
        (ny, nx) float32 in raw units, NaN where blank.
    meta
        ``unit``, ``saturation`` and ``zero_point_mag`` are those of raw pixels.
    kind
        ``science``, ``bias``, ``dark`` or ``flat``.
    gain_e_adu, read_noise_e, saturation_adu
        Electronics as the archive states them; None where it does not.
    wcs
        None where the header's cannot be trusted.
    header
        The image's header, for sections and units.
    """

    data: F32
    meta: FrameMeta
    kind: str
    gain_e_adu: float | None
    read_noise_e: float | None
    saturation_adu: float | None
    wcs: WCS | None
    header: fits.Header

    @property
    def detector_key(self) -> tuple[str, str]:
        """What a calibration frame must share with a science frame, besides its shape."""
        return self.meta.instrument, self.meta.detector


def read_raw(path: Path, observation: Mapping[str, Any], max_frame_mpix: float) -> RawFrame:
    """Read the image an ``observations`` row describes.

    Parameters
    ----------
    path
        The raw file.
    observation
        Columns of ``observations`` plus ``survey``, the survey's name.
    max_frame_mpix
        Largest image accepted, 10^6 pixels.

    Raises
    ------
    BadFitsError
        If the file cannot be read, holds no such image or is larger than allowed.
    """
    data, header = read_image(path, int(observation["raw_hdu"]), max_frame_mpix)
    ny, nx = data.shape
    meta = FrameMeta(
        observation_id=observation["id"],
        survey=observation["survey"],
        night=observation["night"],
        field=observation["field"],
        filter_band=observation["filter_band"],
        observation_time=observation["observation_time"],
        exposure_s=observation["exposure_s"],
        instrument=observation["instrument"],
        detector=observation["detector"],
        unit=observation["unit"],
        saturation=observation["saturation_adu"],
        zero_point_mag=observation["zero_point_mag"],
        assumed=tuple(observation["assumed"]),
    )
    return RawFrame(
        data=data,
        meta=meta,
        kind=observation["frame_kind"],
        gain_e_adu=_positive(observation["gain_e_adu"]),
        read_noise_e=_positive(observation["read_noise_e"]),
        saturation_adu=_positive(observation["saturation_adu"]),
        wcs=trustworthy_wcs(header, (ny, nx)) if observation["frame_kind"] == "science" else None,
        header=header,
    )


def trim(raw: RawFrame) -> RawFrame:
    """Subtract the overscan and cut the frame to its light-sensitive part.

    The overscan level is the median of each row (or column) of BIASSEC; what remains is
    TRIMSEC. Sections that do not fit the image (a cropped file with its old cards) are not
    applied, and ``overscan`` is then named among the assumed values.
    """
    bias = _section(raw.header, "BIASSEC", raw.data.shape)
    keep = _section(raw.header, "TRIMSEC", raw.data.shape, MIN_SIDE_PIX)
    stated = any(_stated(raw.header, card) for card in ("BIASSEC", "TRIMSEC"))
    if bias is None and keep is None:
        if not stated:
            return raw
        return replace(raw, meta=replace(raw.meta, assumed=(*raw.meta.assumed, "overscan")))
    data = raw.data
    if bias is not None:
        strip = data[bias]
        along_rows = strip.shape[0] >= strip.shape[1]
        level = np.nanmedian(strip, axis=1 if along_rows else 0)
        if len(level) == data.shape[0 if along_rows else 1]:
            data = data - (level[:, None] if along_rows else level[None, :])
        else:
            data = data - np.nanmedian(strip)
    if keep is None:
        return replace(raw, data=data.astype(np.float32))
    wcs = raw.wcs[keep] if raw.wcs is not None else None
    return replace(raw, data=np.ascontiguousarray(data[keep], dtype=np.float32), wcs=wcs)


def has_overscan(raw: RawFrame) -> bool:
    """Whether :func:`trim` takes the bias level from an overscan region."""
    return _section(raw.header, "BIASSEC", raw.data.shape) is not None


def _stated(header: fits.Header, card: str) -> bool:
    return isinstance(header.get(card), str) and bool(header[card].strip())


def _section(
    header: fits.Header, card: str, shape: tuple[int, ...], least_pix: int = 2
) -> tuple[slice, slice] | None:
    """FITS section ``[x1:x2,y1:y2]`` (1-based, inclusive) as slices; None if it does not fit.

    Nor does one that is narrower than ``least_pix``.
    """
    match = _SECTION.fullmatch(str(header.get(card, "")).strip())
    if match is None:
        return None
    x1, x2, y1, y2 = (int(number) for number in match.groups())
    if not (1 <= x1 < x2 <= shape[1] and 1 <= y1 < y2 <= shape[0]):
        return None
    if min(x2 - x1, y2 - y1) + 1 < least_pix:
        return None
    return slice(y1 - 1, y2), slice(x1 - 1, x2)


def _positive(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) and value > 0 else None
