"""Harm in how pixels and files are packed: tiles, gzip, bzip2, and bombs of all of them."""

import bz2
import gzip
import lzma
import zlib

from benchmarks.hostile_base import Base, Draw, text
from benchmarks.hostile_values import FORMS, SCHEMES, SIZES, TABLED

_MIB = 1 << 20


def tile_header(draw: Draw) -> tuple[str, bytes]:
    """A table of tiles that lies about image, tiles, columns or heap."""
    base = draw.tiles()
    values = [
        (name, draw.rng.choice(SIZES)) for name in draw.rng.sample(TABLED, draw.rng.randrange(4))
    ]
    if draw.rng.random() < 0.4:
        values.append(("ZCMPTYPE", text(draw.rng.choice(SCHEMES))))
    if draw.rng.random() < 0.3:
        values.append((draw.rng.choice(["TFORM1", "TFORM2"]), text(draw.rng.choice(FORMS))))
    if draw.rng.random() < 0.2:
        values.append(("TTYPE1", text(draw.rng.choice([b"X", b"GZIP_COMPRESSED_DATA", b"ZSCALE"]))))
    if draw.rng.random() < 0.2:
        values.append(("ZBITPIX", draw.rng.choice([b"8", b"16", b"32", b"64", b"-32", b"-64"])))
    if draw.rng.random() < 0.2:
        quantised = (b"SUBTRACTIVE_DITHER_1", b"SUBTRACTIVE_DITHER_2", b"NO_DITHER", b"NONE")
        values.append(("ZQUANTIZ", text(draw.rng.choice(quantised))))
    return base.name, base.with_values(1, values or [("ZTILE1", draw.rng.choice(SIZES))])


def tile_data(draw: Draw) -> tuple[str, bytes]:
    """Descriptors that point anywhere, and tiles of any bytes."""
    base = draw.tiles()
    content = bytearray(base.content)
    start, stop = base.data[1]
    n_descriptors = 8
    for _ in range(draw.rng.randrange(1, 6)):
        if draw.rng.random() < 0.5:
            at = start + 4 * draw.rng.randrange(2 * n_descriptors)
            number = draw.rng.choice([0, 1, -1, 2**31 - 1, -(2**31), 10**6, len(content), 77])
            content[at : at + 4] = number.to_bytes(4, "big", signed=True)
        else:
            at = draw.rng.randrange(start + 8 * n_descriptors, stop)
            n_bytes = min(draw.rng.randrange(1, 200), stop - at)
            content[at : at + n_bytes] = draw.rng.choice(
                [draw.rng.randbytes(n_bytes), b"\0" * n_bytes, b"\xff" * n_bytes]
            )
    return base.name, bytes(content)


def tile_bomb(draw: Draw) -> tuple[str, bytes]:
    """Few bytes of tiles that announce or unpack to very many."""
    base = draw.tiles()
    content = bytearray(base.content)
    start, stop = base.data[1]
    at = start + 8 * 8
    n_mib = draw.rng.choice([16, 64, 256])
    bomb = draw.rng.choice(
        [
            gzip.compress(bytes(n_mib * _MIB), 9),
            b"\xdd\x99" + (2**30).to_bytes(4, "big") * 2 + bytes(64),  # HCOMPRESS of 2³⁰ squared
            b"\xff" * 400,
            bytes(400),
        ]
    )[: stop - at]
    content[at : at + len(bomb)] = bomb
    content[start : start + 8] = len(bomb).to_bytes(4, "big") + bytes(4)
    changed = Base(base.name, bytes(content), base.headers, base.data)
    if draw.rng.random() < 0.6:
        side = draw.rng.choice([b"128", b"1000", b"1024", b"30000", b"1000000"])
        values = [("ZTILE1", side), ("ZTILE2", side)]
        if draw.rng.random() < 0.5:
            values += [("ZNAXIS1", side), ("ZNAXIS2", side)]
        return base.name, changed.with_values(1, values)
    return base.name, changed.content


def packed_bomb(draw: Draw) -> tuple[str, bytes]:
    """A small file that unpacks to very much, announced or not."""
    base = draw.image()
    n_mib = draw.rng.choice([32, 128, 400])
    side = draw.rng.choice([b"128", b"1000", b"20000", b"9999999"])
    start, stop = base.data[base.image]
    whole = base.content[:stop]
    if draw.rng.random() < 0.7:
        whole = base.with_values(base.image, [("NAXIS1", side), ("NAXIS2", side)])[:start]
    way = draw.rng.randrange(6)
    if way < 2:
        return base.name, _gzip_zeros(whole, n_mib)
    if way == 2:
        return base.name, bz2.compress(whole + bytes(min(n_mib, 64) * _MIB))
    if way == 3:  # of several members, the last cut off
        return base.name, gzipped(whole) + gzipped(bytes(8 * _MIB)) * 40 + gzipped(bytes(99))[:-5]
    if way == 4:
        return base.name, gzipped(_gzip_zeros(whole, n_mib))
    if draw.rng.random() < 0.5:
        return base.name, lzma.compress(whole)
    return base.name, b"PK\x03\x04" + whole


def packing(draw: Draw) -> tuple[str, bytes]:
    """A packed file with damage in the packing."""
    base = draw.base()
    is_gzip = draw.rng.random() < 0.5
    content = bytearray(gzipped(base.content) if is_gzip else bz2.compress(base.content))
    way = draw.rng.randrange(3)
    if way == 0:
        return base.name, bytes(content[: draw.rng.randrange(len(content))])
    if way == 1:
        return base.name, bytes(content) + draw.rng.randbytes(draw.rng.randrange(1, 9999))
    for _ in range(draw.rng.randrange(1, 9)):
        content[draw.rng.randrange(len(content))] = draw.rng.randrange(256)
    return base.name, bytes(content)


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


def _gzip_zeros(start: bytes, n_mib: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(start), *(packer.compress(bytes(_MIB)) for _ in range(n_mib))]
    return b"".join([*parts, packer.flush()])
