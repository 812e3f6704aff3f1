"""Verdicts in another database cluster: transaction ids mean nothing there.

Readers of ``validation_events`` follow transaction ids (``xact``), which alone lose no late
commit, and wait for those that are not yet over. A cluster that was made a moment ago counts
from the beginning: to it, verdicts of a restored database come from transactions of the
future, and would never be read; those given from now on would lie before every cursor, and
be read never either. So the ids are counted anew, in their order, below all to come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from astrid_core.curation.events import EventCursor

_SAFE = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
_NEWEST = text(
    "SELECT greatest("
    "(SELECT max(xact::text::bigint) FROM validation_events),"
    "(SELECT max(covered_xact) FROM label_snapshots), 0)"
)
_EVENTS = text(
    "UPDATE validation_events e SET xact = n.number::text::xid8 FROM ("
    "  SELECT xact, row_number() OVER (ORDER BY xact) AS number"
    "  FROM (SELECT DISTINCT xact FROM validation_events) d) n WHERE n.xact = e.xact"
)
_SNAPSHOTS = text(
    "UPDATE label_snapshots s SET covered_xact = (SELECT e.xact::text::bigint"
    "  FROM validation_events e WHERE e.id = s.covered_event_id) WHERE covered_xact IS NOT NULL"
)
_TRIGGER = "ALTER TABLE validation_events {} TRIGGER validation_events_append_only"
_BURN = """
DO $$ BEGIN
  FOR i IN 1..{n} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;
END $$
"""


@dataclass(frozen=True)
class Recounted:
    """What was done: whether ids were counted anew, and how many there are."""

    is_done: bool
    n_transactions: int


def recount_transactions(connection: Connection) -> Recounted:
    """Count transaction ids of verdicts anew where this cluster's own are lower.

    Once a restored database is all there; harmless a second time. It is the one thing that
    changes rows of ``validation_events``: no verdict, only where in time readers find it.

    Parameters
    ----------
    connection
        Of a transaction, as the owner of the tables.
    """
    newest, safe = connection.scalar(_NEWEST), connection.scalar(_SAFE)
    if newest < safe:
        return Recounted(False, 0)
    connection.execute(text(_TRIGGER.format("DISABLE")))
    connection.execute(_EVENTS)
    connection.execute(text(_TRIGGER.format("ENABLE")))
    connection.execute(_SNAPSHOTS)
    return Recounted(True, connection.scalar(_NEWEST))


def outrun(connection: Connection, n_transactions: int) -> None:
    """Use up transaction ids until this cluster's are above those of the verdicts.

    Parameters
    ----------
    connection
        Outside a transaction (autocommit).
    """
    lacking = n_transactions + 1 - connection.scalar(_SAFE)
    if lacking > 0:
        connection.execute(text("SET synchronous_commit = off"))
        connection.execute(text(_BURN.format(n=lacking)))
        connection.execute(text("SET synchronous_commit = on"))


def cursors_now(connection: Connection, events: Sequence[UUID]) -> dict[UUID, EventCursor]:
    """Where the cursors behind some events are now."""
    query = text("SELECT id, xact::text::bigint FROM validation_events WHERE id = ANY(:events)")
    rows = connection.execute(query, {"events": list(events)})
    return {row[0]: EventCursor(row[1], row[0]) for row in rows}
