"""The folder survey: which files, which nights, which fields, and the plan."""

import datetime as dt
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrid_core.errors import ConfigurationError, SurveyUnavailableError
from astrid_core.surveys import folder as folder_module
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.folder import FolderSurvey
from astrid_core.surveys.protocol import Survey

UNDATED = "2010-01-01"
SKY = np.random.default_rng(3).normal(100, 5, (16, 20)).astype(np.float32)


def _config(root: Path, **changes: object) -> SurveyConfig:
    options = changes.pop("folder", {})
    return SurveyConfig.model_validate(
        {
            "name": "mine",
            "adapter": "folder",
            "folder": {"root": str(root), **options},
            "nights": {"from": "header", "undated": UNDATED},
            "references": {"name": "none"},
            **changes,
        }
    )


def _frame(path: Path, when: str = "", **cards: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(SKY)
    hdu.header.update({"EXPTIME": 60.0, "FILTER": "r", "OBJECT": "M31", **cards})
    if when:
        hdu.header["DATE-OBS"] = when
    hdu.writeto(path)
    return path


def _wcs_cards(ra: float, dec: float) -> dict[str, object]:
    return {
        "OBJECT": "",
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": 10.0,
        "CRPIX2": 8.0,
        "CDELT1": -3e-4,
        "CDELT2": 3e-4,
    }


def _names(survey: Survey, night: str) -> list[str]:
    return [source.name for source in survey.files(dt.date.fromisoformat(night))]


def test_a_tree_is_listed_by_night(tmp_path):
    _frame(tmp_path / "b.fits", "2020-01-02T03:00:00")
    _frame(tmp_path / "deep/er/a.FIT", "2020-01-02T04:00:00")
    _frame(tmp_path / "c.fts.gz", "2020-01-02T13:00:00")
    _frame(tmp_path / "nodate.fits.bz2")
    (tmp_path / "broken.fits").write_bytes(b"no FITS")
    (tmp_path / "notes.txt").write_text("x")
    _frame(tmp_path / ".hidden.fits", "2020-01-02T03:00:00")
    _frame(tmp_path / ".trash/d.fits", "2020-01-02T03:00:00")
    survey = FolderSurvey(_config(tmp_path, longitude_deg=0.0))
    assert isinstance(survey, Survey)
    assert [str(night) for night in survey.nights()] == [UNDATED, "2020-01-01", "2020-01-02"]
    assert _names(survey, "2020-01-01") == ["b.fits", "deep/er/a.FIT"]
    assert _names(survey, "2020-01-02") == ["c.fts.gz"]
    assert _names(survey, UNDATED) == ["broken.fits", "nodate.fits.bz2"]
    assert _names(survey, "2021-01-01") == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9.fits", r"caf\udce9.fits"),
        (b"\x1b[2J.fits", r"\x1b[2J.fits"),
        (b"a\nb.fits", r"a\nb.fits"),
        ("\u202estif.fits".encode(), r"\u202estif.fits"),
        ("☃ é.fits".encode(), "☃ é.fits"),
    ],
)
def test_names_of_any_bytes_are_listed_as_text(tmp_path, name, shown):
    good, bad = tmp_path / os.fsdecode(name), tmp_path / ("not" + os.fsdecode(name))
    _frame(good, "2020-01-02T03:00:00")
    bad.write_bytes(b"no FITS")
    survey = FolderSurvey(_config(tmp_path))
    [source] = survey.files(dt.date(2020, 1, 2))
    assert (source.name, source.path) == (shown, good)
    plan = survey.plan().describe()
    plan.encode()
    assert plan.replace("\n", "").isprintable()


def test_one_night_for_all(tmp_path):
    _frame(tmp_path / "a.fits", "2020-01-02T03:00:00")
    (tmp_path / "broken.fits").write_bytes(b"no FITS")
    survey = FolderSurvey(_config(tmp_path, nights={"all": "2019-05-05"}))
    assert survey.nights() == [dt.date(2019, 5, 5)]
    assert _names(survey, "2019-05-05") == ["a.fits", "broken.fits"]


def test_masks_are_listed_beside_their_images(tmp_path):
    _frame(tmp_path / "x_ooi.fits", "2020-01-02T03:00:00")
    _frame(tmp_path / "x_oow.fits", "2020-01-02T03:00:00")
    assert _names(FolderSurvey(_config(tmp_path)), "2020-01-02") == ["x_ooi.fits", "x_oow.fits"]


def test_include_and_exclude(tmp_path):
    for name in ("raw/a.fits", "raw/focus.fits", "old/b.fits"):
        _frame(tmp_path / name, "2020-01-02T03:00:00")
    options = {"include": "raw/*", "exclude": ["*focus*"]}
    assert _names(FolderSurvey(_config(tmp_path, folder=options)), "2020-01-02") == ["raw/a.fits"]


def test_links_are_not_followed_out_of_the_root(tmp_path):
    outside = _frame(tmp_path / "outside/secret.fits", "2020-01-02T03:00:00")
    root = tmp_path / "root"
    inside = _frame(root / "a.fits", "2020-01-02T03:00:00")
    (root / "leak.fits").symlink_to(outside)
    (root / "leaks").symlink_to(outside.parent)
    (root / "again.fits").symlink_to(inside)
    (root / "dangling.fits").symlink_to(root / "nothing.fits")
    assert _names(FolderSurvey(_config(root)), "2020-01-02") == ["a.fits", "again.fits"]


def test_a_file_that_nobody_foresaw_is_listed_and_costs_no_other(tmp_path, monkeypatch):
    _frame(tmp_path / "a.fits", "2020-01-02T03:00:00")
    _frame(tmp_path / "b.fits", "2020-01-02T03:00:00", OBJECT="evil")
    told = folder_module.field_name

    def fails(reader):
        if reader.header["OBJECT"] == "evil":
            raise RuntimeError("nobody foresaw it")
        return told(reader)

    monkeypatch.setattr(folder_module, "field_name", fails)
    survey = FolderSurvey(_config(tmp_path))
    assert _names(survey, "2020-01-02") == ["a.fits"]
    assert _names(survey, UNDATED) == ["b.fits"]
    assert "unexpected RuntimeError: nobody foresaw it" in survey.plan().describe()


def test_nothing_is_written(tmp_path):
    _frame(tmp_path / "a.fits.gz", "2020-01-02T03:00:00")

    def state() -> list[tuple[str, int, int]]:
        entries = [tmp_path, *tmp_path.rglob("*")]
        return [(str(p), p.stat().st_mtime_ns, stat.S_IMODE(p.stat().st_mode)) for p in entries]

    before = state()
    survey = FolderSurvey(_config(tmp_path))
    for night in survey.nights():
        list(survey.files(night))
    survey.plan()
    assert state() == before


def test_headers_are_read_once_and_again_when_a_file_changes(tmp_path, monkeypatch):
    path = _frame(tmp_path / "a.fits", "2020-01-02T03:00:00")
    _frame(tmp_path / "b.fits", "2020-01-02T03:00:00")
    reads: list[Path] = []
    image_hdus = folder_module.image_hdus

    def counted(path: Path, max_frame_mpix: float):
        reads.append(path)
        return image_hdus(path, max_frame_mpix)

    monkeypatch.setattr(folder_module, "image_hdus", counted)
    survey = FolderSurvey(_config(tmp_path))
    survey.nights()
    list(survey.files(dt.date(2020, 1, 2)))
    assert len(reads) == 2
    fits.setval(path, "DATE-OBS", value="2020-01-05T03:00:00")
    os.utime(path, ns=(1, 1))
    assert survey.nights() == [dt.date(2020, 1, 2), dt.date(2020, 1, 5)]
    assert reads[2:] == [path]


def test_missing_root_is_typed(tmp_path):
    survey = FolderSurvey(_config(tmp_path / "nowhere"))
    with pytest.raises(SurveyUnavailableError, match=r"'mine'.*nowhere"):
        survey.nights()


def test_dithers_of_a_nameless_pointing_share_a_field_and_others_do_not(tmp_path):
    # The pointings straddle a border of every HEALPix order: declination 0, RA 45.
    for index, (ra, dec) in enumerate(
        [(45.0002, 0.0003), (44.9995, -0.0004), (45.0001, -0.0002), (45.1, 0.0), (45.1, 0.0005)]
    ):
        _frame(tmp_path / f"{index}.fits", f"2020-01-0{index + 1}T03:00:00", **_wcs_cards(ra, dec))
    survey = FolderSurvey(_config(tmp_path))
    fields = [source.field for night in survey.nights() for source in survey.files(night)]
    assert fields[0] == fields[1] == fields[2] == "J045.000+00.000"
    assert fields[3] == fields[4] == "J045.100+00.000"


def test_a_header_that_claims_half_the_sky_gathers_no_other_pointing(tmp_path):
    when = "2020-01-01T03:00:00"
    wide = _wcs_cards(12.0, 0.0) | {"CDELT1": -0.16, "CDELT2": 0.16}
    _frame(tmp_path / "a.fits", when, **wide)
    for name, ra in (("b", 11.0), ("c", 13.0)):
        _frame(tmp_path / f"{name}.fits", when, **_wcs_cards(ra, 0.0))
    survey = FolderSurvey(_config(tmp_path))
    fields = [source.field for night in survey.nights() for source in survey.files(night)]
    assert len(set(fields)) == 3


def test_a_named_pointing_keeps_its_name(tmp_path):
    _frame(tmp_path / "a.fits", "2020-01-02T03:00:00", **(_wcs_cards(1, 2) | {"OBJECT": "M31"}))
    [source] = FolderSurvey(_config(tmp_path)).files(dt.date(2020, 1, 2))
    assert source.field is None


# --- references and plan ------------------------------------------------------------------


def test_reference_root_is_listed_with_a_prefix_and_apart(tmp_path):
    _frame(tmp_path / "data/a.fits", "2020-02-02T03:00:00")
    _frame(tmp_path / "data/reference/r.fits", "2020-01-02T03:00:00")
    options = {"reference_root": str(tmp_path / "data/reference")}
    config = _config(tmp_path / "data", folder=options)
    survey = FolderSurvey(config)
    assert _names(survey, "2020-01-02") == ["reference/r.fits"]
    assert _names(survey, "2020-02-02") == ["a.fits"]
    assert config.is_reference(dt.date(2020, 1, 2), "reference/r.fits")
    plan = survey.plan()
    assert (plan.n_reference, plan.n_differenced, plan.reference_nights) == (1, 1, ())


def test_reference_root_must_be_another_folder(tmp_path):
    survey = FolderSurvey(_config(tmp_path, folder={"reference_root": str(tmp_path)}))
    with pytest.raises(ConfigurationError, match="root itself"):
        survey.nights()


def test_plan_suggests_the_night_with_most_frames_then_the_earliest(tmp_path):
    _frame(tmp_path / "a1.fits", "2020-01-01T03:00:00")
    for index in range(2):
        _frame(tmp_path / f"a2{index}.fits", f"2020-01-02T0{index}:00:00")
        _frame(tmp_path / f"a3{index}.fits", f"2020-01-03T0{index}:00:00")
    _frame(tmp_path / "flat.fits", "2020-01-03T00:00:00", IMAGETYP="flat")
    (tmp_path / "broken.fits").write_bytes(b"no FITS")
    plan = FolderSurvey(_config(tmp_path)).plan()
    assert plan.reference_nights == (dt.date(2020, 1, 2),)
    assert plan.n_differenced == 3
    assert [night.filters for night in plan.nights] == [{"r": 1}, {"r": 2}, {"r": 2}]
    assert plan.nights[2].kinds == {"science": 2, "flat": 1}
    assert [item.name for item in plan.excluded] == ["broken.fits"]
    text = plan.describe()
    for words in ("2020-01-03  1 flat, 2 science  [r: 2]", "broken.fits is not", "2020-01-02;"):
        assert words in text


def test_plan_says_when_no_night_is_separate(tmp_path):
    _frame(tmp_path / "a.fits", "2020-01-01T03:00:00")
    _frame(tmp_path / "b.fits", "2020-01-02T03:00:00", FILTER="g")
    _frame(tmp_path / "c.fits", "2020-01-02T03:00:00", OBJECT="M33")
    plan = FolderSurvey(_config(tmp_path)).plan()
    assert not plan.has_reference
    assert plan.reference_nights == ()
    assert "REFERENCE=<path>" in plan.describe()


def test_plan_follows_configured_references(tmp_path):
    for day in (1, 2, 3):
        _frame(tmp_path / f"a{day}.fits", f"2020-01-0{day}T03:00:00")
    references = {"name": "r", "nights": ["2020-01-03"]}
    plan = FolderSurvey(_config(tmp_path, references=references)).plan()
    assert (plan.n_reference, plan.n_differenced, plan.reference_nights) == (1, 2, ())


def test_plan_excludes_nights_without_partition(tmp_path):
    _frame(tmp_path / "plate.fits", "1990-01-01T03:00:00")
    _frame(tmp_path / "a.fits", "2020-01-01T03:00:00")
    plan = FolderSurvey(_config(tmp_path)).plan(dt.date(2010, 1, 1))
    [item] = plan.excluded
    assert item.name == "plate.fits"
    assert "ASTRID_PARTITIONS_START" in item.why
