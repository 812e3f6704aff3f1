"""Claims on steps, on a real Redis: whoever stands behind one, it is one at most."""

import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from pydantic import SecretStr

from astrid_core.errors import ConfigurationError, WorkerDiedError
from astrid_core.settings import Settings
from astrid_dagster.distributed import broker as of_settings
from astrid_dagster.distributed.broker import celery_options
from astrid_dagster.distributed.claims import QUEUED_S, Claim
from astrid_dagster.distributed.executor import ClaimedResult
from tests.redis_server import redis_server


@pytest.fixture(scope="module")
def broker(servers_folder: Path) -> Iterator[str]:
    with redis_server(servers_folder / "redis-of-claims") as url:
        yield url


@pytest.fixture
def client(broker: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def claim(client: redis.Redis) -> Claim:
    return Claim(client, "run", "step", held_s=1)


@pytest.fixture
def result(broker: str, claim: Claim) -> ClaimedResult:
    """Of a step that no worker will ever answer for."""
    app = Celery(broker=broker, backend=broker)
    app.conf.update(celery_options())
    return ClaimedResult(AsyncResult("step", app=app), claim, "gpu", Mock())


def test_redis_wants_the_password(broker: str) -> None:
    stranger = redis.Redis.from_url(f"redis://{broker.rpartition('@')[2]}")
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_an_offer_is_taken_once(claim: Claim) -> None:
    claim.offer()
    assert claim.is_queued()
    with claim.held_by("one") as ours:
        assert ours
        assert claim.is_kept()
        assert not claim.is_queued()
        with claim.held_by("another") as theirs:
            assert not theirs


def test_what_nobody_offers_any_more_is_not_taken(claim: Claim) -> None:
    with claim.held_by("one") as ours:
        assert not ours
    claim.offer()
    assert claim.withdraw()
    with claim.held_by("one") as ours:
        assert not ours


def test_a_queued_step_is_kept_by_whoever_looks(client: redis.Redis, claim: Claim) -> None:
    claim.offer()
    client.expire(claim.key, 1)
    assert claim.is_kept()
    assert client.ttl(claim.key) > QUEUED_S - 5


def test_a_claim_is_kept_while_it_is_held_and_then_lapses(claim: Claim) -> None:
    claim.offer()
    with claim.held_by("one"):
        time.sleep(2.5 * claim.held_s)
        assert claim.is_kept()
        assert not claim.withdraw()
    time.sleep(1.5 * claim.held_s)
    assert not claim.is_kept()


def test_a_step_that_nobody_stands_behind_is_lost(result: ClaimedResult) -> None:
    result.claim.offer()
    assert not result.ready()
    result.claim.end()  # as when its worker was killed, or Redis was emptied
    assert result.ready()
    with pytest.raises(WorkerDiedError, match="step is lost"):
        result.get()


def test_a_step_that_waits_is_taken_back_and_one_that_runs_is_not(result: ClaimedResult) -> None:
    result.claim.offer()
    with result.claim.held_by("one"):
        result.revoke()
        assert not result.ready()
    result.claim.offer()
    result.revoke()
    assert result.ready()
    with pytest.raises(TaskRevokedError):
        result.get()


def test_a_run_says_once_that_no_worker_takes_its_step(result: ClaimedResult) -> None:
    result.claim.offer()
    assert not result.ready()
    result.log.warning.assert_not_called()
    result._tell_at = time.monotonic()
    assert not result.ready()
    assert not result.ready()
    (told,) = result.log.warning.call_args.args
    assert "queue 'gpu'" in told
    result.log.warning.assert_called_once()


@pytest.mark.parametrize("url", [None, "amqp://localhost"])
def test_without_redis_nothing_is_queued(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    settings = Settings.model_construct(broker_url=url and SecretStr(url))
    monkeypatch.setattr(of_settings, "get_settings", lambda: settings)
    with pytest.raises(ConfigurationError, match="ASTRID_BROKER_URL"):
        of_settings.broker_url()
