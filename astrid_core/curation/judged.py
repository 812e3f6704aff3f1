"""What people judged: a page at a time, the latest first."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Select, exists, literal, select, tuple_

from astrid_core.curation.browse import Night, check_limit
from astrid_core.curation.consensus import Label
from astrid_core.identity import survey_id
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    Observation,
    Survey,
    ValidationEvent,
)


class JudgedFilter(BaseModel):
    """Which judged detections; what is left out does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Label | None = Field(default=None, description="What the verdicts add up to.")
    subtype: str | None = Field(
        default=None,
        pattern="^[a-z_]{1,64}$",
        description="Which kind of it, as most of them say.",
    )
    survey: str | None = Field(default=None, max_length=200, description="Name of the survey.")
    night: Night | None = Field(default=None, description="Local observing night.")
    min_disagreement: float = Field(
        default=0.0, ge=0, le=1, description="Least |label - confidence| of a decided one."
    )


@dataclass(frozen=True)
class JudgedCursor:
    """The last row of a page: the next one starts below it."""

    updated_at: dt.datetime
    detection_id: UUID


@dataclass(frozen=True)
class JudgedDetection:
    """A detection that people judged, as the gallery shows it.

    Attributes
    ----------
    label, subtype, n_events
        What the verdicts add up to, and how many count.
    snr
        None for a U-Net component.
    cutout_sha256
        None for a U-Net component of a run that cut out none.
    updated_at
        Time of the latest verdict.
    """

    id: UUID
    survey: str
    night: dt.date
    label: Label
    subtype: str | None
    n_events: int
    confidence_score: float
    is_negative: bool
    snr: float | None
    cutout_sha256: str | None
    updated_at: dt.datetime


def list_judged(
    connection: Connection,
    wanted: JudgedFilter,
    by: UUID | None = None,
    after: JudgedCursor | None = None,
    limit: int = 50,
) -> tuple[list[JudgedDetection], JudgedCursor | None]:
    """A page of judged detections, the latest verdict first, and where the next page starts.

    Parameters
    ----------
    by
        Only what this reviewer judged, gold and repeats aside; None for everybody's.

    Raises
    ------
    ValueError
        If ``limit`` is not from 1 to :data:`~astrid_core.curation.browse.MAX_PAGE`.
    """
    check_limit(limit)
    key = (DetectionConsensus.updated_at, DetectionConsensus.detection_id)
    query = _filtered(_judged(), wanted)
    if by is not None:
        query = query.where(
            exists().where(
                ValidationEvent.detection_id == DetectionConsensus.detection_id,
                ValidationEvent.reviewer_id == by,
                ValidationEvent.verdict != "withdrawn",
            )
        )
    if after is not None:
        last = tuple_(literal(after.updated_at), literal(after.detection_id))
        query = query.where(tuple_(*key) < last)
    query = query.order_by(*(column.desc() for column in key)).limit(limit)
    page = [JudgedDetection(**row) for row in connection.execute(query).mappings()]
    if len(page) < limit:
        return page, None
    return page, JudgedCursor(page[-1].updated_at, page[-1].id)


def _judged() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Detection.id,
            Survey.name.label("survey"),
            Observation.night,
            DetectionConsensus.label,
            DetectionConsensus.subtype,
            DetectionConsensus.n_events,
            Detection.confidence_score,
            Detection.is_negative,
            Candidate.snr,
            Detection.cutout_sha256,
            DetectionConsensus.updated_at,
        )
        .select_from(DetectionConsensus)
        .join(Detection, Detection.id == DetectionConsensus.detection_id)
        .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
        .join(Observation, Observation.id == DifferenceRun.observation_id)
        .join(Survey, Survey.id == Observation.survey_id)
        .outerjoin(Candidate, Candidate.id == Detection.candidate_id)
    )


def _filtered(query: Select[*tuple[Any, ...]], wanted: JudgedFilter) -> Select[*tuple[Any, ...]]:
    if wanted.label is not None:
        query = query.where(DetectionConsensus.label == wanted.label)
    if wanted.subtype is not None:
        query = query.where(DetectionConsensus.subtype == wanted.subtype)
    if wanted.survey is not None:
        query = query.where(Observation.survey_id == survey_id(wanted.survey))
    if wanted.night is not None:
        query = query.where(Observation.night == wanted.night)
    if wanted.min_disagreement > 0:
        query = query.where(DetectionConsensus.disagreement >= wanted.min_disagreement)
    return query
