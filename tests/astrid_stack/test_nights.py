"""Which nights may be asked for, and by which names."""

import datetime as dt

import pytest

from astrid_core.surveys.config import SurveyConfig, SurveysFile
from astrid_stack.errors import NightsError
from astrid_stack.nights import MAX_NIGHTS, keys_between

TODAY = dt.date(2026, 3, 1)
START = dt.date(2020, 1, 1)
SURVEYS = SurveysFile(
    partitions_start=START,
    surveys={"sim": SurveyConfig(name="sim", adapter="simulated", references={"name": "set"})},
)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_both_ends_are_included_over_a_leap_day() -> None:
    keys = keys_between(SURVEYS, "sim", day("2024-02-28"), day("2024-03-01"), TODAY)
    assert keys == ["2024-02-28|sim", "2024-02-29|sim", "2024-03-01|sim"]


def test_the_first_and_the_last_partition_may_be_asked_for() -> None:
    assert keys_between(SURVEYS, "sim", START, START, TODAY) == ["2020-01-01|sim"]
    assert keys_between(SURVEYS, "sim", TODAY, TODAY, TODAY) == ["2026-03-01|sim"]
    most = START + dt.timedelta(days=MAX_NIGHTS - 1)
    assert len(keys_between(SURVEYS, "sim", START, most, TODAY)) == MAX_NIGHTS


@pytest.mark.parametrize(
    ("survey", "first", "last", "said"),
    [
        ("simm", "2025-01-01", "2025-01-02", "Take one of sim"),
        ("sim", "2025-01-02", "2025-01-01", "end .* before they begin"),
        ("sim", "2019-12-31", "2020-01-01", "Begin with 2020-01-01"),
        ("sim", "2026-03-01", "2026-03-02", r"End with 2026-03-01 \(UTC\)"),
        ("sim", "2024-01-01", "2025-01-01", "367 nights"),
    ],
)
def test_others_are_refused_with_what_to_do(survey: str, first: str, last: str, said: str) -> None:
    with pytest.raises(NightsError, match=said):
        keys_between(SURVEYS, survey, day(first), day(last), TODAY)
