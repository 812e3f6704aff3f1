"""What Prometheus is told: counts of rows, whether parts answer, how fast requests are.

Counts come from the database when they are asked for, and are kept for a minute: they are
the same whichever process of the API is asked. Times of requests are this process's own.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.types import Scope

from astrid_api.services import Services
from astrid_core.errors import AstridError
from astrid_core.monitoring.tally import Tally, count_all

_log = logging.getLogger(__name__)

_KEPT_S = 60.0
_PAUSE_S = 15.0
"""Before rows are asked for again after that failed: who scrapes does not wait for long."""
_NEVER = -1.0
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_UNKNOWN_ROUTE = "none"
"""What a request for no route of ours is counted by: its path is the caller's to invent."""


class Counts:
    """Collector of counts of rows, asked for at most once a minute.

    Parameters
    ----------
    ask
        Counts them.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self, ask: Callable[[], Sequence[Tally]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Sequence[Tally] = ()
        self._asked_at: float | None = None
        self._failed_at: float | None = None

    def collect(self) -> Iterator[Metric]:
        """Metrics of the counts; without a database those that are known, and their age."""
        is_known, age_s = self._refresh()
        for tally in self._known:
            family = GaugeMetricFamily(tally.name, tally.help, labels=tally.labels)
            for labels, number in tally.values:
                family.add_metric(labels, number)
            yield family
        yield GaugeMetricFamily(
            "astrid_counts_known", "Whether rows could be counted just now.", value=is_known
        )
        yield GaugeMetricFamily(
            "astrid_counts_age_seconds", "How long ago they were counted.", value=age_s
        )

    def describe(self) -> Iterator[Metric]:
        """Nothing yet: registering must not ask the database."""
        return iter(())

    def _refresh(self) -> tuple[bool, float]:
        with self._lock:  # whoever comes meanwhile waits and takes the same
            now = self._clock()
            has_just_failed = self._failed_at is not None and now - self._failed_at < _PAUSE_S
            is_old = self._asked_at is None or now - self._asked_at > _KEPT_S
            if is_old and not has_just_failed:
                try:
                    self._known, self._asked_at, self._failed_at = tuple(self._ask()), now, None
                except (AstridError, PoolTimeoutError) as error:
                    self._failed_at = now
                    _log.error("rows could not be counted: %s", error)
            age_s = _NEVER if self._asked_at is None else now - self._asked_at
            return self._failed_at is None, age_s


class Metrics:
    """Everything that one process of the API tells Prometheus."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(Counts(lambda: services.ask(lambda c: list(count_all(c)))))
        self._requests = Histogram(
            "astrid_http_request_duration_seconds",
            "Seconds from a request to the beginning of its answer.",
            ("method", "route", "status"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._up = Gauge(
            "astrid_part_up",
            "Whether a part answers: database, store, Dagster, MLflow.",
            ("part",),
            registry=self.registry,
        )
        self._latency = Gauge(
            "astrid_part_latency_seconds",
            "Seconds that a small question to a part took.",
            ("part",),
            registry=self.registry,
        )
        build = Gauge("astrid_build", "1, with the version.", ("version",), registry=self.registry)
        build.labels(version("astrid")).set(1)

    def observe(self, scope: Scope, status: int, took_s: float) -> None:
        """Count a request that was answered."""
        route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
        method = scope["method"] if route != _UNKNOWN_ROUTE else _UNKNOWN_ROUTE
        self._requests.labels(method, route, str(status)).observe(took_s)

    def note_part(self, name: str, latency_ms: float | None) -> None:
        """Note whether a part answers, and how fast."""
        self._up.labels(name).set(latency_ms is not None)
        if latency_ms is not None:
            self._latency.labels(name).set(latency_ms / 1000)
