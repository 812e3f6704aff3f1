"""Alerts are told once, again where telling failed, and hold no address."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import Engine, create_engine, select

from astrid_core.monitoring.alerts import Sighting, note_deliveries, resolve, sight, tell
from dbschema.models import Alert

SEEN = Sighting("champion_drift", "warning", "drift", "It drifts. Train anew.", {"index": 0.4})


class Channel(HTTPServer):
    """A webhook; answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.bodies = 200, []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def channel() -> Iterator[Channel]:
    server = Channel()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = create_engine(migrated_url)
    yield engine
    engine.dispose()


def raise_alert(engine: Engine, addresses: list[str]) -> bool:
    with engine.begin() as connection:
        alert_id, is_due = sight(connection, SEEN)
    if is_due:
        deliveries = tell(SEEN, addresses)
        with engine.begin() as connection:
            note_deliveries(connection, alert_id, deliveries)
    return is_due


def alerts(engine: Engine) -> list:
    with engine.connect() as connection:
        return list(connection.execute(select(Alert.__table__).order_by(Alert.first_seen_at)))


def test_people_are_told_once_until_it_is_over(engine: Engine, channel: Channel) -> None:
    address = f"json://127.0.0.1:{channel.server_port}/secret-path"
    assert [raise_alert(engine, [address]) for _ in range(3)] == [True, False, False]
    assert len(channel.bodies) == 1
    assert "Train anew" in json.dumps(channel.bodies[0])
    (alert,) = alerts(engine)
    assert alert.n_seen == 3
    assert "secret-path" not in json.dumps(alert.deliveries)
    with engine.begin() as connection:
        assert resolve(connection, "drift")
        assert not resolve(connection, "drift")
    assert raise_alert(engine, [address])
    assert len(channel.bodies) == 2
    assert len(alerts(engine)) == 2


def test_a_channel_that_failed_is_asked_again(engine: Engine, channel: Channel) -> None:
    address = f"json://127.0.0.1:{channel.server_port}/"
    channel.status = 500
    assert raise_alert(engine, [address])
    (alert,) = alerts(engine)
    assert [one["error"] is None for one in alert.deliveries] == [True, False]
    channel.status = 200
    assert raise_alert(engine, [address])
    assert not raise_alert(engine, [address])


def test_an_address_that_is_none_is_an_answer(engine: Engine) -> None:
    log, wrong = tell(SEEN, ["nonsense://"])
    assert log.error is None
    assert wrong.channel == "nonsense"
    assert "does not know" in str(wrong.error)
