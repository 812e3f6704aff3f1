"""``astrid audit``, ``backup``, ``restore``, ``gc`` and ``doctor``.

What belongs here: arguments, tables, progress, exit statuses. The work is the other modules'
of this folder.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from astrid_core.care.report import AuditReport
from astrid_stack.console import errors_shown, out, say

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


def audit(
    quick: Annotated[
        bool, typer.Option("--quick", help="Only look for objects; read and hash none.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look whether every row has its object, unchanged, and nothing is lost, half or stuck.

    Changes nothing, and may run while nights are processed. Exit status 1 where something is
    wrong.
    """
    from astrid_stack.care.audit import audit_installation  # imports tables: others save seconds
    from astrid_stack.care.installation import Installation

    with errors_shown(), progress("objects", as_json) as report:
        found = audit_installation(Installation.here(), read_all=not quick, report=report)
    if as_json:
        say(json.dumps(found.to_json(), indent=1))
    else:
        _show_audit(found)
    if not found.is_sound:
        raise typer.Exit(1)


def _show_audit(found: AuditReport) -> None:
    table = Table("", "statement", "looked at", "contradicted", box=None, header_style="bold")
    for check in found.checks:
        mark = "[green]✓[/]" if check.holds else "[red]✗[/]" if check.is_problem else "[yellow]·[/]"
        table.add_row(
            mark, check.statement.holds, f"{check.n_seen}", f"{check.n_found or ''}", style=""
        )
    out.print(table)
    for check in found.checks:
        if check.holds:
            continue
        size = f", {in_words(check.n_bytes)}" if check.n_bytes else ""
        out.print(f"\n[bold]{escape(check.statement.holds)}[/]: {check.n_found} do not{size}")
        for example in check.examples:
            say(f"  {example}")
        if check.n_found > len(check.examples):
            say(f"  … and {check.n_found - len(check.examples)} more")
        say(f"  {check.statement.remedy}")
    n_problems = len(found.problems)
    say("")
    say("Everything is in its place" if found.is_sound else f"{n_problems} statements do not hold")


@contextmanager
def progress(what: str, is_quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told how many of how many are done; gone when it is over."""
    columns = (TextColumn(f"{what}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=is_quiet) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def in_words(n_bytes: float) -> str:
    """A size as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
