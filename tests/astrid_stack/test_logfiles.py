"""Logs that rotate under a process that goes on writing."""

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astrid_stack import logfiles, processes
from astrid_stack.processes import Program, base_environment

WRITER = """
import sys, time
for number in range(4000):
    print(f"line {number:06d}", flush=True)
    if number % 40 == 0:
        time.sleep(0.01)
"""


def program(log: Path) -> Program:
    return Program("writer", (sys.executable, "-c", WRITER), base_environment(), log)


def numbers(path: Path) -> list[int]:
    return [int(line.split()[1]) for line in path.read_text().splitlines()]


def test_a_part_goes_on_writing_while_its_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "part.log"
    part = processes.start(program(log))
    while part.poll() is None:
        time.sleep(0.2)
        logfiles.rotate(log)
        if logfiles.generation(log, 2).exists():
            break
    assert part.wait(30) == 0
    found = [numbers(logfiles.generation(log, 2)), numbers(logfiles.generation(log, 1))]
    together = [*found[0], *found[1], *numbers(log)]
    # Nothing is there twice or out of order, and next to nothing is lost.
    assert together == sorted(set(together))
    assert together[0] == 0
    assert together[-1] == 3999
    assert len(together) >= 3990
    assert b"\0" not in log.read_bytes(), "it appends: no hole is left where the end was"
    for path in log.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_so_many_old_logs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    dropped = []
    for content in ("a", "bb", "ccc", "dddd", "eeeee"):
        log.write_text(content)
        dropped.append(logfiles.rotate(log))
    assert dropped == [0, 0, 0, 1, 2]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "part.log": "",
        "part.1.log": "eeeee",
        "part.2.log": "dddd",
        "part.3.log": "ccc",
    }


def test_large_logs_are_found_and_a_start_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "LOG_BYTES", 10)
    monkeypatch.setattr(processes, "LOG_BYTES", 10)
    (tmp_path / "small.log").write_text("x")
    (tmp_path / "part.log").write_text("x" * 11)
    (tmp_path / "part.1.log").write_text("x" * 11)
    assert logfiles.large_logs(tmp_path) == [tmp_path / "part.log"]
    echo = Program("part", ("/bin/echo", "new"), base_environment(), tmp_path / "part.log")
    started = processes.start(echo)
    assert started.wait(10) == 0
    assert (tmp_path / "part.log").read_text() == "new\n"
    assert (tmp_path / "part.1.log").read_text() == "x" * 11
    assert isinstance(started, subprocess.Popen)
