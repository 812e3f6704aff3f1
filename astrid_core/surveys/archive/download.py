"""The files of a night, fetched side by side and handed on in order.

What belongs here: which file when, the plan beforehand, what counts as an outage. What does
not: the bytes of one file (``transfer``).
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from astrid_core.errors import AstridError, DownloadStoppedError, SurveyUnavailableError
from astrid_core.remote.config import ArchiveOptions
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.cache import Entry
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.archive.transfer import GIB, MIB, Budget, check_size, transfer

OUTAGE_AFTER = 5
"""Files in a row that an archive fails at before it counts as out, and is left alone."""
_WORKERS = 2
"""Threads for each parallel request: one proves what came while the other's file comes."""
_AHEAD = 3
"""Files fetched ahead of the one handed on, for each parallel request."""


@dataclass(frozen=True)
class Fetched:
    """A file that is here, whole, byte for byte as the archive sent it."""

    product: Product
    path: Path
    sha256: str
    is_from_cache: bool


@dataclass(frozen=True)
class NotFetched:
    """A file that did not come, and why."""

    product: Product
    error: AstridError


@dataclass(frozen=True)
class Progress:
    """How far a night's downloads are.

    Attributes
    ----------
    n_bytes
        Of the files handed on.
    total_bytes
        As far as the archive lists sizes.
    """

    n_done: int
    n_failed: int
    n_files: int
    n_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class DownloadPlan:
    """What fetching a night would mean, found without fetching.

    Attributes
    ----------
    n_cached
        Files that are here already.
    missing_bytes
        Of the others, as far as the archive lists sizes.
    n_unsized
        Of the others, files whose size it does not list.
    refused
        Files that a limit forbids, and why.
    """

    n_files: int
    n_cached: int
    missing_bytes: int
    n_unsized: int
    refused: tuple[NotFetched, ...]

    def describe(self) -> str:
        """The plan as text for people."""
        missing = self.n_files - self.n_cached - len(self.refused)
        unsized = f", {self.n_unsized} of unknown size" if self.n_unsized else ""
        lines = [
            f"{self.n_files} files: {self.n_cached} cached, {missing} to fetch "
            f"({self.missing_bytes / MIB:.1f} MiB{unsized}), {len(self.refused)} refused"
        ]
        return "\n".join([*lines, *(f"  {one.error}" for one in self.refused)])


def plan(products: Sequence[Product], survey: str, rules: ArchiveOptions) -> DownloadPlan:
    """What :func:`fetch_all` would do, without a request."""
    refused, missing, n_cached = [], [], 0
    for product in products:
        try:
            check_size(product, product.size_bytes, rules)
        except AstridError as error:
            refused.append(NotFetched(product, error))
            continue
        if Entry.of(product, survey, rules.cache_dir).seems_whole() is None:
            missing.append(product)
        else:
            n_cached += 1
    return DownloadPlan(
        n_files=len(products),
        n_cached=n_cached,
        missing_bytes=sum(product.size_bytes or 0 for product in missing),
        n_unsized=sum(product.size_bytes is None for product in missing),
        refused=tuple(refused),
    )


def fetch_all(
    products: Sequence[Product],
    session: ArchiveSession,
    max_frame_mpix: float,
    on_progress: Callable[[Progress], None] | None = None,
) -> Generator[Fetched | NotFetched]:
    """Fetch files side by side; each is yielded in its turn, whole or with its failure.

    A file is guaranteed to stay until the next is asked for, and longer where the cache
    keeps it. Closing the iterator stops what is under way; unfinished files stay in the
    cache, where the next call resumes them. The session serves this one call.

    Raises
    ------
    SurveyUnavailableError
        If the archive is out: it failed at :data:`OUTAGE_AFTER` files in a row, or at all.
    DownloadRefusedError
        If the night as a whole exceeds its limits, before anything is fetched.
    """
    rules = session.rules
    budget = Budget(session.survey, rules)
    _check_night(products, session.survey, rules, budget)
    outage = _OutageWatch(len(products))
    tally = _Tally(products, on_progress)

    def fetch(product: Product) -> Fetched | NotFetched:
        return _fetch(product, session, budget, max_frame_mpix)

    with ThreadPoolExecutor(rules.parallel * _WORKERS, thread_name_prefix="archive") as pool:
        try:
            for result in _in_order(pool, fetch, products, rules.parallel * _AHEAD):
                outage.judge(result)
                tally.count(result)
                yield result
                if isinstance(result, Fetched) and not rules.keep:
                    Entry.of(result.product, session.survey, rules.cache_dir).remove()
            outage.judge_all()
        finally:
            session.stop.set()
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor,
    fetch: Callable[[Product], Fetched | NotFetched],
    products: Sequence[Product],
    ahead: int,
) -> Iterator[Fetched | NotFetched]:
    waiting: deque[Future[Fetched | NotFetched]] = deque()
    for product in products:
        waiting.append(pool.submit(fetch, product))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _fetch(
    product: Product, session: ArchiveSession, budget: Budget, max_frame_mpix: float
) -> Fetched | NotFetched:
    entry = Entry.of(product, session.survey, session.rules.cache_dir)
    try:
        with entry.held(session.stop):
            sha256 = entry.whole()
            is_cached = sha256 is not None
            if sha256 is None:
                sha256 = transfer(product, entry, session, budget, max_frame_mpix)
    except DownloadStoppedError:
        raise
    except AstridError as error:
        return NotFetched(product, error)
    return Fetched(product, entry.path, sha256, is_cached)


def _check_night(
    products: Sequence[Product], survey: str, rules: ArchiveOptions, budget: Budget
) -> None:
    planned = plan(products, survey, rules)
    if planned.missing_bytes > rules.max_night_gib * GIB:
        raise budget.night_too_large(planned.missing_bytes)
    if planned.missing_bytes or planned.n_unsized:
        budget.require(planned.missing_bytes)


class _OutageWatch:
    """Tells an archive that is out from files that fail.

    A file from the cache says nothing of the archive; a refused or damaged one shows that
    it answers.
    """

    def __init__(self, n_files: int) -> None:
        self._limit = min(OUTAGE_AFTER, n_files)
        self._in_a_row: list[SurveyUnavailableError] = []
        self._has_answered = False

    def judge(self, result: Fetched | NotFetched) -> None:
        if isinstance(result, Fetched) and result.is_from_cache:
            return
        error = result.error if isinstance(result, NotFetched) else None
        if isinstance(error, SurveyUnavailableError) and error.transient:
            self._in_a_row.append(error)
        else:
            self._in_a_row.clear()
            self._has_answered = True
        if len(self._in_a_row) >= self._limit:
            raise self._in_a_row[0]

    def judge_all(self) -> None:
        """At the end: nothing but unavailability is an outage, however few files there were."""
        if self._in_a_row and not self._has_answered:
            raise self._in_a_row[0]


class _Tally:
    def __init__(
        self, products: Sequence[Product], report: Callable[[Progress], None] | None
    ) -> None:
        self._report = report
        self._n_files = len(products)
        self._total_bytes = sum(product.size_bytes or 0 for product in products)
        self._done = self._failed = self._bytes = 0

    def count(self, result: Fetched | NotFetched) -> None:
        self._done += 1
        if isinstance(result, Fetched):
            self._bytes += result.path.stat().st_size
        else:
            self._failed += 1
        if self._report is not None:
            counts = self._done, self._failed, self._n_files, self._bytes, self._total_bytes
            self._report(Progress(*counts))
