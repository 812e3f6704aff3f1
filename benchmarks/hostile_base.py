"""The files that hostile ones are made of: small, whole, and shaped as archives' files are.

A base knows where its headers lie, so that a mutation can say what it changes.
"""

import bz2
import gzip
import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.scene import SimulatedExposure, render_exposure
from astrid_core.simulation.survey import write_exposure

BLOCK_BYTES = 2880
CARD_BYTES = 80
SIDE_PIX = 128
"""Large enough for a PSF to be measured, small enough for thousands."""
_REAL_SHARE = 0.25
_LARGEST_REAL_BYTES = 600_000
_SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6, "B_0_2": -1e-6, "AP_ORDER": 2, "BP_ORDER": 2}


@dataclass(frozen=True)
class Base:
    """A FITS file, uncompressed as a whole, and where its HDUs lie.

    Attributes
    ----------
    headers, data
        (start, stop) of each HDU's header and data in bytes.
    """

    name: str
    content: bytes
    headers: tuple[tuple[int, int], ...]
    data: tuple[tuple[int, int], ...]

    @property
    def image(self) -> int:
        """HDU that holds the first image."""
        return next((i for i, (start, stop) in enumerate(self.data) if stop > start), 0)

    def cards(self, hdu: int) -> list[bytes]:
        """Cards of a header, without END and what follows it."""
        start, stop = self.headers[hdu]
        header = self.content[start:stop]
        found = [header[i : i + CARD_BYTES] for i in range(0, len(header), CARD_BYTES)]
        return found[: found.index(b"END".ljust(CARD_BYTES))]

    def with_cards(self, hdu: int, cards: Sequence[bytes]) -> bytes:
        """The file with another header for one HDU."""
        start, stop = self.headers[hdu]
        return self.content[:start] + header_of(cards) + self.content[stop:]

    def with_values(self, hdu: int, values: Sequence[tuple[str, bytes]]) -> bytes:
        """The file with certain keywords of a header set to raw bytes, added where absent."""
        cards = self.cards(hdu)
        for keyword, value in values:
            card = card_of(keyword, value)
            places = [i for i, old in enumerate(cards) if old[:8] == card[:8]]
            if places:
                cards[places[0]] = card
            else:
                cards.append(card)
        return self.with_cards(hdu, cards)


@dataclass(frozen=True)
class Draw:
    """Chance, and what it may draw from."""

    rng: Random
    made: Sequence[Base]
    real: Sequence[Base]

    def base(self) -> Base:
        """Any base."""
        some = self.real if self.real and self.rng.random() < _REAL_SHARE else self.made
        return self.rng.choice(some)

    def image(self) -> Base:
        """A base whose pixels are not packed in tiles."""
        return self.rng.choice([one for one in self.made if not one.name.startswith("tiles")])

    def tiles(self) -> Base:
        """A base whose pixels are."""
        return self.rng.choice([one for one in self.made if one.name.startswith("tiles")])


def header_of(cards: Sequence[bytes]) -> bytes:
    """Cards as whole blocks, with their END."""
    content = b"".join([*cards, b"END".ljust(CARD_BYTES)])
    return content.ljust(-(-len(content) // BLOCK_BYTES) * BLOCK_BYTES)


def card_of(keyword: str, value: bytes) -> bytes:
    """A card with whatever bytes for its value: 80 of them."""
    return (keyword.ljust(8).encode()[:8] + b"= " + value.rjust(20))[:CARD_BYTES].ljust(CARD_BYTES)


def text(value: bytes) -> bytes:
    """A string as a card has it; quotes doubled, so that the card itself is sound."""
    return b"'" + value.replace(b"'", b"''").ljust(8) + b"'"


def base_of(name: str, content: bytes) -> Base:
    """A whole FITS file with its layout."""
    headers, data = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(content), disable_image_compression=True) as hdus:
            for hdu in hdus:
                place = hdu.fileinfo()
                headers.append((place["hdrLoc"], place["datLoc"]))
                data.append((place["datLoc"], place["datLoc"] + place["datSpan"]))
    return Base(name, content, tuple(headers), tuple(data))


def made_bases(seed: int) -> list[Base]:
    """Bases of every shape, their sky simulated."""
    exposure = _exposure(seed)
    adu, header = exposure.adu, exposure.header
    floats = adu.astype(np.float32)
    blank = adu.astype(np.int32)
    blank[:3] = -1
    as_integers = fits.PrimaryHDU(blank, header=header)
    as_integers.header["BLANK"] = -1
    distorted = header.copy()
    distorted.update(_SIP | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"})
    made = {
        "unsigned": [fits.PrimaryHDU(adu, header=header)],
        "float": [fits.PrimaryHDU(floats, header=header)],
        "double": [fits.PrimaryHDU(adu.astype(np.float64), header=header)],
        "blank": [as_integers],
        "distorted": [fits.PrimaryHDU(floats, header=distorted)],
        "extensions": [
            fits.PrimaryHDU(header=header),
            fits.ImageHDU(adu, header=header, name="SCI"),
            fits.ImageHDU(np.zeros(adu.shape, np.int16), name="DQ"),
            _table(),
        ],
        "amplifiers": [
            fits.PrimaryHDU(header=header),
            *(fits.ImageHDU(half, header=header) for half in np.array_split(floats, 2)),
        ],
    }
    for scheme in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"):
        pixels = (adu - 32768).astype(np.int16) if scheme != "PLIO_1" else adu.astype(np.int16)
        made[f"tiles {scheme}"] = _tiles(pixels % 8192, header, scheme)
    made["tiles of floats"] = _tiles(floats, header, "RICE_1")
    return [
        *(base_of(name, _bytes(hdus)) for name, hdus in made.items()),
        base_of("simulated", _simulated(exposure)),
    ]


def real_data(given: Path | None = None) -> Path | None:
    """Folder of real telescope images: a given one, or where the tests look for them."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = given or Path(os.environ.get("ASTRID_REAL_DATA", default))
    return folder if folder.is_dir() else None


def real_bases(folder: Path | None) -> Iterator[Base]:
    """Bases of real telescope images: small files below a folder, told by their content."""
    if folder is None:
        return
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size > _LARGEST_REAL_BYTES:
            continue
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        elif content.startswith(b"BZh"):
            content = bz2.decompress(content)
        if content.startswith(b"SIMPLE  =") and len(content) <= _LARGEST_REAL_BYTES:
            try:
                yield base_of(path.name, content)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # hostile as it is: no base to begin with


def _exposure(seed: int) -> SimulatedExposure:
    scene = SceneConfig(
        seed=seed,
        n_fields=1,
        shape=(SIDE_PIX, SIDE_PIX),
        stars_per_field=800,
        transients_per_field=3,
    )
    return render_exposure(scene, 0, scene.nights[0], scene.filters[0])


def _simulated(exposure: SimulatedExposure) -> bytes:
    with tempfile.TemporaryDirectory(prefix="astrid-hostile-") as folder:
        path = Path(folder) / "a.fits"
        write_exposure(exposure, path)
        return path.read_bytes()


def _tiles(
    pixels: NDArray[np.generic], header: fits.Header, scheme: str
) -> list[fits.hdu.base.ExtensionHDU]:
    tiles = fits.CompImageHDU(
        pixels, header=header, compression_type=scheme, tile_shape=(16, SIDE_PIX)
    )
    return [fits.PrimaryHDU(), tiles]


def _table() -> fits.BinTableHDU:
    columns = [fits.Column("x", "D", array=np.arange(9.0)), fits.Column("s", "8A", array=["a"] * 9)]
    return fits.BinTableHDU.from_columns(columns)


def _bytes(hdus: Sequence[fits.hdu.base.ExtensionHDU]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList(list(hdus)).writeto(stream)
    return stream.getvalue()
