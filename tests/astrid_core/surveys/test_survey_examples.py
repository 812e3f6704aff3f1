"""The examples of the packaged surveys.yaml: each one is valid once its marks are removed."""

import pytest
import yaml

from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.config import PACKAGED_SURVEYS, SurveysFile, load_surveys
from astrid_core.surveys.registry import open_survey

_MARK = "#| "


@pytest.fixture(scope="module")
def uncommented(tmp_path_factory: pytest.TempPathFactory) -> SurveysFile:
    lines = PACKAGED_SURVEYS.read_text(encoding="utf-8").splitlines()
    path = tmp_path_factory.mktemp("examples") / "surveys.yaml"
    path.write_text("\n".join(line.replace(_MARK, "", 1) for line in lines), encoding="utf-8")
    return load_surveys(path)


def test_there_is_an_example_of_every_archive_adapter(uncommented: SurveysFile) -> None:
    examples = uncommented.surveys.keys() - load_surveys().surveys.keys()

    assert {uncommented.surveys[name].adapter for name in examples} == {"mast", "skyview", "ivoa"}


def test_every_example_opens_without_the_network(uncommented: SurveysFile) -> None:
    for name in uncommented.surveys.keys() - load_surveys().surveys.keys():
        assert isinstance(open_survey(uncommented.surveys[name]), ArchiveSurvey)


def test_the_longest_example_shows_every_option(uncommented: SurveysFile) -> None:
    """What has an option has it in the file that people read."""
    text = PACKAGED_SURVEYS.read_text(encoding="utf-8").replace(_MARK, "")
    start = text.index("  hst-cosmos:")
    shown = yaml.safe_load(text[start : text.index("  # Calibrated mosaics")])["hst-cosmos"]
    config = uncommented.surveys["hst-cosmos"]
    assert config.archive is not None
    assert config.mast is not None

    assert set(shown["archive"]) == set(type(config.archive).model_fields)
    assert set(shown["mast"]) | {"url"} == set(type(config.mast).model_fields)


def test_the_first_example_of_the_virtual_observatory_shows_every_option(
    uncommented: SurveysFile,
) -> None:
    text = PACKAGED_SURVEYS.read_text(encoding="utf-8").replace(_MARK, "")
    start = text.index("  ztf:")
    shown = yaml.safe_load(text[start : text.index("  # SDSS frames")])["ztf"]
    config = uncommented.surveys["ztf"]
    assert config.ivoa is not None

    assert set(shown["ivoa"]) == set(type(config.ivoa).model_fields)


def test_no_archive_is_asked_by_default() -> None:
    assert all(survey.archive is None for survey in load_surveys().surveys.values())
