"""What became of one frame in one stage: a run row, and perhaps an object to store."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astrid_core.errors import AstridError
from astrid_core.text import readable

Row = dict[str, Any]

_LONGEST_MESSAGE = 4000
"""Characters: libraries' messages quote what they could not read, however long."""


@dataclass(frozen=True)
class StagedObject:
    """A file ready for the object store.

    Attributes
    ----------
    is_scratch
        True where the file is ours to delete after it was stored.
    """

    key: str
    path: Path
    sha256: str
    is_scratch: bool = True


@dataclass(frozen=True)
class Outcome:
    """Result of one frame in one stage.

    Attributes
    ----------
    row
        The stage's run row, complete, whether it succeeded or failed.
    staged
        The object to store; None when the stage failed or makes none.
    children
        Rows of the stage's child table (reference members, candidates).
    notes
        What a person should know though nothing failed (skipped extensions, say).
    """

    row: Row
    staged: StagedObject | None = None
    children: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether the row says failed."""
        return bool(self.row["status"] == "failed")


@dataclass(frozen=True)
class Success:
    """What a stage's computation adds to its run row when it succeeds."""

    values: Mapping[str, Any]
    staged: StagedObject | None = None
    children: tuple[Row, ...] = field(default=())


def attempt(row: Mapping[str, Any], compute: Callable[[], Success]) -> Outcome:
    """Run one frame's computation; whatever it raises becomes a failed row.

    This is the one place where any exception is caught: one bad frame never costs the
    night. Errors of ours keep their numbers and remedy; an unexpected one also says where
    it was raised.
    """
    started = time.perf_counter()
    try:
        success = compute()
    except Exception as error:  # noqa: BLE001  the boundary that records every failure
        failed = failure_row(row, error)
        return Outcome(failed | {"wall_s": time.perf_counter() - started})
    values = dict(row) | dict(success.values) | {"wall_s": time.perf_counter() - started}
    return Outcome(values, success.staged, success.children)


def failure_row(row: Mapping[str, Any], error: Exception) -> Row:
    """A run row that says failed, with the error's type and readable message."""
    if isinstance(error, AstridError):
        message = str(error)
    else:
        where = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" (raised in {where[0].name}, line {where[0].lineno})" if where else ""
        message = f"Unexpected {type(error).__name__}: {error}{place}. Please report this."
    return dict(row) | {
        "status": "failed",
        "error_type": type(error).__name__,
        "error_message": "\n".join(map(readable, message.splitlines()))[:_LONGEST_MESSAGE],
    }
