"""The demo's plan: which nights become references, which are searched."""

import datetime as dt

import pytest

from astrid_core.errors import ConfigurationError
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.plan import FolderPlan
from astrid_core.surveys.plan import NightPlan as PlannedNight
from astrid_stack.dagster_client import RunState, StepTime
from astrid_stack.demo import plan_folder, plan_nights, step_seconds

NIGHTS = [dt.date(2025, 9, day) for day in (1, 2, 10, 11)]


def survey(**references: object) -> SurveyConfig:
    return SurveyConfig(name="s", adapter="simulated", references={"name": "set", **references})


def folder_plan(**values: object) -> FolderPlan:
    nights = tuple(PlannedNight(night, True, {"science": 2}, {"r": 2}, 0) for night in NIGHTS)
    given = {
        "survey": "s",
        "root": "/data",
        "nights": nights,
        "excluded": (),
        "reference_nights": (),
        "n_reference": 0,
        "n_differenced": 4,
    }
    return FolderPlan(**(given | values))


def test_named_reference_nights_are_not_searched() -> None:
    plan = plan_nights(survey(nights=["2025-09-01..2025-09-05"]), NIGHTS)
    assert plan.reference_nights == tuple(NIGHTS[:2])
    assert plan.science_nights == tuple(NIGHTS[2:])


def test_a_set_of_named_frames_makes_every_night_both() -> None:
    plan = plan_nights(survey(include=["a*.fits"]), NIGHTS)
    assert plan.reference_nights == plan.science_nights == tuple(NIGHTS)


def test_a_suggested_reference_night_becomes_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASTRID_FOLDER_REFERENCE_NIGHTS", raising=False)
    monkeypatch.setenv("ASTRID_FOLDER_REFERENCE_NIGHTS", "")
    plan = plan_folder(survey(), folder_plan(reference_nights=(NIGHTS[0],)))
    assert plan.reference_nights == (NIGHTS[0],)
    assert plan.science_nights == tuple(NIGHTS[1:])
    import os

    assert os.environ["ASTRID_FOLDER_REFERENCE_NIGHTS"] == "2025-09-01"


def test_without_any_reference_the_remedy_is_said() -> None:
    with pytest.raises(ConfigurationError, match="REFERENCE=<path>"):
        plan_folder(survey(), folder_plan(n_differenced=0))


def test_step_times_add_up_over_runs() -> None:
    run = RunState("r", "SUCCESS", "p", 0.0, 9.0, (StepTime("ingest", 1.0, 3.0),))
    assert step_seconds([run, run]) == {"ingest": 4.0}
