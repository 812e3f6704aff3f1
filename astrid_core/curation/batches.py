"""New verdicts in batches: when there are enough of them, or they have waited enough.

Rows of ``validation_events`` are the only truth here. A batch begins behind a cursor and is
known by it and by the last event in it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select

from astrid_core.curation.events import EventCursor, events_after
from astrid_core.errors import ConfigurationError

MAX_BATCH = 50_000
"""Most events of a batch: reading them must end before a sensor's time does."""

_PAGE = 5_000


@dataclass(frozen=True)
class Batch:
    """Events behind a cursor that were not acted on yet.

    Attributes
    ----------
    after, last
        Cursors before and behind it; the same where there is no event.
    by_verdict
        Events by verdict, withdrawals too.
    waited_s
        Seconds since the first was given, by the database's clock.
    """

    after: EventCursor | None
    last: EventCursor | None
    by_verdict: Mapping[str, int]
    reviewer_ids: frozenset[UUID]
    waited_s: float

    @property
    def n_events(self) -> int:
        """Verdicts and withdrawals in it."""
        return sum(self.by_verdict.values())


def read_batch(connection: Connection, after: EventCursor | None) -> Batch:
    """The events behind a cursor, at most ``MAX_BATCH`` of them."""
    by_verdict: Counter[str] = Counter()
    reviewers: set[UUID] = set()
    first: dt.datetime | None = None
    last = after
    while by_verdict.total() < MAX_BATCH:
        page, last = events_after(connection, last, _PAGE)
        if not page:
            break
        by_verdict.update(event["verdict"] for event in page)
        reviewers.update(event["reviewer_id"] for event in page)
        given = min(event["created_at"] for event in page)
        first = given if first is None else min(first, given)
    now = connection.execute(select(func.clock_timestamp())).scalar_one()
    waited_s = 0.0 if first is None else (now - first).total_seconds()
    return Batch(after, last, dict(by_verdict), frozenset(reviewers), waited_s)


def why_due(batch: Batch, min_events: int, max_wait_s: float) -> tuple[bool, str]:
    """Whether a batch is to be acted on, and why or why not.

    Parameters
    ----------
    min_events
        Verdicts and withdrawals that suffice.
    max_wait_s
        Seconds that the first of them waits at most, however few they are.
    """
    if not batch.n_events:
        return False, "No new verdict."
    there_is = f"{batch.n_events} new verdicts, the first {batch.waited_s:.0f} s ago"
    if batch.n_events >= min_events:
        return True, f"{there_is}: {min_events} suffice."
    if batch.waited_s >= max_wait_s:
        return True, f"{there_is}: none waits longer than {max_wait_s:g} s."
    return False, (
        f"{there_is}: waiting for {min_events}, or until the first has waited {max_wait_s:g} s."
    )


# --- cursors as text ------------------------------------------------------------------------


def format_cursor(cursor: EventCursor | None) -> str:
    """A cursor as text; ``start`` for the beginning."""
    return "start" if cursor is None else f"{cursor.xact}/{cursor.event_id}"


def parse_cursor(text: str | None) -> EventCursor | None:
    """The cursor that a text stands for; the beginning where there is no text.

    Raises
    ------
    ConfigurationError
        If it is no cursor.
    """
    if text is None or text == "start":
        return None
    xact, _, event_id = text.partition("/")
    try:
        return EventCursor(int(xact), UUID(event_id))
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no cursor of verdicts.",
            remedy="Reset the sensor's cursor in Dagster's UI: it finds its place by its own runs.",
        ) from error


def describe_batch(batch: Batch) -> dict[str, Any]:
    """What a batch consists of, for people to read."""
    return {
        "n_events": batch.n_events,
        **{f"n_{verdict}": count for verdict, count in sorted(batch.by_verdict.items())},
        "n_reviewers": len(batch.reviewer_ids),
        "first_waited_s": round(batch.waited_s, 1),
        "cursor_before": format_cursor(batch.after),
        "cursor": format_cursor(batch.last),
    }
