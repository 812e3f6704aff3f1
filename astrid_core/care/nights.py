"""Observations and runs against each other: each once, none half."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from astrid_core.care.reading import count, streamed, table_of
from astrid_core.care.report import Checked, Statement, checked
from astrid_core.identity import observation_id
from dbschema.models import (
    Base,
    Candidate,
    Detection,
    DifferenceRun,
    ExtractionRun,
    IngestRun,
    Model,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    SkyObject,
    Survey,
)

_AGAIN = "Materialize the partition again, with force; if it persists, report it."

IDENTITY = Statement(
    "observation_identity",
    "Every observation has the id of its survey and archive name",
    "The row was not written by AstrID: find out who did, and restore from a backup.",
)
TWICE = Statement(
    "observed_once",
    "No exposure is there under two names",
    "The archive has the same file twice: take one of them out of the survey's files.",
    is_note=True,
)
INGESTED = Statement(
    "ingested",
    "Every observation comes from a file whose ingest is recorded",
    "Materialize the night's observations again.",
)
WHOLE_INGEST = Statement(
    "whole_ingest",
    "Every ingested file has all the observations that were found in it",
    "Materialize the night's observations again.",
)
WHOLE_RUN = Statement(
    "whole_run",
    "A run that gave a result names its object and hash; one that failed names none",
    _AGAIN,
)
WHOLE_SEARCH = Statement(
    "whole_search",
    "Every difference image has the candidates that its latest search counted",
    "Materialize the night's candidates again.",
)
WHOLE_JUDGEMENT = Statement(
    "whole_judgement",
    "Every model run has the detections that it counted",
    "Materialize the night's detections again.",
)
WHOLE_OBJECT = Statement(
    "whole_object",
    "Every object has the detections that it counts",
    "Materialize objects of the field's newest night again.",
)

_RUNS: tuple[tuple[type[Base], str, bool], ...] = (
    (PreprocessRun, "processed_fits_path", True),
    (ReferenceFrame, "reference_fits_path", True),
    (DifferenceRun, "difference_fits_path", True),
    (ExtractionRun, "cutout_path", False),
    (ModelRun, "cutout_path", False),
)
"""Run tables, their objects, and whether a good run must have one."""

_GOOD = ("completed", "degraded")


def check_nights(connection: Connection) -> list[Checked]:
    """All of it."""
    n_observations = count(connection, Observation)
    n_runs = sum(count(connection, table) for table, *_ in _RUNS)
    return [
        checked(IDENTITY, n_observations, _misnamed(connection)),
        checked(TWICE, n_observations, _twice(connection)),
        checked(INGESTED, n_observations, _not_ingested(connection)),
        checked(WHOLE_INGEST, count(connection, IngestRun), _half_ingested(connection)),
        checked(WHOLE_RUN, n_runs + count(connection, Model), _half_runs(connection)),
        checked(WHOLE_SEARCH, count(connection, ExtractionRun), _half_searches(connection)),
        checked(WHOLE_JUDGEMENT, count(connection, ModelRun), _half_judgements(connection)),
        checked(WHOLE_OBJECT, count(connection, SkyObject), _half_objects(connection)),
    ]


# --- observations -------------------------------------------------------------------------


def _misnamed(connection: Connection) -> Iterator[str]:
    query = select(Observation.id, Survey.name, Observation.archive_id).join(
        Survey, Survey.id == Observation.survey_id
    )
    for row in streamed(connection, query):
        if row.id != observation_id(row.name, row.archive_id):
            yield f"{row.id}: {row.name} {row.archive_id}"


def _twice(connection: Connection) -> Iterator[str]:
    same = (Observation.survey_id, Observation.raw_sha256, Observation.raw_hdu)
    names = func.string_agg(Observation.archive_id, ", ")
    query = select(names).group_by(*same).having(func.count() > 1)
    for row in streamed(connection, query):
        yield str(row[0])


def _not_ingested(connection: Connection) -> Iterator[str]:
    recorded = exists().where(
        IngestRun.survey_id == Observation.survey_id,
        IngestRun.sha256 == Observation.raw_sha256,
        IngestRun.status == "completed",
    )
    query = select(Observation.id, Observation.archive_id).where(~recorded)
    for row in streamed(connection, query):
        yield f"{row.archive_id} ({row.id})"


def _half_ingested(connection: Connection) -> Iterator[str]:
    later = aliased(IngestRun)
    is_latest = ~exists().where(
        later.survey_id == IngestRun.survey_id,
        later.source == IngestRun.source,
        later.status == "completed",
        later.selected_at > IngestRun.selected_at,
    )
    n_there = (
        select(func.count())
        .select_from(Observation)
        .where(
            Observation.survey_id == IngestRun.survey_id,
            Observation.raw_sha256 == IngestRun.sha256,
        )
        .scalar_subquery()
    )
    query = select(IngestRun.source, IngestRun.n_observations, n_there.label("n_there")).where(
        IngestRun.status == "completed", is_latest, n_there < IngestRun.n_observations
    )
    for row in streamed(connection, query):
        yield f"{row.source}: {row.n_there} of {row.n_observations} observations"


# --- runs ---------------------------------------------------------------------------------


def _half_runs(connection: Connection) -> Iterator[str]:
    for model, path_name, must_have in _RUNS:
        table = table_of(model)
        path, sha256, status = (table.columns[name] for name in (path_name, "sha256", "status"))
        is_half = or_(
            path.is_(None) != sha256.is_(None),
            and_(status.not_in(_GOOD), path.is_not(None)),
            *([and_(status.in_(_GOOD), path.is_(None))] if must_have else []),
        )
        query = select(table.columns["run_id"], status, path, sha256).where(is_half)
        for row in streamed(connection, query):
            named = "an object" if row[2] else "no object"
            hashed = "a hash" if row[3] else "no hash"
            yield f"{table.name} {row[0]}: {row[1]} with {named} and {hashed}"


def _half_searches(connection: Connection) -> Iterator[str]:
    # A search supersedes what earlier searches of the image found: the latest one counts.
    later = aliased(ExtractionRun)
    is_latest = ~exists().where(
        later.difference_run_id == ExtractionRun.difference_run_id,
        later.status == "completed",
        later.selected_at > ExtractionRun.selected_at,
    )
    n_there = _n_active(Candidate, Candidate.difference_run_id == ExtractionRun.difference_run_id)
    query = select(ExtractionRun.run_id, ExtractionRun.n_candidates, n_there).where(
        ExtractionRun.status == "completed",
        ExtractionRun.n_candidates.is_not(None),
        is_latest,
        n_there != ExtractionRun.n_candidates,
    )
    for row in streamed(connection, query):
        yield f"extraction_runs {row[0]}: {row[2]} of {row[1]} candidates"


def _half_judgements(connection: Connection) -> Iterator[str]:
    n_there = _n_active(Detection, Detection.model_run_id == ModelRun.run_id)
    query = select(ModelRun.run_id, ModelRun.n_detections, n_there).where(
        ModelRun.status.in_(_GOOD),
        ModelRun.n_detections.is_not(None),
        n_there != ModelRun.n_detections,
    )
    for row in streamed(connection, query):
        yield f"model_runs {row[0]}: {row[2]} of {row[1]} detections"


def _half_objects(connection: Connection) -> Iterator[str]:
    n_there = _n_active(ObjectDetection, ObjectDetection.object_id == SkyObject.id)
    query = select(SkyObject.id, SkyObject.n_detections, n_there).where(
        SkyObject.status == "active", n_there != SkyObject.n_detections
    )
    for row in streamed(connection, query):
        yield f"objects {row[0]}: {row[2]} of {row[1]} detections"


def _n_active(model: Any, *where: Any) -> Any:
    return (
        select(func.count())
        .select_from(model)
        .where(model.status == "active", *where)
        .scalar_subquery()
    )
