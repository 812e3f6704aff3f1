"""A process pool for frames: bounded, ordered, and gone when its parent is.

Workers are forked from a clean server process (``forkserver``) that loads what they share and
no more, use one thread each, and at most ``workers + 1`` frames are in flight, so that peak
memory is set by a frame, not by a night.
"""

import multiprocessing as mp
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection, forkserver
from typing import TypeVar

from astrid_core import logs
from astrid_core.errors import WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_EXIT_ORPHANED = 70


def threads_allowed() -> int:
    """Threads that this process may compute with: ``OMP_NUM_THREADS``, else its cores.

    Workers of :func:`map_frames` have one each.
    """
    asked = os.environ.get(_THREAD_LIMITS[0], "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class FramePool:
    """How frames are spread over processes: :func:`map_frames` with its options.

    Attributes
    ----------
    workers
        Number of processes; 0 computes in this process.
    preload
        Modules the workers share, imported once: those of this process's first pool.
    """

    workers: int = 0
    preload: tuple[str, ...] = ()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | WorkerDiedError], None, None]:
        """Apply a function to each item; see :func:`map_frames`."""
        return map_frames(function, items, self.workers, self.preload)


IN_THIS_PROCESS = FramePool()


def map_frames(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    preload: tuple[str, ...] = (),
) -> Generator[tuple[Item, Result | WorkerDiedError], None, None]:
    """Apply ``function`` to each item in worker processes, yielding in the order of items.

    A worker that dies (out of memory, a crash in native code) costs the item it worked on
    and no other: items in flight are tried again, each alone in a fresh process, and the
    one that kills its process again yields a :class:`~astrid_core.errors.WorkerDiedError`.

    Parameters
    ----------
    function
        Importable by name; must not raise for a bad item but return its outcome.
    items
        Consumed lazily, never more than ``workers + 1`` ahead of what was yielded.
    workers
        Number of processes; 0 computes in this process, one item at a time.
    preload
        Modules the workers share, imported once.
    """
    if workers == 0:
        for item in items:
            yield item, _told(function, {}, item)
        return
    pending: deque[tuple[Item, Future[Result]]] = deque()
    source = iter(items)
    pool = _pool(workers, preload)
    try:
        while True:
            for item in islice(source, workers + 1 - len(pending)):
                pending.append((item, _submit(pool, function, item)))
            if not pending:
                return
            item, future = pending.popleft()
            try:
                yield item, future.result()
            except BrokenProcessPool:
                in_flight = [item, *(waiting for waiting, _ in pending)]
                pending.clear()
                pool.shutdown(wait=True, cancel_futures=True)
                for suspect in in_flight:
                    yield suspect, _alone(function, suspect, preload)
                pool = _pool(workers, preload)
    finally:
        for _, future in pending:
            future.cancel()
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], item: Item
) -> "Future[Result]":
    try:
        with _clean_start():
            return pool.submit(_told, function, logs.known_fields(), item)
    except BrokenProcessPool as error:
        broken: Future[Result] = Future()
        broken.set_exception(error)
        return broken


def _told(function: Callable[[Item], Result], fields: logs.Fields, item: Item) -> Result:
    """Apply the function; what it logs says what it is about."""
    row = getattr(item, "row", None)
    observation = row.get("observation_id") if isinstance(row, dict) else None
    with logs.about(**dict(fields) | {"observation_id": observation}):
        return function(item)


def _alone(
    function: Callable[[Item], Result], item: Item, preload: tuple[str, ...]
) -> Result | WorkerDiedError:
    pool = _pool(1, preload)
    try:
        return _submit(pool, function, item).result()
    except BrokenProcessPool:
        return WorkerDiedError(
            f"The worker process died while working on {item}",
            remedy="Likely out of memory or a crash in native code: lower ASTRID_WORKERS, "
            "check the system log, and re-materialize the partition.",
        )
    finally:
        pool.shutdown(wait=True)


def _pool(workers: int, preload: tuple[str, ...]) -> ProcessPoolExecutor:
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with _clean_start():
        forkserver.ensure_running()
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


@contextmanager
def _clean_start() -> Iterator[None]:
    """Start processes with one BLAS thread and without re-importing the main program.

    multiprocessing imports ``__main__`` again in every child. Under Dagster that is
    Dagster's own command line: seconds and a hundred megabytes for nothing.
    """
    main = sys.modules["__main__"]
    saved = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    sys.modules["__main__"] = type(main)("__main__")
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    """What every worker does first."""
    logs.set_up()
    _follow_parent()


def _follow_parent() -> None:
    """Leave when the process that owns the pool dies, even by SIGKILL."""
    parent = mp.parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(_EXIT_ORPHANED)

    threading.Thread(target=wait, name="follow-parent", daemon=True).start()
