"""The structure of a FITS file, walked as a stream: headers are read, data skipped.

What belongs here: containers, header blocks, data sizes, checksums. What does not: what an
HDU means (``fits_input``).

Why not ``astropy.io.fits.open`` on the file: it decompresses a whole ``.gz`` or ``.bz2``
into memory or a temporary file before anything can be checked. Here nothing is read that
the headers before it did not announce within the limits.
"""

import bz2
import gzip
import lzma
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from astropy.io import fits

from astrid_core.errors import BadFitsError, FrameTooLargeError

BLOCK_BYTES = 2880
MAX_HEADER_BYTES = 400 * BLOCK_BYTES
"""14,400 cards; the largest real headers have some thousands. A second to parse."""
MAX_HEADERS_BYTES = 8 * MAX_HEADER_BYTES
"""Of all HDUs together."""
MAX_HDUS = 2000
MAX_FRAMES_PER_FILE = 64
"""A file may hold this many frames of the largest size (mosaic cameras), tables included."""
BYTES_PER_PIXEL = 8

_CHUNK_BYTES = 1 << 20
_END_CARD = re.compile(rb"END {77}")
_CARD_BYTES = 80
_MOST_CONTINUED = 100
"""Cards that one string may go on for: 6,700 characters. astropy takes seconds for thousands."""
_MASK32 = 0xFFFFFFFF
_MOST_BYTES = 2**62
_READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
"""What the decompressors raise on damaged or cut-off streams."""


@dataclass(frozen=True)
class HduLayout:
    """One HDU as it lies in the (decompressed) file.

    Attributes
    ----------
    index
        0 is the primary HDU.
    header
        Parsed header as in the file, without unreadable cards: a tile-compressed image is
        still a table here.
    unreadable
        Keywords of cards that break the standard beyond reading.
    header_bytes
        The header's blocks, unparsed.
    data_bytes
        Size of the data without padding.
    """

    index: int
    header: fits.Header
    unreadable: tuple[str, ...]
    header_bytes: bytes
    data_bytes: int

    @property
    def padded_bytes(self) -> int:
        """Size of the data with padding to full blocks."""
        return -(-self.data_bytes // BLOCK_BYTES) * BLOCK_BYTES


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Open a FITS file as a stream of decompressed bytes; compression is told by content.

    Raises
    ------
    BadFitsError
        If the file cannot be read or is packed in another way than gzip or bzip2.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(6)
            raw.seek(0)
            if magic.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield cast(BinaryIO, stream)
            elif magic.startswith(b"BZh"):
                with bz2.BZ2File(raw) as stream:
                    yield cast(BinaryIO, stream)
            elif magic.startswith((b"PK\x03\x04", b"\x1f\x9d", b"\xfd7zXZ")):
                raise BadFitsError(
                    f"{path.name} is packed as zip, compress or xz.",
                    remedy="Unpack it; gzip, bzip2 and fpack are read as they are.",
                )
            else:
                yield raw
    except _READ_ERRORS as error:
        raise BadFitsError(
            f"{path.name} cannot be read: {error or type(error).__name__}.",
            remedy="Fetch the file again; it is damaged, incomplete or not readable.",
        ) from error


def walk(stream: BinaryIO, name: str, max_frame_mpix: float) -> Iterator[HduLayout]:
    """HDUs of a stream in order.

    The stream stands at the data of the HDU just yielded; the caller may read at most
    ``padded_bytes`` of it before asking for the next.

    Raises
    ------
    BadFitsError
        If it is not FITS, a header does not end or data is missing.
    FrameTooLargeError
        If the announced data would exceed what a file may hold.
    """
    limit_bytes = int(max_frame_mpix * 1e6) * BYTES_PER_PIXEL * MAX_FRAMES_PER_FILE
    position = n_header_bytes = 0
    for index in range(MAX_HDUS):
        header_bytes = _read_header(stream, name, index)
        if header_bytes is None:
            return
        n_header_bytes += len(header_bytes)
        if n_header_bytes > MAX_HEADERS_BYTES:
            raise BadFitsError(
                f"{name} has more than {MAX_HEADERS_BYTES} bytes of headers.",
                remedy="Split the file.",
            )
        header, unreadable = _parse_header(header_bytes, name, index)
        n_bytes = _data_bytes(header, name, index)
        layout = HduLayout(index, header, unreadable, header_bytes, n_bytes)
        position += len(header_bytes)
        end = position + layout.padded_bytes
        if end > limit_bytes:
            raise FrameTooLargeError(
                f"{name}: HDU {index} announces more data than a file may hold.",
                remedy="Raise ASTRID_MAX_FRAME_MPIX if this file is genuine.",
                announced_bytes=end,
                limit_bytes=limit_bytes,
            )
        yield layout
        _skip_to(stream, end, position + layout.data_bytes, f"{name}: HDU {index}")
        position = end
    raise BadFitsError(f"{name} has more than {MAX_HDUS} HDUs.", remedy="Split the file.")


def read_data(stream: BinaryIO, layout: HduLayout, name: str) -> bytes:
    """Data of the HDU just yielded by :func:`walk`, padded to full blocks."""
    data = stream.read(layout.data_bytes)
    if len(data) < layout.data_bytes:
        raise _truncated(f"{name}: HDU {layout.index}", len(data), layout.data_bytes)
    return data.ljust(layout.padded_bytes, b"\0")


def verify_sums(path: Path, max_frame_mpix: float) -> None:
    """Check CHECKSUM and DATASUM of every HDU that has them; an unreadable one does not hold.

    The 32-bit ones' complement sum of FITS standard 4.0, section 4.4.2.7 and appendix J,
    over chunks, so that no HDU is held in memory.

    Raises
    ------
    BadFitsError
        Naming the HDUs whose sums do not hold.
    """
    wrong = []
    with open_stream(path) as stream:
        for layout in walk(stream, path.name, max_frame_mpix):
            data_sum = _sum_of_stream(stream, layout.padded_bytes)
            wrong += [
                f"{keyword} of HDU {layout.index}"
                for keyword in ("CHECKSUM", "DATASUM")
                if keyword in layout.unreadable
            ]
            stated = str(layout.header.get("DATASUM", "")).strip()
            if stated and stated != str(data_sum):
                wrong.append(f"DATASUM of HDU {layout.index}")
            total = _add_sums(data_sum, _sum_of(layout.header_bytes))
            if str(layout.header.get("CHECKSUM", "")).strip() and total not in (0, _MASK32):
                wrong.append(f"CHECKSUM of HDU {layout.index}")
    if wrong:
        raise BadFitsError(
            f"{path.name} differs from its own checksums: {', '.join(wrong)}.",
            remedy="Fetch the file again; if it was edited by software that leaves old sums "
            "in place, set 'checksums: ignore' for its survey.",
        )


def _read_header(stream: BinaryIO, name: str, index: int) -> bytes | None:
    """Blocks of the next header; None at the end of the file (or at what is no HDU)."""
    expected = b"SIMPLE  =" if index == 0 else b"XTENSION="
    blocks = bytearray()
    while len(blocks) < MAX_HEADER_BYTES:
        block = stream.read(BLOCK_BYTES)
        if not blocks and not block.startswith(expected):
            if index > 0:
                # Padding or foreign bytes after the last HDU: the standard allows special
                # records there.
                return None
            raise BadFitsError(
                f"{name} is not a FITS file.", remedy="Remove it from the survey's files."
            )
        blocks += block
        if any(match.start() % 80 == 0 for match in _END_CARD.finditer(block)):
            return bytes(blocks)
        if len(block) < BLOCK_BYTES:
            raise _truncated(f"{name}: header of HDU {index}", len(blocks), None)
    raise BadFitsError(
        f"{name}: header of HDU {index} does not end within {MAX_HEADER_BYTES} bytes.",
        remedy="Fetch the file again; it is damaged.",
    )


def _parse_header(
    header_bytes: bytes, name: str, index: int
) -> tuple[fits.Header, tuple[str, ...]]:
    """Header of all readable cards, and keywords of the others.

    astropy parses a card when it is first asked for and raises there; parsed here, no
    later reader of the header meets a broken one.
    """
    readable: list[fits.Card] = []
    sound, unreadable = _without_endless(header_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd but readable is no news
            for card in fits.Header.fromstring(sound).cards:
                try:
                    _ = card.value, card.comment
                except (ValueError, fits.VerifyError):
                    unreadable.append(card.keyword)
                else:
                    readable.append(card)
            return fits.Header(readable), tuple(unreadable)
    except (ValueError, fits.VerifyError) as error:
        raise BadFitsError(
            f"{name}: header of HDU {index} cannot be parsed: {error}.",
            remedy="Fetch the file again; it is damaged.",
        ) from error


def _without_endless(header_bytes: bytes) -> tuple[bytes, list[str]]:
    """A header without strings that go on over too many cards, and their keywords."""
    if header_bytes.count(b"CONTINUE") <= _MOST_CONTINUED:
        return header_bytes, []
    starts = range(0, len(header_bytes), _CARD_BYTES)
    strings: list[list[bytes]] = []
    for card in (header_bytes[start : start + _CARD_BYTES] for start in starts):
        if card.startswith(b"CONTINUE") and strings:
            strings[-1].append(card)
        else:
            strings.append([card])
    kept = [cards for cards in strings if len(cards) <= _MOST_CONTINUED]
    endless = [cards for cards in strings if len(cards) > _MOST_CONTINUED]
    keywords = [cards[0][:8].decode("ascii", "replace").strip() for cards in endless]
    return b"".join(card for cards in kept for card in cards), keywords


def _data_bytes(header: fits.Header, name: str, index: int) -> int:
    """Size of an HDU's data: |BITPIX|/8 · GCOUNT · (PCOUNT + Π NAXISn)."""
    try:
        n_axes = int(header["NAXIS"])
        axes = [int(header[f"NAXIS{axis + 1}"]) for axis in range(n_axes)]
        bits = int(header["BITPIX"])
        if axes and axes[0] == 0 and header.get("GROUPS") is True:
            axes = axes[1:]
        n_values = int(np.prod(axes, dtype=object)) if axes else 0
        n_groups = int(header.get("GCOUNT", 1)) if index or "GROUPS" in header else 1
        n_parameters = int(header.get("PCOUNT", 0)) if index or "GROUPS" in header else 0
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadFitsError(
            f"{name}: HDU {index} does not state its dimensions: {error}.",
            remedy="Fetch the file again; it is damaged.",
        ) from error
    if bits not in (8, 16, 32, 64, -32, -64) or min([*axes, n_groups, n_parameters, 0]) < 0:
        raise BadFitsError(
            f"{name}: HDU {index} states impossible dimensions.",
            remedy="Fetch the file again; it is damaged.",
            bitpix=bits,
            axes=axes,
        )
    n_bytes = abs(bits) // 8 * n_groups * (n_parameters + n_values)
    if n_bytes > _MOST_BYTES:
        raise FrameTooLargeError(
            f"{name}: HDU {index} announces more data than any file holds.",
            remedy="Fetch the file again; it is damaged.",
            n_axes=n_axes,
        )
    return n_bytes


def _skip_to(stream: BinaryIO, end: int, end_of_data: int, what: str) -> None:
    """Move a stream on to ``end``; only padding may be missing."""
    if isinstance(stream, gzip.GzipFile | bz2.BZ2File):
        while (missing := end - stream.tell()) > 0:
            if not stream.read(min(missing, _CHUNK_BYTES)):
                break
        position = stream.tell()
    else:
        position = min(end, os.fstat(stream.fileno()).st_size)
        stream.seek(position)
    if position < end_of_data:
        raise _truncated(what, position, end_of_data)


def _truncated(what: str, present: int, announced: int | None) -> BadFitsError:
    numbers = {"present_bytes": present}
    if announced is not None:
        numbers["announced_bytes"] = announced
    return BadFitsError(
        f"{what} is truncated.", remedy="Fetch the file again; it is incomplete.", **numbers
    )


def _sum_of_stream(stream: BinaryIO, n_bytes: int) -> int:
    total = 0
    while n_bytes > 0:
        chunk = stream.read(min(n_bytes, _CHUNK_BYTES))
        if not chunk:
            break  # only padding, or the walk reports the truncation
        total = _add_sums(total, _sum_of(chunk))
        n_bytes -= len(chunk)
    return total


def _sum_of(chunk: bytes) -> int:
    words = np.frombuffer(chunk.ljust(-(-len(chunk) // 4) * 4, b"\0"), dtype=">u4")
    return _fold(int(words.sum(dtype=np.uint64)))


def _add_sums(first: int, second: int) -> int:
    return _fold(first + second)


def _fold(total: int) -> int:
    while total > _MASK32:
        total = (total & _MASK32) + (total >> 32)
    return total
