"""How often somebody may ask: token buckets in this process's memory."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from astrid_api.errors import TooManyRequestsError

_MOST_KEYS = 10_000
"""Buckets kept; of more, those unused for longest are forgotten, and begin full again."""


class RateLimiter:
    """Lets each key through so many times a minute, all at once if it likes.

    Parameters
    ----------
    per_minute
        Size of a bucket, and what runs into it in a minute.
    clock
        Seconds that only go forward.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request of a key.

        Raises
        ------
        TooManyRequestsError
            If its bucket is empty.
        """
        now = self._clock()
        with self._lock:
            left, then = self._buckets.pop(key, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - then) * self._per_minute / 60)
            self._buckets[key] = (max(left - 1, 0.0) if left >= 1 else left, now)
            if len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
        if left < 1:
            raise TooManyRequestsError(
                f"More than {self._per_minute} requests in a minute.",
                remedy="Wait as long as Retry-After says.",
                retry_after_s=max(1, round((1 - left) * 60 / self._per_minute)),
            )
