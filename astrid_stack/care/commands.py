"""``astrid audit``, ``backup``, ``restore``, ``gc`` and ``doctor``.

What belongs here: arguments, tables, progress, exit statuses. The work is the other modules'
of this folder.
"""

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from astrid_core.care.report import AuditReport
from astrid_stack.console import bars, errors_shown, out, say
from astrid_stack.state import DATABASE_VARIABLE, State

if TYPE_CHECKING:
    from astrid_stack.care.doctor.finding import Finding

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


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    objects_days: Annotated[
        float,
        typer.Option(
            min=2,
            envvar="ASTRID_KEEP_OBJECTS_DAYS",
            help="Days that an object without a row is kept: longer than any run takes.",
        ),
    ] = 2,
    logs_days: Annotated[
        float,
        typer.Option(
            min=1,
            envvar="ASTRID_KEEP_LOGS_DAYS",
            help="Days that logs of runs that ended are kept.",
        ),
    ] = 90,
) -> None:
    """Remove what nothing needs: objects without a row, stale scratch, logs of old runs.

    Harmless while nights are processed. Rows, what rows name, models and materializations
    stay for good.
    """
    from astrid_stack.care.gc import Retention, collect_garbage
    from astrid_stack.care.installation import Installation

    retention = Retention(dt.timedelta(days=objects_days), dt.timedelta(days=logs_days))
    with errors_shown(), progress("objects") as report:
        swept = collect_garbage(Installation.here(), retention, say, dry_run=dry_run, report=report)
    table = Table("", "number", "size", box=None, header_style="bold")
    for kind, n_objects in swept.n_objects.items():
        if n_objects:
            table.add_row(kind, f"{n_objects}", in_words(swept.n_bytes[kind]))
    if table.row_count:
        out.print(table)
    total = in_words(swept.n_bytes.total())
    say(f"{total} would be removed" if dry_run else f"{total} removed")
    if swept.spared:
        say(f"{swept.spared} objects were left: they are needed after all")


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder of backups; made where there is none.")],
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove all but so many of the newest.", show_default="all"),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove again what earlier backups fetched.")
    ] = False,
) -> None:
    """Copy databases and objects into a folder; objects that it has already are not fetched.

    May run while nights are processed and people judge. Secrets are not in it; verdicts,
    images and names of users are: keep it as you would keep them. Exit status 1 where the
    store has lost or changed what rows name.
    """
    from astrid_stack.care.backup import back_up, forget_old
    from astrid_stack.care.installation import Installation

    with errors_shown():
        with progress("objects") as report:
            made = back_up(Installation.here(), folder, say, report, verify=verify)
        removed = 0 if keep is None else forget_old(folder, keep)
    copied = made.copied
    say(
        f"{made.folder}: {len(made.manifest.databases)} databases, {made.manifest.n_objects} "
        f"objects ({in_words(made.manifest.n_bytes)}), of which {copied.n_fetched} "
        f"({in_words(copied.n_bytes_fetched)}) were fetched"
    )
    if removed:
        say(f"Removed {removed} older backups")
    if copied.damaged:
        say(f"The store has lost or changed {len(copied.damaged)} objects that rows name:")
        for key in copied.damaged[:20]:
            say(f"  {key}")
        say("  'astrid audit' tells what to do; all else is in the backup")
        raise typer.Exit(1)


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of backups.")],
    name: Annotated[str | None, typer.Option("--backup", help="Which; default the newest.")] = None,
) -> None:
    """Make an empty installation what a backup was made of; proves every hash and row count.

    Only where there is nothing yet: for the embedded stack that is a new ASTRID_STATE. An
    interrupted restore goes on when it is run again.
    """
    from astrid_stack.care.installation import Installation
    from astrid_stack.care.restore import embedded_place
    from astrid_stack.care.restore import restore as bring_back

    with errors_shown(), ExitStack() as stack:
        is_embedded = DATABASE_VARIABLE not in os.environ
        place = (
            stack.enter_context(embedded_place(State.create()))
            if is_embedded
            else Installation.here()
        )
        bar = stack.enter_context(stages())
        restored = bring_back(place, folder, say, bar, name=name)
    manifest = restored.manifest
    n_rows = sum(sum(one.rows.values()) for one in manifest.databases.values())
    say(
        f"Restored and proven: {n_rows} rows in {len(manifest.databases)} databases, "
        f"{manifest.n_objects} objects ({in_words(manifest.n_bytes)}), as of {manifest.made_at}"
    )
    if (restored.folder / "surveys.yaml").exists():
        say(f"Its surveys: export ASTRID_SURVEYS_FILE={restored.folder / 'surveys.yaml'}")
    for key in manifest.damaged[:20]:
        say(f"Lost before it was backed up: {key}")
    say("'astrid up' starts it" if is_embedded else "Start its services, then 'astrid audit'")


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Do not compare rows and store.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong and what helps: files, disk, services, data, nights.

    Works while parts are down, which is when it is needed. Exit status 1 where something is
    wrong; what only may be, or could not be looked at, does not count.
    """
    from astrid_stack.care.doctor.examine import examine  # imports much: others save seconds

    with errors_shown():
        found = examine(quick=quick)
    n_wrong = sum(finding.state == "wrong" for finding in found)
    if as_json:
        say(json.dumps([finding.to_json() for finding in found], indent=1))
    else:
        _show_findings(found)
        say(f"{n_wrong} wrong" if n_wrong else "Nothing is wrong")
    if n_wrong:
        raise typer.Exit(1)


_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "wrong": "[red]✗[/]", "unknown": "?"}


def _show_findings(found: "list[Finding]") -> None:
    table = Table("", "what", "found", "what helps", box=None, header_style="bold")
    for finding in found:
        mark = _MARKS[finding.state]
        table.add_row(mark, escape(finding.what), escape(finding.said), escape(finding.remedy))
    out.print(table)


def _show_audit(found: AuditReport) -> None:
    table = Table("", "statement", "looked at", "contradicted", box=None, header_style="bold")
    for check in found.checks:
        mark = "[green]✓[/]" if check.holds else "[red]✗[/]" if check.is_problem else "[yellow]·[/]"
        table.add_row(mark, check.statement.holds, f"{check.n_seen}", f"{check.n_found or ''}")
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
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar that is told what is done, and how many of how many are."""
    with bars(is_kept=False, is_off=not out.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


@contextmanager
def progress(what: str, is_quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told how many of how many are done; gone when it is over."""
    with bars(is_kept=False, is_off=is_quiet or not out.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def in_words(n_bytes: float) -> str:
    """A size as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
