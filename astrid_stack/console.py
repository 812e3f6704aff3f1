"""What the ``astrid`` command says, and how it ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from astrid_core.errors import AstridError

_FILE_WIDTH = 200
"""Characters of a line that goes into a file or a pipe, where nothing has to fit a screen."""


def _width() -> int | None:
    """None leaves it to the terminal, or to COLUMNS."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH


out = Console(highlight=False, width=_width())
_err = Console(stderr=True, highlight=False)
_INTERRUPTED = 130


def say(line: str) -> None:
    """Print one line as it is."""
    out.print(line, markup=False, soft_wrap=True)


def bars(
    console: Console = out, *, is_kept: bool = True, is_off: bool = False, width: int = 0
) -> Progress:
    """Bars of long work: what is done, how much of how much, since when.

    Parameters
    ----------
    is_kept
        Whether they stay on the screen when they are over.
    is_off
        Whether nothing is shown.
    width
        Characters of what is done, at least: so that bars stay where they are.
    """
    return Progress(
        TextColumn("{task.description}", table_column=Column(min_width=width)),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=not is_kept,
        disable=is_off,
    )


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show our own errors as sentences and exit 1; Ctrl-C exits 130."""
    try:
        yield
    except AstridError as error:
        _err.print("[bold red]Error[/] ", end="")
        _err.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        _err.print("Interrupted; what was started is stopped again.")
        raise typer.Exit(_INTERRUPTED) from None
