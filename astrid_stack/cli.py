"""The ``astrid`` command.

What belongs here: arguments, tables, exit statuses. The work is the supervisor's.
"""

import os
import shlex
import sys
import time
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from astrid_stack import local_operator, models, surveys, users
from astrid_stack.care import commands as care
from astrid_stack.console import errors_shown, out, say
from astrid_stack.errors import StackError
from astrid_stack.state import DEFAULT_PORTS, State, port_variable, state_folder
from astrid_stack.supervisor import Stack

app = typer.Typer(
    help="AstrID: from images of the night sky to trustworthy detections of what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a local may hold a secret
    epilog="State is kept in .astrid beside workspace.yaml; ASTRID_STATE names another folder.",
)
app.add_typer(users.app, name="users")
app.add_typer(models.app, name="models")
app.add_typer(surveys.app, name="surveys")
_STATE_STYLE = {"ready": "green", "not answering": "yellow", "stopped": "red"}


def _port_option(part: str, what: str) -> typer.models.OptionInfo:
    return typer.Option(
        f"--{part}-port",
        envvar=port_variable(part),
        min=1,
        max=65_535,
        help=f"Port of {what}; the next free one if it is taken.",
        show_default=str(DEFAULT_PORTS[part]),
        metavar="PORT",
    )


@app.command()
def up(
    api_port: Annotated[int | None, _port_option("api", "the API")] = None,
    dagster_port: Annotated[int | None, _port_option("dagster", "Dagster's UI")] = None,
    mlflow_port: Annotated[int | None, _port_option("mlflow", "MLflow")] = None,
    postgres_port: Annotated[int | None, _port_option("postgres", "PostgreSQL")] = None,
    s3_port: Annotated[int | None, _port_option("s3", "the S3 store")] = None,
    code_port: Annotated[int | None, _port_option("code", "the code location")] = None,
) -> None:
    """Start PostgreSQL, the S3 store, MLflow, Dagster and the API, and leave them running.

    Harmless when they run already. Tables are brought to this release; runs whose process
    died are marked failed. Everything listens on 127.0.0.1 only.
    """
    asked = {
        "api": api_port,
        "dagster": dagster_port,
        "mlflow": mlflow_port,
        "postgres": postgres_port,
        "s3": s3_port,
        "code": code_port,
    }
    for part, port in asked.items():
        if port is not None:
            os.environ[port_variable(part)] = str(port)
    begun = time.monotonic()
    with errors_shown():
        state = State.create()
        Stack(state).up(say)
        say(f"AstrID is up ({time.monotonic() - begun:.1f} s): 'astrid status', 'astrid down'")
        local_operator.welcome(state, out, say)


@app.command()
def down() -> None:
    """Stop everything that 'astrid up' started, runs included. Data stays."""
    with errors_shown():
        if not state_folder().is_dir():
            say(f"Nothing to stop: there is no state in {state_folder()}")
            return
        Stack(State()).down(say)
        say("AstrID is down")


@app.command()
def status() -> None:
    """Show every part: state, process, address, latency. Exit status 1 unless all are ready."""
    with errors_shown():
        state = State()
        found = Stack(state).status()
    table = Table("part", "state", "pid", "address", "latency", box=None, header_style="bold")
    for part in found:
        table.add_row(
            part.name,
            f"[{_STATE_STYLE[part.state]}]{part.state}[/]",
            str(part.pid or ""),
            part.address,
            f"{1000 * part.latency_s:.0f} ms" if part.latency_s is not None else "",
        )
    out.print(table)
    out.print(f"logs: {state.folder / 'logs'}", soft_wrap=True)
    if any(part.state != "ready" for part in found):
        raise typer.Exit(1)


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    command: Annotated[
        list[str] | None, typer.Argument(help="Command and arguments; default your shell.")
    ] = None,
) -> None:
    """Run a command with the stack's environment: astrid run -- python my_script.py."""
    argv = command or [os.environ.get("SHELL", "/bin/sh")]
    with errors_shown():
        state = State()
        if Stack(state).process_of("postgres") is None:
            raise StackError("AstrID is not up.", remedy="Run 'astrid up' first.")
        # The caller's own variables stay: it is the caller's command.
        environment = os.environ | state.environment()
        sys.stdout.flush()
        try:
            os.execvpe(argv[0], argv, environment)  # noqa: S606  (running it is the purpose)
        except OSError as error:
            raise StackError(
                f"{shlex.join(argv)} could not be run: {error.strerror}.",
                remedy="Give a command that exists, after '--'.",
            ) from error


@app.command()
def demo(
    survey: Annotated[
        str, typer.Option(help="Survey of surveys.yaml; 'folder' for your own FITS.")
    ] = "simulated",
    data: Annotated[
        Path | None, typer.Option(help="Folder of FITS files, for the folder survey.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder whose frames form the reference set.")
    ] = None,
    review: Annotated[
        bool | None,
        typer.Option(
            help="Have the simulator's truth judge what was detected, and collect a training "
            "dataset of it.",
            show_default="for simulated surveys",
        ),
    ] = None,
    train: Annotated[
        bool,
        typer.Option("--train", help="Train on the dataset, and let the rule decide."),
    ] = False,
) -> None:
    """Start everything and take several nights from files to a training dataset."""
    from astrid_stack.demo import (  # imports the science: seconds other commands save
        Learning,
        run_demo,
    )

    with errors_shown():
        run_demo(survey, data, reference, Learning(review, train), out, say)


app.command()(models.train)
for _command in (care.doctor, care.audit, care.backup, care.restore, care.gc):
    app.command()(_command)


@app.command()
def version() -> None:
    """Show the version."""
    say(f"astrid {installed_version('astrid')}")


def main() -> None:
    """Entry point of the console script."""
    app()
