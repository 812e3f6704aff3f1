"""Quantities come out of headers as stated, or not at all."""

import math

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.surveys.header import (
    HeaderReader,
    field_name,
    frame_kind,
    parse_number,
    pixel_unit,
)
from astrid_core.surveys.keywords import KeywordMap, Quantity


def _reader(cards: dict[str, object], name: str = "a.fits", **keywords: object) -> HeaderReader:
    return HeaderReader(fits.Header(cards), KeywordMap.model_validate(keywords), name)


@given(st.floats(-1e30, 1e30))
def test_numbers_come_back_whether_written_as_numbers_or_text(number):
    assert parse_number(repr(number)) == number
    assert parse_number(f" {number!r} s") == number


@given(st.text(max_size=30))
def test_no_text_breaks_the_number_parser(text):
    number = parse_number(text)
    assert number is None or math.isfinite(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "12:30:00",
        "2013-06-27",
        "26/07/102",
        "nan",
        "1.2.3",
        "1e31",
        "-1e308",
        "1D300000",
    ],
)
def test_what_is_no_number_is_none(text):
    assert parse_number(text) is None


@given(
    values=st.lists(st.one_of(st.none(), st.floats(1e-6, 1e6)), min_size=1, max_size=5),
)
def test_the_first_stated_keyword_wins(values):
    names = [f"KEY{index}" for index in range(len(values))]
    cards = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    found = _reader(cards, gain=names).number("gain")
    stated = [value for value in values if value is not None]
    assert found == (stated[0] if stated else None)


@given(st.sampled_from(["", "N/A", "nan", "UNKNOWN", "none", " - ", "Undefined"]))
def test_placeholders_are_not_values(text):
    reader = _reader({"EXPTIME": text, "FILTER": text, "OBJECT": text})
    assert reader.number("exposure") is None
    assert reader.text("filter_band") is None
    assert field_name(reader) is None


def test_a_constant_is_taken_and_the_header_not_asked():
    assert _reader({"GAIN": 7.0}, gain={"value": 1.9}).number("gain") == 1.9


def test_file_name_pattern_and_aliases():
    lookup = {"filename": r"_([A-Z])\.fits", "aliases": {"R": "r_sloan"}}
    assert _reader({}, "n/x_R.fits", filter_band=lookup).text("filter_band") == "r_sloan"
    assert _reader({}, "n/x.fits", filter_band=lookup).text("filter_band") is None


def test_pattern_falls_through_to_the_next_keyword():
    lookup = {"keywords": ["BAND", "FILTER"], "pattern": "^([gri])( |$)"}
    cards = {"BAND": "clear", "FILTER": "i DECam SDSS c0003"}
    assert _reader(cards, filter_band=lookup).text("filter_band") == "i"


@pytest.mark.parametrize(
    ("comment", "seconds"),
    [
        ("Exposure Minutes", 3900.0),
        ("Exposure time minutes", 3900.0),
        ("[min] exposure", 3900.0),
        ("[s] exposure", 65.0),
        ("minimum exposure", 65.0),
        ("exposure in milliseconds", 0.065),
        ("", 65.0),
    ],
)
def test_the_unit_in_the_comment_counts(comment, seconds):
    header = fits.Header([("EXPOSURE", 65.0, comment)])
    assert HeaderReader(header, KeywordMap(), "a").number("exposure") == pytest.approx(seconds)


def test_a_scale_overrides_the_comment():
    header = fits.Header([("EXPOSURE", 2.0, "Exposure Minutes")])
    keywords = KeywordMap(exposure=Quantity(keywords=("EXPOSURE",), scale=1.0))
    assert HeaderReader(header, keywords, "a").number("exposure") == 2.0


def test_a_camera_dial_is_not_the_gain():
    assert _reader({"GAIN": 40, "EGAIN": 0.1579}).positive("gain") == 0.1579
    assert _reader({"GAIN": 0.0}).positive("gain") is None


@pytest.mark.parametrize(
    ("cards", "name", "expected"),
    [
        ({"IMAGETYP": "Light Frame"}, "a", ("science", True)),
        ({"IMAGETYP": "object"}, "bias_1.fits", ("science", True)),
        ({"IMAGETYP": "EXT", "OBSTYPE": "IMAGING"}, "a", ("science", True)),
        ({"OBSTYPE": "SKYFLAT"}, "a", ("flat", True)),
        ({"IMAGETYP": "Dark Frame"}, "a", ("dark", True)),
        ({"IMAGETYP": "zero"}, "a", ("bias", True)),
        ({"IMAGETYP": "focus"}, "a", ("focus", True)),
        ({"OBSTYPE": "BPM"}, "a", ("bpm", True)),
        ({}, "2020/flats/x1.fits", ("flat", True)),
        ({}, "bias_003.fit", ("bias", True)),
        ({}, "darkcloud.fits", ("science", False)),
    ],
)
def test_frame_kinds(cards, name, expected):
    assert frame_kind(_reader(cards, name)) == expected


@pytest.mark.parametrize(
    ("cards", "unit"),
    [
        ({"BUNIT": "ADU"}, "adu"),
        ({"BUNIT": "counts"}, "adu"),
        ({"BUNIT": "ELECTRONS"}, "electron"),
        ({"BUNIT": "electron/s"}, "electron/s"),
        ({"BUNIT": "MJy/sr"}, "MJy/sr"),
        ({"INSTRUME": "Photographic Plate"}, "density"),
        ({"BUNIT": "adu", "PLATEID": "0025"}, "adu"),
        ({}, None),
    ],
)
def test_units(cards, unit):
    assert pixel_unit(_reader(cards)) == unit


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_field_names_are_fit_for_keys_and_stable(text):
    name = field_name(_reader({"OBJECT": text}))
    if name is not None:
        assert name.isascii()
        assert not set(name) & set(" /\\[]:*?\"'")
        assert field_name(_reader({"OBJECT": f"  {name}  "})) == name
