"""``astrid models`` and ``astrid train``: which models there are, and another one.

What belongs here: arguments, tables, a progress bar. The work is ``astrid_core.training``'s,
and a training's own run is Dagster's.
"""

import getpass
import os
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection, Engine, select

from astrid_core.detection.config import DeviceChoice
from astrid_core.settings import Settings, get_settings
from astrid_core.training.config import TRAINING_JOB, TRAINING_PARTITIONS, TrainingConfig
from astrid_stack.console import bars, errors_shown, out, say
from astrid_stack.dagster_client import DagsterClient, RunState
from astrid_stack.errors import StackError
from astrid_stack.state import DATABASE_VARIABLE, State
from dbschema.models import Model, Promotion, TrainingRun
from dbschema.session import make_engine
from dbschema.transactions import transaction

app = typer.Typer(
    help="Which models there are, and which of them judges.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a local may hold a secret
)
_DAY_S = 86_400.0


@app.command("list")
def list_() -> None:
    """Show every registered model, the champion marked."""
    from astrid_core.detection.registry import champion_version

    with errors_shown():
        settings = _settings()
        current = champion_version(settings.mlflow_uri)
        with transaction(_engine(settings)) as connection:
            models = _models(connection)
    table = Table("version", "name", "sha256", "made", "", "decided", box=None, header_style="bold")
    for model in models:
        table.add_row(
            model["version"],
            escape(str(model["card"]["name"])),
            model["sha256"][:12],
            f"{model['created_at']:%Y-%m-%d %H:%M}",
            "[green]champion[/]" if model["version"] == current else "",
            escape(model["reason"] or ""),
        )
    out.print(table)


@app.command()
def revert() -> None:
    """Give judgement back to the champion before the present one; the decision is recorded."""
    from astrid_core.training.promotion import revert as take_back

    with errors_shown():
        settings = _settings()
        engine = _engine(settings)
        row = take_back(engine, settings.mlflow_uri, settings.cache_dir, getpass.getuser())
    say(row["reason"])


def train(
    dataset_id: Annotated[UUID, typer.Argument(help="Training dataset; it must be active.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches at most.", show_default="400")
    ] = None,
    start_from: Annotated[
        Literal["champion", "scratch"], typer.Option(help="Weights to begin with.")
    ] = "champion",
    seed: Annotated[int, typer.Option(min=0, help="Of weights and augmentation.")] = 0,
    device: Annotated[DeviceChoice, typer.Option(help="Where to train.")] = "auto",
    re_detect: Annotated[
        bool,
        typer.Option("--re-detect", help="After a promotion judge the dataset's nights anew."),
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "astrid train",
) -> None:
    """Train a model on a dataset, evaluate it, and let the rule decide whether it judges.

    Dagster runs it: Ctrl-C leaves it going, and its UI shows it.
    """
    asked: dict[str, Any] = {"start_from": start_from, "seed": seed, "device": device}
    config = TrainingConfig(**asked | ({} if steps is None else {"steps": steps}))
    with errors_shown():
        train_and_tell(State(), dataset_id, config, reason=reason, re_detect=re_detect)


def train_and_tell(
    state: State, dataset_id: UUID, config: TrainingConfig, *, reason: str, re_detect: bool
) -> None:
    """Have Dagster train on a dataset, follow it with a bar, and say what was decided.

    Raises
    ------
    StackError
        If Dagster refuses or the training fails.
    """
    engine = make_engine(state.database_url("astrid"))
    client = DagsterClient.of(state)
    run_id = str(uuid4())
    client.add_partition(TRAINING_PARTITIONS, run_id)
    training = {
        "dataset_id": str(dataset_id),
        "training": config.model_dump(mode="json"),
        "reason": reason,
        "requested_by": getpass.getuser(),
    }
    launch = client.launch(
        TRAINING_JOB,
        [run_id],
        {
            "ops": {
                "training_runs": {"config": training},
                "promotion": {"config": {"re_detect": re_detect}},
            }
        },
    )
    say(f"training run {run_id}")
    with _Bar(engine, state.address("mlflow"), run_id, config.steps) as bar:
        (ended,) = client.follow(launch, bar.look, timeout_s=_DAY_S)
    _tell(engine, run_id, ended)
    if re_detect:
        say(
            "After a promotion the sensor redetect_after_promotion judges the nights anew; it is "
            "off until it is switched on in Dagster, under Automation."
        )


class _Bar:
    """A bar that follows a training run by what it tells MLflow."""

    def __init__(self, engine: Engine, mlflow_uri: str, run_id: str, steps: int) -> None:
        self._engine = engine
        self._mlflow_uri = mlflow_uri
        self._run_id = run_id
        self._progress = bars()
        self._task = self._progress.add_task("waiting", total=steps)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def look(self, runs: list[RunState]) -> None:
        """Bring the bar up to date."""
        from astrid_core.training.tracking import latest_step

        row = _run(self._engine, self._run_id)
        if row is None or row["mlflow_run_id"] is None:
            return
        step = latest_step(self._mlflow_uri, row["mlflow_run_id"])
        done = any(run.is_finished for run in runs)
        self._progress.update(
            self._task, completed=step, description="done" if done else "training"
        )


def _tell(engine: Engine, run_id: str, ended: RunState) -> None:
    """Say how it ended; what failed is an error."""
    row = _run(engine, run_id)
    if row is None or row["status"] != "completed":
        raise StackError(
            f"Training run {run_id} ended as {ended.status}: "
            f"{row['error_message'] if row else 'it never began'}",
            remedy=f"Look at run {ended.run_id} in Dagster's UI.",
        )
    precision = row["performance_metrics"]["average_precision"]
    say(
        f"average precision on the test split {precision['value']:.4f} "
        f"({precision['low']:.4f} to {precision['high']:.4f})"
    )
    with transaction(engine) as connection:
        query = select(Promotion.decision, Promotion.reason).where(
            Promotion.training_run_id == UUID(run_id)
        )
        decided = connection.execute(query).first()
    if decided is None:
        raise StackError(
            f"Training run {run_id} is completed, but nothing was decided of its model.",
            remedy=f"Look at run {ended.run_id} in Dagster's UI; re-run its promotion there.",
        )
    say(f"{decided.decision}: {decided.reason}")


def _models(connection: Connection) -> list[dict[str, Any]]:
    """Registered models, the newest last, each with the latest decision on it."""
    reason = (
        select(Promotion.reason)
        .where(Promotion.model_id == Model.id)
        .order_by(Promotion.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = (Model.version, Model.sha256, Model.card, Model.created_at, reason.label("reason"))
    query = select(*columns).order_by(Model.created_at)
    return [dict(row) for row in connection.execute(query).mappings()]


def _run(engine: Engine, run_id: str) -> dict[str, Any] | None:
    table = TrainingRun.__table__
    with transaction(engine) as connection:
        query = select(table).where(table.c.id == UUID(run_id))
        row = connection.execute(query).mappings().first()
    return None if row is None else dict(row)


def _settings() -> Settings:
    """Where AstrID is: as the environment says, else the embedded stack."""
    if not os.environ.get(DATABASE_VARIABLE):
        os.environ |= State().environment()
    return get_settings()


def _engine(settings: Settings) -> Engine:
    return make_engine(settings.database_url.get_secret_value())
