"""What the ``astrid`` command says, and how it ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

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
