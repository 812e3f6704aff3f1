"""Looking at processes while they work: their memory and what they take of processors.

What belongs here: measures of a process and all that it starts. What does not: what is run.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

import psutil

from astrid_stack.processes import family_of

_MIB = 2**20


class Watch(ABC):
    """Looks again and again while the context is open, first and last as it opens and closes.

    Parameters
    ----------
    sample_s
        Seconds between two looks.
    """

    def __init__(self, sample_s: float) -> None:
        self._sample_s = sample_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.look()

    @abstractmethod
    def look(self) -> None:
        """Look once."""

    def _watch(self) -> None:
        while not self._stop.wait(self._sample_s):
            self.look()


class PeakMemory(Watch):
    """Highest memory of a process and its descendants."""

    def __init__(self, process: psutil.Process, sample_s: float) -> None:
        super().__init__(sample_s)
        self._process = process
        self.mib = 0.0

    def look(self) -> None:
        """Look once."""
        self.mib = max(self.mib, memory_mib(self._process))


class CpuTime(Watch):
    """Processor seconds of some processes and all that they start.

    What a process has used is lost with it where nobody waits for it: hence the looks. At most
    what each used since the last one is missed.

    Parameters
    ----------
    roots
        Processes by name; None where there is none.
    """

    def __init__(self, roots: Mapping[str, psutil.Process | None], sample_s: float) -> None:
        super().__init__(sample_s)
        self._roots = roots
        self._last: dict[tuple[str, int], float] = {}
        self.look()
        self._first = dict(self._last)

    def seconds(self) -> dict[str, float]:
        """By name."""
        used = dict.fromkeys(self._roots, 0.0)
        for (name, pid), last in self._last.items():
            used[name] += last - self._first.get((name, pid), 0.0)
        return used

    def look(self) -> None:
        """Look once."""
        for name, root in self._roots.items():
            for one in () if root is None else family_of(root):
                with suppress(psutil.NoSuchProcess):
                    times = one.cpu_times()
                    self._last[name, one.pid] = times.user + times.system


def memory_mib(process: psutil.Process) -> float:
    """Memory of a process and all that it started, pages that they share counted once."""
    return sum(map(_own_mib, family_of(process)))


def _own_mib(process: psutil.Process) -> float:
    """Memory of a process; of a page that N processes share, an N-th."""
    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    # Shared pages once: workers share what the fork server loaded.
    return float(getattr(memory, "pss", memory.rss)) / _MIB
