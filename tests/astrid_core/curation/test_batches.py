"""Batches of new verdicts: when they are due, and cursors as text."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.curation.batches import Batch, format_cursor, parse_cursor, why_due
from astrid_core.curation.events import EventCursor
from astrid_core.errors import ConfigurationError

CURSORS = st.none() | st.builds(EventCursor, st.integers(0, 2**64 - 1), st.uuids())


def batch(n_events: int, waited_s: float) -> Batch:
    by_verdict = {"real": n_events} if n_events else {}
    return Batch(None, EventCursor(1, UUID(int=1)), by_verdict, frozenset(), waited_s)


@given(CURSORS)
def test_a_cursor_survives_being_text(cursor: EventCursor | None) -> None:
    assert parse_cursor(format_cursor(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "12", "12/x", "x/" + str(UUID(int=1)), "{}"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no cursor of verdicts"):
        parse_cursor(text)


@pytest.mark.parametrize(
    ("n_events", "waited_s", "is_due", "why"),
    [
        (0, 0.0, False, "No new verdict."),
        (9, 59.9, False, "waiting for 10"),
        (10, 0.0, True, "10 suffice"),
        (1, 60.0, True, "none waits longer than 60 s"),
    ],
)
def test_a_batch_is_due_by_size_or_by_age(
    n_events: int, waited_s: float, is_due: bool, why: str
) -> None:
    found, said = why_due(batch(n_events, waited_s), 10, 60)
    assert found == is_due
    assert why in said
