"""Values of rows: what goes in comes out, or is refused by name."""

import datetime as dt
import math
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from astrid_core.errors import ConfigurationError
from astrid_core.flags import CandidateFlag
from astrid_dagster.io_managers.columns import converter
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from dbschema.models import Candidate, DifferenceRun, Observation, Survey
from tests import rows

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    # JSON has one kind of number: beyond 2^53 a float comes back as the integer it denotes.
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e15, 1e15) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
TIME = st.datetimes(
    dt.datetime(1900, 1, 1),
    dt.datetime(2200, 1, 1),
    # Fixed offsets: Python finds a time that its zone has twice unequal to every other.
    timezones=st.integers(-14, 14).map(lambda hours: dt.timezone(dt.timedelta(hours=hours))),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=TEXT,
    number=st.none() | FINITE,
    integer=st.none() | st.integers(-(2**63), 2**63 - 1),
    time=st.none() | TIME,
    night=st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1)),
    footprint=st.none() | st.lists(JSON, max_size=3),
    config=st.dictionaries(TEXT, JSON, max_size=4),
)
def test_values_round_trip_through_the_database(
    engine: Engine,
    text: str,
    number: float | None,
    integer: int | None,
    time: dt.datetime | None,
    night: dt.date,
    footprint: list[Any] | None,
    config: dict[str, Any],
) -> None:
    survey = rows.survey_row() | {"config": config}
    observation = rows.observation_row(1) | {
        "night": night,
        "field": text,
        "ra": number,
        "healpix": integer,
        "observation_time": time,
        "footprint": footprint,
    }
    with engine.begin() as connection:
        upsert(connection, TableRows(Survey, [survey]))
        upsert(connection, TableRows(Observation, [observation]))
    with engine.connect() as connection:
        found = dict(connection.execute(select(Observation.__table__)).mappings().one())
        assert connection.scalar(select(Survey.config)) == config
    assert {name: found[name] for name in observation} == observation


def convert(table: Any, column: str, value: object) -> Any:
    return converter(table.__table__.columns[column])(value)


class Kind(StrEnum):
    BIAS = "bias"


def test_values_of_numpy_and_enums() -> None:
    assert convert(Observation, "ra", np.float32(0.5)) == 0.5
    assert type(convert(Observation, "ra", np.float32(0.5))) is float
    assert convert(Candidate, "flags", CandidateFlag.DIPOLE | CandidateFlag.TRAIL) == 65
    assert type(convert(Candidate, "flags", np.int64(3))) is int
    assert convert(Candidate, "is_negative", np.bool_(True)) is True
    assert convert(Observation, "frame_kind", Kind.BIAS) == "bias"
    some = uuid4()
    assert convert(Observation, "id", str(some)) == some
    value = {"b": np.arange(3), "a": (np.float32(0.5), UUID(int=1), Kind.BIAS, float("nan"))}
    found = convert(DifferenceRun, "reference_choice", [value]).obj
    assert found == [{"a": [0.5, str(UUID(int=1)), "bias", None], "b": [0, 1, 2]}]
    assert list(found[0]) == ["a", "b"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_that_are_not_finite_are_unknown(value: float) -> None:
    assert convert(Observation, "ra", value) is None
    with pytest.raises(ConfigurationError, match=r"candidates\.flux"):
        convert(Candidate, "flux", value)


def test_text_that_postgres_cannot_hold() -> None:
    assert convert(Observation, "field", "a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert convert(DifferenceRun, "reference_choice", ["\x00"]).obj == ["\ufffd"]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (Observation, "archive_id", None),
        (Observation, "archive_id", 5),
        (Observation, "archive_id", b"bytes"),
        (Observation, "ra", "10.5"),
        (Observation, "healpix", 1.0),
        (Observation, "night", dt.datetime(2026, 9, 1, tzinfo=dt.UTC)),
        (Observation, "night", "2026-09-01"),
        (Observation, "observation_time", dt.datetime(2026, 9, 1)),
        (Observation, "observation_time", dt.date(2026, 9, 1)),
        (Observation, "footprint", [b"bytes"]),
        (Observation, "footprint", [object()]),
        (Observation, "id", "no id"),
        (Candidate, "is_negative", 1),
    ],
)
def test_wrong_types_are_refused_by_name(table: Any, column: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"{table.__tablename__}\.{column} cannot be"):
        convert(table, column, value)
