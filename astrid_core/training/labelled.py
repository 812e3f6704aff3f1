"""Which detections a dataset may be made of, and what is said of each.

Validated ones first: what people decided about a source, on the detection of it that is
current. What belongs here: reading rows. What does not: pixels (``cutting``), who may learn
from which (``splits``).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import aliased

from astrid_core.curation.consensus import MEASURING, VerdictEvent, standing
from astrid_core.curation.current import USABLE, is_of_current_run
from astrid_core.curation.details import of_detections
from astrid_core.sky import pixel_scale_arcsec
from astrid_core.surveys.ingest import LINEARISED
from astrid_core.training.request import MODEL_NEGATIVE_CONFIDENCE, CollectionRequest
from astrid_core.training.samples import LabelSource
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    ForcedPhotometry,
    Model,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    ReferenceMember,
    Survey,
    ValidationEvent,
)

MIN_FORCED_SNR = 5.0
"""Least |S/N| of forced photometry that lets the model's word pass for a positive."""


@dataclass(frozen=True)
class FrameSource:
    """The frames that samples are cut from, and what they were made from.

    Attributes
    ----------
    raw, processed, reference, difference
        (object key, SHA-256).
    ids
        Run of each, by stage; the observation of the raw file.
    unmasked
        Share of the difference image that is searched.
    mpix
        10⁶ searched pixels.
    """

    observation_id: UUID
    difference_run_id: UUID
    survey: str
    night: dt.date
    field: str
    filter_band: str
    observation_time: dt.datetime | None
    raw: tuple[str, str]
    processed: tuple[str, str]
    reference: tuple[str, str] | None
    difference: tuple[str, str]
    ids: Mapping[str, UUID | None]
    is_degraded: bool
    flux_ratio: float | None
    fwhm_pix: float
    unmasked: float
    mpix: float
    footprint: Sequence[Sequence[float]] | None
    width_pix: int

    @property
    def scale_arcsec(self) -> float | None:
        """Arcsec per pixel; None without WCS."""
        return (
            None if self.footprint is None else pixel_scale_arcsec(self.footprint, self.width_pix)
        )


@dataclass(frozen=True)
class Labelled:
    """A detection and what is said of it.

    Attributes
    ----------
    confidence
        Share of the verdicts that are the label; of the model's labels, its confidence in it.
    subtype
        Kind that people named.
    strata
        Why the queue put it before those who judged.
    snr, scorr_peak
        Of its candidate; None for a U-Net component.
    """

    detection_id: UUID
    frame: FrameSource
    is_real: bool
    source: LabelSource
    subtype: str | None
    confidence: float
    notes: tuple[str, ...]
    decided_by: str | None
    verdict_ids: tuple[UUID, ...]
    strata: tuple[str, ...]
    n_judged: int
    n_agree: int
    x_pix: float
    y_pix: float
    ra: float | None
    dec: float | None
    is_negative: bool
    detection_type: str
    confidence_score: float
    snr: float | None
    scorr_peak: float | None
    object_id: UUID | None
    model_run_id: UUID
    model_id: UUID
    model_sha256: str


def labelled_detections(
    connection: Connection, request: CollectionRequest
) -> tuple[list[Labelled], dict[str, int]]:
    """Detections of a request's surveys and window with a label, a source once per observation.

    Returns
    -------
    What may be taken, in a fixed order, and why how many others may not.
    """
    window = _window(request)
    found = _validated(connection, *window)
    if not found:
        found = _by_model(connection, request, *window)
    return _once_per_source(found)


def lately_validated(connection: Connection, since: dt.datetime) -> list[Labelled]:
    """Detections that people decided, or decided otherwise, since a time; a source once."""
    return _once_per_source(_validated(connection, DetectionConsensus.updated_at >= since))[0]


# --- queries ------------------------------------------------------------------------------


def _validated(connection: Connection, *where: ColumnElement[bool]) -> list[Labelled]:
    decided = DetectionConsensus.decided_by.is_not(None)
    consensus = DetectionConsensus.__table__.columns
    own = select(Detection.id.label("id"), *_CONSENSUS, literal(0).label("rank")).join(
        DetectionConsensus, and_(consensus["detection_id"] == Detection.id, decided)
    )
    inherited = (
        select(Detection.id.label("id"), *_CONSENSUS, literal(1).label("rank"))
        .join(
            DetectionConsensus, and_(consensus["detection_id"] == Detection.inherited_from, decided)
        )
        .where(Detection.status == "active")
    )
    said = union_all(own, inherited).subquery("said")
    query = (
        _selection(
            said.columns["label"],
            said.columns["subtype"],
            said.columns["decided_by"],
            said.columns["detection_id"].label("origin"),
            said.columns["rank"],
        )
        .join(said, said.columns["id"] == Detection.id)
        .join(DetectionConsensus, consensus["detection_id"] == said.columns["detection_id"])
        .where(*where)
    )
    rows = connection.execute(query).all()
    verdicts = _verdicts(connection, {row.origin for row in rows})
    best: dict[UUID, Labelled] = {}
    for row in sorted(rows, key=lambda row: -row.rank):
        best[row.Detection_id] = _labelled(row, "human", verdicts[row.origin])
    return _in_order(best.values(), rows)


_CONSENSUS = (
    DetectionConsensus.detection_id,
    DetectionConsensus.label,
    DetectionConsensus.subtype,
    DetectionConsensus.decided_by,
)


def _by_model(
    connection: Connection, request: CollectionRequest, *where: ColumnElement[bool]
) -> list[Labelled]:
    """What the model is sure of, of what nobody has judged.

    Positives besides must be there at `MIN_FORCED_SNR` when measured at their object's
    position, and neither side of the subtraction of another instrument or linearised: what
    differs there may be the instruments.
    """
    confidence = Detection.confidence_score
    query = _selection(
        null().label("subtype"),
        null().label("decided_by"),
    ).where(
        *where,
        Detection.status == "active",
        ~Detection.is_validated,
        Detection.n_verdicts == 0,
        is_of_current_run(),
        ~Observation.assumed.contains([LINEARISED]),
        ~_has_other_reference(),
        or_(
            and_(confidence >= request.confidence_threshold, _is_measured()),
            confidence <= MODEL_NEGATIVE_CONFIDENCE,
        ),
    )
    rows = connection.execute(query).all()
    return _in_order([_labelled(row, "model", ()) for row in rows], rows)


def _is_measured() -> ColumnElement[bool]:
    """Whether forced photometry finds a detection's object on its own difference image."""
    return exists().where(
        ForcedPhotometry.object_id == ObjectDetection.object_id,
        ForcedPhotometry.difference_run_id == Detection.difference_run_id,
        func.abs(ForcedPhotometry.snr) >= MIN_FORCED_SNR,
    )


def _has_other_reference() -> ColumnElement[bool]:
    """Whether a member of the reference is of another instrument, or linearised."""
    made, member = aliased(PreprocessRun), aliased(Observation)
    return exists(
        select(ReferenceMember.reference_id)
        .join(made, made.run_id == ReferenceMember.preprocess_run_id)
        .join(member, member.id == made.observation_id)
        .where(
            ReferenceMember.reference_id == DifferenceRun.reference_id,
            ReferenceMember.weight > 0,
            or_(
                member.instrument != Observation.instrument,
                member.assumed.contains([LINEARISED]),
            ),
        )
    )


def _window(request: CollectionRequest) -> tuple[ColumnElement[bool], ...]:
    """Conditions on detections: of a request's surveys and window."""
    when: ColumnElement[Any] = func.coalesce(
        Observation.observation_time, func.timezone("UTC", cast(Observation.night, TIMESTAMP))
    )
    return (Survey.name.in_(request.survey_ids), when >= request.start, when < request.end)


def _selection(*more: Any) -> Select[*tuple[Any, ...]]:
    """Detections that have pixels, with all that a sample tells."""
    return (
        of_detections(
            *_columns(Detection, *_OF_DETECTION),
            *_columns(Observation, *_OF_OBSERVATION),
            *_columns(PreprocessRun, "run_id", "processed_fits_path", "sha256", "status"),
            *_columns(ReferenceFrame, "run_id", "reference_fits_path", "sha256"),
            *_columns(DifferenceRun, *_OF_DIFFERENCE),
            *_columns(Model, "id", "sha256"),
            *_columns(Candidate, "snr", "scorr_peak"),
            Survey.name.label("survey"),
            ObjectDetection.object_id,
            is_of_current_run().label("is_current"),
            *more,
        )
        .join(ModelRun, ModelRun.run_id == Detection.model_run_id)
        .join(Model, Model.id == ModelRun.model_id)
        .outerjoin(ReferenceFrame, ReferenceFrame.run_id == DifferenceRun.reference_id)
        .where(
            DifferenceRun.status.in_(USABLE),
            func.coalesce(Candidate.is_injected, False).is_(False),
        )
    )


_OF_DETECTION = (
    "id",
    "model_run_id",
    "x_pix",
    "y_pix",
    "ra",
    "dec",
    "is_negative",
    "detection_type",
    "confidence_score",
    "created_at",
)
_OF_OBSERVATION = (
    "id",
    "night",
    "field",
    "filter_band",
    "observation_time",
    "raw_fits_path",
    "raw_sha256",
    "footprint",
    "width_pix",
    "height_pix",
)
_OF_DIFFERENCE = (
    "run_id",
    "difference_fits_path",
    "sha256",
    "status",
    "fwhm_pix",
    "flux_ratio",
    "masked_fraction",
)


def _columns(model: Any, *names: str) -> list[Any]:
    """Columns named ``Model_column``, since several tables share names."""
    return [getattr(model, name).label(f"{model.__name__}_{name}") for name in names]


# --- rows to what they mean ---------------------------------------------------------------


@dataclass(frozen=True)
class _Verdict:
    id: UUID
    verdict: str
    note: str | None
    stratum: str | None


def _verdicts(connection: Connection, origins: set[UUID]) -> dict[UUID, tuple[_Verdict, ...]]:
    """Last standing verdicts that count, one of each reviewer, by detection."""
    events: dict[UUID, list[VerdictEvent]] = defaultdict(list)
    notes: dict[UUID, str | None] = {}
    names = VerdictEvent.__dataclass_fields__
    query = select(
        ValidationEvent.detection_id,
        ValidationEvent.note,
        *(getattr(ValidationEvent, name) for name in names),
    ).where(ValidationEvent.detection_id.in_(origins))
    for row in connection.execute(query).mappings():
        events[row["detection_id"]].append(VerdictEvent(**{name: row[name] for name in names}))
        notes[row["id"]] = row["note"]
    counted: dict[UUID, tuple[_Verdict, ...]] = {}
    for detection_id, given in events.items():
        last = {e.reviewer_id: e for e in standing(given) if e.stratum not in MEASURING}
        counted[detection_id] = tuple(
            _Verdict(event.id, event.verdict, notes[event.id], event.stratum)
            for event in sorted(last.values(), key=lambda event: event.number)
        )
    return counted


def _labelled(row: Any, source: LabelSource, verdicts: Sequence[_Verdict]) -> Labelled:
    is_real = row.label == "real" if source == "human" else row.Detection_confidence_score > 0.5
    n_agree = sum(v.verdict == ("real" if is_real else "bogus") for v in verdicts)
    score = row.Detection_confidence_score
    return Labelled(
        detection_id=row.Detection_id,
        frame=_frame(row),
        is_real=is_real,
        source=source,
        subtype=row.subtype,
        confidence=n_agree / len(verdicts) if verdicts else score if is_real else 1.0 - score,
        notes=tuple(v.note for v in verdicts if v.note),
        decided_by=row.decided_by,
        verdict_ids=tuple(v.id for v in verdicts),
        strata=tuple(sorted({v.stratum for v in verdicts if v.stratum})),
        n_judged=len(verdicts),
        n_agree=n_agree,
        x_pix=row.Detection_x_pix,
        y_pix=row.Detection_y_pix,
        ra=row.Detection_ra,
        dec=row.Detection_dec,
        is_negative=row.Detection_is_negative,
        detection_type=row.Detection_detection_type,
        confidence_score=score,
        snr=row.Candidate_snr,
        scorr_peak=row.Candidate_scorr_peak,
        object_id=row.object_id,
        model_run_id=row.Detection_model_run_id,
        model_id=row.Model_id,
        model_sha256=row.Model_sha256,
    )


def _frame(row: Any) -> FrameSource:
    unmasked = 1.0 - (row.DifferenceRun_masked_fraction or 0.0)
    return FrameSource(
        observation_id=row.Observation_id,
        difference_run_id=row.DifferenceRun_run_id,
        survey=row.survey,
        night=row.Observation_night,
        field=row.Observation_field,
        filter_band=row.Observation_filter_band,
        observation_time=row.Observation_observation_time,
        raw=(row.Observation_raw_fits_path, row.Observation_raw_sha256),
        processed=(row.PreprocessRun_processed_fits_path, row.PreprocessRun_sha256),
        reference=None
        if row.ReferenceFrame_run_id is None
        else (row.ReferenceFrame_reference_fits_path, row.ReferenceFrame_sha256),
        difference=(row.DifferenceRun_difference_fits_path, row.DifferenceRun_sha256),
        ids={
            "raw": row.Observation_id,
            "processed": row.PreprocessRun_run_id,
            "reference": row.ReferenceFrame_run_id,
            "difference": row.DifferenceRun_run_id,
        },
        is_degraded="degraded" in (row.DifferenceRun_status, row.PreprocessRun_status),
        flux_ratio=row.DifferenceRun_flux_ratio,
        fwhm_pix=row.DifferenceRun_fwhm_pix,
        unmasked=unmasked,
        mpix=row.Observation_width_pix * row.Observation_height_pix * unmasked / 1e6,
        footprint=row.Observation_footprint,
        width_pix=row.Observation_width_pix,
    )


def _in_order(found: Any, rows: Sequence[Any]) -> list[Labelled]:
    """Current detections before others, newer before older: the order in which they serve."""
    rank = {
        row.Detection_id: (not row.is_current, -row.Detection_created_at.timestamp())
        for row in rows
    }
    return sorted(found, key=lambda one: (*rank[one.detection_id], str(one.detection_id)))


def _once_per_source(found: Sequence[Labelled]) -> tuple[list[Labelled], dict[str, int]]:
    """The first of those within a FWHM of each other on one observation, with one sign."""
    taken: dict[tuple[UUID, bool], list[Labelled]] = defaultdict(list)
    n_again = 0
    for one in found:
        same = taken[one.frame.observation_id, one.is_negative]
        reach = one.frame.fwhm_pix
        if any(np.hypot(one.x_pix - o.x_pix, one.y_pix - o.y_pix) <= reach for o in same):
            n_again += 1
        else:
            same.append(one)
    kept = [one for same in taken.values() for one in same]
    kept.sort(key=lambda one: (one.frame.survey, one.frame.night, str(one.detection_id)))
    return kept, {"seen by another run": n_again}
