"""Files that mean harm, by the thousand: what becomes of each, and that nothing ever breaks.

Run ``python -m benchmarks.hostile`` (``--files 10000 --seed 1``). Real-shaped FITS files are
damaged, made to lie or made absurd, and each is taken by the way that an archive's file takes:
listed, ingested, stored as rows in a real PostgreSQL, processed, written, read again. Where
``ASTRID_REAL_DATA`` (or ``../shared/data``) has real telescope images, a quarter are made of
those. Workers are processes of bounded memory, and a file has bounded time, so that a crash or
a hang is counted and costs nothing else; its number and its bytes are kept under ``--keep``:

    python -m benchmarks.hostile --seed 1 --only 4711

takes one file again. A file must end as processed, or refused by an error of AstrID's own. The
exit status is 1 if any did not.
"""

import argparse
import collections
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from astrid_stack.postgres import EmbeddedPostgres
from benchmarks.hostile_base import made_bases, real_bases, real_data
from benchmarks.hostile_files import KINDS, hostile_file
from benchmarks.hostile_task import Verdict
from dbschema import migrate

_START_S = 120.0
_SHOWN_FAULTS = 40
_DATABASE = "hostile"


@dataclass(frozen=True)
class Limits:
    """What one file may take.

    Attributes
    ----------
    memory_mib
        Of the worker's whole address space.
    """

    time_s: float
    memory_mib: int


@dataclass
class Tally:
    """What became of all files."""

    verdicts: list[tuple[int, Verdict]] = field(default_factory=list)
    crashes: int = 0
    hangs: int = 0

    @property
    def faulty(self) -> list[tuple[int, Verdict]]:
        """Files that did not end as they should."""
        return [(index, verdict) for index, verdict in self.verdicts if verdict.faults]


def main() -> None:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="of all chance")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers alone")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--time-s", type=float, default=60.0, help="that one file may take")
    parser.add_argument("--memory-mib", type=int, default=4096, help="address space of a worker")
    parser.add_argument("--data", type=Path, help="folder of real FITS files; none: '-'")
    parser.add_argument("--keep", type=Path, help="where files that broke something are kept")
    given = parser.parse_args()
    data = real_data(given.data)
    keep = given.keep or Path(tempfile.mkdtemp(prefix="astrid-hostile-kept-"))
    indices = given.only if given.only is not None else range(given.files)
    limits = Limits(given.time_s, given.memory_mib)
    with tempfile.TemporaryDirectory(prefix="astrid-hostile-") as folder:
        tally = campaign(indices, given.seed, data, Path(folder), limits, given.workers)
    _keep(tally, given.seed, data, keep)
    print(describe(tally, given.seed, data))
    if tally.faulty:
        print(f"\nthe files that broke something are in {keep}")
        raise SystemExit(1)


def campaign(
    indices: Iterable[int], seed: int, data: Path | None, folder: Path, limits: Limits, workers: int
) -> Tally:
    """What becomes of files, each in one of several workers over one database."""
    tally, waiting, lock = Tally(), collections.deque(indices), threading.Lock()
    total = len(waiting)
    with EmbeddedPostgres(folder / "postgres", secrets.token_urlsafe(24), durable=False) as server:
        server.ensure_database(_DATABASE)
        migrate.upgrade(server.url_of(_DATABASE))

        def work(number: int) -> None:
            scratch = folder / f"worker-{number}"
            scratch.mkdir()
            asked = {
                "seed": seed,
                "data": str(data) if data else "",
                "scratch": str(scratch),
                "database_url": server.url_of(_DATABASE),
                "memory_mib": limits.memory_mib,
            }
            with _Worker(asked, limits) as worker:
                while True:
                    with lock:
                        if not waiting:
                            return
                        index = waiting.popleft()
                    verdict = worker.take(index, tally, lock)
                    with lock:
                        tally.verdicts.append((index, verdict))
                        if len(tally.verdicts) % 500 == 0:
                            print(f"{len(tally.verdicts)} of {total} files", flush=True)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            waiting.clear()  # what is done is told
            for thread in threads:
                thread.join()
    tally.verdicts.sort(key=lambda one: one[0])
    return tally


class _Worker:
    """A process that takes files; another takes its place where it dies or hangs."""

    def __init__(self, asked: dict[str, Any], limits: Limits) -> None:
        self._asked = asked
        self._limits = limits
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def take(self, index: int, tally: Tally, lock: threading.Lock) -> Verdict:
        """What becomes of a file, or of the process that took it."""
        kind = list(KINDS)[index % len(KINDS)]
        begun = time.monotonic()
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{index}\n")
        process.stdin.flush()
        answer = self._answer(process, self._limits.time_s)
        if answer:
            return Verdict(**json.loads(answer))
        took_s = time.monotonic() - begun
        has_ended = answer == ""
        self._end()
        code = process.returncode
        with lock:
            tally.crashes += has_ended
            tally.hangs += not has_ended
        told = f"crash: {_signal(code)}" if has_ended else f"hang: more than {took_s:.0f} s"
        return Verdict(kind, "fault", [told], took_s)

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.hostile_task"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(self._asked) + "\n")
            self._process.stdin.flush()
            if not self._answer(self._process, _START_S):
                raise SystemExit("a worker did not start")
        return self._process

    def _answer(self, process: "subprocess.Popen[str]", within_s: float) -> str | None:
        """A line; '' where the process has ended, None where it says nothing in time."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], within_s)
        return process.stdout.readline() if ready else None

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None


def describe(tally: Tally, seed: int, data: Path | None) -> str:
    """The campaign as a table for people."""
    by_kind: dict[str, list[Verdict]] = collections.defaultdict(list)
    for _, verdict in tally.verdicts:
        by_kind[verdict.kind].append(verdict)
    lines = [f"{'kind':16} {'files':>6} {'slowest':>8} {'peak MiB':>9}  what became of them"]
    for kind in sorted(by_kind, key=list(KINDS).index):
        some = by_kind[kind]
        slowest, peak = max(one.wall_s for one in some), max(one.peak_mib for one in some)
        became = collections.Counter(one.outcome for one in some).most_common()
        told = ", ".join(f"{outcome} {count}" for outcome, count in became)
        lines.append(f"{kind:16} {len(some):6d} {slowest:7.1f}s {peak:9.0f}  {told}")
    everything = [verdict for _, verdict in tally.verdicts]
    untyped = sum(any("untyped" in f or "escaped" in f for f in v.faults) for v in everything)
    lines += [
        "",
        f"{len(everything)} files of seed {seed}, "
        f"{'a quarter of real images' if data else 'none of real images'}; slowest "
        f"{max((v.wall_s for v in everything), default=0):.1f} s, most memory "
        f"{max((v.peak_mib for v in everything), default=0):.0f} MiB",
        f"crashes {tally.crashes}, hangs {tally.hangs}, untyped errors {untyped}, "
        f"other faults {len(tally.faulty) - tally.crashes - tally.hangs - untyped}",
    ]
    for index, verdict in tally.faulty[:_SHOWN_FAULTS]:
        lines.append(f"  file {index} ({verdict.kind}): {'; '.join(verdict.faults)[:500]}")
    return "\n".join(lines)


def _keep(tally: Tally, seed: int, data: Path | None, folder: Path) -> None:
    """Write the files that broke something, for whoever mends it."""
    if not tally.faulty:
        return
    folder.mkdir(parents=True, exist_ok=True)
    made, real = made_bases(seed), list(real_bases(data))
    for index, verdict in tally.faulty:
        file = hostile_file(seed, index, made, real)
        (folder / f"{seed}-{index}.fits").write_bytes(file.content)
        about = {"seed": seed, "index": index, "base": file.base, "name": repr(file.name)}
        told = json.dumps(about | {"kind": verdict.kind, "faults": verdict.faults}, indent=1)
        (folder / f"{seed}-{index}.json").write_text(told)


def _signal(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


if __name__ == "__main__":
    main()
