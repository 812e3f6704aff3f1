"""The one image type: pixels with variance, mask, PSF, WCS and what is known about them."""

import datetime as dt
import io
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from astrid_core.errors import BadFitsError
from astrid_core.psf import Psf

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]

STAR_DTYPE = np.dtype(
    [
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("flux", "f8"),
        ("flux_err", "f8"),
        ("fwhm_pix", "f4"),
        ("ellipticity", "f4"),
        ("peak", "f4"),
        ("is_star", "i2"),
    ]
)
"""Catalogue of a frame's sources, brightest first. ``is_star``: clean, round, isolated."""

FIXED_CHECKSUM_DATE = "1970-01-01T00:00:00"
"""astropy writes the time of writing beside CHECKSUM; the same inputs must give the same bytes."""


@dataclass(frozen=True)
class FrameMeta:
    """What is known about a frame besides its pixels.

    Attributes
    ----------
    observation_time
        UTC of mid-exposure; None where the archive does not say.
    unit
        ``electron``, or the data's own unit where the gain is unknowable.
    source_gain
        Electrons per data unit, for the photon noise of sources: 1 for a frame in
        electrons, larger for a coadd. 0 where photon noise cannot be known.
    read_noise
        Rms per pixel in data units.
    saturation
        In data units; None where unknown.
    zero_point_mag
        AB magnitude of one data unit (total), None where uncalibrated.
    assumed
        Names of the values that had to be assumed because nothing stated them.
    """

    observation_id: UUID
    survey: str
    night: dt.date
    field: str
    filter_band: str
    observation_time: dt.datetime | None
    exposure_s: float | None
    instrument: str = ""
    detector: str = ""
    unit: str = "electron"
    source_gain: float = 1.0
    read_noise: float = 0.0
    saturation: float | None = None
    zero_point_mag: float | None = None
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """A background-subtracted image with everything needed to measure on it.

    Attributes
    ----------
    data
        (ny, nx) float32, background subtracted, in ``meta.unit``.
    variance
        (ny, nx) float32, unit²: sky and read noise only. The photon noise of sources is
        ``max(data, 0) / meta.source_gain`` on top, kept apart because difference imaging
        predicts it from the reference.
    mask
        (ny, nx) uint16 of :class:`~astrid_core.flags.PixelFlag` bits.
    psf
        Measured on this frame's own stars.
    wcs
        Celestial WCS, None where there is none to trust.
    stars
        Source catalogue of ``STAR_DTYPE``.
    sky
        Median of the subtracted background, data units.
    """

    data: F32
    variance: F32
    mask: U16
    psf: Psf
    meta: FrameMeta
    wcs: WCS | None = None
    stars: NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=STAR_DTYPE))
    sky: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        ny, nx = self.data.shape
        return ny, nx


# --- FITS in and out ----------------------------------------------------------------------


def write_frame(frame: Frame, path: Path, provenance: dict[str, str] | None = None) -> None:
    """Write a frame as FITS whose bytes depend on nothing but its content.

    Parameters
    ----------
    provenance
        Extra primary cards (keyword of up to 8 characters → text), such as the run id.
    """
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(header=meta_header(frame.meta, provenance)),
            image_hdu("SCI", frame.data, frame.wcs, BUNIT=frame.meta.unit, SKY=frame.sky),
            image_hdu("VAR", frame.variance),
            image_hdu("MASK", frame.mask),
            psf_hdu(frame.psf),
            fits.BinTableHDU(frame.stars, name="STARS"),
        ]
    )
    write_hdus(hdus, path)


def read_frame(path: Path, *, is_verified: bool = False) -> Frame:
    """Read a frame written by :func:`write_frame`.

    Parameters
    ----------
    is_verified
        Whether its bytes were compared with their SHA-256: its own checksums prove no more.

    Raises
    ------
    BadFitsError
        If the file is not such a frame or a checksum does not hold.
    """
    with open_hdus(path, is_verified=is_verified) as hdus:
        sci = hdus["SCI"]
        return Frame(
            data=native(sci.data, np.float32),
            variance=native(hdus["VAR"].data, np.float32),
            mask=native(hdus["MASK"].data, np.uint16),
            psf=read_psf(hdus["PSF"]),
            meta=read_meta(hdus[0].header),
            wcs=read_wcs(sci.header),
            stars=np.array(hdus["STARS"].data, dtype=STAR_DTYPE),
            sky=float(sci.header["SKY"]),
        )


def write_hdus(hdus: fits.HDUList, path: Path) -> None:
    """Write HDUs with CHECKSUM and DATASUM and no wall-clock value."""
    for hdu in hdus:
        hdu.add_checksum(when=FIXED_CHECKSUM_DATE)
    hdus.writeto(path, overwrite=True, output_verify="exception")


def open_hdus(source: Path | bytes, *, is_verified: bool = False) -> fits.HDUList:
    """Open one of our own FITS files, verifying its checksums unless it is verified already.

    Raises
    ------
    BadFitsError
        If it is unreadable or any checksum does not hold.
    """
    name = str(source) if isinstance(source, Path) else "object"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", fits.verify.VerifyWarning)
            warnings.filterwarnings("error", message="Checksum verification failed")
            warnings.filterwarnings("error", message="Datasum verification failed")
            target = io.BytesIO(source) if isinstance(source, bytes) else source
            hdus = fits.open(target, checksum=not is_verified, memmap=False)
            for hdu in hdus:
                _ = hdu.data
            return hdus
    except (OSError, UserWarning, TypeError, ValueError) as error:
        raise BadFitsError(
            f"{name} is not a readable AstrID FITS file: {error}",
            remedy="Re-materialize the partition that wrote it.",
        ) from error


def image_hdu(
    name: str, data: NDArray[Any], wcs: WCS | None = None, **cards: float | str
) -> fits.ImageHDU:
    """Image HDU with a WCS and extra cards."""
    header = fits.Header()
    if wcs is not None:
        header.update(wcs.to_header(relax=True))
    for keyword, value in cards.items():
        header[keyword] = _spelled(value)
    return fits.ImageHDU(data, header=header, name=name)


def psf_hdu(psf: Psf, name: str = "PSF") -> fits.ImageHDU:
    """PSF as an image HDU of shape (n_terms, n, n)."""
    return image_hdu(
        name,
        psf.terms,
        ORDER=psf.order,
        FRAMENX=psf.shape[1],
        FRAMENY=psf.shape[0],
        FWHM=psf.fwhm_pix,
        ELLIPTIC=psf.ellipticity,
        NSTARS=psf.n_stars,
        FALLBACK=psf.is_fallback,
    )


def read_psf(hdu: fits.ImageHDU) -> Psf:
    """PSF from an HDU made by :func:`psf_hdu`."""
    header = hdu.header
    return Psf(
        terms=native(hdu.data, np.float32),
        order=int(header["ORDER"]),
        shape=(int(header["FRAMENY"]), int(header["FRAMENX"])),
        fwhm_pix=float(header["FWHM"]),
        ellipticity=float(header["ELLIPTIC"]),
        n_stars=int(header["NSTARS"]),
        is_fallback=bool(header["FALLBACK"]),
    )


def read_wcs(header: fits.Header) -> WCS | None:
    """Celestial WCS of a header of ours, None where it has none."""
    if "CTYPE1" not in header:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


_META_CARDS: tuple[tuple[str, str], ...] = (
    ("SURVEY", "survey"),
    ("FIELD", "field"),
    ("FILTER", "filter_band"),
    ("INSTRUME", "instrument"),
    ("DETECTOR", "detector"),
    ("UNIT", "unit"),
    ("SRCGAIN", "source_gain"),
    ("RDNOISE", "read_noise"),
    ("EXPTIME", "exposure_s"),
    ("SATURATE", "saturation"),
    ("MAGZERO", "zero_point_mag"),
)


def meta_header(meta: FrameMeta, provenance: dict[str, str] | None = None) -> fits.Header:
    """Primary header that carries a frame's meta; unknown values have no card."""
    header = fits.Header()
    header["OBSID"] = str(meta.observation_id)
    header["NIGHT"] = meta.night.isoformat()
    if meta.observation_time is not None:
        header["DATE-AVG"] = meta.observation_time.astimezone(dt.UTC).isoformat()
    for card, name in _META_CARDS:
        value = getattr(meta, name)
        if value is not None:
            header[card] = _spelled(value)
    header["ASSUMED"] = ",".join(meta.assumed)
    header.update(provenance or {})
    return header


def read_meta(header: fits.Header) -> FrameMeta:
    """Meta from a primary header made by :func:`meta_header`."""
    time = header.get("DATE-AVG")
    assumed = str(header["ASSUMED"])
    return FrameMeta(
        observation_id=UUID(header["OBSID"]),
        night=dt.date.fromisoformat(header["NIGHT"]),
        observation_time=None if time is None else dt.datetime.fromisoformat(time),
        assumed=tuple(assumed.split(",")) if assumed else (),
        **{name: _read(header.get(card)) for card, name in _META_CARDS},
    )


def _spelled(value: Any) -> Any:
    """A card's value, a text in the ASCII that cards take, as JSON spells it."""
    return json.dumps(value)[1:-1] if isinstance(value, str) else value


def _read(value: Any) -> Any:
    """A card's value; a text as it was before it was spelled."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(f'"{value}"')
    except ValueError:  # of a file of former versions, which held texts as they were
        return value


def native(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Contiguous array in native byte order and the asked type."""
    return np.ascontiguousarray(array, dtype=dtype)
