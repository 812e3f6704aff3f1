"""Errors of the embedded stack."""

from pathlib import Path

from astrid_core.errors import AstridError

_LOG_LINES_SHOWN = 15


class StackError(AstridError):
    """A part of the embedded stack did not start, answer or stop.

    The message names the part; when the part left a log, its last lines follow it.
    """

    @classmethod
    def of_part(cls, part: str, happened: str, *, log: Path | None, remedy: str) -> "StackError":
        """Build the error of one part, with the last lines of its log file.

        Parameters
        ----------
        part
            Name of the part, as ``astrid status`` shows it.
        happened
            What went wrong, as the rest of a sentence beginning with the part's name.
        log
            The part's log file, if it has one.
        remedy
            What the reader can do about it, as a full sentence.
        """
        lines = last_lines(log) if log is not None else ""
        tail = f"\nLast lines of {log}:\n{lines}\n" if lines else ""
        return cls(f"{part} {happened}.{tail}", remedy=remedy)


class DagsterUnavailableError(StackError):
    """Dagster cannot be asked: it does not answer, or no address of it is configured."""

    transient = True


class DagsterRefusedError(StackError):
    """Dagster answered, and refused or failed to do what it was asked."""


class NightsError(AstridError):
    """The survey or nights asked for are none that can be run."""


class BackupError(AstridError):
    """A backup cannot be made, read or restored as asked."""


def last_lines(log: Path, count: int = _LOG_LINES_SHOWN) -> str:
    """Last ``count`` lines of a text file, indented; empty if there is no such file."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 16_384))
            lines = stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(f"  {line}" for line in lines[-count:])
