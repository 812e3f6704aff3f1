"""The demo: several nights from files to detections and light curves, through Dagster.

What belongs here: the order of a first visit (plan, reference nights, references, science
nights, summary). What does not: how anything is computed; Dagster runs the same assets a
person would materialize in its UI.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from rich.console import Console

from astrid_core.errors import ConfigurationError
from astrid_core.settings import DefinitionSettings
from astrid_core.surveys.config import SurveyConfig, SurveysFile, load_surveys
from astrid_core.surveys.folder import FolderSurvey
from astrid_core.surveys.plan import FolderPlan
from astrid_core.surveys.registry import open_survey
from astrid_core.training.config import TrainingConfig
from astrid_stack import local_operator, summary
from astrid_stack.console import bars
from astrid_stack.dagster_client import DagsterClient, Launch, RunState
from astrid_stack.dataset import collect_dataset
from astrid_stack.errors import StackError
from astrid_stack.models import train_and_tell
from astrid_stack.nights import NIGHT_ASSETS, night_key
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from astrid_stack.truth import NAME as TRUTH
from astrid_stack.truth import require_truth, review_by_truth
from dbschema.session import make_engine

_NIGHT_TIMEOUT_S = 900.0
_INJECTIONS = 5
"""Injected sources per frame that a demo's dataset learns from besides what was judged."""
_DOING_WIDTH = 46
"""Characters of 'science nights: 2025-09-10|simulated' and the like, with some to spare."""


@dataclass(frozen=True)
class NightPlan:
    """Which nights a survey's references come from, and which are searched."""

    survey: str
    reference_nights: tuple[dt.date, ...]
    science_nights: tuple[dt.date, ...]


def plan_nights(config: SurveyConfig, nights: Sequence[dt.date]) -> NightPlan:
    """Split a survey's nights by its reference set.

    A night all of whose frames may be references is a reference night; where the set
    names frames rather than nights, every night is both.
    """
    named = [night for night in nights if config.references.contains(night, "*")]
    if config.references.include or not config.references.nights:
        return NightPlan(config.name, tuple(nights), tuple(nights))
    science = [night for night in nights if night not in named]
    return NightPlan(config.name, tuple(named), tuple(science))


@dataclass(frozen=True)
class Learning:
    """What is made of a demo's detections.

    Attributes
    ----------
    review
        Have them judged by the simulation's truth, and a training dataset collected; None:
        where the survey is simulated.
    train
        Train on the dataset.
    """

    review: bool | None
    train: bool

    def of(self, config: SurveyConfig) -> "Learning":
        """Decided for a survey.

        Raises
        ------
        ConfigurationError
            If the survey has no truth to judge by, or is to be trained on unjudged.
        """
        review = config.adapter == "simulated" if self.review is None else self.review
        if review:
            require_truth(config)
        elif self.train:
            raise ConfigurationError(
                f"Nothing of survey '{config.name}' would be judged, so that there is nothing "
                "to train on.",
                remedy="Judge detections on the review page, collect a dataset, and run "
                "'astrid train'.",
            )
        return replace(self, review=review)


def run_demo(
    survey: str,
    data: Path | None,
    reference: Path | None,
    learning: Learning,
    console: Console,
    report: Callable[[str], None],
) -> None:
    """Bring the stack up, take a survey's nights from files to detections, sum up.

    Parameters
    ----------
    data, reference
        Folders of FITS files for the ``folder`` survey; the second forms its reference set.
    learning
        What is made of the detections.

    Raises
    ------
    ConfigurationError
        If the survey is unknown, is to be reviewed but not simulated, or its folder holds
        nothing that could be differenced.
    StackError
        If a part does not start or a run fails.
    """
    begun = time.monotonic()
    state = State.create()
    _name_folders(state, data, reference, report)
    surveys = load_surveys(DefinitionSettings().surveys_file)
    config = surveys.named(survey)
    learning = learning.of(config)
    plan = _plan(config, surveys, report)
    stack = Stack(state)
    stack.up(report)
    up_s = time.monotonic() - begun
    report(
        f"{len(plan.reference_nights)} reference nights, {len(plan.science_nights)} science nights"
    )
    runs = materialize(plan, DagsterClient.of(state), console)
    nights = sorted({*plan.reference_nights, *plan.science_nights})
    counts = summary.count(make_engine(state.database_url("astrid")), survey, nights)
    recovery = summary.recovery_of(config, counts) if config.adapter == "simulated" else None
    summary.show(console, counts, recovery, step_seconds(runs.all))
    if learning.review:
        _review(state, config, len(counts.detections), console, report)
        _learn(state, plan, learning, report)
    report(f"Took {time.monotonic() - begun:.0f} s, {up_s:.0f} s of them to start the services.")
    report("The services stay up until 'make down'. Open:")
    local_operator.welcome(state, console, report)


def _learn(
    state: State, plan: NightPlan, learning: Learning, report: Callable[[str], None]
) -> None:
    """Collect a dataset of what was judged; train on it where that is wanted."""
    report("Collecting a training dataset of what was judged ...")
    dataset = collect_dataset(state, plan.survey, plan.science_nights, _INJECTIONS)
    splits = ", ".join(
        f"{split} {sum(n for labels in by_source.values() for n in labels.values())}"
        for split, by_source in sorted(dataset["n_by_split"].items())
    )
    report(
        f"Training dataset {dataset['id']} is {dataset['status']}: "
        f"{dataset['total_samples']} samples ({splits}, injections among train), "
        f"{dataset['anomaly_ratio']:.2f} of them real, quality {dataset['quality_score']:.2f}"
    )
    if dataset["status_reason"]:
        report(str(dataset["status_reason"]))
    report("Load it, with ASTRID_API_URL and ASTRID_API_KEY set (the key is in .astrid/token):")
    report("  from astrid_core.training.client import load_training_data")
    report(f'  train, val, test = load_training_data("{dataset["id"]}")')
    if learning.train:
        dataset_id, why = UUID(dataset["id"]), "astrid demo --train"
        train_and_tell(state, dataset_id, TrainingConfig(), reason=why, re_detect=True)


def _review(
    state: State, config: SurveyConfig, n: int, console: Console, report: Callable[[str], None]
) -> None:
    with bars(console) as progress:
        task = progress.add_task("verdicts by the simulator's truth", total=n)
        given = review_by_truth(state, config, lambda done: progress.update(task, completed=done))
    report(
        f"Reviewer '{TRUTH}' judged {given.n_total} detections in {given.took_s:.0f} s: "
        f"{given.counts['real']} real, {given.counts['bogus']} bogus"
    )


def _name_folders(
    state: State, data: Path | None, reference: Path | None, report: Callable[[str], None]
) -> None:
    """Put the user's folders into the environment that the services are started with."""
    named = {"ASTRID_FOLDER_DATA": data, "ASTRID_FOLDER_REFERENCE": reference}
    for variable, folder in named.items():
        if folder is None:
            continue
        if not folder.is_dir():
            raise ConfigurationError(
                f"{folder} is not a folder", remedy="Give DATA= (and REFERENCE=) a folder of FITS."
            )
        os.environ[variable] = str(folder.resolve())
    if data is not None:
        report("Starting the services afresh, so that they see your folder.")
        Stack(state).down(report)


def _plan(config: SurveyConfig, surveys: SurveysFile, report: Callable[[str], None]) -> NightPlan:
    """The nights to process; for a folder of files, said aloud first."""
    opened = open_survey(config)
    if not isinstance(opened, FolderSurvey):
        return plan_nights(config, opened.nights())
    found = opened.plan(surveys.partitions_start)
    report(found.describe())
    return plan_folder(config, found)


def plan_folder(config: SurveyConfig, found: FolderPlan) -> NightPlan:
    """Nights of a folder survey; a suggested reference night becomes the reference set.

    Raises
    ------
    ConfigurationError
        If no frame would find a reference.
    """
    if not found.has_reference:
        raise ConfigurationError(
            f"Nothing in {found.root} can be differenced: no frame would find a reference",
            remedy="Give a folder of reference frames of the same field and filter: "
            "make demo SURVEY=folder DATA=... REFERENCE=<path>.",
        )
    nights = tuple(night.night for night in found.nights)
    if found.reference_nights:
        named = ",".join(night.isoformat() for night in found.reference_nights)
        os.environ["ASTRID_FOLDER_REFERENCE_NIGHTS"] = named
        science = tuple(night for night in nights if night not in found.reference_nights)
        return NightPlan(config.name, found.reference_nights, science)
    return NightPlan(config.name, nights, nights)


@dataclass(frozen=True)
class DemoRuns:
    """The runs of a demo, in their order."""

    reference_nights: list[RunState]
    references: list[RunState]
    science_nights: list[RunState]

    @property
    def all(self) -> list[RunState]:
        """Every run."""
        return [*self.reference_nights, *self.references, *self.science_nights]


def materialize(plan: NightPlan, client: DagsterClient, console: Console) -> DemoRuns:
    """Run the plan through Dagster: reference nights, references, science nights.

    Raises
    ------
    StackError
        If Dagster refuses or a run fails; frames that fail are rows, not failed runs.
    """
    with bars(console, width=_DOING_WIDTH) as progress:

        def follow(title: str, launch: Launch) -> list[RunState]:
            bar = progress.add_task(title, total=launch.n_runs)

            def report(runs: list[RunState]) -> None:
                working = [run.partition for run in runs if run.status == "STARTED"]
                doing = f"{title}: {', '.join(working)}" if working else title
                done = sum(run.is_finished for run in runs)
                if not console.is_terminal and done > progress.tasks[bar].completed:
                    console.print(f"{title}: {done} of {launch.n_runs} done")
                progress.update(bar, completed=done, description=doing)

            runs = client.follow(launch, report, _NIGHT_TIMEOUT_S * launch.n_runs)
            progress.update(bar, description=title, completed=len(runs))
            _raise_for_failures(title, runs)
            return runs

        references = [
            {"night": night.isoformat(), "survey": plan.survey} for night in plan.reference_nights
        ]
        nights = [night_key(plan.survey, night) for night in plan.science_nights]
        return DemoRuns(
            follow("reference nights", client.launch("reference_nights", references)),
            follow("references", client.launch("references", [plan.survey])),
            follow("science nights", _search(client, nights)),
        )


def _search(client: DagsterClient, nights: Sequence[str]) -> Launch:
    if not nights:
        return Launch(0, {})
    return client.backfill(NIGHT_ASSETS, nights, "science nights")


def _raise_for_failures(title: str, runs: Sequence[RunState]) -> None:
    failed = [run for run in runs if run.status != "SUCCESS"]
    if failed:
        names = ", ".join(f"{run.partition} (run {run.run_id})" for run in failed)
        raise StackError(
            f"{title}: {len(failed)} of {len(runs)} runs did not succeed: {names}",
            remedy="Open the run in Dagster's UI; re-run the partition once the cause is mended.",
        )


def step_seconds(runs: Sequence[RunState]) -> dict[str, float]:
    """Seconds spent in each step, summed over runs."""
    seconds: dict[str, float] = {}
    for run in runs:
        for step in run.steps:
            seconds[step.step] = seconds.get(step.step, 0.0) + step.end_s - step.start_s
    return seconds
