"""The surveys file: valid ones load, invalid ones say what is wrong and where."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.errors import ConfigurationError
from astrid_core.surveys.config import (
    FolderOptions,
    NightRule,
    ReferenceSet,
    SurveyConfig,
    load_surveys,
    require_resolved,
)
from astrid_core.surveys.folder import FolderSurvey
from astrid_core.surveys.registry import open_survey

ENTRY = """
partitions_start: 2020-01-01
surveys:
  mine:
    adapter: folder
    folder: {root: "${MY_ROOT}", reference_root: "${MY_REFERENCE:-}"}
    nights: {from: header, undated: 2020-01-01}
    references: {name: first, nights: [2020-02-01, 2020-03-01..2020-03-05]}
"""


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "surveys.yaml"
    path.write_text(text)
    return path


def test_packaged_file_holds_the_two_surveys():
    surveys = load_surveys().surveys
    assert set(surveys) == {"simulated", "folder"}
    references = surveys["simulated"].references
    assert [references.contains(dt.date(2025, 9, day), "x") for day in (1, 3, 4)] == [
        True,
        True,
        False,
    ]


def test_unset_variable_is_an_error_only_when_the_survey_is_used(tmp_path, monkeypatch):
    monkeypatch.delenv("MY_ROOT", raising=False)
    config = load_surveys(_written(tmp_path, ENTRY)).surveys["mine"]
    assert config.folder is not None
    assert config.folder.reference_root is None
    with pytest.raises(ConfigurationError, match=r"'mine'.*folder\.root needs MY_ROOT"):
        open_survey(config)


def test_variables_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_ROOT", str(tmp_path))
    config = load_surveys(_written(tmp_path, ENTRY)).surveys["mine"]
    require_resolved(config)
    assert isinstance(open_survey(config), FolderSurvey)
    assert config.folder is not None
    assert config.folder.root == str(tmp_path)


def test_lists_may_come_from_a_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_NIGHTS", "2020-02-01, 2020-03-01..2020-03-05")
    text = ENTRY.replace("[2020-02-01, 2020-03-01..2020-03-05]", "'${MY_NIGHTS}'")
    references = load_surveys(_written(tmp_path, text)).surveys["mine"].references
    assert references.contains(dt.date(2020, 3, 4), "x")
    assert not references.contains(dt.date(2020, 2, 2), "x")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("adapter: folder", "adapter: telepathy", ["surveys.mine.adapter"]),
        ("references:", "refrences:", ["surveys.mine.refrences", "surveys.mine.references"]),
        ("undated: 2020-01-01", "undated: yesterday", ["surveys.mine.nights.undated"]),
        ("{from: header, undated: 2020-01-01}", "{from: header}", ["mine", "undated"]),
        ("2020-03-01..2020-03-05", "2020-03-05..2020-03-01", ["before they begin"]),
        ("adapter: folder", "adapter: folder\n    keywords: {gain: {pattern: '('}}", ["gain"]),
        ("adapter: folder", "adapter: folder\n    keywords: {gain: {format: '%Y'}}", ["format"]),
        ("mine:", "Not A Name:", ["Not A Name", "name"]),
        ("surveys:", "surveys: [", ["not YAML"]),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, old, new, words):
    path = _written(tmp_path, ENTRY.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_surveys(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml.*ASTRID_SURVEYS_FILE"):
        load_surveys(tmp_path / "nowhere.yaml")


@given(
    night=st.dates(),
    first=st.dates(),
    length=st.integers(0, 3000),
)
def test_a_range_holds_its_nights_and_no_other(night, first, length):
    last = min(first.toordinal() + length, dt.date.max.toordinal())
    text = f"{first}..{dt.date.fromordinal(last)}"
    references = ReferenceSet.model_validate({"name": "r", "nights": [text]})
    assert references.contains(night, "x") == (first.toordinal() <= night.toordinal() <= last)


def test_patterns_match_with_and_without_the_extension():
    references = ReferenceSet(name="r", include=("deep/*.fits",))
    night = dt.date(2020, 1, 1)
    assert references.contains(night, "deep/a.fits[SCI,1]")
    assert references.contains(night, "deep/a.fits")
    assert not references.contains(night, "a.fits")
    assert not ReferenceSet(name="r").contains(night, "a.fits")


def test_a_reference_root_replaces_the_named_references():
    config = SurveyConfig(
        name="s",
        adapter="folder",
        folder=FolderOptions(root="/a", reference_root="/b"),
        nights=NightRule(all=dt.date(2020, 1, 1)),
        references=ReferenceSet(name="r", include=("*",)),
    )
    assert config.is_reference(dt.date(2020, 1, 1), "reference/x.fits")
    assert not config.is_reference(dt.date(2020, 1, 1), "x.fits")


LAUGHS = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"l0: &l0 ha\n{LAUGHS}surveys: *l11\n", "stands for more than 100000 values"),
        ("surveys: &a {a: *a}\n", "within itself"),
        ("[" * 5000, "nested too deeply"),
        ("partitions_start: 2025-13-45\n", "month must be in 1..12"),
        ("partitions_start: !!float no\n", "could not convert"),
        (f"partitions_start: {'9' * 5000}\n", "4300 digits"),
        ("surveys: !!python/object/apply:os.system [echo]\n", "could not determine a constructor"),
        ("surveys: \0\n", "special characters"),
        ("- a\n", "valid dictionary"),
        ("", "valid dictionary"),
    ],
)
def test_a_hostile_file_is_refused_at_once(tmp_path, text, words):
    path = tmp_path / "surveys.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"Surveys file .*surveys\.yaml") as caught:
        load_surveys(path)
    assert words in str(caught.value)
