"""Ingest: what a file says becomes rows, what it does not is named, errors are outcomes."""

import datetime as dt
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.errors import BadFitsError, FrameTooLargeError, NotAnImageError
from astrid_core.identity import observation_id, sha256_file
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.header import plain_text
from astrid_core.surveys.ingest import IngestOutcome, ObservationRecord, ingest_file
from astrid_core.surveys.protocol import SourceFile
from astrid_core.surveys.sky import sky_position
from dbschema.models import Observation

NIGHT = dt.date(2020, 1, 1)
SKY = np.random.default_rng(4).normal(100, 5, (16, 20)).astype(np.float32)
FULL = {
    "DATE-OBS": "2020-01-02T03:00:00",
    "EXPTIME": 60.0,
    "FILTER": "r",
    "OBJECT": "M 31  (core)",
    "GAIN": 1.5,
    "RDNOISE": 4.0,
    "SATURATE": 60000.0,
    "BUNIT": "adu",
    "IMAGETYP": "Light Frame",
    "INSTRUME": "cam",
    "DETECTOR": "c2",
    "MAGZERO": 25.5,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 10.0,
    "CRVAL2": 41.0,
    "CRPIX1": 10.5,
    "CRPIX2": 8.5,
    "CDELT1": -3e-4,
    "CDELT2": 3e-4,
}

WCS_CARDS = ("CTYPE", "CRVAL", "CRPIX", "CDELT")

BROKEN_VALUES = [
    *(b"'text'", b"'unterminated", b"", b"(1, 2)", b"1.2.3", b"T", b"\xff\xfe"),
    *(b"-1", b"0", b"3", b"999999999999", b"1e400", b"NaN", b"-32"),
]


def _config(**changes: object) -> SurveyConfig:
    return SurveyConfig.model_validate(
        {
            "name": "mine",
            "adapter": "folder",
            "folder": {"root": "/nowhere"},
            "nights": {"from": "header", "undated": "2010-01-01"},
            "references": {"name": "none"},
            **changes,
        }
    )


def _file(tmp_path: Path, *hdus: object, name: str = "a.fits", **writing: object) -> SourceFile:
    path = tmp_path / name
    fits.HDUList(list(hdus)).writeto(path, overwrite=True, **writing)
    return SourceFile(name, path)


def _image(cards: dict[str, object], data: np.ndarray = SKY) -> fits.PrimaryHDU:
    return fits.PrimaryHDU(data, fits.Header(cards))


def _ingest(source: SourceFile, **changes: object) -> IngestOutcome:
    return ingest_file(source, _config(**changes), NIGHT, 1.0)


def _only(outcome: IngestOutcome) -> ObservationRecord:
    assert outcome.error is None
    [record] = outcome.observations
    return record


def test_fields_are_the_columns_of_observations():
    columns = {column.name for column in Observation.__table__.columns}
    expected = columns - {"survey_id", "raw_fits_path", "created_at"} | {"survey"}
    assert {field.name for field in fields(ObservationRecord)} == expected


def test_a_full_header_is_taken_as_it_is(tmp_path):
    source = _file(tmp_path, _image(FULL))
    record = _only(_ingest(source))
    assert record.id == observation_id("mine", "a.fits")
    assert record.raw_sha256 == sha256_file(source.path)
    assert record.assumed == []
    assert (record.night, record.field, record.frame_kind) == (NIGHT, "M_31_core", "science")
    assert record.observation_time == dt.datetime(2020, 1, 2, 3, 0, 30, tzinfo=dt.UTC)
    assert record.mjd_tai == pytest.approx(58850.1253472 + 37 / 86400, abs=1e-6)
    assert (record.ra, record.dec) == (pytest.approx(10.0), pytest.approx(41.0))
    assert record.footprint is not None
    assert np.shape(record.footprint) == (4, 2)
    assert record.healpix is not None
    assert 0 <= record.healpix < 12 * 4**16
    assert (record.filter_band, record.exposure_s, record.unit) == ("r", 60.0, "adu")
    assert (record.gain_e_adu, record.read_noise_e, record.saturation_adu) == (1.5, 4.0, 60000.0)
    assert (record.instrument, record.detector, record.zero_point_mag) == ("cam", "c2", 25.5)
    assert (record.width_pix, record.height_pix, record.raw_hdu) == (20, 16, 0)


@settings(max_examples=40, deadline=None)
@given(missing=st.sets(st.sampled_from(sorted(FULL))))
def test_what_is_missing_is_unknown_and_named_never_invented(tmp_path_factory, missing):
    cards = {name: value for name, value in FULL.items() if name not in missing}
    record = _only(_ingest(_file(tmp_path_factory.mktemp("m"), _image(cards))))
    for keyword, column, absent in [
        ("EXPTIME", "exposure_s", None),
        ("FILTER", "filter_band", "unknown"),
        ("GAIN", "gain_e_adu", None),
        ("RDNOISE", "read_noise_e", None),
        ("SATURATE", "saturation_adu", None),
        ("BUNIT", "unit", "adu"),
        ("IMAGETYP", "frame_kind", "science"),
    ]:
        assert (column in record.assumed) == (keyword in missing)
        if keyword in missing:
            assert getattr(record, column) == absent
    assert (record.observation_time is None) == ("DATE-OBS" in missing)
    assert ("night" in record.assumed) == ("DATE-OBS" in missing)
    assert (record.ra is None) == any(name[:5] in WCS_CARDS for name in missing)
    assert (record.ra is None) == (record.healpix is None) == (record.footprint is None)
    assert (record.zero_point_mag is None) == ("MAGZERO" in missing)
    if "OBJECT" in missing and record.ra is None:
        assert record.field == "unknown"
        assert "field" in record.assumed


def test_a_survey_names_the_field_of_a_nameless_pointing(tmp_path):
    source = _file(tmp_path, _image(FULL | {"OBJECT": "data"}))
    hinted = SourceFile(source.name, source.path, "J010.000+41.000")
    assert _only(_ingest(hinted)).field == "J010.000+41.000"
    assert _only(_ingest(source)).field.startswith("J0")


def test_every_science_extension_is_an_observation_of_its_own_field(tmp_path):
    primary = fits.PrimaryHDU(header=fits.Header({"OBJECT": "M31", "EXPTIME": 5.0}))
    hdus = [fits.ImageHDU(SKY, name="SCI", ver=ver) for ver in (1, 2)]
    outcome = _ingest(_file(tmp_path, primary, hdus[0], fits.ImageHDU(SKY, name="DQ"), hdus[1]))
    records = outcome.observations
    assert [r.archive_id for r in records] == ["a.fits[SCI,1]", "a.fits[SCI,2]"]
    assert [r.raw_hdu for r in records] == [1, 3]
    assert [r.field for r in records] == ["M31:SCI,1", "M31:SCI,2"]
    assert [r.exposure_s for r in records] == [5.0, 5.0]
    assert len({r.id for r in records}) == 2


def test_a_blank_extension_is_skipped_with_a_note(tmp_path):
    blank = fits.ImageHDU(np.full_like(SKY, np.nan), name="SCI", ver=2)
    outcome = _ingest(_file(tmp_path, fits.PrimaryHDU(), fits.ImageHDU(SKY, name="SCI"), blank))
    assert [r.archive_id for r in outcome.observations] == ["a.fits[SCI,1]"]
    assert "HDU 2 has no finite pixel" in outcome.notes[0]


def test_calibration_frames_have_no_sky(tmp_path):
    record = _only(_ingest(_file(tmp_path, _image(FULL | {"IMAGETYP": "bias"}))))
    assert (record.frame_kind, record.field, record.ra) == ("bias", "bias", None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.full((16, 20), np.nan, np.float32), "no finite pixel"),
        (np.full((16, 20), 7, np.int16), "two different pixel values"),
        ((SKY > 100).astype(np.uint8), "mask"),
    ],
)
def test_images_without_sky_are_refused(tmp_path, data, words):
    outcome = _ingest(_file(tmp_path, _image({}, data)))
    assert isinstance(outcome.error, NotAnImageError)
    assert words in str(outcome.error)
    assert "a.fits" in str(outcome.error)
    assert outcome.sha256 is not None


def test_frames_that_show_no_sky_are_refused(tmp_path):
    outcome = _ingest(_file(tmp_path, _image(FULL | {"IMAGETYP": "focus"})))
    assert isinstance(outcome.error, NotAnImageError)
    assert "'focus'" in str(outcome.error)


def test_stale_checksums_are_refused_or_named(tmp_path):
    source = _file(tmp_path, _image(FULL), checksum=True)
    content = bytearray(source.path.read_bytes())
    content[2880 + 5] ^= 255
    source.path.write_bytes(content)
    refused = _ingest(source)
    assert isinstance(refused.error, BadFitsError)
    assert "checksums: ignore" in refused.error.remedy
    ignored = _ingest(source, folder={"root": "/nowhere", "checksums": "ignore"})
    assert _only(ignored).assumed == ["checksums"]
    assert "differs from its own checksums" in ignored.notes[0]


def test_errors_are_outcomes(tmp_path):
    too_large = _ingest(_file(tmp_path, fits.PrimaryHDU(np.zeros((1100, 1000), np.uint8))))
    assert isinstance(too_large.error, FrameTooLargeError)
    missing = _ingest(SourceFile("gone.fits", tmp_path / "gone.fits"))
    assert isinstance(missing.error, BadFitsError)
    assert (missing.status, missing.sha256, missing.observations) == ("failed", None, ())


def test_unreadable_cards_are_noted_and_not_printed(tmp_path):
    source = _file(tmp_path, _image(FULL))
    content = source.path.read_bytes()
    for card, odd in [
        (b"INSTRUME= 'cam     '", b"ESO-LOG 00:00:00> DATE         = 'x'"),
        (b"DETECTOR= 'c2      '", b"SKEW    = -1.38698, -1.69125"),
    ]:
        assert card.ljust(80) in content
        content = content.replace(card.ljust(80), odd.ljust(80), 1)
    source.path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = _ingest(source)
    assert outcome.status == "completed"
    assert outcome.notes == ("a.fits: HDU 0 has unreadable cards: SKEW.",)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_broken_card_raises_anything_but_becomes_an_outcome(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cards")
    compressed = fits.CompImageHDU(SKY.astype(np.int16), fits.Header(FULL), name="SCI")
    source = _file(folder, fits.PrimaryHDU(header=fits.Header(FULL)), compressed, checksum=True)
    content = bytearray(source.path.read_bytes())
    cards = [i for i in range(0, len(content), 80) if content[i + 8 : i + 10] == b"= "]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.sampled_from(cards))
        value = data.draw(st.sampled_from(BROKEN_VALUES))
        content[start + 10 : start + 80] = value.rjust(20).ljust(70)
    source.path.write_bytes(content)
    outcome = _ingest(source, folder={"root": "/nowhere", "checksums": "ignore"})
    assert (outcome.error is None) == bool(outcome.observations)


def test_a_zero_point_that_no_unit_has_is_none(tmp_path):
    record = _only(_ingest(_file(tmp_path, _image(FULL | {"MAGZERO": 1e29}))))
    assert record.zero_point_mag is None


# --- the sky ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"CRVAL1": "124.6", "CRVAL2": "25.3"},
        {"CRPIX1": "12"},
        {"CDELT1": None, "CDELT2": None},
        {"CDELT1": 0.0},
        {"CDELT1": -1.0, "CDELT2": 1.0},
        {"CTYPE1": "UNITLESS", "CTYPE2": "LINE"},
        {"CTYPE1": "", "CTYPE2": ""},
        {"CTYPE1": "RA---NOP"},
        {"CRVAL2": 95.0},
    ],
)
def test_a_wcs_that_cannot_be_true_is_no_wcs(changes):
    cards = {name: value for name, value in (FULL | changes).items() if value is not None}
    assert sky_position(fits.Header(cards), (16, 20)) is None


@settings(max_examples=50, deadline=None)
@given(ra=st.floats(0, 359.999), dec=st.floats(-89.9, 89.9), parity=st.sampled_from([-1, 1]))
def test_positions_follow_the_wcs_over_the_whole_sky(ra, dec, parity):
    cards = FULL | {"CRVAL1": ra, "CRVAL2": dec, "CDELT1": parity * 3e-4}
    position = sky_position(fits.Header(cards), (16, 20))
    assert position is not None
    assert position.dec == pytest.approx(dec, abs=1e-9)
    assert (position.ra - ra + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)
    assert position.diagonal_deg == pytest.approx(3e-4 * np.hypot(16, 20), rel=1e-3)


# --- words --------------------------------------------------------------------------------


def test_words_are_printable_and_no_longer_than_anybody_reads(tmp_path):
    source = _file(tmp_path, _image(FULL | {"INSTRUME": "c" * 68, "DETECTOR": "d" * 5000}))
    content = source.path.read_bytes()
    assert b"c" * 60 in content
    source.path.write_bytes(content.replace(b"c" * 60, b"\0\x1b[31m\x7f\xff<b>" + b"c" * 49))
    outcome = _ingest(source)
    record = _only(outcome)
    assert outcome.notes == ("a.fits: HDU 0 has unreadable cards: INSTRUME.",)
    assert (record.instrument, record.detector) == ("", "d" * 200)
    assert plain_text("a\0b\x1b[31m \r\n é\ud800 <b>") == "a?b?[31m ?? <b>"


def test_few_of_many_unreadable_cards_are_named(tmp_path):
    source = _file(tmp_path, _image(FULL | {f"SKEW{n}": 7.25 for n in range(300)}))
    content = source.path.read_bytes()
    source.path.write_bytes(content.replace(b" 7.25", b"1,\x002 "))
    [note] = _ingest(source).notes
    assert note == (
        "a.fits: HDU 0 has unreadable cards: "
        + ", ".join(f"SKEW{n}" for n in range(10))
        + " and 290 more."
    )
