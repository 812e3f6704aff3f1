"""Depth: sources are injected into one processed frame, which is subtracted and searched again."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import numpy as np

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.subtract import DIFFERENCE_VERSION
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import EXTRACTION_VERSION
from astrid_core.identity import config_digest, derive_id, run_id, survey_id
from astrid_core.monitoring.depth import DEPTH_VERSION, DepthConfig, measure_depth
from astrid_core.monitoring.depth_summary import DepthSummary, summarise, to_json
from astrid_core.stages.bench import Bench
from astrid_core.stages.outcome import Outcome, Row, Success, attempt

ObjectName = tuple[str, str]
"""(object key, SHA-256)."""


@dataclass(frozen=True)
class DepthTask:
    """One processed frame to inject into.

    Attributes
    ----------
    science, reference
        Objects of the processed frame and of the reference its night subtracted.
    flux_ratio
        Science over reference flux, as the night measured it.
    row
        The start of its ``survey_depth_runs`` row.
    """

    science: ObjectName
    reference: ObjectName
    flux_ratio: float
    row: Row
    config: DepthConfig
    differencing: DifferenceConfig
    extraction: ExtractionConfig

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""
        return UUID(str(self.row["run_id"]))


def plan_depth(
    difference_runs: Sequence[Row],
    processed: Mapping[UUID, ObjectName],
    references: Mapping[UUID, ObjectName],
    config: DepthConfig,
    differencing: DifferenceConfig,
    extraction: ExtractionConfig,
) -> list[DepthTask]:
    """Tasks for some difference images of a night, spread over its filters and hours.

    Parameters
    ----------
    difference_runs
        Rows of a night with their observation's columns; those without a difference image,
        or whose inputs are gone, are left out.
    processed, references
        Objects by the id of their run.
    """
    digest = config_digest(
        {
            "depth": config.model_dump(mode="json", exclude={"frames_per_night"}),
            "differencing": [DIFFERENCE_VERSION, differencing.model_dump(mode="json")],
            "extraction": [EXTRACTION_VERSION, extraction.model_dump(mode="json")],
        }
    )
    able = [
        run
        for run in difference_runs
        if run["difference_fits_path"] is not None
        and run["preprocess_run_id"] in processed
        and run["reference_id"] in references
    ]
    tasks = []
    for run in _spread(able, config.frames_per_night):
        row: Row = {
            "run_id": run_id(
                "depth", run["observation_id"], [run["run_id"]], DEPTH_VERSION, digest
            ),
            "observation_id": run["observation_id"],
            "difference_run_id": run["run_id"],
            "reference_id": run["reference_id"],
            "code_version": DEPTH_VERSION,
            "config_digest": digest,
        }
        science, reference = processed[run["preprocess_run_id"]], references[run["reference_id"]]
        tasks.append(
            DepthTask(science, reference, run["flux_ratio"], row, config, differencing, extraction)
        )
    return tasks


def inject(task: DepthTask, bench: Bench) -> Outcome:
    """Measure the depth of one frame; the outcome's row is its ``survey_depth_runs`` row."""
    return attempt(task.row, lambda: _compute(task, bench))


def sum_night(
    survey: str, night: dt.date, runs: Sequence[Row], filters: Mapping[UUID, str]
) -> dict[str, tuple[DepthSummary, Row]]:
    """Depth of a night by filter, and its ``survey_depth`` row.

    Parameters
    ----------
    runs
        ``survey_depth_runs`` rows, failed ones among them.
    filters
        Observation id → filter.
    """
    measured = [run for run in runs if run["status"] != "failed"]
    result = {}
    for band in sorted({filters[run["observation_id"]] for run in measured}):
        frames = [run for run in measured if filters[run["observation_id"]] == band]
        frames.sort(key=lambda run: str(run["run_id"]))
        identity = derive_id("survey_depth", survey, night, band)
        summary = summarise(frames, np.random.default_rng(identity.int))
        start = {"id": identity, "survey_id": survey_id(survey), "night": night}
        about = {"filter_band": band, "run_ids": [str(run["run_id"]) for run in frames]}
        result[band] = (summary, start | about | _columns(summary))
    return result


def _compute(task: DepthTask, bench: Bench) -> Success:
    science = bench.frame(*task.science)
    reference = bench.frame(*task.reference)
    measured = measure_depth(
        science,
        reference,
        task.flux_ratio,
        np.random.default_rng(task.run_id.int),
        task.config,
        task.differencing,
        task.extraction,
    )
    degraded = list(measured.degraded_because)
    return Success(
        to_json(measured)
        | {"status": "degraded" if degraded else "completed", "degraded_because": degraded}
    )


def _spread(runs: Sequence[Row], n_most: int) -> list[Row]:
    """Evenly among runs ordered by filter, then time; ids decide ties."""
    ordered = sorted(runs, key=_order)
    n = min(n_most, len(ordered))
    return [ordered[int((index + 0.5) * len(ordered) / n)] for index in range(n)]


def _order(run: Row) -> tuple[str, str, str]:
    time = run["observation_time"]
    return run["filter_band"], "" if time is None else time.isoformat(), str(run["observation_id"])


def _columns(summary: DepthSummary) -> dict[str, Any]:
    """Columns of ``survey_depth``; the headline figures are those of blank sky."""
    blank = summary.environments["blank"]
    return asdict(summary) | {
        "snr50": None if blank.snr50 is None else blank.snr50.value,
        "snr50_err": None if blank.snr50 is None else blank.snr50.error,
        "m50_mag": None if blank.m50 is None else blank.m50.value,
        "m50_err_mag": None if blank.m50 is None else blank.m50.error,
    }
