"""The one table of the differencing benchmark: what was wanted, what came out, a verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row: a measured figure against what design asks of it.

    Attributes
    ----------
    name
        What was measured, on what.
    wanted
        The bound in words; empty for a figure that is only reported.
    got
        The measured value, formatted, with its error where it has one.
    is_met
        None where nothing was asked.
    """

    name: str
    wanted: str
    got: str
    is_met: bool | None = None

    @property
    def verdict(self) -> str:
        """In one word."""
        return {None: "", True: "met", False: "MISSED"}[self.is_met]


def at_most(name: str, value: float, limit: float, form: str = ".3g") -> Figure:
    """A figure that must not exceed a limit."""
    return Figure(name, f"<= {limit:g}", f"{value:{form}}", bool(value <= limit))


def at_least(name: str, value: float, limit: float, form: str = ".3g") -> Figure:
    """A figure that must reach a limit."""
    return Figure(name, f">= {limit:g}", f"{value:{form}}", bool(value >= limit))


def within(name: str, value: float, low: float, high: float, form: str = ".3f") -> Figure:
    """A figure with a lower and an upper limit."""
    return Figure(name, f"{low:g} to {high:g}", f"{value:{form}}", bool(low <= value <= high))


def reported(name: str, got: str) -> Figure:
    """A figure without a limit."""
    return Figure(name, "", got)


def print_table(title: str, figures: Iterable[Figure]) -> None:
    """Print figures in columns under a title."""
    rows = [(figure.name, figure.wanted, figure.got, figure.verdict) for figure in figures]
    rows = [("figure", "wanted", "got", "verdict"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    print(f"\n{title}\n{'=' * len(title)}")
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def summary(figures: Sequence[Figure]) -> str:
    """How many figures are met, and the names of those that are not."""
    asked = [figure for figure in figures if figure.is_met is not None]
    missed = [figure.name for figure in asked if not figure.is_met]
    line = f"{len(asked) - len(missed)} of {len(asked)} figures met"
    return line + ("".join(f"\n  missed: {name}" for name in missed))
