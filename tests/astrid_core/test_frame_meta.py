"""What is known about a frame, through a FITS header and back."""

import datetime as dt
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.frame import FrameMeta, meta_header, read_meta

META = FrameMeta(
    observation_id=UUID(int=1),
    survey="mine",
    night=dt.date(2020, 1, 1),
    field="F",
    filter_band="r",
    observation_time=None,
    exposure_s=60.0,
)


def _back(**changes: str) -> FrameMeta:
    meta = FrameMeta(**{**META.__dict__, **changes})
    found = read_meta(meta_header(meta))
    assert found == meta
    return found


@pytest.mark.parametrize("name", ["Hα", 'a "quoted" \\ name', "\0\x07\ufffd", "☃" * 40, "r' & 'g"])
def test_names_of_any_characters_are_kept(name):
    """A survey's aliases may call a filter Hα; cards take nothing but printable ASCII."""
    assert _back(filter_band=name, detector=name).filter_band == name


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=150).filter(str.strip))
def test_every_text_comes_back(text):
    _back(instrument=text.strip())


def test_plain_names_are_written_as_they_are():
    assert meta_header(META)["FILTER"] == "r"
    header = meta_header(META)
    header["FILTER"] = 'of a "former" version'
    assert read_meta(header).filter_band == 'of a "former" version'
