"""Cutouts: what people are shown of each candidate and each U-Net component."""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal
from uuid import UUID

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.errors import BadFitsError, ObjectCorruptError
from astrid_core.flags import PixelFlag
from astrid_core.frame import FIXED_CHECKSUM_DATE, Frame, native, open_hdus, write_hdus

F32 = NDArray[np.float32]

PLANES = ("science", "reference", "difference", "scorr")
"""Planes of a triplet in their order; S_corr comes along as a fourth."""

_HEAD_BYTES = 8 * 2880
"""Both headers before the cutouts, with room to spare."""

_REMEDY = "Re-materialize the candidates or detections that wrote it."


def cut_triplets(
    difference: DifferenceImage,
    science: Frame,
    x_pix: NDArray[np.floating],
    y_pix: NDArray[np.floating],
    half_width: int = 31,
) -> F32:
    """Cut science, reference, D and S_corr around positions.

    Parameters
    ----------
    x_pix, y_pix
        (n,) positions; a cutout is centred on the nearest pixel.

    Returns
    -------
    (n, 4, 2·half_width + 1, 2·half_width + 1) float32, planes in the order of ``PLANES``,
    NaN outside the frame and where there is no data.
    """
    missing = (difference.mask & np.uint16(PixelFlag.NODATA)) != 0
    side = 2 * half_width + 1
    stack = np.full((len(x_pix), len(PLANES), side, side), np.nan, dtype=np.float32)
    images = (science.data, difference.reference, difference.difference, difference.scorr)
    ny, nx = difference.shape
    for index, (x, y) in enumerate(zip(x_pix, y_pix, strict=True)):
        left, low = round(float(x)) - half_width, round(float(y)) - half_width
        rows = slice(max(0, low), max(0, min(ny, low + side)))
        columns = slice(max(0, left), max(0, min(nx, left + side)))
        there = (
            slice(rows.start - low, rows.stop - low),
            slice(columns.start - left, columns.stop - left),
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        for plane, image in enumerate(images):
            cut = image[rows, columns]
            gone = missing[rows, columns] if plane else ~np.isfinite(cut)
            stack[(index, plane, *there)] = np.where(gone, np.float32(np.nan), cut)
    return stack


def write_cutouts(
    stack: F32,
    ids: Sequence[UUID],
    path: Path,
    provenance: dict[str, str] | None = None,
    of: Literal["candidate", "detection"] = "candidate",
) -> None:
    """Write the cutouts of one difference image as FITS of reproducible bytes.

    Parameters
    ----------
    stack
        From :func:`cut_triplets`.
    ids
        Whose cutouts they are, in the stack's order.
    provenance
        Extra primary cards (keyword of up to 8 characters → text).
    of
        Whose ids these are; the column of ids says so.

    Raises
    ------
    ValueError
        If there is not one id per cutout.
    """
    if len(ids) != len(stack):
        raise ValueError(f"{len(stack)} cutouts but {len(ids)} ids")
    primary = fits.PrimaryHDU()
    primary.header["PLANES"] = ",".join(PLANES)
    primary.header.update(provenance or {})
    column = fits.Column(name=f"{of}_id", format="36A", array=[str(one) for one in ids])
    table = fits.BinTableHDU.from_columns([column], name="IDS")
    write_hdus(fits.HDUList([primary, fits.ImageHDU(stack, name="CUTOUTS"), table]), path)


def read_cutouts(path: Path) -> tuple[F32, list[UUID]]:
    """Read cutouts and the ids of what they show, written by :func:`write_cutouts`.

    Raises
    ------
    BadFitsError
        If the file is not one or a checksum does not hold.
    """
    with open_hdus(path) as hdus:
        if "CUTOUTS" not in hdus or "IDS" not in hdus:
            raise BadFitsError(
                f"{path} holds no cutouts",
                remedy=_REMEDY,
            )
        stack = native(hdus["CUTOUTS"].data, np.float32)
        return stack, [UUID(text) for text in hdus["IDS"].data.field(0)]


def read_one_cutout(read: Callable[[int, int], bytes], index: int, sha256: str) -> F32:
    """Read one of the cutouts of a file without the others.

    Parameters
    ----------
    read
        Gives so many bytes of the file from a position on, fewer where it ends.
    index
        Of the cutout in the file.
    sha256
        Of its pixels, as recorded when it was cut.

    Returns
    -------
    (4, n, n) float32, planes in the order of ``PLANES``.

    Raises
    ------
    BadFitsError
        If the file holds no cutouts.
    ObjectCorruptError
        If the pixels are not those that were cut.
    """
    start, shape = _find_stack(read(0, _HEAD_BYTES))
    n_bytes = int(np.prod(shape)) * np.dtype(">f4").itemsize
    pixels = read(start + index * n_bytes, n_bytes)
    if len(pixels) == n_bytes:
        cutout = np.frombuffer(pixels, ">f4").reshape(shape).astype(np.float32)
        if cutout_sha256(cutout) == sha256:
            return cutout
    raise ObjectCorruptError(
        f"Cutout {index} is not what was cut: its pixels' SHA-256 is not {sha256}.",
        remedy=_REMEDY,
    )


def cutout_sha256(cutout: F32) -> str:
    """SHA-256 of a cutout's pixels, by which a verdict names what was shown."""
    return hashlib.sha256(cutout.tobytes()).hexdigest()


def cutout_fits(cutout: F32, detection: UUID) -> bytes:
    """One detection's cutout as a FITS file of reproducible bytes, an image of all planes."""
    hdu = fits.PrimaryHDU(cutout)
    hdu.header["PLANES"] = ",".join(PLANES)
    hdu.header["DETID"] = str(detection)
    hdu.add_checksum(when=FIXED_CHECKSUM_DATE)
    buffer = io.BytesIO()
    hdu.writeto(buffer)
    return buffer.getvalue()


def _find_stack(head: bytes) -> tuple[int, tuple[int, ...]]:
    """Where the cutouts of a file begin, and the shape of one, from the file's first bytes."""
    try:
        primary = fits.Header.fromfile(io.BytesIO(head))
        start = len(primary.tostring())
        image = fits.Header.fromfile(io.BytesIO(head[start:]))
        if image["EXTNAME"] != "CUTOUTS" or image["BITPIX"] != -32:
            raise KeyError("CUTOUTS")
        shape = tuple(int(image[f"NAXIS{axis}"]) for axis in (3, 2, 1))
    except (OSError, EOFError, KeyError, ValueError) as error:
        raise BadFitsError(
            "A file holds no cutouts where the database says it does.",
            remedy=_REMEDY,
        ) from error
    return start + len(image.tostring()), shape
