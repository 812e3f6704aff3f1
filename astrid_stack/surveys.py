"""``astrid surveys``: what surveys there are, and whether they work.

What belongs here: arguments, tables, exit statuses. The work is ``astrid_core.surveys``'s.
"""

import datetime as dt
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from astrid_core.errors import AstridError, ConfigurationError
from astrid_core.settings import DefinitionSettings
from astrid_core.surveys.config import SurveyConfig, load_surveys
from astrid_stack.console import errors_shown, say
from astrid_stack.state import State

app = typer.Typer(
    help="The surveys of surveys.yaml: what they are, and whether they work.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a local may hold a secret
    epilog="ASTRID_SURVEYS_FILE names the file; default is the packaged one.",
)
_MAX_FRAME_MPIX = 256.0
"""As ASTRID_MAX_FRAME_MPIX has it by default; checking needs no deployment's settings."""


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="One survey; default all.")] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Ask its archive for real and fetch one file into a scratch folder. Records "
            "nothing.",
        ),
    ] = False,
    night: Annotated[
        str | None,
        typer.Option(help="Night (YYYY-MM-DD) that --live asks for; default the last one."),
    ] = None,
) -> None:
    """Say what surveys are, by their configuration: sources, hosts, variables, nights.

    Exit status 1 where something is wrong: an option, or of a survey that was named a variable
    that is not set, or with --live what the archive answered.
    """
    from astrid_core.surveys.check import examine  # imports the science: seconds others save

    with errors_shown():
        asked = None if night is None else _date(night)
        file = DefinitionSettings().surveys_file
        surveys = load_surveys(file)
        chosen = list(surveys.surveys.values()) if name is None else [surveys.named(name)]
        failed = 0
        for config in chosen:
            facts = examine(config, file)
            say(facts.describe())
            is_usable = not facts.problems and not facts.missing
            failed += bool(facts.problems) or (name is not None and not is_usable)
            if live and is_usable:
                failed += not _probe(config, asked)
        if failed:
            raise typer.Exit(1)


@app.command()
def pairs(
    catalogue: Annotated[
        Path, typer.Argument(help="CSV of transients: name, ra, dec, discovery_date.")
    ],
    survey: Annotated[str, typer.Option(help="Survey whose archive is searched.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan, with sizes; fetch nothing.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="JSON file that the plan is written to, with the reason for everything left out.",
            show_default="CATALOGUE's name with .SURVEY.pairs.json; with --dry-run none",
        ),
    ] = None,
) -> None:
    """Find observations before and after transients, and ingest exactly those.

    Both of a pair are of one instrument and one band, hold the transient, overlap, and keep the
    dates of the survey's key 'pairs'. Nothing is labelled: a pair says of nothing that it is
    real.
    """
    from astrid_stack import pairs as planning  # imports the science: seconds others save

    with errors_shown():
        surveys = load_surveys(DefinitionSettings().surveys_file)
        config = surveys.named(survey)
        found = planning.plan(catalogue, config)
        planning.show(found, config)
        default = catalogue.with_suffix(f".{survey}.pairs.json")
        target = output or (None if dry_run else default)
        if target is not None:
            planning.save(found, target)
            say(f"The plan is in {target}")
        if dry_run:
            return
        if not found.pairs:
            raise ConfigurationError(
                "There is no pair to ingest.",
                remedy="Look at the reasons, and widen the survey's key 'pairs' where they allow.",
            )
        planning.require_partitions(found, surveys)
        planning.ingest(found, State())


def _probe(config: SurveyConfig, night: dt.date | None) -> bool:
    """Ask for real and say what came; whether it was in order."""
    from astrid_core.surveys.check import probe

    with tempfile.TemporaryDirectory(prefix="astrid-check-") as folder:
        try:
            found = probe(config, Path(folder), _MAX_FRAME_MPIX, night)
        except AstridError as error:
            say(f"  failed      {type(error).__name__}: {error}")
            return False
    say(found.describe())
    return True


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"'{text}' is no night.", remedy="Give it as YYYY-MM-DD."
        ) from error
