"""The machine: files and their modes, disks, ports, processes."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from astrid_stack import ports
from astrid_stack.care.doctor.finding import Finding, ok, unknown, warning, wrong
from astrid_stack.care.installation import Installation
from astrid_stack.errors import last_lines
from astrid_stack.state import State
from astrid_stack.supervisor import Stack

_GB = 1e9
_LITTLE_GB, _NOTHING_GB = 5.0, 1.0
_SECRET_FILES = ("secrets.json", "token", "ports.json", "services.json")


def examine_files(state: State | None) -> Iterator[Finding]:
    """Whether only their owner reads the secrets."""
    if state is None:
        return
    folders = [state.folder, *(path for path in state.folder.iterdir() if path.is_dir())]
    files = [path for name in _SECRET_FILES if (path := state.folder / name).exists()]
    files += (state.folder / "logs").glob("*.log")
    # PostgreSQL's own account passes through folders by their group; nobody else may.
    open_ones = [path for path in folders if _mode(path) & 0o066 or _mode(path) & stat.S_IXOTH]
    open_ones += [path for path in files if _mode(path) & 0o077]
    for path in open_ones:
        fitting = "700" if path.is_dir() else "600"
        yield wrong(
            "secrets' files",
            f"others may use {path} (mode {_mode(path):o})",
            f"chmod {fitting} {path}; if others use this machine, make new secrets.",
        )
    if not open_ones:
        yield ok("secrets' files", f"{len(files)} files, readable by their owner alone")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def examine_disks(installation: Installation) -> Iterator[Finding]:
    """Whether there is room where things are written."""
    environment = installation.environment
    places = {
        "state": None if installation.state is None else installation.state.folder,
        "scratch": Path(environment.get("ASTRID_SCRATCH_DIR", tempfile.gettempdir())),
        "cache": Path(environment.get("ASTRID_CACHE_DIR", Path.home() / ".cache" / "astrid")),
    }
    for name, path in places.items():
        if path is None:
            continue
        there = next(step for step in (path, *path.parents) if step.exists())
        what = f"disk of {name}"
        if not os.access(there, os.W_OK):
            yield wrong(what, f"{there} cannot be written to", "Give its user the right to.")
            continue
        usage = shutil.disk_usage(there)
        free_gb = usage.free / _GB
        said = f"{free_gb:.1f} of {usage.total / _GB:.0f} GB free at {there}"
        help_ = "Make room: 'astrid gc' removes what nothing needs."
        if free_gb < _NOTHING_GB:
            yield wrong(what, said, help_)
        elif free_gb < _LITTLE_GB:
            yield warning(what, said, help_)
        else:
            yield ok(what, said)


def examine_parts(state: State | None) -> Iterator[Finding]:
    """Whether the embedded stack's processes run and answer, and have their ports."""
    if state is None:
        yield unknown("processes", "not the embedded stack's: its services are asked below")
        return
    stack = Stack(state)
    of_port = state.ports()
    parts = stack.parts()
    for status in stack.status():
        what = f"part {status.name}"
        port_name = parts[status.name].port_name
        if status.state == "ready":
            took = 1000 * (status.latency_s or 0.0)
            yield ok(what, f"ready, {took:.0f} ms {status.address}".rstrip())
        elif status.state == "stopped":
            port = of_port.get(port_name) if port_name else None
            if port is not None and ports.answers(port):
                yield warning(
                    what,
                    f"stopped, and another program has its port {port}",
                    "'astrid up' takes the next free port and says which.",
                )
            else:
                yield wrong(what, "stopped", "Run 'astrid up'.")
        else:
            said = last_lines(state.log(status.name), 1).strip()
            yield wrong(
                what,
                f"runs (process {status.pid}) and does not answer: {said or 'its log is empty'}",
                f"Read {state.log(status.name)}; 'astrid down' and 'astrid up' start it afresh.",
            )
