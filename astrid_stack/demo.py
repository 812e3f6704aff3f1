"""The demo: several nights from files to detections, through Dagster, with a summary.

What belongs here: the order of a first visit (plan, reference nights, references, science
nights, summary). What does not: how anything is computed; Dagster runs the same assets a
person would materialize in its UI.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from astrid_core.surveys.config import SurveyConfig
from astrid_stack.dagster_client import DagsterClient, RunState
from astrid_stack.errors import StackError

INGEST_ASSETS = ("raw_frames", "observations", "processed_frames", "preprocess_runs")
REFERENCE_ASSETS = ("reference_frames", "reference_runs")
SCIENCE_ASSETS = (
    *INGEST_ASSETS,
    "difference_images",
    "difference_runs",
    "cutouts",
    "candidates",
    "detections",
)
_NIGHT_TIMEOUT_S = 900.0


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
class DemoRuns:
    """The runs of a demo, in the order of its three backfills."""

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
    with Progress(
        TextColumn("{task.description:<46}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:

        def backfill(
            title: str, assets: Sequence[str], partitions: Sequence[str]
        ) -> list[RunState]:
            if not partitions:
                return []
            bar = progress.add_task(title, total=len(partitions))

            def report(runs: list[RunState]) -> None:
                working = [run.partition for run in runs if run.status == "STARTED"]
                doing = f"{title}: {', '.join(working)}" if working else title
                done = sum(run.is_finished for run in runs)
                progress.update(bar, completed=done, description=doing)

            launched = client.backfill(assets, partitions, title)
            runs = client.follow(
                launched, len(partitions), report, _NIGHT_TIMEOUT_S * len(partitions)
            )
            progress.update(bar, description=title, completed=len(runs))
            _raise_for_failures(title, runs)
            return runs

        def keys(nights: Sequence[dt.date]) -> list[str]:
            return [f"{night.isoformat()}|{plan.survey}" for night in nights]

        return DemoRuns(
            backfill("reference nights", INGEST_ASSETS, keys(plan.reference_nights)),
            backfill("references", REFERENCE_ASSETS, [plan.survey]),
            backfill("science nights", SCIENCE_ASSETS, keys(plan.science_nights)),
        )


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
