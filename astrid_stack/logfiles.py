"""Log files of the parts, kept from growing for ever.

A part holds its log open for as long as it lives and appends to it. So a log that is large is
not moved but copied and emptied, which the part does not notice: it goes on at the new end.
"""

import os
import shutil
from pathlib import Path

LOG_BYTES = 10_000_000
"""Size from which a log is large."""

GENERATIONS = 3
"""Old logs kept of each part: ``api.1.log`` is the newest."""


def generation(log: Path, number: int) -> Path:
    """File of an old log."""
    return log.with_suffix(f".{number}.log")


def large_logs(folder: Path) -> list[Path]:
    """Logs in a folder that are large, old ones aside."""
    return sorted(
        log
        for log in folder.glob("*.log")
        if log.name.count(".") == 1 and log.stat().st_size > LOG_BYTES
    )


def rotate(log: Path) -> int:
    """Make a log the newest of the old ones, and empty it; bytes of the oldest, which goes.

    Harmless while the part writes: what it writes meanwhile is copied too, but for what comes
    within microseconds between the last look and the emptying.
    """
    oldest = generation(log, GENERATIONS)
    dropped = oldest.stat().st_size if oldest.exists() else 0
    for number in range(GENERATIONS - 1, 0, -1):
        if generation(log, number).exists():
            generation(log, number).replace(generation(log, number + 1))
    descriptor = os.open(generation(log, 1), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as kept, log.open("r+b") as stream:
        while True:
            shutil.copyfileobj(stream, kept)
            if stream.tell() >= os.fstat(stream.fileno()).st_size:
                break
        stream.truncate(0)
    return dropped
