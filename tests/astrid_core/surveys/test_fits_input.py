"""Guarded FITS input: what is an image, its pixels, and what must not be read."""

import bz2
import gzip
import shutil
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrid_core.errors import BadFitsError, FrameTooLargeError, NotAnImageError
from astrid_core.surveys import fits_layout
from astrid_core.surveys.fits_input import image_hdus, read_image, read_images
from astrid_core.surveys.fits_layout import verify_sums

LIMIT_MPIX = 1.0
SKY = np.random.default_rng(5).normal(300, 20, (40, 32)).astype(np.float32)


def _write(path: Path, *hdus: fits.hdu.base.ExtensionHDU, checksum: bool = False) -> Path:
    fits.HDUList(list(hdus)).writeto(path, checksum=checksum, overwrite=True)
    return path


def _peak_bytes(function) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- pixels -------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    data=st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]).flatmap(
        lambda dtype: arrays(
            dtype,
            (9, 11),
            elements=st.integers(0, 200).map(dtype),
        )
    ),
    packing=st.sampled_from(["", ".gz", ".bz2"]),
)
def test_pixels_equal_astropys_for_every_type_and_container(tmp_path_factory, data, packing):
    path = _write(tmp_path_factory.mktemp("f") / f"a.fits{packing}", fits.PrimaryHDU(data))
    found, header = read_image(path, 0, LIMIT_MPIX)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, fits.getdata(path).astype(np.float32))
    assert (header["NAXIS1"], header["NAXIS2"]) == (11, 9)


@pytest.mark.parametrize("scheme", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"])
def test_tile_compressed_pixels_equal_astropys(tmp_path, scheme):
    data = np.arange(40 * 32, dtype=np.int16).reshape(40, 32)
    path = _write(
        tmp_path / "a.fits.fz",
        fits.PrimaryHDU(),
        fits.CompImageHDU(data, compression_type=scheme, tile_shape=(16, 32)),
    )
    [info] = image_hdus(path, LIMIT_MPIX)
    assert (info.index, info.shape) == (1, (40, 32))
    assert info.header["BITPIX"] == 16
    assert not {"ZIMAGE", "TFIELDS", "XTENSION"} & set(info.header)
    np.testing.assert_array_equal(read_image(path, 1, LIMIT_MPIX)[0], data)


def test_a_tile_that_states_no_pixels_is_refused_before_it_is_decoded(tmp_path):
    # The decoder divides by them: the whole process would end.
    data = np.arange(40 * 32, dtype=np.int16).reshape(40, 32)
    tiled = fits.CompImageHDU(data, compression_type="HCOMPRESS_1", tile_shape=(20, 32))
    path = _write(tmp_path / "a.fits.fz", fits.PrimaryHDU(), tiled)
    content = bytearray(path.read_bytes())
    begin = content.index(b"\xdd\x99")
    content[begin + 2 : begin + 10] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(BadFitsError, match="states no pixels"):
        read_image(path, 1, LIMIT_MPIX)


def test_quantised_floats_equal_astropys(tmp_path):
    path = _write(
        tmp_path / "a.fz",
        fits.PrimaryHDU(),
        fits.CompImageHDU(SKY, quantize_method=1, dither_seed=7),
    )
    np.testing.assert_array_equal(read_image(path, 1, LIMIT_MPIX)[0], fits.getdata(path, 1))


@pytest.mark.parametrize("zero", [0, 32768])
def test_blank_integers_become_nan(tmp_path, zero):
    hdu = fits.PrimaryHDU(np.arange(100, dtype=np.int16).reshape(10, 10))
    path = _write(tmp_path / "a.fits", hdu)
    fits.setval(path, "BLANK", value=7)
    if zero:
        fits.setval(path, "BZERO", value=zero)
        fits.setval(path, "BSCALE", value=1)
    data, _ = read_image(path, 0, LIMIT_MPIX)
    assert np.argwhere(np.isnan(data)).tolist() == [[0, 7]]
    assert data[0, 8] == 8 + zero


def test_a_degenerate_third_axis_is_no_cube(tmp_path):
    path = _write(tmp_path / "a.fits", fits.PrimaryHDU(SKY[np.newaxis]))
    np.testing.assert_array_equal(read_image(path, 0, LIMIT_MPIX)[0], SKY)


# --- what is an image ---------------------------------------------------------------------


def _tags(path: Path) -> list[str]:
    return [info.tag for info in image_hdus(path, LIMIT_MPIX)]


def test_named_science_extensions_are_the_images(tmp_path):
    names = ["SCI", "ERR", "DQ", "AREA", "SCI", "WHATEVER"]
    hdus = [fits.ImageHDU(SKY, name=name) for name in names]
    hdus[4].ver = 2
    assert _tags(_write(tmp_path / "a.fits", fits.PrimaryHDU(), *hdus)) == ["SCI,1", "SCI,2"]


def test_detector_names_are_images_and_companions_are_not(tmp_path):
    names = ["S4", "N6", "WGT", "var_poisson", "BPM", "MASK", "S4_WEIGHT"]
    hdus = [fits.ImageHDU(SKY, name=name) for name in names]
    assert _tags(_write(tmp_path / "a.fits", fits.PrimaryHDU(), *hdus)) == ["S4,1", "N6,1"]


def test_gaps_are_filled_from_the_primary_but_never_its_wcs(tmp_path):
    primary = fits.PrimaryHDU()
    primary.header.update({"EXPTIME": 30.0, "GAIN": 1.0, "CTYPE1": "RA---TAN", "CRVAL1": 5.0})
    image = fits.ImageHDU(SKY)
    image.header["GAIN"] = 2.0
    [info] = image_hdus(_write(tmp_path / "a.fits", primary, image), LIMIT_MPIX)
    assert info.header["EXPTIME"] == 30.0
    assert info.header["GAIN"] == 2.0
    assert "CRVAL1" not in info.header


@pytest.mark.parametrize(
    ("hdus", "words"),
    [
        ([fits.PrimaryHDU()], "HDU 0 is empty"),
        ([fits.PrimaryHDU(np.zeros((3, 40, 32), np.int16))], "is a cube (32 × 40 × 3)"),
        ([fits.PrimaryHDU(np.zeros(40, np.int16))], "is one-dimensional"),
        ([fits.PrimaryHDU(np.full((1, 1), np.nan, np.float32))], "too small to hold sky"),
        (
            [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])])],
            "HDU 1 is a table",
        ),
        ([fits.PrimaryHDU(), fits.ImageHDU(SKY, name="DQ")], "companion plane ('DQ')"),
        (
            [
                fits.GroupsHDU(
                    fits.GroupData(
                        np.zeros((1, 1, 4, 3)), parnames=["U"], pardata=[[0.0]], bitpix=-32
                    )
                )
            ],
            "random groups",
        ),
    ],
)
def test_what_is_no_sky_image_says_what_it_is(tmp_path, hdus, words):
    path = _write(tmp_path / "odd.fits", *hdus)
    with pytest.raises(NotAnImageError) as caught:
        image_hdus(path, LIMIT_MPIX)
    assert "odd.fits" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["bpm_1.fits", "c4d_ood_g.fits", "x.weight.fits", "dq.fits"])
def test_masks_and_weights_are_known_by_their_names(tmp_path, name):
    with pytest.raises(NotAnImageError, match="by its name"):
        image_hdus(_write(tmp_path / name, fits.PrimaryHDU(SKY)), LIMIT_MPIX)


# --- damage -------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["", ".gz", ".bz2"])
def test_truncated_files_are_refused(tmp_path, packing):
    whole = _write(tmp_path / f"a.fits{packing}", fits.PrimaryHDU(SKY)).read_bytes()
    for n_bytes in (100, len(whole) // 2):
        path = tmp_path / f"b.fits{packing}"
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(BadFitsError, match=r"b\.fits.*Fetch the file again"):
            image_hdus(path, LIMIT_MPIX)


def test_missing_padding_is_no_damage(tmp_path):
    path = _write(tmp_path / "a.fits", fits.PrimaryHDU(SKY))
    path.write_bytes(path.read_bytes()[: 2880 + SKY.nbytes])
    np.testing.assert_array_equal(read_image(path, 0, LIMIT_MPIX)[0], SKY)
    verify_sums(path, LIMIT_MPIX)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=400), is_like_fits=st.booleans())
def test_no_bytes_raise_anything_but_a_typed_error(tmp_path_factory, content, is_like_fits):
    path = tmp_path_factory.mktemp("junk") / "a.fits"
    start = b"SIMPLE  =                    T".ljust(80) if is_like_fits else b""
    path.write_bytes((start + content + b"END".ljust(80)).ljust(2880))
    with pytest.raises(BadFitsError):
        image_hdus(path, LIMIT_MPIX)


@settings(max_examples=25, deadline=None)
@given(position=st.integers(0, 14000), value=st.integers(0, 255))
@example(position=490, value=0)  # inside CHECKSUM: the card is unreadable
@example(position=483, value=0)  # inside its keyword
def test_a_changed_byte_is_found_by_the_checksums_or_raises_typed(
    tmp_path_factory, position, value
):
    folder = tmp_path_factory.mktemp("sums")
    path = _write(folder / "a.fits", fits.PrimaryHDU(SKY), fits.ImageHDU(SKY[:9]), checksum=True)
    content = bytearray(path.read_bytes())
    verify_sums(path, LIMIT_MPIX)
    position %= len(content)
    if content[position] == value:
        return
    content[position] = value
    path.write_bytes(content)
    try:
        image_hdus(path, LIMIT_MPIX)
        verify_sums(path, LIMIT_MPIX)
    except BadFitsError:
        return
    # Only a header so broken that it ends the file, a sum's own keyword, or bytes no sum
    # covers, pass.
    assert _n_with_both_sums(path) < 2


def _n_with_both_sums(path: Path) -> int:
    try:
        with fits.open(path) as hdus:
            return sum({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in hdus)
    except OSError:  # astropy gives up on a file whose first header it cannot read
        return 0


def test_other_packings_are_named(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(b"PK\x03\x04" + b"\0" * 3000)
    with pytest.raises(BadFitsError, match="zip"):
        image_hdus(path, LIMIT_MPIX)


def test_missing_file_is_typed(tmp_path):
    with pytest.raises(BadFitsError, match=r"nothere\.fits"):
        image_hdus(tmp_path / "nothere.fits", LIMIT_MPIX)


# --- bombs --------------------------------------------------------------------------------


def _header(**cards: object) -> bytes:
    header = fits.Header([("SIMPLE", True), *cards.items()])
    return header.tostring().encode("ascii")


def _bomb(path: Path, start: bytes, zeros_mb: int) -> Path:
    """A small gzip file that decompresses to ``zeros_mb`` megabytes of zeros after ``start``."""
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as stream:
        stream.write(packer.compress(start))
        for _ in range(zeros_mb):
            stream.write(packer.compress(bytes(1 << 20)))
        stream.write(packer.flush())
    return path


def test_a_large_frame_is_refused_before_its_pixels_are_read(tmp_path):
    start = _header(BITPIX=8, NAXIS=2, NAXIS1=8000, NAXIS2=8000)
    path = _bomb(tmp_path / "bomb.fits.gz", start, 64)
    assert path.stat().st_size < 200_000

    def refused():
        for read in (lambda: image_hdus(path, LIMIT_MPIX), lambda: read_image(path, 0, LIMIT_MPIX)):
            with pytest.raises(FrameTooLargeError, match="ASTRID_MAX_FRAME_MPIX"):
                read()

    assert _peak_bytes(refused) < 4e6


def test_bytes_no_header_announces_are_never_decompressed(tmp_path):
    start = _header(BITPIX=8, NAXIS=2, NAXIS1=40, NAXIS2=40).ljust(2880) + bytes(2880)
    path = _bomb(tmp_path / "bomb.fits.gz", start, 64)
    assert _peak_bytes(lambda: image_hdus(path, LIMIT_MPIX)) < 4e6
    assert _peak_bytes(lambda: verify_sums(path, LIMIT_MPIX)) < 4e6
    assert _peak_bytes(lambda: read_image(path, 0, LIMIT_MPIX)) < 4e6


def test_a_table_too_large_to_skip_is_refused(tmp_path):
    table = b"".join(
        card.ljust(80)
        for card in (
            b"XTENSION= 'BINTABLE'",
            b"BITPIX  =                    8",
            b"NAXIS   =                    2",
            b"NAXIS1  =              1000000",
            b"NAXIS2  =              1000000",
            b"PCOUNT  =                    0",
            b"GCOUNT  =                    1",
            b"TFIELDS =                    0",
            b"END",
        )
    ).ljust(2880)
    path = tmp_path / "a.fits.bz2"
    path.write_bytes(bz2.compress(_header(BITPIX=8, NAXIS=0) + table + bytes(1 << 20)))
    with pytest.raises(FrameTooLargeError, match="HDU 1 announces"):
        image_hdus(path, LIMIT_MPIX)


def test_a_header_without_end_is_refused(tmp_path):
    path = tmp_path / "a.fits.gz"
    start = b"SIMPLE  =                    T".ljust(80)
    path.write_bytes(gzip.compress(start + b" " * (20 << 20)))
    with pytest.raises(BadFitsError, match="does not end"):
        image_hdus(path, LIMIT_MPIX)


def test_a_compressed_tile_that_is_a_bomb_is_refused(tmp_path):
    path = tmp_path / "a.fits.fz"
    bomb = np.frombuffer(gzip.compress(bytes(64 << 20), mtime=0), dtype=np.uint8)
    innocent = fits.CompImageHDU(np.zeros((16, 16), np.int16), compression_type="GZIP_1")
    _write(path, fits.PrimaryHDU(), innocent)
    with fits.open(path, disable_image_compression=True) as hdus:
        header = hdus[1].header
    heap = np.empty(16, dtype=object)
    heap[:] = [bomb, *(bomb[:0] for _ in range(15))]
    table = fits.BinTableHDU.from_columns([fits.Column("COMPRESSED_DATA", "1PB()", array=heap)])
    for card in header.cards:
        if card.keyword.startswith("Z"):
            table.header.append(card)
    _write(path, fits.PrimaryHDU(), table)
    assert image_hdus(path, LIMIT_MPIX)

    def refused():
        with pytest.raises(FrameTooLargeError, match="compressed tile"):
            read_image(path, 1, LIMIT_MPIX)

    assert _peak_bytes(refused) < 8e6


@pytest.mark.parametrize(
    "card", [b"TFIELDS =         999999999999", b"NAXIS1  =                    0"]
)
def test_a_table_that_astropy_would_allocate_for_ever_is_refused(tmp_path, card):
    path = tmp_path / "a.fits.fz"
    _write(path, fits.PrimaryHDU(), fits.CompImageHDU(np.ones((16, 16), np.int16)))
    content = path.read_bytes()
    start = content.index(card[:9], 2880)
    path.write_bytes(content[:start] + card + content[start + len(card) :])

    def refused():
        with pytest.raises(BadFitsError, match="impossible table"):
            image_hdus(path, LIMIT_MPIX)

    assert _peak_bytes(refused) < 4e6


def test_a_compressed_image_is_measured_by_its_own_dimensions(tmp_path):
    data = np.zeros((1200, 1200), np.int16)
    path = _write(tmp_path / "a.fz", fits.PrimaryHDU(), fits.CompImageHDU(data))
    with pytest.raises(FrameTooLargeError, match="width_pix=1200"):
        image_hdus(path, LIMIT_MPIX)
    shutil.copy(path, tmp_path / "b.fz")
    assert image_hdus(tmp_path / "b.fz", 1.5)


# --- without end ---------------------------------------------------------------------------


def _cards(*cards: bytes) -> bytes:
    content = b"".join(card.ljust(80) for card in (*cards, b"END"))
    return content.ljust(-(-len(content) // 2880) * 2880)


def _image_bytes(*cards: bytes, n_images: int = 1) -> bytes:
    """A file whose images, all extensions, have further cards."""
    start = _cards(b"SIMPLE  =                    T", b"BITPIX  = 8", b"NAXIS   = 0")
    shape = (b"BITPIX  = 8", b"NAXIS   = 2", b"NAXIS1  = 40", b"NAXIS2  = 40")
    rest = (b"PCOUNT  = 0", b"GCOUNT  = 1", *cards)
    extension = _cards(b"XTENSION= 'IMAGE   '", *shape, *rest)
    return start + (extension + bytes(range(40)) * 40 + bytes(1280)) * n_images


def test_a_string_without_end_is_left_out_and_named(tmp_path):
    path = tmp_path / "a.fits"
    endless = [b"CONTINUE  'on and on&'"] * 5000
    path.write_bytes(_image_bytes(b"OBJECT  = 'M31&'", *endless, b"EXPTIME = 5.0"))
    [info] = image_hdus(path, LIMIT_MPIX)
    assert info.unreadable == ("OBJECT",)
    assert "OBJECT" not in info.header
    assert info.header["EXPTIME"] == 5.0
    path.write_bytes(_image_bytes(b"OBJECT  = 'M31&'", *endless[:50], b"EXPTIME = 5.0"))
    [info] = image_hdus(path, LIMIT_MPIX)
    assert len(info.header["OBJECT"]) == 3 + 50 * len("on and on")


def test_headers_that_would_take_minutes_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.fits"
    numbered = [f"K{number:07d}= 1".encode() for number in range(15_000)]
    path.write_bytes(_image_bytes(*numbered))
    with pytest.raises(BadFitsError, match="does not end"):
        image_hdus(path, LIMIT_MPIX)
    monkeypatch.setattr(fits_layout, "MAX_HEADERS_BYTES", 1_000_000)
    path.write_bytes(_image_bytes(*numbered[:1000], n_images=13))
    with pytest.raises(BadFitsError, match="bytes of headers"):
        image_hdus(path, LIMIT_MPIX)


def test_gaps_are_filled_at_once_not_card_by_card(tmp_path):
    numbered = "".join(f"K{number:07d}= {number}".ljust(80) for number in range(10_000))
    primary = fits.PrimaryHDU(header=fits.Header.fromstring(numbered))
    path = _write(tmp_path / "a.fits", primary, fits.ImageHDU(SKY), fits.ImageHDU(SKY))
    begun = time.process_time()
    first, second = image_hdus(path, LIMIT_MPIX)
    assert time.process_time() - begun < 8  # it was a minute
    assert first.header["K0009999"] == second.header["K0009999"] == 9999


def test_images_beyond_number_are_refused(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(_image_bytes(n_images=256))
    assert len(image_hdus(path, LIMIT_MPIX)) == 256
    path.write_bytes(_image_bytes(n_images=257))
    with pytest.raises(BadFitsError, match="more than 256 images"):
        image_hdus(path, LIMIT_MPIX)


def test_many_images_are_read_in_one_pass(tmp_path, monkeypatch):
    path = tmp_path / "a.fits"
    path.write_bytes(_image_bytes(n_images=30))
    n_parsed = 0
    parse = fits_layout._parse_header

    def counted(*given):
        nonlocal n_parsed
        n_parsed += 1
        return parse(*given)

    monkeypatch.setattr(fits_layout, "_parse_header", counted)
    found = list(read_images(path, {3, 30}, LIMIT_MPIX))
    assert [info.index for info, _ in found] == [3, 30]
    assert n_parsed == 31
    np.testing.assert_array_equal(found[1][1], read_image(path, 30, LIMIT_MPIX)[0])


@pytest.mark.parametrize(
    ("cards", "tags"),
    [
        ((b"EXTNAME = 'SCI     '",), ["1", "2"]),  # no EXTVER: both would be SCI,1
        ((b"EXTNAME = 'N1      '", b"EXTVER  = 'x'"), ["1", "2"]),
        ((b"EXTNAME = '<b>1].fits[2'",), ["1", "2"]),
    ],
)
def test_images_that_a_name_does_not_tell_apart_are_numbered(tmp_path, cards, tags):
    path = tmp_path / "a.fits"
    path.write_bytes(_image_bytes(*cards, n_images=2))
    assert _tags(path) == tags


def test_more_bytes_than_can_be_counted_are_refused(tmp_path):
    """Of hundreds of axes of a million: the error's own number could not be printed."""
    path = tmp_path / "a.fits"
    axes = [f"NAXIS{axis}".ljust(8).encode() + b"= 1000000" for axis in range(1, 1000)]
    path.write_bytes(
        _cards(b"SIMPLE  =                    T", b"BITPIX  = 8", b"NAXIS   = 999", *axes)
    )
    with pytest.raises(FrameTooLargeError, match="more data than any file holds") as caught:
        image_hdus(path, LIMIT_MPIX)
    assert "n_axes=999" in str(caught.value)


@pytest.mark.parametrize("number", [b"1000", b"9223372036854775808"])
def test_impossible_axes_of_tiles_are_refused(tmp_path, number):
    path = _write(tmp_path / "a.fz", fits.PrimaryHDU(), fits.CompImageHDU(np.ones((16, 16), "i2")))
    content = path.read_bytes()
    old = b"ZNAXIS  =                    2"
    assert old in content
    path.write_bytes(content.replace(old, b"ZNAXIS  = " + number.rjust(20)))
    with pytest.raises(BadFitsError, match="impossible ZNAXIS"):
        image_hdus(path, LIMIT_MPIX)
