"""Detections to look at: lists a page at a time, and what lies about a position.

Active detections of current runs only. Pages go by the last row's key, not by an offset:
the thousandth costs what the first does, and rows that come in between neither repeat nor
hide others.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    any_,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from astrid_core.curation.current import USABLE, is_of_current_run, usually
from astrid_core.curation.labels import decided_label
from astrid_core.identity import survey_id
from astrid_core.sky import cone_ranges
from dbschema.models import Detection, DifferenceRun, Observation
from dbschema.views import current_model_runs

MAX_PAGE = 500
"""Most rows of a page."""

MAX_RADIUS_DEG = 5.0
"""Widest cone searched."""


def as_written(given: object) -> object:
    """What is given for a date or a time, as long as it is written as one.

    Pydantic takes bare numbers too, for seconds since 1970: ``20260901`` would be a day of
    that year, and a search would silently be for another time.

    Raises
    ------
    ValueError
        If it is a number.
    """
    if isinstance(given, int | float) or (isinstance(given, str) and given[4:5] != "-"):
        raise ValueError("a date is written like 2026-09-01")
    return given


Night = Annotated[dt.date, BeforeValidator(as_written)]
"""A local observing night."""


class DetectionFilter(BaseModel):
    """Which detections to list; what is left out does not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    survey: str | None = Field(default=None, description="Name of the survey.")
    night: Night | None = Field(default=None, description="Local observing night.")
    label: Literal["real", "bogus"] | None = Field(
        default=None, description="What people decided, of it or what it inherits from."
    )
    is_validated: bool | None = Field(default=None, description="Whether people decided.")
    min_confidence: float = Field(default=0.0, ge=0, le=1, description="Least confidence.")
    max_confidence: float = Field(default=1.0, ge=0, le=1, description="Highest confidence.")


_ALL = DetectionFilter()


@dataclass(frozen=True)
class PageCursor:
    """The last row of a page: the next one starts below it."""

    confidence_score: float
    detection_id: UUID


@dataclass(frozen=True)
class ConeCursor:
    """The last row of a cone's page: the next one starts beyond it."""

    separation_deg: float
    detection_id: UUID


@dataclass(frozen=True)
class ListedDetection:
    """A detection as lists show it.

    Attributes
    ----------
    ra, dec
        Degrees ICRS; None without WCS.
    label
        ``real`` or ``bogus`` as people decided; None where they did not.
    """

    id: UUID
    model_run_id: UUID
    difference_run_id: UUID
    candidate_id: UUID | None
    x_pix: float
    y_pix: float
    ra: float | None
    dec: float | None
    confidence_score: float
    detection_type: str
    is_negative: bool
    is_validated: bool
    label: str | None


def list_detections(
    connection: Connection,
    wanted: DetectionFilter,
    after: PageCursor | None = None,
    limit: int = 50,
    *,
    ascending: bool = False,
) -> tuple[list[ListedDetection], PageCursor | None]:
    """A page of detections, the most confident first, and where the next page starts.

    Parameters
    ----------
    ascending
        The least confident first instead.

    Raises
    ------
    ValueError
        If ``limit`` is not from 1 to :data:`MAX_PAGE`.
    """
    check_limit(limit)
    query = _listed().where(*_filters(wanted))
    if wanted.night is None:
        query = query.where(is_of_current_run())
    columns = (Detection.confidence_score, Detection.id)
    if after is not None:
        key, last = tuple_(*columns), (after.confidence_score, after.detection_id)
        last_key = tuple_(*(literal(value) for value in last))
        query = query.where(key > last_key if ascending else key < last_key)
    order = [column.asc() if ascending else column.desc() for column in columns]
    query = query.order_by(*order).limit(limit)
    page = [ListedDetection(**row) for row in connection.execute(query).mappings()]
    if len(page) < limit:
        return page, None
    return page, PageCursor(page[-1].confidence_score, page[-1].id)


def cone_search(
    connection: Connection,
    ra_deg: float,
    dec_deg: float,
    radius_deg: float,
    limit: int = 50,
    *,
    wanted: DetectionFilter = _ALL,
    after: ConeCursor | None = None,
) -> list[tuple[ListedDetection, float]]:
    """Detections within a radius of a position, with their separation (degrees), nearest first.

    Raises
    ------
    ValueError
        If the position or the radius is off the sky or wider than :data:`MAX_RADIUS_DEG`, or
        ``limit`` not from 1 to :data:`MAX_PAGE`.
    """
    check_limit(limit)
    if not (0 <= ra_deg < 360 and -90 <= dec_deg <= 90 and 0 < radius_deg <= MAX_RADIUS_DEG):
        raise ValueError(
            f"no cone of {radius_deg} degrees about ({ra_deg}, {dec_deg}): right ascension is "
            f"from 0 to 360, declination from -90 to 90, radius up to {MAX_RADIUS_DEG}"
        )
    ranges = cone_ranges(ra_deg, dec_deg, radius_deg)
    separation = _separation_deg(ra_deg, dec_deg)
    near = (
        select(
            Detection.id,
            Detection.model_run_id,
            Detection.difference_run_id,
            separation.label("separation_deg"),
        )
        .where(
            or_(*(Detection.healpix.between(low, high) for low, high in ranges)),
            separation <= radius_deg,
            *_filters(wanted),
        )
        .cte("near")
    )
    # Of each run once, not of each of its detections.
    runs = select(near.c.model_run_id, near.c.difference_run_id).distinct().cte("runs")
    current = select(runs.c.model_run_id).where(
        is_of_current_run(USABLE, runs.c.model_run_id, runs.c.difference_run_id)
    )
    query = (
        _listed()
        .add_columns(near.c.separation_deg)
        .join(near, near.c.id == Detection.id)
        .where(near.c.model_run_id.in_(current))
        .order_by(near.c.separation_deg, near.c.id)
        .limit(limit)
    )
    if after is not None:
        beyond = tuple_(literal(after.separation_deg), literal(after.detection_id))
        query = query.where(tuple_(near.c.separation_deg, near.c.id) > beyond)
    found = []
    for row in connection.execute(query).mappings():
        values = dict(row)
        separation_deg = values.pop("separation_deg")
        found.append((ListedDetection(**values), separation_deg))
    return found


def check_limit(limit: int) -> None:
    """Make sure that a page is of a size that may be asked for.

    Raises
    ------
    ValueError
        If not.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"a page of {limit} rows asked for; from 1 to {MAX_PAGE} may be")


def _listed() -> Select[*tuple[Any, ...]]:
    names = [name for name in ListedDetection.__dataclass_fields__ if name != "label"]
    return select(*(getattr(Detection, name) for name in names), decided_label().label("label"))


def _filters(wanted: DetectionFilter) -> list[ColumnElement[bool]]:
    """Conditions on active detections, of whatever run."""
    conditions = [
        Detection.status == "active",
        Detection.confidence_score.between(wanted.min_confidence, wanted.max_confidence),
    ]
    if wanted.night is not None:
        conditions.append(_is_of_night(wanted.night))
    if wanted.survey is not None:
        conditions.append(_is_of_survey(wanted.survey))
    if wanted.is_validated is not None:
        conditions.append(Detection.is_validated == wanted.is_validated)
    if wanted.label is not None:
        conditions += [
            Detection.is_validated == literal(True),
            usually(decided_label() == wanted.label),
        ]
    return conditions


def _is_of_night(night: dt.date) -> ColumnElement[bool]:
    """Of a current run of the night: its few runs are looked up, not each detection's."""
    run = current_model_runs.columns
    runs = (
        select(run["run_id"])
        .join(Observation, Observation.id == run["observation_id"])
        .where(Observation.night == night, run["status"].in_(USABLE))
    )
    return Detection.model_run_id == any_(func.array(runs.scalar_subquery()))


def _is_of_survey(survey: str) -> ColumnElement[bool]:
    found = (
        select(Observation.survey_id)
        .join(DifferenceRun, DifferenceRun.observation_id == Observation.id)
        .where(DifferenceRun.run_id == Detection.difference_run_id)
        .scalar_subquery()
    )
    return usually(found == survey_id(survey))


def _separation_deg(ra_deg: float, dec_deg: float) -> ColumnElement[float]:
    """Angle to a position by the haversine formula, which is exact for small angles."""
    across = func.power(func.sind((Detection.ra - ra_deg) / 2), 2) * func.cosd(Detection.dec)
    along = func.power(func.sind((Detection.dec - dec_deg) / 2), 2)
    haversine = along + across * func.cosd(literal(dec_deg))
    return 2 * func.asind(func.least(1.0, func.sqrt(haversine)))
