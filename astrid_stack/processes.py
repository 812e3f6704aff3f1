"""Programs of the embedded stack as operating-system processes.

A :class:`Program` says how something is run; this module starts it in a session of its
own, with its output in a log file, and stops it together with what it started. What the
programs are and when they are ready is the business of the other modules.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from astrid_stack.errors import StackError
from astrid_stack.logfiles import LOG_BYTES, rotate

_POLL_S = 0.05


@dataclass(frozen=True)
class Account:
    """An operating-system account to run a program as, where that is not our own.

    Attributes
    ----------
    name, uid, gid
        The account.
    groups
        Further group ids, which give it passage through folders of those groups.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Program:
    """How to run one program.

    Attributes
    ----------
    name
        Name of the part it is, as ``astrid status`` shows it.
    argv
        Program and arguments. Never a secret: command lines are public.
    environment
        The whole environment.
    log
        File its output is appended to.
    stop_signal
        Signal that asks it to end cleanly.
    account
        Account to run as; None is our own.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None


def start(program: Program) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own; it outlives us."""
    account = program.account
    return _open(
        program,
        program.argv,
        stdin=subprocess.DEVNULL,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=account.groups if account else None,
    )


def start_leashed(program: Program) -> "subprocess.Popen[bytes]":
    """Start a program that is stopped when we end, however we end.

    Returns the leash (:mod:`astrid_stack.leash`); :func:`let_go` stops it.
    """
    account = program.account
    ids = ",".join(map(str, (account.uid, account.gid, *account.groups))) if account else "-"
    leash = (sys.executable, "-P", "-m", "astrid_stack.leash", program.stop_signal.name, ids)
    return _open(program, (*leash, *program.argv), stdin=subprocess.PIPE)


def let_go(leash: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Stop a program started by :func:`start_leashed` and wait for its end."""
    if leash.stdin is not None:
        leash.stdin.close()
    try:
        leash.wait(grace_s)
    except subprocess.TimeoutExpired:
        stop({psutil.Process(leash.pid): signal.SIGKILL}, grace_s)
        leash.wait()


def _open(program: Program, argv: tuple[str, ...], **how: Any) -> "subprocess.Popen[bytes]":
    program.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if program.log.exists() and program.log.stat().st_size > LOG_BYTES:
        rotate(program.log)
    log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            argv,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(program.environment),
            cwd="/",
            umask=0o077,
            start_new_session=True,
            **how,
        )
    except OSError as error:
        raise StackError.of_part(
            program.name,
            f"could not be started: {error}",
            log=None,
            remedy="Reinstall AstrID's dependencies (make install).",
        ) from error
    finally:
        os.close(log)


def stop(asked: Mapping[psutil.Process, signal.Signals], grace_s: float) -> None:
    """End processes and all they started: asked together, killed after ``grace_s``."""
    family: set[psutil.Process] = set()
    for process, stop_signal in asked.items():
        try:
            family |= set(family_of(process))
            process.send_signal(stop_signal)
        except psutil.NoSuchProcess:
            continue
    for straggler in _outlasting(family, grace_s):
        try:
            straggler.kill()
        except psutil.NoSuchProcess:
            continue
    _outlasting(family, grace_s)


def _outlasting(family: Iterable[psutil.Process], grace_s: float) -> set[psutil.Process]:
    """Those still alive after ``grace_s``. A zombie is not: it may never be reaped."""
    deadline = time.monotonic() + grace_s
    left = {process for process in family if is_alive(process)}
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = {process for process in left if is_alive(process)}
    return left


def wait_until_ready(
    program: Program,
    process: "psutil.Process | subprocess.Popen[bytes]",
    ready: Callable[[], bool],
    timeout_s: float,
    remedy: str,
    cancelled: threading.Event | None = None,
) -> None:
    """Return when ``ready()`` holds.

    Raises
    ------
    StackError
        If the process ends first or ``timeout_s`` seconds pass; it carries the last lines
        of the part's log and the given remedy.
    CancelledError
        If ``cancelled`` is set meanwhile.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if cancelled is not None and cancelled.is_set():
            raise CancelledError(program.name)
        if not is_alive(process):
            raise StackError.of_part(
                program.name, "ended while starting", log=program.log, remedy=remedy
            )
        if time.monotonic() > deadline:
            raise StackError.of_part(
                program.name,
                f"did not answer within {timeout_s:g} s",
                log=program.log,
                remedy=remedy,
            )
        time.sleep(_POLL_S)


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """A process and, after it, all that it started; nothing of one that is gone."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def listens(process: psutil.Process, port: int) -> bool:
    """Whether a process, or one that it started, is who listens at a TCP port."""
    for one in family_of(process):
        with suppress(psutil.Error):
            for connection in one.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def is_alive(process: "psutil.Process | subprocess.Popen[bytes]") -> bool:
    """Whether a process still runs; a zombie does not."""
    if isinstance(process, subprocess.Popen):
        return process.poll() is None
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lived_at(pid: int, when: float) -> bool:
    """Whether the process with this id is the one that had it at a time (Unix, s)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= when + 1
    except psutil.NoSuchProcess:
        return False


def base_environment() -> dict[str, str]:
    """What every program gets of our own environment: paths, locale, proxies."""
    # Named one by one: the caller's shell may hold keys to other things.
    kept = (
        *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"),
        *("VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY"),
    )
    return {name: os.environ[name] for name in kept if name in os.environ}
