"""What a survey's nights came to: counts, recovery of planted changes, time per stage.

What belongs here: reading committed rows and setting them out for people. What does not:
computing any of them.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rich.console import Console, Group, RenderableType
from rich.table import Table
from sqlalchemy import Engine, Row, func, select

from astrid_core.identity import survey_id
from astrid_core.simulation.recovery import FAINTEST_SNR, NOTHING, SNR_BINS, Recovery, recover
from astrid_core.simulation.survey import parse_archive_name, scene_of
from astrid_core.simulation.truth import truth_of
from astrid_core.surveys.config import SurveyConfig
from dbschema.models import Candidate, Detection, IngestRun, Observation, SkyObject
from dbschema.views import (
    current_difference_runs,
    current_extraction_runs,
    current_model_runs,
    current_preprocess_runs,
)


@dataclass(frozen=True)
class NightDetection:
    """What a summary needs of one detection."""

    archive_id: str
    x_pix: float
    y_pix: float
    is_negative: bool
    confidence_score: float


@dataclass(frozen=True)
class Counts:
    """Rows of a survey's nights.

    Attributes
    ----------
    stages
        Stage → status → number of current runs.
    troubles
        Error type → number of failed runs.
    fwhm_pix
        Archive id → FWHM of the difference image's PSF.
    n_objects
        Active objects of the survey, of these nights and others.
    """

    n_observations: int
    stages: Mapping[str, Mapping[str, int]]
    troubles: Mapping[str, int]
    n_candidates: int
    n_objects: int
    detections: tuple[NightDetection, ...]
    fwhm_pix: Mapping[str, float]


def count(engine: Engine, survey: str, nights: Sequence[dt.date]) -> Counts:
    """Count the current rows of a survey's nights."""
    mine = (Observation.survey_id == survey_id(survey), Observation.night.in_(nights))
    with engine.connect() as connection:
        names: dict[UUID, str] = {
            row.id: row.archive_id
            for row in connection.execute(
                select(Observation.id, Observation.archive_id).where(*mine)
            )
        }
        ingested = connection.execute(
            select(IngestRun.status, IngestRun.error_type).where(
                IngestRun.survey_id == survey_id(survey), IngestRun.night.in_(nights)
            )
        ).all()
        stages = {"ingest": Counter(row.status for row in ingested)}
        troubles = Counter(row.error_type for row in ingested if row.error_type)
        fwhm: dict[str, float] = {}
        for stage, view in (
            ("preprocess", current_preprocess_runs),
            ("difference", current_difference_runs),
            ("extraction", current_extraction_runs),
            ("detection", current_model_runs),
        ):
            rows = connection.execute(select(view).where(view.c.observation_id.in_(names))).all()
            stages[stage] = Counter(row.status for row in rows)
            troubles.update(row.error_type for row in rows if row.error_type)
            if stage == "difference":
                fwhm = {names[r.observation_id]: r.fwhm_pix for r in rows if r.fwhm_pix}
        n_candidates = connection.execute(
            select(func.count())
            .select_from(Candidate)
            .join(
                current_difference_runs,
                current_difference_runs.c.run_id == Candidate.difference_run_id,
            )
            .where(
                Candidate.status == "active",
                current_difference_runs.c.observation_id.in_(names),
            )
        ).scalar_one()
        n_objects = connection.execute(
            select(func.count())
            .select_from(SkyObject)
            .where(SkyObject.survey_id == survey_id(survey), SkyObject.status == "active")
        ).scalar_one()
        found = connection.execute(
            select(
                Detection.x_pix,
                Detection.y_pix,
                Detection.is_negative,
                Detection.confidence_score,
                current_model_runs.c.observation_id,
            )
            .join(current_model_runs, current_model_runs.c.run_id == Detection.model_run_id)
            .where(Detection.status == "active", current_model_runs.c.observation_id.in_(names))
        ).all()
    detections = tuple(_detection(row, names) for row in found)
    return Counts(len(names), stages, troubles, n_candidates, n_objects, detections, fwhm)


def recovery_of(config: SurveyConfig, counts: Counts) -> Recovery:
    """Detections of a simulated survey against its truth, over every differenced frame."""
    scene = scene_of(config)
    by_frame: dict[str, list[tuple[float, float, bool]]] = {}
    for one in counts.detections:
        by_frame.setdefault(one.archive_id, []).append((one.x_pix, one.y_pix, one.is_negative))
    total = NOTHING
    for archive_id, fwhm_pix in counts.fwhm_pix.items():
        parsed = parse_archive_name(archive_id)
        if parsed is None:
            continue
        truth = truth_of(scene, *parsed)
        truth = truth[truth["snr_true"] >= FAINTEST_SNR]
        total += recover(truth, by_frame.get(archive_id, []), fwhm_pix)
    return total


def show(
    console: Console,
    counts: Counts,
    recovery: Recovery | None,
    seconds: Mapping[str, float],
) -> None:
    """Print the summary."""
    parts: list[RenderableType] = [_stage_table(counts, seconds)]
    if counts.troubles:
        listed = ", ".join(f"{name} × {n}" for name, n in sorted(counts.troubles.items()))
        parts.append(f"Failures: {listed}. Each is a row with its message; nothing else was hurt.")
    parts.append(
        f"{counts.n_candidates} candidates, {len(counts.detections)} detections to review, "
        f"{counts.n_objects} objects with a light curve"
    )
    if recovery is not None:
        parts += [_recovery_table(recovery), _truth_line(recovery)]
    console.print(Group(*parts))


def _stage_table(counts: Counts, seconds: Mapping[str, float]) -> Table:
    table = Table("stage", "completed", "degraded", "failed", "no reference", "time (s)", box=None)
    steps = {
        "ingest": ("ingest",),
        "preprocess": ("preprocess",),
        "difference": ("subtract",),
        "extraction": ("find_candidates",),
        "detection": (
            "detections.plan_judgement",
            "detections.score_with_unet",
            "detections.collect_detections",
        ),
    }
    for stage, statuses in counts.stages.items():
        spent = sum(seconds.get(step, 0.0) for step in steps[stage])
        table.add_row(
            stage,
            *(
                str(statuses.get(status, 0) or "")
                for status in ("completed", "degraded", "failed", "no_reference")
            ),
            f"{spent:.1f}" if spent else "",
        )
    for stage, step in (
        ("objects", "associate"),
        ("light curves", "force_photometry"),
        ("references", "build_references"),
    ):
        if step in seconds:
            table.add_row(stage, "", "", "", "", f"{seconds[step]:.1f}")
    return table


def _recovery_table(recovery: Recovery) -> Table:
    table = Table("S/N of the planted change", "planted", "recovered", "", box=None)
    for (low, high), planted, recovered in zip(
        SNR_BINS, recovery.planted, recovery.recovered, strict=True
    ):
        share = f"{100 * recovered / planted:.0f} %" if planted else ""
        name = f"above {low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        table.add_row(name, str(planted), str(recovered), share)
    return table


def _truth_line(recovery: Recovery) -> str:
    total = recovery.n_real + recovery.n_bogus
    share = f" ({100 * recovery.n_bogus / total:.0f} %)" if total else ""
    return f"By truth {recovery.n_real} detections are real and {recovery.n_bogus} bogus{share}."


def _detection(row: Row[Any], names: Mapping[UUID, str]) -> NightDetection:
    return NightDetection(
        archive_id=names[row.observation_id],
        x_pix=row.x_pix,
        y_pix=row.y_pix,
        is_negative=row.is_negative,
        confidence_score=row.confidence_score,
    )
