"""Tokens that stand for the last row of a page, and times."""

import datetime as dt
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from astrid_api.errors import BadRequestError
from astrid_api.paging import UtcTime, from_token, to_token


@given(st.floats(allow_nan=False), st.uuids(), st.dates())
def test_a_token_gives_back_what_it_was_made_of(score: float, row: UUID, night: dt.date) -> None:
    assert from_token(to_token(score, row), float, UUID) == (score, row)
    assert from_token(to_token(night, row), dt.date.fromisoformat, UUID) == (night, row)


@given(st.text())
def test_no_other_text_is_one(text: str) -> None:
    with pytest.raises(BadRequestError):
        from_token(text, float, UUID)


@pytest.mark.parametrize(
    "token", [to_token(1.0), to_token("a", "b"), to_token(1, 2, 3), "W10=", "bnVsbA==", "WzEsMl0="]
)
def test_nor_a_token_of_another_list(token: str) -> None:
    with pytest.raises(BadRequestError):
        from_token(token, float, UUID)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_token_carries_no_text_that_the_database_cannot_hold(text: str) -> None:
    with pytest.raises(BadRequestError):
        from_token(to_token(text), str)


def test_naive_times_are_utc() -> None:
    read = TypeAdapter(UtcTime).validate_python
    assert read("2026-09-01T12:00:00") == dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
    assert read("2026-09-01T12:00:00+02:00") == dt.datetime(2026, 9, 1, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "given", ["20260901", "0.5", 0, 1e9, "-651", "+99-01-01T00:00:00", "2026-09-01T00:00:00+24:00"]
)
def test_what_is_no_time_is_not_taken_for_one(given: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(UtcTime).validate_python(given)
