"""The frame pool: order, bounds, a dying worker, a dying parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from astrid_core.errors import WorkerDiedError
from astrid_core.parallel import map_frames


def square(value: int) -> int:
    return value * value


def die_on_three(value: int) -> int:
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def loaded_modules(_: int) -> list[str]:
    return sorted(sys.modules)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_items(workers: int) -> None:
    assert list(map_frames(square, range(7), workers)) == [(i, i * i) for i in range(7)]


def test_items_are_taken_no_further_ahead_than_workers_plus_one() -> None:
    taken: list[int] = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    for done, _ in enumerate(map_frames(square, items(), 2)):
        assert len(taken) <= done + 1 + 2 + 1


def test_a_worker_that_dies_costs_its_own_item_only() -> None:
    results = dict(map_frames(die_on_three, range(8), 2))
    assert isinstance(results[3], WorkerDiedError)
    assert {i: results[i] for i in range(8) if i != 3} == {i: i for i in range(8) if i != 3}


def test_workers_load_neither_torch_nor_dagster() -> None:
    """In a process of its own: another test's pool may share torch with its workers."""
    script = """
        import dagster
        from astrid_core.parallel import map_frames
        from tests.astrid_core.test_parallel import loaded_modules
        [(_, modules)] = map_frames(loaded_modules, [0], 1)
        print(*modules)
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "tests.astrid_core.test_parallel" in modules
    assert not {"torch", "dagster"} & modules


def test_workers_leave_when_their_parent_is_killed(tmp_path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent("""
        import os, time
        from astrid_core.parallel import map_frames
        for _, pid in map_frames(os.getpgid, [0] * 3, 2):
            pass
        def forever():
            while True:
                yield 600
        print("ready", flush=True)
        list(map_frames(time.sleep, forever(), 2))
        """)
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    deadline = time.monotonic() + 30
    while len(children := psutil.Process(parent.pid).children(recursive=True)) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    _gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
