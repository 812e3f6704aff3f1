"""Difference: one processed frame minus the reference chosen for it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import write_difference
from astrid_core.differencing.linearity import require_linear
from astrid_core.differencing.select import ReferenceInfo, ScienceInfo, select_reference
from astrid_core.differencing.shelf import Shelf
from astrid_core.differencing.subtract import DIFFERENCE_VERSION, subtract_frames
from astrid_core.identity import config_digest, object_key, run_id
from astrid_core.monitoring.scorr import scorr_sigma_by_place
from astrid_core.stages.bench import Bench, stage
from astrid_core.stages.outcome import Outcome, Row, Success, attempt


@dataclass(frozen=True)
class DifferenceTask:
    """One processed frame and the reference to subtract.

    Attributes
    ----------
    preprocess
        The frame's ``preprocess_runs`` row with its observation's columns.
    reference
        The chosen ``reference_frames`` row; None when none qualified.
    row
        The start of its ``difference_runs`` row.
    """

    survey: str
    preprocess: Row
    reference: Row | None
    row: Row
    config: DifferenceConfig

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""
        return UUID(str(self.row["run_id"]))


def plan_differences(
    survey: str,
    preprocess_runs: Sequence[Row],
    references: Sequence[Row],
    min_separation_days: float,
    config: DifferenceConfig,
) -> list[DifferenceTask]:
    """A task for every processed frame of a night, each with its reference or none."""
    digest = config_digest(
        config.model_dump(mode="json") | {"min_separation_days": min_separation_days}
    )
    shelf = Shelf([_reference_info(row) for row in references])
    by_id = {row["run_id"]: row for row in references}
    tasks = []
    for run in preprocess_runs:
        science = _science_info(run)
        near = shelf.near(science)
        choice = select_reference(science, near, min_separation_days)
        inputs = [run["run_id"], *([choice.chosen] if choice.chosen else [])]
        row: Row = {
            "run_id": run_id(
                "difference", run["observation_id"], inputs, DIFFERENCE_VERSION, digest
            ),
            "observation_id": run["observation_id"],
            "preprocess_run_id": run["run_id"],
            "reference_id": choice.chosen,
            "reference_choice": [*choice.considered, *shelf.told_of_others(science, len(near))],
            "code_version": DIFFERENCE_VERSION,
            "config_digest": digest,
        }
        chosen = None if choice.chosen is None else by_id[choice.chosen]
        tasks.append(DifferenceTask(survey, run, chosen, row, config))
    return tasks


def difference(task: DifferenceTask, bench: Bench) -> Outcome:
    """Subtract one frame's reference; the outcome's row is its ``difference_runs`` row."""
    if task.reference is None:
        return Outcome(dict(task.row) | {"status": "no_reference"})
    reference = task.reference
    return attempt(task.row, lambda: _compute(task, reference, bench))


def _compute(task: DifferenceTask, reference_row: Row, bench: Bench) -> Success:
    run = task.preprocess
    science = bench.frame(run["processed_fits_path"], run["sha256"])
    require_linear(science.meta, run["archive_id"])
    reference = bench.frame(reference_row["reference_fits_path"], reference_row["sha256"])
    result = subtract_frames(science, reference, task.config)
    key = object_key("difference_images", task.survey, run["night"], task.run_id)
    target = bench.staging_path(key)
    write_difference(result, target, {"RUNID": str(task.run_id)})
    staged = stage(key, target)
    degraded = [*result.degraded_because]
    if run["status"] == "degraded":
        degraded += [f"processed frame: {reason}" for reason in run["degraded_because"]]
    values = asdict(result.quality) | asdict(scorr_sigma_by_place(result, science))
    values |= {
        "status": "degraded" if degraded else "completed",
        "degraded_because": degraded,
        "difference_fits_path": key,
        "sha256": staged.sha256,
    }
    return Success(values, staged)


def _science_info(run: Mapping[str, object]) -> ScienceInfo:
    return ScienceInfo.from_row(run)


def _reference_info(row: Mapping[str, object]) -> ReferenceInfo:
    return ReferenceInfo.from_row(row)
