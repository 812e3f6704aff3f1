"""Ingest: what one file of a survey says, as rows of ``observations``.

What belongs here: one file at a time, from its bytes to records. What does not: storing
the file or the rows.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrid_core.errors import AstridError, BadFitsError, NotAnImageError
from astrid_core.identity import observation_id, sha256_file
from astrid_core.surveys.asinh import can_be_linearised, is_asinh
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.fits_input import ImageInfo, image_hdus, read_images
from astrid_core.surveys.fits_layout import verify_sums
from astrid_core.surveys.header import (
    HeaderReader,
    field_name,
    frame_kind,
    pixel_unit,
    plain_text,
)
from astrid_core.surveys.protocol import SourceFile
from astrid_core.surveys.sky import SkyPosition, sky_position, sky_tile
from astrid_core.surveys.times import ExposureTime, exposure_time
from astrid_core.text import readable

INGEST_VERSION = "1"
LINEARITY = "linearity"
"""Assumed of frames whose values may not be proportional to light: they are never subtracted."""
LINEARISED = "linearised"
"""Assumed of frames stored as asinh whose header says how: subtracted, but no label comes of
them without a person."""
UNKNOWN = "unknown"
NANOMAGGY_ZERO_POINT_MAG = 22.5
"""By definition (SDSS; its ugriz are AB to a few hundredths)."""

_FAINTEST_ZERO_POINT_MAG = 100.0
"""No unit is as faint; a number beyond is none of magnitudes."""
_MOST_SHOWN = 10
_SKY_KINDS = ("science", "bias", "dark", "flat")


@dataclass(frozen=True)
class ObservationRecord:
    """One image of a survey: the columns of ``observations``, under their names.

    ``survey`` stands for ``survey_id``; where the raw file is stored is not known here.
    """

    id: UUID
    survey: str
    archive_id: str
    night: dt.date
    field: str
    frame_kind: str
    ra: float | None
    dec: float | None
    healpix: int | None
    footprint: list[list[float]] | None
    observation_time: dt.datetime | None
    mjd_tai: float | None
    filter_band: str
    exposure_s: float | None
    gain_e_adu: float | None
    read_noise_e: float | None
    saturation_adu: float | None
    unit: str
    zero_point_mag: float | None
    instrument: str
    detector: str
    width_pix: int
    height_pix: int
    assumed: list[str]
    raw_hdu: int
    raw_sha256: str


@dataclass(frozen=True)
class IngestOutcome:
    """What became of one file.

    Attributes
    ----------
    source
        The archive's name of the file.
    sha256
        Of its bytes; None if they could not be read.
    error
        Why it failed; None when completed.
    notes
        What was odd about it without being wrong: skipped images, unreadable cards.
    """

    source: str
    sha256: str | None
    status: Literal["completed", "failed"]
    observations: tuple[ObservationRecord, ...] = ()
    error: AstridError | None = None
    notes: tuple[str, ...] = ()


def ingest_file(
    source: SourceFile, config: SurveyConfig, night: dt.date, max_frame_mpix: float
) -> IngestOutcome:
    """Read one file into observations; an error becomes its outcome and is not raised.

    Parameters
    ----------
    night
        Night the survey lists the file under.
    max_frame_mpix
        Largest image accepted, 10^6 pixels.
    """
    sha256: str | None = None
    notes: list[str] = []
    try:
        sha256 = _sha256(source)
        records = _observations(source, config, night, max_frame_mpix, sha256, notes)
    except AstridError as error:
        told = tuple(map(readable, notes))
        return IngestOutcome(source.name, sha256, "failed", error=error, notes=told)
    return IngestOutcome(
        source.name, sha256, "completed", records, notes=tuple(map(readable, notes))
    )


def _sha256(source: SourceFile) -> str:
    try:
        return sha256_file(source.path)
    except OSError as error:
        raise BadFitsError(
            f"{source.name} cannot be read: {error.strerror or error}.",
            remedy="Check that the file still exists and may be read.",
        ) from error


def _observations(
    source: SourceFile,
    config: SurveyConfig,
    night: dt.date,
    max_frame_mpix: float,
    sha256: str,
    notes: list[str],
) -> tuple[ObservationRecord, ...]:
    """Records of every sky image of a file; ``notes`` takes what was skipped and why."""
    images = {image.index: image for image in image_hdus(source.path, max_frame_mpix)}
    assumed = _check_integrity(source, config, max_frame_mpix, notes)
    records = []
    refusals: list[NotAnImageError] = []
    for read, pixels in read_images(source.path, images, max_frame_mpix):
        image = images[read.index]
        try:
            _require_sky(pixels, f"{source.name}: HDU {image.index}")
            if image.unreadable:
                cards = _shown(image.unreadable)
                notes.append(f"{source.name}: HDU {image.index} has unreadable cards: {cards}.")
            records.append(_record(source, config, night, image, len(images) > 1, sha256, assumed))
        except NotAnImageError as error:
            refusals.append(error)
            notes.append(str(error))
    if not records:
        raise refusals[0]
    return tuple(records)


def _shown(keywords: Sequence[str]) -> str:
    """Some keywords, as people may read them."""
    shown = ", ".join(plain_text(keyword) for keyword in keywords[:_MOST_SHOWN])
    more = len(keywords) - _MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _check_integrity(
    source: SourceFile, config: SurveyConfig, max_frame_mpix: float, notes: list[str]
) -> tuple[str, ...]:
    """Verify checksums; where the survey ignores them, name them as assumed."""
    try:
        verify_sums(source.path, max_frame_mpix)
    except BadFitsError as error:
        if config.folder is None or config.folder.checksums == "verify":
            raise
        notes.append(error.message)
        return ("checksums",)
    return ()


def _require_sky(pixels: NDArray[np.float32], what: str) -> None:
    """Refuse images without a finite pixel, constant ones and two-valued masks."""
    finite = np.isfinite(pixels)
    if not finite.any():
        raise NotAnImageError(
            f"{what} has no finite pixel.", remedy="Nothing to do; there is no image in it."
        )
    low = np.min(pixels, where=finite, initial=np.inf)
    high = np.max(pixels, where=finite, initial=-np.inf)
    if bool(np.all((pixels == low) | (pixels == high) | ~finite)):
        raise NotAnImageError(
            f"{what} has no more than two different pixel values: a mask or an empty image.",
            remedy="Nothing to do if this is right.",
            values=sorted({float(low), float(high)}),
        )


def _record(
    source: SourceFile,
    config: SurveyConfig,
    night: dt.date,
    image: ImageInfo,
    is_one_of_many: bool,
    sha256: str,
    assumed: tuple[str, ...],
) -> ObservationRecord:
    """Record of one image: what its header says, and the names of what it does not."""
    archive_id = f"{source.name}[{image.tag}]" if is_one_of_many else source.name
    reader = HeaderReader(image.header, config.keywords, archive_id)
    kind, kind_is_stated = frame_kind(reader)
    if kind not in _SKY_KINDS:
        raise NotAnImageError(
            f"{archive_id} is not a sky image: its header calls it '{kind}'.",
            remedy="Nothing to do if this is right; else map frame_kind in its survey.",
        )
    exposure_s = reader.number("exposure")
    exposure_s = None if exposure_s is not None and exposure_s < 0 else exposure_s
    time = exposure_time(reader, exposure_s)
    position = sky_position(image.header, image.shape) if kind == "science" else None
    detector = reader.text("detector") or (image.tag if is_one_of_many else "")
    field, field_is_stated = _field(source, reader, kind, position)
    electronics = _electronics(reader)
    return ObservationRecord(
        id=observation_id(config.name, archive_id),
        survey=config.name,
        archive_id=archive_id,
        night=night,
        field=f"{field}:{detector}" if is_one_of_many and kind == "science" else field,
        frame_kind=kind,
        ra=position.ra if position else None,
        dec=position.dec if position else None,
        healpix=position.healpix if position else None,
        footprint=[list(corner) for corner in position.footprint] if position else None,
        observation_time=time.mid_utc,
        mjd_tai=time.mid_mjd_tai,
        filter_band=reader.text("filter_band") or UNKNOWN,
        exposure_s=exposure_s,
        **electronics,
        zero_point_mag=_zero_point(reader, electronics["unit"], exposure_s),
        instrument=reader.text("instrument") or "",
        detector=detector,
        width_pix=image.shape[1],
        height_pix=image.shape[0],
        assumed=sorted(
            {
                *assumed,
                *([] if kind_is_stated else ["frame_kind"]),
                *([] if field_is_stated else ["field"]),
                *_unstated(reader, kind, exposure_s, time, electronics),
                *_unsure_night(config, time),
                *_unsure_linearity(config, image.header, electronics["unit"]),
            }
        ),
        raw_hdu=image.index,
        raw_sha256=sha256,
    )


def _field(
    source: SourceFile, reader: HeaderReader, kind: str, position: SkyPosition | None
) -> tuple[str, bool]:
    """Field of an image and whether header, survey or sky state it."""
    if kind != "science":
        return kind, True
    name = field_name(reader) or source.field
    if name is not None:
        return name, True
    if position is not None:
        return sky_tile(position), True
    return UNKNOWN, False


def _electronics(reader: HeaderReader) -> dict[str, Any]:
    """Unit, gain, read noise and saturation; None where nothing states them."""
    unit = pixel_unit(reader)
    gain = reader.positive("gain")
    return {
        "gain_e_adu": 1.0 if gain is None and unit == "electron" else gain,
        "read_noise_e": reader.positive("read_noise"),
        "saturation_adu": reader.positive("saturation"),
        "unit": unit or "adu",
    }


def _zero_point(reader: HeaderReader, unit: str, exposure_s: float | None) -> float | None:
    """AB magnitude of one raw unit, by statement or by the unit's own definition."""
    stated = reader.positive("zero_point")
    if stated is None:
        per_second = reader.positive("zero_point_per_s")
        if per_second is not None and exposure_s:
            stated = per_second + 2.5 * math.log10(exposure_s)
    if stated is not None and stated <= _FAINTEST_ZERO_POINT_MAG:
        return stated
    return NANOMAGGY_ZERO_POINT_MAG if unit == "nanomaggy" else None


def _unstated(
    reader: HeaderReader,
    kind: str,
    exposure_s: float | None,
    time: ExposureTime,
    electronics: dict[str, Any],
) -> list[str]:
    """Names of the columns nothing states, where the kind of frame has them at all."""
    names = [name for name, value in electronics.items() if value is None]
    if electronics["unit"] == "density":
        names = []  # a photographic plate has no gain to assume
    if pixel_unit(reader) is None:
        names.append("unit")
    if time.mid_utc is None or time.is_start:
        names.append("observation_time")
    if exposure_s is None and kind != "bias":
        names.append("exposure_s")
    if kind in ("science", "flat") and reader.text("filter_band") is None:
        names.append("filter_band")
    return names


def _unsure_night(config: SurveyConfig, time: ExposureTime) -> list[str]:
    """The night is assumed where neither configuration nor a full time decides it."""
    is_configured = config.nights is None or config.nights.all is not None
    is_decided = time.mid_utc is not None or (
        time.date is not None and config.longitude_deg is None
    )
    return [] if is_configured or is_decided else ["night"]


def _unsure_linearity(config: SurveyConfig, header: fits.Header, unit: str) -> list[str]:
    """Linearity is assumed of plates, of images for display and of rescaled values."""
    if config.is_display_only or unit == "density":
        return [LINEARITY]
    if is_asinh(header):
        return [LINEARISED if can_be_linearised(header) else LINEARITY]
    return []
