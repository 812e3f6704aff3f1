"""Association in the database: current detections of whole fields in, rows of objects out.

What an object is depends on all detections of its field, so a night cannot be associated
alone: the night's fields are associated afresh, with every epoch in hand. Whichever night
was processed first or last, the same detections make the same objects.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, func, or_, select
from sqlalchemy import Row as SqlRow

from astrid_core.curation.labels import decided_label
from astrid_core.curation.objects import (
    Association,
    Epoch,
    Gathering,
    ObjectConfig,
    Sighting,
    associate,
)
from astrid_core.identity import field_id, survey_id
from astrid_core.sky import healpix_index, pixel_scale_arcsec
from dbschema.models import Candidate, Detection, DifferenceRun, Observation
from dbschema.views import current_model_runs

Row = dict[str, Any]


@dataclass(frozen=True)
class FieldObjects:
    """Rows of all objects of some fields.

    Attributes
    ----------
    field_ids
        Every field associated, whether or not it has objects.
    objects, links
        Rows of ``objects`` and ``object_detections``.
    n_ambiguous, n_unplaced
        Detections left out, as :class:`~astrid_core.curation.objects.Association` says.
    """

    field_ids: tuple[UUID, ...]
    objects: tuple[Row, ...]
    links: tuple[Row, ...]
    n_ambiguous: int
    n_unplaced: int


def associate_night(
    connection: Connection, survey: str, night: dt.date, config: ObjectConfig
) -> FieldObjects:
    """Associate every field that a survey observed in a night.

    Works in the caller's transaction, the one that writes the rows, and until its end no
    other does so for the survey: of two nights at once, the second sees what the first
    stored.
    """
    lock = func.hashtextextended(f"objects of {survey}", 0)
    connection.execute(select(func.pg_advisory_xact_lock(lock)))
    fields = connection.scalars(_fields(survey, night)).all()
    by_field: dict[str, list[Sighting]] = defaultdict(list)
    for row in connection.execute(_detections(survey, fields, config)):
        by_field[row.field].append(_sighting(row))
    found = {field: associate(by_field[field], config) for field in fields}
    return FieldObjects(
        field_ids=tuple(field_id(survey, field) for field in fields),
        objects=tuple(
            _object_row(survey, field, one) for field in fields for one in found[field].objects
        ),
        links=tuple(link for field in fields for link in _link_rows(survey, field, found[field])),
        n_ambiguous=sum(len(one.ambiguous) for one in found.values()),
        n_unplaced=sum(len(one.unplaced) for one in found.values()),
    )


# --- detections in ------------------------------------------------------------------------


def _fields(survey: str, night: dt.date) -> Select[str]:
    return (
        select(Observation.field)
        .where(
            Observation.survey_id == survey_id(survey),
            Observation.night == night,
            Observation.frame_kind == "science",
        )
        .distinct()
        .order_by(Observation.field)
    )


def _detections(
    survey: str, fields: Sequence[str], config: ObjectConfig
) -> Select[*tuple[Any, ...]]:
    """Current detections of fields that are worth an object, of every night."""
    label = decided_label()
    is_worth_it = or_(
        label == "real",
        and_(
            label.is_distinct_from("bogus"),
            Detection.confidence_score >= config.min_confidence,
        ),
    )
    return (
        select(
            Detection.id,
            Detection.x_pix,
            Detection.y_pix,
            Detection.ra,
            Detection.dec,
            Detection.x_reference_pix,
            Detection.y_reference_pix,
            Detection.confidence_score,
            Candidate.snr,
            DifferenceRun.reference_id,
            DifferenceRun.fwhm_pix,
            DifferenceRun.registration_rms_pix,
            Observation.id.label("observation_id"),
            Observation.field,
            Observation.night,
            Observation.observation_time,
            Observation.footprint,
            Observation.width_pix,
        )
        .select_from(Observation)
        .join(current_model_runs, current_model_runs.c.observation_id == Observation.id)
        .join(Detection, Detection.model_run_id == current_model_runs.c.run_id)
        .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
        .outerjoin(Candidate, Candidate.id == Detection.candidate_id)
        .where(
            Observation.survey_id == survey_id(survey),
            Observation.field.in_(fields),
            Detection.status == "active",
            is_worth_it,
        )
        .order_by(Detection.id)
    )


def _sighting(row: SqlRow[Any]) -> Sighting:
    corners = row.footprint
    epoch = Epoch(
        observation_id=row.observation_id,
        night=row.night,
        observation_time=row.observation_time,
        reference_id=row.reference_id,
        fwhm_pix=row.fwhm_pix or 0.0,
        registration_rms_pix=row.registration_rms_pix or 0.0,
        pixel_scale_arcsec=None if corners is None else pixel_scale_arcsec(corners, row.width_pix),
    )
    return Sighting(
        id=row.id,
        epoch=epoch,
        x_pix=row.x_pix,
        y_pix=row.y_pix,
        ra=row.ra,
        dec=row.dec,
        x_reference_pix=row.x_reference_pix,
        y_reference_pix=row.y_reference_pix,
        snr=row.snr or 0.0,
        confidence_score=row.confidence_score,
    )


# --- objects out --------------------------------------------------------------------------


def _object_row(survey: str, field: str, found: Gathering) -> Row:
    best = found.best
    is_sky = best.grid == "sky"
    ra, dec = (best.ra, best.dec) if is_sky else (None, None)
    times = [one.epoch.observation_time for one in found.sightings if one.epoch.observation_time]
    return {
        "id": found.id,
        "survey_id": survey_id(survey),
        "field": field,
        "field_id": field_id(survey, field),
        "ra": ra,
        "dec": dec,
        "healpix": None if ra is None or dec is None else healpix_index(ra, dec),
        "reference_id": None if is_sky else best.epoch.reference_id,
        "x_reference_pix": None if is_sky else best.x_reference_pix,
        "y_reference_pix": None if is_sky else best.y_reference_pix,
        "best_detection_id": best.id,
        "snr": best.snr or None,
        "first_seen": min(times, default=None),
        "last_seen": max(times, default=None),
        "n_detections": len(found.sightings),
        "confidence_score": max(one.confidence_score for one in found.sightings),
        "status": "active",
    }


def _link_rows(survey: str, field: str, found: Association) -> list[Row]:
    return [
        {
            "detection_id": sighting.id,
            "object_id": one.id,
            "field_id": field_id(survey, field),
            "separation_pix": separation,
            "status": "active",
        }
        for one in found.objects
        for sighting, separation in zip(one.sightings, one.separations_pix, strict=True)
    ]
