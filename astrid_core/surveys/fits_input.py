"""Guarded FITS input: which images a file holds, and their pixels.

What belongs here: telling sky images from everything else FITS can hold, and reading one.
What does not: what the header says about the exposure (``ingest``).
"""

import io
import re
import warnings
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrid_core.errors import AstridError, BadFitsError, FrameTooLargeError, NotAnImageError
from astrid_core.surveys.asinh import linearised
from astrid_core.surveys.fits_layout import (
    BLOCK_BYTES,
    BYTES_PER_PIXEL,
    HduLayout,
    open_stream,
    read_data,
    walk,
)
from astrid_core.surveys.fits_tiles import (
    check_table,
    check_tiles,
    image_header,
    is_tile_compressed,
    tile_pixels,
)

F32 = NDArray[np.float32]

MIN_SIDE_PIX = 8
"""Images narrower than this hold no measurable sky."""
MAX_IMAGES = 256
"""Sky images of one file; the largest mosaic cameras have 189."""

_SCIENCE_NAMES = frozenset({"SCI", "SCIENCE", "IMAGE"})
_COMPANION_NAME = re.compile(
    r"(VAR|VARIANCE|WHT|WGT|WEIGHT|IVAR|INVVAR|DQ|DQMASK|ERR|ERROR|SIGMA|RMS|MASK|MSK|BPM|FLAGS?|"
    r"CON|CTX|CONTEXT|AREA|EXP|BKG|BACKGROUND|OOW|OOD|WCSDVARR|D2IMARR|.*[._ ](MASK|WEIGHT|VAR))"
    r"([_ ].*|\d*)",
    re.IGNORECASE,
)
_COMPANION_FILE = re.compile(
    r"(?:^|[_.\- ])(bpm|badpix\w*|dq|dqmask|ood|oow|wht|weights?|wtmap|ivar|invvar|mask)"
    r"(?=[_.\- ]|$)",
    re.IGNORECASE,
)
_SOUND_NAME = re.compile(r"[A-Za-z0-9_.+\- ]{1,40}")
_NOT_INHERITED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|CHECKSUM|"
    r"DATASUM|EXTNAME|EXTVER|EXTLEVEL|INHERIT|NEXTEND|END|COMMENT|HISTORY|"
    r"WCSAXES.?|C(TYPE|RVAL|RPIX|DELT|UNIT|ROTA)\d.?|(CD|PC|PV|PS)\d+_\d+.?|LONPOLE.?|LATPOLE.?|"
    r"[AB]P?_(ORDER|\d_\d|DMAX)"
)


@dataclass(frozen=True)
class ImageInfo:
    """A sky image inside a FITS file, known from headers alone.

    Attributes
    ----------
    index
        HDU index; 0 is the primary.
    tag
        ``SCI,1`` (EXTNAME, EXTVER) where no other image of the file is called so, else the
        index: how the HDU is named in archive ids.
    shape
        (ny, nx).
    header
        The image's header, gaps filled from the primary header (WCS and structure never).
    unreadable
        Keywords of cards that had to be left out.
    """

    index: int
    tag: str
    shape: tuple[int, int]
    header: fits.Header
    unreadable: tuple[str, ...] = ()


def image_hdus(path: Path, max_frame_mpix: float) -> list[ImageInfo]:
    """Sky images of a file, from headers alone.

    Extensions named SCI or IMAGE where there are any; else every two-dimensional image
    that is not named as a companion (variance, weight, mask, ...).

    Parameters
    ----------
    path
        Plain, ``.gz`` or ``.bz2`` FITS, tile-compressed or not, with any extensions.
    max_frame_mpix
        Largest image accepted, 10^6 pixels.

    Raises
    ------
    BadFitsError
        If the file is not FITS or is truncated.
    NotAnImageError
        If it is intact but holds no sky image; the message says what it holds.
    FrameTooLargeError
        If an image, or the file as a whole, exceeds the limit.
    """
    found: list[ImageInfo] = []
    refused: list[str] = []
    primary: fits.Header | None = None
    _refuse_companion_file(path)
    with open_stream(path) as stream:
        for layout in walk(stream, path.name, max_frame_mpix):
            header = image_header(layout.header)
            primary = header if primary is None else primary
            why_not = _why_not_an_image(layout, header)
            if why_not:
                refused.append(f"HDU {layout.index} {why_not}")
                continue
            info = _image_info(layout, header, primary)
            _check_size(info, layout, path.name, max_frame_mpix)
            found.append(info)
            if len(found) > MAX_IMAGES:
                raise BadFitsError(
                    f"{path.name} holds more than {MAX_IMAGES} images.", remedy="Split the file."
                )
    named = [info for info in found if _name(info.header).upper() in _SCIENCE_NAMES]
    if not found:
        raise NotAnImageError(
            f"{path.name} holds no sky image: {'; '.join(refused)}.",
            remedy="Nothing to do if this is right; else exclude it, or name its image SCI.",
        )
    return _told_apart(named or found)


def primary_header(path: Path, max_frame_mpix: float) -> fits.Header:
    """Primary header of any FITS file, image or not.

    Raises
    ------
    BadFitsError
        If the file is not FITS.
    """
    with open_stream(path) as stream:
        return next(walk(stream, path.name, max_frame_mpix)).header


def read_image(path: Path, hdu: int, max_frame_mpix: float) -> tuple[F32, fits.Header]:
    """Pixels of one image, scaled, and its header.

    Parameters
    ----------
    hdu
        Index as in :class:`ImageInfo`.

    Returns
    -------
    data : (ny, nx) float32
        BSCALE and BZERO applied, an asinh scaling undone; NaN where BLANK or NaN.
    header
        As :attr:`ImageInfo.header`.

    Raises
    ------
    BadFitsError
        If the file has no such image or it cannot be decoded.
    FrameTooLargeError
        If the image exceeds ``max_frame_mpix``, or a compressed tile what it should hold.
    """
    for info, data in read_images(path, {hdu}, max_frame_mpix):
        return data, info.header
    raise BadFitsError(
        f"{path.name} has no HDU {hdu}.", remedy="Ingest the file again; it has changed."
    )


def read_images(
    path: Path, hdus: Container[int], max_frame_mpix: float
) -> Iterator[tuple[ImageInfo, F32]]:
    """Images of one file in order, as :func:`read_image` reads one; the file is read once.

    Raises
    ------
    BadFitsError, FrameTooLargeError
        As :func:`read_image` does, when the image's turn comes.
    """
    primary: fits.Header | None = None
    with open_stream(path) as stream:
        for layout in walk(stream, path.name, max_frame_mpix):
            if primary is not None and layout.index not in hdus:
                continue
            header = image_header(layout.header)
            primary = header if primary is None else primary
            if layout.index not in hdus:
                continue
            what = f"{path.name}: HDU {layout.index}"
            why_not = _why_not_an_image(layout, header)
            if why_not:
                raise NotAnImageError(f"{what} {why_not}.", remedy="Ingest the file again.")
            info = _image_info(layout, header, primary)
            _check_size(info, layout, path.name, max_frame_mpix)
            content = layout.header_bytes + read_data(stream, layout, path.name)
            yield info, linearised(_decode(content, info, what), info.header)


# --- what an HDU is -----------------------------------------------------------------------


def _refuse_companion_file(path: Path) -> None:
    match = _COMPANION_FILE.search(path.name)
    if match:
        raise NotAnImageError(
            f"{path.name} is a mask or weight map by its name ('{match[1]}'), not a sky image.",
            remedy="Nothing to do if this is right; else rename the file.",
        )


def _why_not_an_image(layout: HduLayout, header: fits.Header) -> str | None:
    """Why an HDU is not a sky image ('is a table'); None if it may be one."""
    if header.get("GROUPS") is True and header["NAXIS"] and not header["NAXIS1"]:
        return "holds random groups (visibilities)"
    if not _is_image(layout):
        return "is a table"
    axes = [int(header[f"NAXIS{axis + 1}"]) for axis in range(int(header["NAXIS"]))]
    if not axes or 0 in axes:
        return "is empty"
    if any(length > 1 for length in axes[2:]):
        return f"is a cube ({' × '.join(map(str, axes))}), only two-dimensional images are used"
    if len(axes) == 1:
        return "is one-dimensional"
    if min(axes[:2]) < MIN_SIDE_PIX:
        return f"is too small to hold sky ({axes[0]} × {axes[1]} px)"
    if layout.index and _COMPANION_NAME.fullmatch(_name(header)):
        return f"is a companion plane ('{_name(header)}')"
    return None


def _is_image(layout: HduLayout) -> bool:
    return (
        layout.index == 0
        or is_tile_compressed(layout.header)
        or str(layout.header.get("XTENSION", "")).strip() in ("IMAGE", "IUEIMAGE")
    )


def _image_info(layout: HduLayout, header: fits.Header, primary: fits.Header) -> ImageInfo:
    return ImageInfo(
        index=layout.index,
        tag=_tag(layout),
        shape=_shape(header),
        header=_inherit(header, primary, layout.index),
        unreadable=layout.unreadable,
    )


def _shape(header: fits.Header) -> tuple[int, int]:
    return int(header["NAXIS2"]), int(header["NAXIS1"])


def _name(header: fits.Header) -> str:
    return str(header.get("EXTNAME", "")).strip()


def _tag(layout: HduLayout) -> str:
    name, version = _name(layout.header), layout.header.get("EXTVER", 1)
    is_sound = _SOUND_NAME.fullmatch(name) and isinstance(version, int)
    return f"{name},{version}" if is_sound and layout.index else str(layout.index)


def _told_apart(images: list[ImageInfo]) -> list[ImageInfo]:
    """Images of a file, those of one name by their indices."""
    counts = Counter(image.tag for image in images)
    return [
        replace(image, tag=str(image.index)) if counts[image.tag] > 1 else image for image in images
    ]


def _inherit(header: fits.Header, primary: fits.Header, index: int) -> fits.Header:
    """Header with its gaps filled from the primary's (FITS standard appendix K)."""
    if index == 0:
        return header
    seen = {"", *header}
    inherited = []
    for card in primary.cards:
        if card.keyword not in seen and not _NOT_INHERITED.fullmatch(card.keyword):
            inherited.append(card)
            seen.add(card.keyword)
    return fits.Header([*header.cards, *inherited])  # at once: appending takes ever longer


# --- limits -------------------------------------------------------------------------------


def _check_size(info: ImageInfo, layout: HduLayout, name: str, max_frame_mpix: float) -> None:
    n_pixels = info.shape[0] * info.shape[1]
    limit = int(max_frame_mpix * 1e6)
    tiles = 0
    if is_tile_compressed(layout.header):
        check_table(layout.header, f"{name}: HDU {info.index}")
        tiles = tile_pixels(layout.header)
    # A compressed image is rarely larger than the image; twice its size is no image.
    stored = layout.data_bytes // (2 * BYTES_PER_PIXEL)
    if max(n_pixels, tiles, stored) > limit:
        raise FrameTooLargeError(
            f"{name}: HDU {info.index} is larger than ASTRID_MAX_FRAME_MPIX allows.",
            remedy="Raise ASTRID_MAX_FRAME_MPIX if this image is genuine.",
            width_pix=info.shape[1],
            height_pix=info.shape[0],
            max_frame_mpix=max_frame_mpix,
        )


# --- pixels -------------------------------------------------------------------------------

_EMPTY_PRIMARY = b"".join(
    card.ljust(80)
    for card in (
        b"SIMPLE  =                    T",
        b"BITPIX  =                    8",
        b"NAXIS   =                    0",
        b"EXTEND  =                    T",
        b"END",
    )
).ljust(BLOCK_BYTES)


def _decode(content: bytes, info: ImageInfo, what: str) -> F32:
    """Pixels from the bytes of one HDU."""
    stored = content if info.index == 0 else _EMPTY_PRIMARY + content
    number = 0 if info.index == 0 else 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # header conformance is not the pixels' matter
            if number and content.startswith(b"XTENSION= 'BINTABLE'"):
                with fits.open(io.BytesIO(stored), disable_image_compression=True) as tables:
                    check_tiles(tables[number], what)
            # uint=False: unsigned 16-bit data becomes float32 with BLANK as NaN.
            with fits.open(io.BytesIO(stored), memmap=False, uint=False) as hdus:
                data: NDArray[Any] = hdus[number].data
    except AstridError:
        raise
    except Exception as error:
        raise BadFitsError(
            f"{what} cannot be decoded: {error}.",
            remedy="Fetch the file again; it is damaged.",
        ) from error
    if data is None or data.size != info.shape[0] * info.shape[1]:
        raise BadFitsError(
            f"{what} does not hold the image its header announces.",
            remedy="Fetch the file again; it is damaged.",
        )
    with np.errstate(over="ignore", invalid="ignore"):  # float64 beyond float32 becomes inf
        return np.ascontiguousarray(data.reshape(info.shape), dtype=np.float32)
