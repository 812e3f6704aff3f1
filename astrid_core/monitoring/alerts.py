"""Alerts: recorded, told once however often they are seen, and told again where telling failed.

Apprise knows the ways to people: mail, chats, webhooks. Its addresses hold secrets, so that an
alert keeps only the kind of each channel.
"""

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from dbschema.models import Alert

_log = logging.getLogger(__name__)

Severity = Literal["info", "warning", "error"]
_LEVELS: dict[Severity, int] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@dataclass(frozen=True)
class Sighting:
    """Something that people should know.

    Attributes
    ----------
    kind
        What is watched.
    fingerprint
        What makes two sightings one alert.
    message
        What is the matter and what to do.
    """

    kind: str
    severity: Severity
    fingerprint: str
    message: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One attempt at one channel.

    Attributes
    ----------
    channel
        Kind of the channel, such as ``mailto``; its address is a secret.
    error
        Why it failed; None where it did not.
    """

    channel: str
    at: str
    error: str | None


def sight(connection: Connection, seen: Sighting) -> tuple[UUID, bool]:
    """Record a sighting; the alert, and whether people are yet to be told."""
    statement = insert(Alert).values(**vars(seen), n_seen=1, deliveries=[])
    again = statement.on_conflict_do_update(
        index_elements=["fingerprint"],
        index_where=Alert.resolved_at.is_(None),
        set_={
            "n_seen": Alert.n_seen + 1,
            "last_seen_at": func.now(),
            "message": statement.excluded.message,
            "details": statement.excluded.details,
        },
    ).returning(Alert.id, Alert.deliveries)
    alert_id, deliveries = connection.execute(again).one()
    return alert_id, not deliveries or any(one["error"] for one in _latest(deliveries))


def resolve(connection: Connection, fingerprint: str) -> bool:
    """Say that it is over; whether it was open. The next sighting is a new alert."""
    closed = connection.execute(
        update(Alert)
        .where(Alert.fingerprint == fingerprint, Alert.resolved_at.is_(None))
        .values(resolved_at=func.now())
        .returning(Alert.id)
    )
    return closed.first() is not None


def note_deliveries(connection: Connection, alert_id: UUID, deliveries: Sequence[Delivery]) -> None:
    """Keep how telling went."""
    known = connection.scalar(select(Alert.deliveries).where(Alert.id == alert_id)) or []
    connection.execute(
        update(Alert)
        .where(Alert.id == alert_id)
        .values(deliveries=[*known, *(vars(one) for one in deliveries)])
    )


def tell(seen: Sighting, addresses: Sequence[str]) -> list[Delivery]:
    """Tell people by log and by every address; what fails is an answer, not raised."""
    _log.log(_LEVELS[seen.severity], "%s: %s", seen.kind, seen.message)
    now = dt.datetime.now(dt.UTC).isoformat()
    return [Delivery("log", now, None), *(_send(seen, address, now) for address in addresses)]


def _send(seen: Sighting, address: str, now: str) -> Delivery:
    # Imported here: it loads a hundred ways to people, and most processes alert nobody.
    from apprise import Apprise, AppriseAsset, NotifyType

    kinds = {
        "info": NotifyType.INFO,
        "warning": NotifyType.WARNING,
        "error": NotifyType.FAILURE,
    }
    channel = urlsplit(address).scheme or "unknown"
    sender = Apprise(asset=AppriseAsset(app_id="AstrID", async_mode=False))
    if not sender.add(address):
        return Delivery(channel, now, "Apprise does not know this address; see its list of them.")
    sent = sender.notify(
        title=f"AstrID: {seen.kind}", body=seen.message, notify_type=kinds[seen.severity]
    )
    return Delivery(channel, now, None if sent else "The channel did not take it; see the log.")


def _latest(deliveries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last attempt at each channel."""
    return list({one["channel"]: one for one in deliveries}.values())
