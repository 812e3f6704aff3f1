"""Tile-compressed images: the image behind the table, and tiles that are bombs.

What belongs here: reading a compressed image's headers and checking its tiles. What does
not: decompressing them (``astropy.io.fits`` does).
"""

import re
import zlib

import numpy as np
from astropy.io import fits

from astrid_core.errors import BadFitsError, FrameTooLargeError
from astrid_core.surveys.fits_layout import BYTES_PER_PIXEL

_MAX_COLUMNS = _MAX_AXES = 999
"""By the standard."""
_STRUCTURAL = re.compile(r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT")
_TABLE_ONLY = re.compile(
    r"TFIELDS|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|BCOL|DIM)\d+|THEAP|Z(IMAGE|SIMPLE|TENSION|"
    r"BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|MASKCMP|QUANTIZ|DITHER0|BLANK|EXTEND|BLOCKED|"
    r"PCOUNT|GCOUNT|HECKSUM|DATASUM)"
)


def is_tile_compressed(header: fits.Header) -> bool:
    """Whether a header is that of a table that holds a compressed image."""
    return header.get("ZIMAGE") is True


def image_header(header: fits.Header) -> fits.Header:
    """Header of the image itself: for a tile-compressed one, without its table.

    Raises
    ------
    BadFitsError
        If a compressed image does not state its dimensions.
    """
    if not is_tile_compressed(header):
        return header
    axes = range(1, _n_axes(header) + 1)
    shape = [
        fits.Card("BITPIX", _whole(header, "ZBITPIX")),
        fits.Card("NAXIS", len(axes)),
        *(fits.Card(f"NAXIS{axis}", _whole(header, f"ZNAXIS{axis}")) for axis in axes),
    ]
    others = [
        card
        for card in header.cards
        if not _STRUCTURAL.fullmatch(card.keyword) and not _TABLE_ONLY.fullmatch(card.keyword)
    ]
    return fits.Header([*shape, *others])  # at once: appending takes longer with each card


def check_table(header: fits.Header, what: str) -> None:
    """Refuse a compressed image whose table astropy would build from impossible numbers.

    astropy allocates ``TFIELDS`` columns and ``NAXIS2`` rows before it looks at the data.

    Raises
    ------
    BadFitsError
        Naming ``what`` the table is part of.
    """
    n_columns, width_bytes = _whole(header, "TFIELDS"), _whole(header, "NAXIS1")
    if not (1 <= n_columns <= _MAX_COLUMNS and width_bytes):
        raise BadFitsError(
            f"{what} states an impossible table of compressed tiles.",
            remedy="Fetch the file again; it is damaged.",
            n_columns=n_columns,
            row_bytes=width_bytes,
        )


def _n_axes(header: fits.Header) -> int:
    number = _whole(header, "ZNAXIS")
    if number > _MAX_AXES:
        raise BadFitsError(
            "A tile-compressed image states an impossible ZNAXIS.",
            remedy="Fetch the file again; it is damaged.",
            value=number,
        )
    return number


def _whole(header: fits.Header, keyword: str) -> int:
    try:
        number = int(header[keyword])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadFitsError(
            f"A tile-compressed image does not state {keyword}.",
            remedy="Fetch the file again; it is damaged.",
        ) from error
    if number < 0 and keyword != "ZBITPIX":  # floating-point types are negative
        raise BadFitsError(
            f"A tile-compressed image states an impossible {keyword}.",
            remedy="Fetch the file again; it is damaged.",
            value=number,
        )
    return number


def tile_pixels(header: fits.Header) -> int:
    """Pixels of one tile; a row of the image where the header does not say."""
    pixels = 1
    for axis in range(1, _n_axes(header) + 1):
        default = _whole(header, f"ZNAXIS{axis}") if axis == 1 else 1
        pixels *= _whole(header, f"ZTILE{axis}") if f"ZTILE{axis}" in header else default
    return pixels


def check_tiles(hdu: fits.BinTableHDU, what: str) -> None:
    """Refuse tiles that would decompress to more than a tile holds, or to nothing.

    astropy decodes gzip tiles without a limit, and HCOMPRESS tiles by the dimensions
    they state themselves, by which it divides.

    Raises
    ------
    BadFitsError
        If a tile states that it has no pixels.
    FrameTooLargeError
        Naming ``what`` the tile is part of.
    """
    limit_pixels = tile_pixels(hdu.header)
    scheme = str(hdu.header.get("ZCMPTYPE", "")).strip()
    names = set(hdu.columns.names)
    for column in {"COMPRESSED_DATA", "GZIP_COMPRESSED_DATA"} & names:
        is_gzip = scheme.startswith("GZIP") or column == "GZIP_COMPRESSED_DATA"
        if not is_gzip and scheme != "HCOMPRESS_1":
            continue
        for tile in hdu.data[column]:
            content = np.asarray(tile).tobytes()
            size = (
                _gzip_bytes(content, limit_pixels * BYTES_PER_PIXEL) / BYTES_PER_PIXEL
                if is_gzip
                else _hcompress_pixels(content)
            )
            if content and not size and not is_gzip:
                raise BadFitsError(
                    f"{what} holds a compressed tile that states no pixels.",
                    remedy="Fetch it again; the file is damaged.",
                )
            if size > limit_pixels:
                raise FrameTooLargeError(
                    f"{what} holds a compressed tile that is larger than it should be.",
                    remedy="Do not trust this file; fetch it again.",
                    tile_pixels=limit_pixels,
                )


def _gzip_bytes(content: bytes, limit: int) -> int:
    """Decompressed size, counted no further than just beyond ``limit``."""
    if not content:
        return 0
    return len(zlib.decompressobj(wbits=47).decompress(content, max_length=limit + 1))


def _hcompress_pixels(content: bytes) -> int:
    """Pixels an HCOMPRESS stream says it holds (two 32-bit numbers after the magic)."""
    if len(content) < 10:
        return 0
    n_x, n_y = int.from_bytes(content[2:6], "big"), int.from_bytes(content[6:10], "big")
    return n_x * n_y
