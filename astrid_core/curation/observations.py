"""Surveys and observations to look at: lists a page at a time.

Pages go by the last row's key, as those of ``curation.browse`` do.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Select, func, literal, select, tuple_

from astrid_core.curation.browse import check_limit
from astrid_core.identity import survey_id
from dbschema.models import Observation, Survey
from dbschema.views import observation_status

Status = Literal["completed", "degraded", "failed", "no_reference"]


@dataclass(frozen=True)
class ListedSurvey:
    """A survey as lists show it.

    Attributes
    ----------
    first_night, last_night
        Local observing nights between which it has observations; None where it has none.
    """

    id: UUID
    name: str
    adapter: str
    first_night: dt.date | None
    last_night: dt.date | None


@dataclass(frozen=True)
class ListedObservation:
    """An observation as lists show it.

    Attributes
    ----------
    ra, dec
        Of the centre, degrees ICRS; None without WCS.
    observation_time
        UTC of mid-exposure; None where the file does not say.
    stage, status
        The furthest stage it has reached, and how that went.
    """

    id: UUID
    archive_id: str
    night: dt.date
    field: str
    frame_kind: str
    ra: float | None
    dec: float | None
    observation_time: dt.datetime | None
    filter_band: str
    exposure_s: float | None
    instrument: str
    detector: str
    stage: str
    status: str
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True)
class ObservationCursor:
    """The last row of a page: the next one starts below it."""

    night: dt.date
    observation_id: UUID


def list_surveys(
    connection: Connection, after: str | None = None, limit: int = 50
) -> tuple[list[ListedSurvey], str | None]:
    """A page of surveys by name, and the name after which the next page starts.

    Raises
    ------
    ValueError
        If ``limit`` is not from 1 to :data:`~astrid_core.curation.browse.MAX_PAGE`.
    """
    check_limit(limit)
    first, last = (
        select(of(Observation.night)).where(Observation.survey_id == Survey.id).scalar_subquery()
        for of in (func.min, func.max)
    )
    query = select(
        Survey.id, Survey.name, Survey.adapter, first.label("first"), last.label("last")
    ).order_by(Survey.name)
    if after is not None:
        query = query.where(Survey.name > after)
    page = [ListedSurvey(*row) for row in connection.execute(query.limit(limit))]
    return page, page[-1].name if len(page) == limit else None


def list_observations(
    connection: Connection,
    survey: str,
    night: dt.date | None = None,
    status: Status | None = None,
    after: ObservationCursor | None = None,
    limit: int = 50,
) -> tuple[list[ListedObservation], ObservationCursor | None]:
    """A page of a survey's observations, newest night first, and where the next page starts.

    Raises
    ------
    ValueError
        If ``limit`` is not from 1 to :data:`~astrid_core.curation.browse.MAX_PAGE`.
    """
    check_limit(limit)
    query = _listed().where(Observation.survey_id == survey_id(survey))
    if night is not None:
        query = query.where(Observation.night == night)
    if status is not None:
        query = query.where(observation_status.columns["status"] == status)
    if after is not None:
        below = tuple_(literal(after.night), literal(after.observation_id))
        query = query.where(tuple_(Observation.night, Observation.id) < below)
    query = query.order_by(Observation.night.desc(), Observation.id.desc()).limit(limit)
    page = [ListedObservation(**row) for row in connection.execute(query).mappings()]
    if len(page) < limit:
        return page, None
    return page, ObservationCursor(page[-1].night, page[-1].id)


def _listed() -> Select[*tuple[Any, ...]]:
    reached = observation_status.columns
    columns = {**dict(Observation.__table__.columns), **dict(reached)}
    names = ListedObservation.__dataclass_fields__
    return select(*(columns[name] for name in names)).join(
        observation_status, reached["observation_id"] == Observation.id
    )
