"""Token buckets by a clock of the test's own."""

import itertools

import pytest

from astrid_api import limits
from astrid_api.errors import TooManyRequestsError
from astrid_api.limits import RateLimiter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def n_let_through(limiter: RateLimiter, key: str, tries: int) -> int:
    n = 0
    for _ in range(tries):
        try:
            limiter.take(key)
        except TooManyRequestsError:
            continue
        n += 1
    return n


def test_so_many_at_once_and_then_as_the_bucket_fills() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock)
    assert n_let_through(limiter, "one", 100) == 60
    assert n_let_through(limiter, "another", 1) == 1
    clock.now += 3.0
    assert n_let_through(limiter, "one", 100) == 3
    clock.now += 3600.0
    assert n_let_through(limiter, "one", 100) == 60


def test_the_error_says_when_to_come_back() -> None:
    clock = Clock()
    limiter = RateLimiter(2, clock)
    assert n_let_through(limiter, "one", 2) == 2
    with pytest.raises(TooManyRequestsError) as caught:
        limiter.take("one")
    clock.now += float(str(caught.value.details["retry_after_s"]))
    limiter.take("one")


def test_it_does_not_remember_everybody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_KEYS", 3)
    limiter = RateLimiter(1, Clock())
    for key in itertools.islice(map(str, itertools.count()), 4):
        limiter.take(key)
    limiter.take("0")  # forgotten, so that it begins anew
    with pytest.raises(TooManyRequestsError):
        limiter.take("3")
