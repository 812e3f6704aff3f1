"""What is put before a reviewer next: items of the strata, leased.

A reviewer gets items of the strata by their shares, and is not told of which stratum an item
is. Until it is judged or its lease runs out nobody else gets it. Who has judged an item gets
it again only where a repeat was declared. Only detections of current, good runs are put
before anyone: of degraded frames on request, superseded ones never.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Connection,
    Interval,
    Text,
    Uuid,
    any_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from astrid_core.curation.access import KnownUser
from astrid_core.curation.strata import QueueConfig, Stratum, choices, due_repeats, is_live
from dbschema.models import ReviewLease, User

MAX_ITEMS = 100
"""Most items a reviewer may hold."""

_INSTEAD: tuple[Stratum, ...] = ("uncertain", "random", "suspect", "gold")
"""What is taken, in this order, where the stratum drawn has nothing."""


@dataclass(frozen=True)
class LeasedItem:
    """A detection that is one reviewer's to judge until a time."""

    lease_id: UUID
    detection_id: UUID
    expires_at: dt.datetime


def next_items(
    connection: Connection, reviewer: KnownUser, n: int, config: QueueConfig
) -> list[LeasedItem]:
    """The items a reviewer holds, renewed, and new ones up to ``n`` in all.

    Asking again, after a reload say, gives the same ones. Fewer come where the queue has no
    more for this reviewer. Works in the caller's transaction.

    Raises
    ------
    NotAllowedError
        If the user may not judge.
    ValueError
        If ``n`` is not from 1 to :data:`MAX_ITEMS`.
    """
    reviewer.require("reviewer")
    if not 1 <= n <= MAX_ITEMS:
        raise ValueError(f"{n} items asked for; from 1 to {MAX_ITEMS} may be.")
    # A reviewer's own requests take turns, so that together they hold no more than n.
    connection.execute(
        select(User.id).where(User.id == reviewer.id).with_for_update(key_share=True)
    )
    held = _renew(connection, reviewer, config)
    if len(held) < n:
        held += _Dealer(connection, reviewer, config).deal(n - len(held))
    # By their random ids: in the order they were taken, their strata could be told.
    return sorted(held, key=lambda item: item.lease_id)[:n]


def give_back(connection: Connection, reviewer: KnownUser, lease_ids: Sequence[UUID]) -> int:
    """End leases before their time, so that others may have the items.

    Returns
    -------
    Number of leases ended: those of the reviewer's that were open.
    """
    return connection.execute(
        update(ReviewLease)
        .where(
            ReviewLease.id.in_(lease_ids),
            ReviewLease.reviewer_id == reviewer.id,
            ReviewLease.closed_at.is_(None),
        )
        .values(closed_at=func.now())
    ).rowcount


def _renew(connection: Connection, reviewer: KnownUser, config: QueueConfig) -> list[LeasedItem]:
    renewed = connection.execute(
        update(ReviewLease)
        .where(ReviewLease.reviewer_id == reviewer.id, is_live())
        .values(expires_at=func.now() + _lifetime(config))
        .returning(ReviewLease.id, ReviewLease.detection_id, ReviewLease.expires_at)
    )
    return [LeasedItem(*row) for row in renewed]


# --- taking -------------------------------------------------------------------------------


class _Dealer:
    """Takes items of the strata for one reviewer, in one transaction."""

    def __init__(self, connection: Connection, reviewer: KnownUser, config: QueueConfig) -> None:
        self._connection = connection
        self._reviewer = reviewer
        self._config = config

    def deal(self, n: int) -> list[LeasedItem]:
        """Up to ``n`` new items: repeats that are due, then of the strata by their shares."""
        dealt = self._repeats(n)
        drawn = self._drawn(n - len(dealt))
        for stratum in _INSTEAD:
            dealt += self._take(stratum, drawn[stratum])
        for stratum in _INSTEAD:
            dealt += self._take(stratum, n - len(dealt))
        return dealt

    def _drawn(self, n: int) -> Counter[Stratum]:
        last = select(func.coalesce(func.max(ReviewLease.number), 0)).where(
            ReviewLease.reviewer_id == self._reviewer.id
        )
        start = self._connection.scalar(last) or 0
        return Counter(self._config.draw(self._reviewer.id, start + i) for i in range(n))

    def _repeats(self, n: int) -> list[LeasedItem]:
        bound = {"me": self._reviewer.id, "n": n}
        dealt = []
        for row in self._connection.execute(due_repeats(), bound).all():
            dealt += self._lease([row.id], "repeat", row.repeat_id)
        return dealt

    def _take(self, stratum: Stratum, n: int) -> list[LeasedItem]:
        dealt: list[LeasedItem] = []
        for query in choices(stratum, self._reviewer.is_expert, self._config):
            # Once more where others leased what was chosen while it was being chosen.
            while (missing := n - len(dealt)) > 0:
                bound = {"me": self._reviewer.id, "n": missing}
                chosen = self._connection.scalars(query, bound).all()
                if not chosen:
                    break
                dealt += self._lease(chosen, stratum)
        return dealt

    def _lease(
        self, detections: Sequence[UUID], stratum: str, repeat_id: UUID | None = None
    ) -> list[LeasedItem]:
        """Lease locked detections, but for those that somebody else holds by now."""
        ids = {"detections": list(detections)}
        self._connection.execute(_CLOSE_RUN_OUT, ids)
        bound = ids | {
            "me": self._reviewer.id,
            "stratum": stratum,
            "repeat": repeat_id,
            "lifetime": _lifetime(self._config),
        }
        return [LeasedItem(*row) for row in self._connection.execute(_LEASE, bound)]


_DETECTIONS = bindparam("detections", type_=ARRAY(Uuid()))
_CLOSE_RUN_OUT = (
    update(ReviewLease)
    .where(
        ReviewLease.detection_id == any_(_DETECTIONS),
        ReviewLease.closed_at.is_(None),
        ReviewLease.expires_at <= func.now(),
    )
    .values(closed_at=ReviewLease.expires_at)
)
_LEASE = (
    insert(ReviewLease)
    .from_select(
        ["detection_id", "reviewer_id", "stratum", "repeat_id", "expires_at"],
        select(
            func.unnest(_DETECTIONS),
            bindparam("me", type_=Uuid()),
            bindparam("stratum", type_=Text()),
            bindparam("repeat", type_=Uuid()),
            func.now() + bindparam("lifetime", type_=Interval()),
        ),
    )
    .on_conflict_do_nothing(
        index_elements=[ReviewLease.detection_id],
        index_where=ReviewLease.closed_at.is_(None),
    )
    .returning(ReviewLease.id, ReviewLease.detection_id, ReviewLease.expires_at)
)


def _lifetime(config: QueueConfig) -> dt.timedelta:
    return dt.timedelta(seconds=config.lease_s)
