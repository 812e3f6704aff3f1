"""Hostile files by number: the same seed and index give the same bytes.

What belongs here: ways to damage, to lie and to be absurd. What does not: what becomes of a
file (``hostile_task``) and who counts (``hostile``).
"""

import bz2
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from benchmarks.hostile_base import BLOCK_BYTES, CARD_BYTES, Base, Draw, card_of, header_of, text
from benchmarks.hostile_packed import (
    gzipped,
    packed_bomb,
    packing,
    tile_bomb,
    tile_data,
    tile_header,
)
from benchmarks.hostile_skies import SKIES
from benchmarks.hostile_values import (
    COUNTED,
    DATED,
    DATES,
    NAMES,
    NUMBERS,
    PLACED,
    PROJECTIONS,
    SECTIONS,
    SHAPES,
    SIZES,
    SPOKEN,
    TEXTS,
)

_PACKED_SHARE = 0.08


@dataclass(frozen=True)
class HostileFile:
    """One file and how it came to be.

    Attributes
    ----------
    kind
        Way of harm, a row of the campaign's table.
    base
        What it was made of.
    name
        As it lies on disk; any bytes that a file system takes.
    """

    kind: str
    base: str
    name: bytes
    content: bytes


def hostile_file(seed: int, index: int, made: Sequence[Base], real: Sequence[Base]) -> HostileFile:
    """File ``index`` of the campaign of a seed; kinds come in turn."""
    rng = Random(f"{seed} {index}")
    kinds = list(KINDS)
    kind = kinds[index % len(kinds)]
    draw = Draw(rng, made, real)
    base, content = KINDS[kind](draw)
    name = rng.choice(NAMES) if kind == "file name" else b"a.fits"
    if kind not in _NEVER_PACKED and rng.random() < _PACKED_SHARE:
        is_gzip = rng.random() < 0.5
        content = gzipped(content) if is_gzip else bz2.compress(content)
        name += b".gz" if is_gzip else b".bz2"
    return HostileFile(kind, base, name, content)


# --- ways -----------------------------------------------------------------------------------


def _bits(draw: Draw) -> tuple[str, bytes]:
    base = draw.base()
    content = bytearray(base.content)
    for _ in range(2 ** draw.rng.randrange(8)):
        content[draw.rng.randrange(len(content))] ^= 1 << draw.rng.randrange(8)
    return base.name, bytes(content)


def _header_bytes(draw: Draw) -> tuple[str, bytes]:
    """Bytes of a header overwritten: control characters, NUL, what is not ASCII."""
    base = draw.base()
    content = bytearray(base.content)
    start, stop = draw.rng.choice(base.headers)
    for _ in range(2 ** draw.rng.randrange(6)):
        content[draw.rng.randrange(start, stop)] = draw.rng.randrange(256)
    return base.name, bytes(content)


def _data_bytes(draw: Draw) -> tuple[str, bytes]:
    """Stretches of the data overwritten: descriptors, heaps and tiles among them."""
    base = draw.base()
    content = bytearray(base.content)
    start, stop = base.data[base.image]
    if stop <= start:
        return base.name, draw.rng.randbytes(BLOCK_BYTES)
    for _ in range(draw.rng.randrange(1, 9)):
        at = draw.rng.randrange(start, stop)
        if draw.rng.random() < 0.5:  # the beginning, where a table has its descriptors
            at = start + draw.rng.randrange(min(256, stop - start))
        n_bytes = min(2 ** draw.rng.randrange(10), stop - at)
        fill = draw.rng.choice([b"\xff", b"\0", b"\x7f\xff\xff\xff", draw.rng.randbytes(16)])
        content[at : at + n_bytes] = (fill * n_bytes)[:n_bytes]
    return base.name, bytes(content)


def _cut(draw: Draw) -> tuple[str, bytes]:
    base = draw.base()
    return base.name, base.content[: draw.rng.randrange(len(base.content))]


def _blocks(draw: Draw) -> tuple[str, bytes]:
    """Blocks dropped, doubled, swapped or taken from another file."""
    base, other = draw.base(), draw.base()
    blocks = [base.content[i : i + BLOCK_BYTES] for i in range(0, len(base.content), BLOCK_BYTES)]
    strange = [
        other.content[i : i + BLOCK_BYTES] for i in range(0, len(other.content), BLOCK_BYTES)
    ]
    for _ in range(draw.rng.randrange(1, 5)):
        at = draw.rng.randrange(len(blocks))
        way = draw.rng.randrange(4)
        if way == 0 and len(blocks) > 1:
            del blocks[at]
        elif way == 1:
            blocks.insert(at, blocks[draw.rng.randrange(len(blocks))])
        elif way == 2:
            blocks[at] = draw.rng.choice(strange)
        else:
            blocks.insert(at, draw.rng.choice(strange))
    return base.name, b"".join(blocks)


def _shape(draw: Draw) -> tuple[str, bytes]:
    """Dimensions that lie."""
    base = draw.base()
    hdu = draw.rng.choice([base.image, draw.rng.randrange(len(base.headers))])
    chosen = draw.rng.sample(SHAPES, draw.rng.randrange(1, 4))
    return base.name, base.with_values(hdu, [(name, draw.rng.choice(SIZES)) for name in chosen])


def _many_axes(draw: Draw) -> tuple[str, bytes]:
    """NAXIS of hundreds, each axis stated."""
    base = draw.image()
    n_axes = draw.rng.choice([3, 4, 33, 65, 999, 1000, 9999])
    length = draw.rng.choice([b"1", b"1", b"2", b"0", b"1000000"])
    axes = [(f"NAXIS{axis}", length) for axis in range(3, min(n_axes, 2000) + 1)]
    values = [("NAXIS", str(n_axes).encode()), *axes]
    return base.name, base.with_values(base.image, values)


def _numbers(draw: Draw) -> tuple[str, bytes]:
    base = draw.base()
    chosen = draw.rng.sample(COUNTED, draw.rng.randrange(1, 5))
    values = [(name, draw.rng.choice(NUMBERS)) for name in chosen]
    return base.name, base.with_values(base.image, values)


def _dates(draw: Draw) -> tuple[str, bytes]:
    base = draw.base()
    chosen = draw.rng.sample(DATED, draw.rng.randrange(1, 4))
    values = [(name, draw.rng.choice([text(draw.rng.choice(DATES)), *NUMBERS])) for name in chosen]
    values.append(("DATE-OBS", text(draw.rng.choice(DATES))))
    return base.name, base.with_values(base.image, values)


def _wcs(draw: Draw) -> tuple[str, bytes]:
    base = draw.image()
    values = [("CTYPE1", text(draw.rng.choice(PROJECTIONS)))] if draw.rng.random() < 0.4 else []
    for name in draw.rng.sample(PLACED, draw.rng.randrange(1, 6)):
        if draw.rng.random() < 0.5:
            values.append((name, draw.rng.choice(NUMBERS)))
        else:
            number = draw.rng.choice([0, 1, -1, 9, 90, 99, 180, 360, 1e9, draw.rng.gauss(0, 100)])
            values.append((name, str(number).encode()))
    return base.name, base.with_values(base.image, values)


def _words(draw: Draw) -> tuple[str, bytes]:
    """Markup, control characters and what is not ASCII where people read."""
    base = draw.base()
    chosen = draw.rng.sample(SPOKEN, draw.rng.randrange(1, 5))
    values = [(name, text(draw.rng.choice(TEXTS))) for name in chosen]
    return base.name, base.with_values(base.image, values)


def _long_words(draw: Draw) -> tuple[str, bytes]:
    """A string that CONTINUEs for thousands of cards, or begins nowhere."""
    base = draw.base()
    name = draw.rng.choice(SPOKEN).encode().ljust(8)
    n_cards = draw.rng.choice([2, 50, 1000, 5000, 30000])
    cards = base.cards(base.image)
    begun = [name + b"= 'x&'".ljust(72)] if draw.rng.random() < 0.8 else []
    filler = draw.rng.randbytes(24).hex().encode()
    more = [(b"CONTINUE  '" + filler + b"&'").ljust(CARD_BYTES)] * n_cards
    last = [b"CONTINUE  'end'".ljust(CARD_BYTES)] if draw.rng.random() < 0.5 else []
    return base.name, base.with_cards(base.image, [*cards, *begun, *more, *last])


def _junk_cards(draw: Draw) -> tuple[str, bytes]:
    """Cards of printable or any bytes among sound ones; keywords doubled or left out."""
    base = draw.base()
    hdu = draw.rng.randrange(len(base.headers))
    cards = base.cards(hdu)
    for _ in range(2 ** draw.rng.randrange(8)):
        at = draw.rng.randrange(len(cards))
        way = draw.rng.randrange(6)
        if way == 0:
            cards.insert(at, bytes(draw.rng.randrange(32, 127) for _ in range(CARD_BYTES)))
        elif way == 1:
            cards.insert(at, draw.rng.randbytes(CARD_BYTES))
        elif way == 2 and len(cards) > 1:
            del cards[at]
        elif way == 3:
            cards.insert(at, draw.rng.choice(cards))
        elif way == 4:
            cards[at] = cards[at][:8] + b"= " + draw.rng.choice(NUMBERS + SIZES).ljust(70)[:70]
        else:
            name = bytes(draw.rng.randrange(32, 127) for _ in range(draw.rng.randrange(0, 30)))
            cards.insert(at, (b"HIERARCH " + name + b" = 1").ljust(CARD_BYTES)[:CARD_BYTES])
    return base.name, base.with_cards(hdu, cards)


def _long_header(draw: Draw) -> tuple[str, bytes]:
    """Cards beyond number: comments, or a keyword for each."""
    base = draw.base()
    n_cards = draw.rng.choice([3000, 20000, 100000])
    comment = b"HISTORY again".ljust(CARD_BYTES)
    some = [comment] * n_cards
    if draw.rng.random() < 0.5:
        some = [card_of(f"K{number:07d}", b"1") for number in range(n_cards)]
    return base.name, base.with_cards(0, [*base.cards(0), *some])


def _many_hdus(draw: Draw) -> tuple[str, bytes]:
    """HDUs by the thousand: empty, tiny images, or images of one name."""
    base = draw.image()
    n_hdus = draw.rng.choice([100, 500, 1999, 5000])
    side = draw.rng.choice([0, 8])
    name = draw.rng.choice([b"'SCI     '", b"'        '", b"'DQ      '"])
    pixels = draw.rng.randbytes(side * side).ljust(BLOCK_BYTES if side else 0, b"\0")
    header = header_of(
        [
            b"XTENSION= 'IMAGE   '".ljust(CARD_BYTES),
            card_of("BITPIX", b"8"),
            card_of("NAXIS", b"2"),
            card_of("NAXIS1", str(side).encode()),
            card_of("NAXIS2", str(side).encode()),
            card_of("PCOUNT", b"0"),
            card_of("GCOUNT", b"1"),
            card_of("EXTNAME", name),
        ]
    )
    return base.name, base.content + (header + pixels) * n_hdus


def _same_names(draw: Draw) -> tuple[str, bytes]:
    """Images that all have the same name."""
    base = draw.image()
    start, stop = base.headers[base.image][0], base.data[base.image][1]
    name = draw.rng.choice([b"SCI", b"", *TEXTS])
    values = [("EXTNAME", text(name)), ("EXTVER", draw.rng.choice([b"1", b"T", b"1.0", *NUMBERS]))]
    extension = base.with_values(base.image, values)[start : stop + len(base.content)]
    if base.image == 0:
        extension = b"XTENSION= 'IMAGE   '".ljust(CARD_BYTES) + extension[CARD_BYTES:]
    empty = [b"SIMPLE  =                    T".ljust(CARD_BYTES), card_of("BITPIX", b"8")]
    empty += [card_of("NAXIS", b"0"), card_of("EXTEND", b"T")]
    return base.name, header_of(empty) + extension * draw.rng.randrange(2, 5)


def _pixels(draw: Draw) -> tuple[str, bytes]:
    """Skies that are none, in an innocent header."""
    base = next(one for one in draw.made if one.name == "float")
    rng = np.random.default_rng(draw.rng.getrandbits(64))
    start, stop = base.data[0]
    sky = np.frombuffer(base.content[start:stop], ">f4").astype(np.float32)
    side = int(np.sqrt(len(sky)))
    pixels = sky[: side * side].reshape(side, side).copy()
    way = draw.rng.choice(list(SKIES))
    with np.errstate(all="ignore"):
        pixels = np.asarray(SKIES[way](pixels, rng), dtype=np.float32)
    content = base.content[:start] + pixels.astype(">f4").tobytes()
    return f"sky: {way}", content.ljust(stop, b"\0")


def _calibration(draw: Draw) -> tuple[str, bytes]:
    """A bias, dark or flat that is absurd."""
    base = draw.image()
    kind = draw.rng.choice([b"bias", b"dark", b"flat", b"zero"])
    values = [("IMAGETYP", text(kind)), ("EXPTIME", draw.rng.choice(NUMBERS))]
    values += [("BIASSEC", text(draw.rng.choice(SECTIONS)))]
    values += [("BSCALE", draw.rng.choice(NUMBERS)), ("BZERO", draw.rng.choice(NUMBERS))]
    return base.name, base.with_values(base.image, values[: draw.rng.randrange(1, 6)])


def _sections(draw: Draw) -> tuple[str, bytes]:
    base = draw.image()
    values = [(name, text(draw.rng.choice(SECTIONS))) for name in ("BIASSEC", "TRIMSEC")]
    return base.name, base.with_values(base.image, values)


def _junk(draw: Draw) -> tuple[str, bytes]:
    """No FITS at all, or nothing after a beginning that looks like it."""
    n_bytes = draw.rng.choice([0, 1, 79, 80, 2879, 2880, 2881, 50_000])
    start = draw.rng.choice(
        [b"", b"SIMPLE  =", b"SIMPLE  =                    T", b"\x1f\x8b", b"BZh9"]
    )
    return "junk", start + draw.rng.randbytes(n_bytes)


def _innocent(draw: Draw) -> tuple[str, bytes]:
    """Nothing wrong with the content."""
    base = draw.base()
    return base.name, base.content


KINDS: Mapping[str, Callable[[Draw], tuple[str, bytes]]] = {
    "bits": _bits,
    "header bytes": _header_bytes,
    "data bytes": _data_bytes,
    "cut off": _cut,
    "blocks": _blocks,
    "dimensions": _shape,
    "many axes": _many_axes,
    "numbers": _numbers,
    "dates": _dates,
    "sky coordinates": _wcs,
    "words": _words,
    "endless words": _long_words,
    "junk cards": _junk_cards,
    "endless header": _long_header,
    "many HDUs": _many_hdus,
    "same names": _same_names,
    "pixels": _pixels,
    "calibration": _calibration,
    "sections": _sections,
    "tile header": tile_header,
    "tile data": tile_data,
    "tile bomb": tile_bomb,
    "packed bomb": packed_bomb,
    "packing": packing,
    "junk": _junk,
    "file name": _innocent,
}
_NEVER_PACKED = {"packed bomb", "packing", "junk", "file name"}
