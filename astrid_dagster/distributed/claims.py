"""Who stands behind a step: so that none is waited for that nobody works on.

Celery tells when a step is done, and says nothing when its worker was killed. So every step
has a claim in Redis that lapses unless somebody keeps it alive: the run that asked for the
step while it is queued, the worker while it runs. A step without a claim and without a
result is lost. A worker takes no step whose claim has lapsed or is another's: what Redis
hands out a second time is not done twice.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

_log = logging.getLogger(__name__)

QUEUED_S = 300
"""Seconds for which a queued step outlives the run that asked for it."""

_RENEWALS = 6
"""How often a worker renews a claim while it would lapse: a busy machine may miss some."""

_NOBODY = ""
# The claim is changed only by whoever it is of; Redis runs each of these at a stretch.
_RENEW = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('expire', KEYS[1], ARGV[2])
"""
_TAKE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[3], 'EX', ARGV[2])
return 1
"""
_DROP = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])
"""


@dataclass(frozen=True)
class Claim:
    """The claim on one step.

    Attributes
    ----------
    held_s
        Seconds for which a running step outlives its worker.
    """

    client: "redis.Redis"
    run_id: str
    step_key: str
    held_s: int

    @property
    def key(self) -> str:
        """Its key in Redis."""
        return f"astrid:step:{self.run_id}:{self.step_key}"

    def offer(self) -> None:
        """Offer the step to whoever takes it first."""
        self.client.set(self.key, _NOBODY, ex=QUEUED_S)

    def is_kept(self) -> bool:
        """Whether somebody stands behind the step; keeps it alive while it is queued."""
        if self.client.eval(_RENEW, 1, self.key, _NOBODY, QUEUED_S):
            return True
        return bool(self.client.exists(self.key))

    def is_queued(self) -> bool:
        """Whether no worker has taken it."""
        return self.client.get(self.key) == _NOBODY

    def withdraw(self) -> bool:
        """Take the offer back; whether no worker had taken it."""
        return bool(self.client.eval(_DROP, 1, self.key, _NOBODY))

    def end(self) -> None:
        """Forget it: the step is over."""
        self.client.delete(self.key)

    @contextmanager
    def held_by(self, worker: str) -> Iterator[bool]:
        """Take the step and keep the claim alive meanwhile; whether it was there to take.

        The claim outlives the context by :attr:`held_s`, in which the result is stored.
        """
        if not self.client.eval(_TAKE, 1, self.key, _NOBODY, self.held_s, worker):
            yield False
            return
        over = threading.Event()
        keeper = threading.Thread(
            target=self._keep, args=(worker, over), name=f"claim {self.step_key}", daemon=True
        )
        keeper.start()
        try:
            yield True
        finally:
            over.set()
            keeper.join()

    def _keep(self, worker: str, over: threading.Event) -> None:
        while not over.wait(self.held_s / _RENEWALS):
            try:
                is_ours = self.client.eval(_RENEW, 1, self.key, worker, self.held_s)
            except redis.RedisError as error:
                _log.warning("the claim on %s could not be renewed: %s", self.step_key, error)
                continue
            if not is_ours:
                _log.error("%s is no longer ours: its run will take it for lost", self.step_key)
                return
