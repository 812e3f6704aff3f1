"""The committed rows of an asset's partitions, as queries.

What belongs here: one query per asset, for rows and for the objects that rows name. A
row of failed work names no object; the next stage's loader honours it. What does not:
running them (the managers) and what is current (the views).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Date,
    FromClause,
    Select,
    Uuid,
    and_,
    any_,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on

from astrid_core.errors import ConfigurationError
from astrid_core.identity import survey_id
from astrid_dagster.io_managers.partitions import Partitions
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    ForcedRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    ReferenceMember,
    SkyObject,
)
from dbschema.views import (
    current_difference_runs,
    current_extraction_runs,
    current_model_runs,
    current_preprocess_runs,
    current_reference_frames,
)

_USABLE = ("completed", "degraded")
_OF_EPOCHS_OBSERVATION = ("archive_id", "night", "field", "filter_band", "observation_time")
_OF_OBSERVATION = (
    *_OF_EPOCHS_OBSERVATION,
    "ra",
    "dec",
    "footprint",
    "frame_kind",
)
"""What a run's row tells of its observation, so that a stage needs no second input."""
_OF_EPOCH = (
    "run_id",
    "observation_id",
    "reference_id",
    "status",
    "difference_fits_path",
    "sha256",
    "flux_ratio",
)
"""What measuring an image takes of its run, beside ``_OF_EPOCHS_OBSERVATION``."""

Rows: TypeAlias = Select[*tuple[Any, ...]]
Query: TypeAlias = Callable[[Partitions], Rows]


def rows_query(asset: str, partitions: Partitions) -> Rows:
    """Rows of a table asset's partitions, in the order of their keys.

    Raises
    ------
    ConfigurationError
        If no query is known for the asset.
    """
    return _query(_ROWS, asset)(partitions)


def objects_query(asset: str, partitions: Partitions) -> Rows:
    """Columns ``id``, ``key`` and ``sha256`` of the objects an imaging asset's rows name.

    Raises
    ------
    ConfigurationError
        If no query is known for the asset.
    """
    return _query(_OBJECTS, asset)(partitions)


def _query(queries: Mapping[str, Query], asset: str) -> Query:
    if asset not in queries:
        raise ConfigurationError(
            f"Asset {asset} has no rows to load by; known are {', '.join(queries)}.",
            remedy="Give it another IO manager, or a query in astrid_dagster.io_managers.selects.",
        )
    return queries[asset]


# --- rows ---------------------------------------------------------------------------------


def _observations(partitions: Partitions) -> Rows:
    return (
        select(Observation.__table__)
        .where(_within(Observation.__table__, partitions))
        .order_by(Observation.id)
    )


def _preprocess_runs(partitions: Partitions) -> Rows:
    return _with_observation(current_preprocess_runs, partitions)


def _difference_runs(partitions: Partitions) -> Rows:
    return _with_observation(current_difference_runs, partitions)


def _model_runs(partitions: Partitions) -> Rows:
    return _with_observation(current_model_runs, partitions)


def _with_observation(runs: FromClause, partitions: Partitions) -> Rows:
    """Current runs of the partitions' observations, with what identifies the observation."""
    observation = Observation.__table__
    return (
        select(runs, *(observation.columns[name] for name in _OF_OBSERVATION))
        .join(observation, observation.columns["id"] == runs.columns["observation_id"])
        .where(_within(observation, partitions))
        .order_by(runs.columns["run_id"])
    )


def _reference_runs(partitions: Partitions) -> Rows:
    """Current references with the observations of their accepted members."""
    reference = current_reference_frames.columns
    preprocess = PreprocessRun.__table__
    members = (
        select(
            func.coalesce(
                func.array_agg(preprocess.columns["observation_id"].distinct()),
                literal([], ARRAY(Uuid)),
            )
        )
        .select_from(ReferenceMember)
        .join(preprocess, preprocess.columns["run_id"] == ReferenceMember.preprocess_run_id)
        .where(
            ReferenceMember.reference_id == reference.run_id,
            ReferenceMember.rejected_because.is_(None),
        )
        .scalar_subquery()
    )
    return (
        select(current_reference_frames, members.label("member_observation_ids"))
        .where(_of_survey(current_reference_frames, partitions))
        .order_by(reference.run_id)
    )


def _candidates(partitions: Partitions) -> Rows:
    runs = _with_observation(current_difference_runs, partitions).subquery()
    return (
        select(Candidate.__table__)
        .join(runs, runs.columns["run_id"] == Candidate.difference_run_id)
        .where(Candidate.status == "active")
        .order_by(Candidate.id)
    )


def _detections(partitions: Partitions) -> Rows:
    runs = _model_runs(partitions).subquery()
    return (
        select(Detection.__table__)
        .join(runs, runs.columns["run_id"] == Detection.model_run_id)
        .where(Detection.status == "active")
        .order_by(Detection.id)
    )


def _objects(partitions: Partitions) -> Rows:
    """Active objects of the fields that the partitions observed, whenever they were seen."""
    observation = Observation.__table__
    fields = select(observation.columns["survey_id"], observation.columns["field"]).where(
        _within(observation, partitions)
    )
    return (
        select(SkyObject.__table__)
        .where(
            SkyObject.status == "active",
            tuple_(SkyObject.survey_id, SkyObject.field).in_(fields),
        )
        .order_by(SkyObject.id)
    )


def epochs_query(survey: str, fields: Sequence[str]) -> Rows:
    """Current difference images of a survey's fields, of every night, with their observation.

    Columns are those that measuring an image takes: there are as many rows as nights.
    """
    observation = Observation.__table__
    runs = current_difference_runs
    return (
        select(
            *(runs.columns[name] for name in _OF_EPOCH),
            *(observation.columns[name] for name in _OF_EPOCHS_OBSERVATION),
        )
        .join(observation, observation.columns["id"] == runs.columns["observation_id"])
        .where(
            observation.columns["survey_id"] == survey_id(survey),
            observation.columns["field"].in_(fields),
            runs.columns["status"].in_(_USABLE),
        )
        .order_by(runs.columns["run_id"])
    )


def forced_runs_query(difference_run_ids: Sequence[UUID]) -> Rows:
    """The forced run whose measurements each of these difference images has: the last selected."""
    columns = ForcedRun.__table__.columns
    image = columns["difference_run_id"]
    return (
        select(ForcedRun.__table__)
        .where(image == any_(literal(list(difference_run_ids), ARRAY(Uuid))))
        .ext(distinct_on(image))
        .order_by(image, columns["selected_at"].desc(), columns["created_at"].desc())
    )


def sightings_query(survey: str, night: dt.date) -> Rows:
    """Science observations of a night, each with the detections on it that belong to objects.

    One row for each detection; an observation without any has one, with nulls.
    """
    links = _seen(
        Detection.id.label("detection_id"),
        ObjectDetection.object_id,
        Detection.ra,
        Detection.dec,
        DifferenceRun.observation_id,
    ).subquery()
    return (
        select(
            Observation.id.label("observation_id"),
            Observation.archive_id,
            Observation.field,
            Observation.observation_time,
            Observation.footprint,
            links.c.detection_id,
            links.c.object_id,
            links.c.ra,
            links.c.dec,
        )
        .outerjoin(links, links.c.observation_id == Observation.id)
        .where(
            Observation.survey_id == survey_id(survey),
            Observation.night == night,
            Observation.frame_kind == "science",
        )
        .order_by(Observation.id, links.c.detection_id)
    )


def changes_query(observation_ids: Sequence[UUID]) -> Rows:
    """Where on these observations objects were detected: what is known to change there."""
    observation = DifferenceRun.observation_id
    return (
        _seen(observation, Detection.x_pix, Detection.y_pix)
        .where(observation == any_(literal(list(observation_ids), ARRAY(Uuid))))
        .order_by(Detection.id)
    )


def _seen(*columns: Any) -> Rows:
    """Columns of the detections that belong to objects, with their difference runs'."""
    return (
        select(*columns)
        .select_from(ObjectDetection)
        .join(Detection, Detection.id == ObjectDetection.detection_id)
        .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
        .where(ObjectDetection.status == "active", Detection.status == "active")
    )


# --- objects of the store -----------------------------------------------------------------


def _raw_frames(partitions: Partitions) -> Rows:
    return (
        select(
            Observation.id.label("id"),
            Observation.raw_fits_path.label("key"),
            Observation.raw_sha256.label("sha256"),
        )
        .where(_within(Observation.__table__, partitions))
        .order_by(Observation.id)
    )


def _processed_frames(partitions: Partitions) -> Rows:
    return _objects_of(_preprocess_runs(partitions), "run_id", "processed_fits_path")


def _difference_images(partitions: Partitions) -> Rows:
    return _objects_of(_difference_runs(partitions), "run_id", "difference_fits_path")


def _cutouts(partitions: Partitions) -> Rows:
    runs = _with_observation(current_extraction_runs, partitions)
    return _objects_of(runs, "difference_run_id", "cutout_path")


def _reference_frames(partitions: Partitions) -> Rows:
    """Objects of *all* usable references: an older one may be asked for by its id."""
    table = ReferenceFrame.__table__
    references = select(table).where(_of_survey(table, partitions))
    return _objects_of(references, "run_id", "reference_fits_path")


def _objects_of(runs: Rows, row_id: str, path: str) -> Rows:
    run = runs.order_by(None).subquery().columns
    return (
        select(run[row_id].label("id"), run[path].label("key"), run["sha256"].label("sha256"))
        .where(run["status"].in_(_USABLE), run[path].is_not(None))
        .order_by(run[row_id])
    )


# --- partitions ---------------------------------------------------------------------------


def _within(table: FromClause, partitions: Partitions) -> ColumnElement[bool]:
    """Condition on observations: of any of the (survey, night) pairs."""
    pairs = (
        and_(
            table.columns["survey_id"] == survey_id(survey),
            table.columns["night"] == any_(literal(nights, ARRAY(Date)))
            if nights
            else literal(True),
        )
        for survey, nights in partitions.nights.items()
    )
    return or_(literal(False), *pairs)


def _of_survey(table: FromClause, partitions: Partitions) -> ColumnElement[bool]:
    wanted = [survey_id(name) for name in partitions.nights]
    return table.columns["survey_id"] == any_(literal(wanted, ARRAY(Uuid)))


_ROWS: Mapping[str, Query] = {
    "observations": _observations,
    "preprocess_runs": _preprocess_runs,
    "reference_runs": _reference_runs,
    "difference_runs": _difference_runs,
    "candidates": _candidates,
    "model_runs": _model_runs,
    "detections": _detections,
    "objects": _objects,
}

_OBJECTS: Mapping[str, Query] = {
    "raw_frames": _raw_frames,
    "processed_frames": _processed_frames,
    "reference_frames": _reference_frames,
    "difference_images": _difference_images,
    "cutouts": _cutouts,
}
