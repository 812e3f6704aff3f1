"""One detection, cutout or object, with everything that it came from.

Lists are ``curation.browse``'s; here is what somebody sees who opens an item.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Select, and_, select
from sqlalchemy.orm import Session

from astrid_core.curation.browse import MAX_PAGE
from astrid_core.curation.lightcurve import LightCurvePoint, assemble_light_curve
from astrid_core.curation.measurements import measurements_of
from astrid_core.errors import NoSuchItemError
from dbschema.models import (
    Base,
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    Model,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    SkyObject,
    Survey,
    User,
    ValidationEvent,
)

_View = TypeVar("_View")


@dataclass(frozen=True)
class SourceObject:
    """A stored object that a detection was made from, and the run that made it.

    Attributes
    ----------
    run_id, code_version, config_digest
        None for the raw file, which no run made.
    key, sha256
        Name and hash of the object in the store; None where the run made none.
    """

    stage: Literal["raw", "processed", "reference", "difference"]
    key: str | None
    sha256: str | None
    run_id: UUID | None = None
    status: str | None = None
    code_version: str | None = None
    config_digest: str | None = None


@dataclass(frozen=True)
class ObservationDetails:
    """The exposure that a detection is of; see :class:`~dbschema.models.Observation`."""

    id: UUID
    archive_id: str
    night: dt.date
    field: str
    observation_time: dt.datetime | None
    mjd_tai: float | None
    filter_band: str
    exposure_s: float | None
    instrument: str
    detector: str


@dataclass(frozen=True)
class CandidateDetails:
    """The source a detection judges; see :class:`~dbschema.models.Candidate`."""

    id: UUID
    flux: float
    flux_err: float
    flux_unit: str
    snr: float
    scorr_peak: float
    fwhm_pix: float
    elongation: float
    flag_names: list[str]
    status: str


@dataclass(frozen=True)
class JudgeDetails:
    """The model run that made a detection, and its model.

    Attributes
    ----------
    weights_sha256
        Of the model's weights.
    """

    run_id: UUID
    status: str
    code_version: str
    config_digest: str
    model_id: UUID
    model_name: str
    model_version: str
    weights_sha256: str


@dataclass(frozen=True)
class ConsensusDetails:
    """What the verdicts on a detection add up to."""

    label: str
    subtype: str | None
    n_events: int
    decided_by: str | None


@dataclass(frozen=True)
class GivenVerdict:
    """One verdict on a detection, or the withdrawal of one, and what the reviewer saw.

    Why the queue put it before them is left out: reviewers must not learn which items
    measure them.
    """

    id: UUID
    reviewer_id: UUID
    reviewer: str
    is_expert: bool
    verdict: str
    subtype: str | None
    taxonomy_version: str
    note: str | None
    model_id: UUID
    cutout_sha256: str | None
    supersedes: UUID | None
    created_at: dt.datetime


@dataclass(frozen=True)
class DetectionDetails:
    """A detection with its whole lineage.

    Attributes
    ----------
    ra, dec
        Degrees ICRS; None without WCS.
    status
        ``superseded`` when a forced re-run no longer makes it.
    inherited_from
        Detection of another run on the observation whose verdicts hold here.
    object_id
        What it is an epoch of; None where it belongs to no object.
    candidate
        None for a U-Net component.
    cutout_sha256
        Hash of its cutout, which a verdict names; None for a component found before
        components were cut out.
    made_from
        Raw file, processed frame, reference (unless there was none), difference image.
    consensus
        Of its own verdicts; None where none counts.
    verdicts
        The newest first, at most :data:`~astrid_core.curation.browse.MAX_PAGE`.
    """

    id: UUID
    survey: str
    x_pix: float
    y_pix: float
    ra: float | None
    dec: float | None
    confidence_score: float
    detection_type: str
    is_negative: bool
    is_validated: bool
    status: str
    inherited_from: UUID | None
    object_id: UUID | None
    cutout_sha256: str | None
    observation: ObservationDetails
    candidate: CandidateDetails | None
    judged_by: JudgeDetails
    made_from: tuple[SourceObject, ...]
    consensus: ConsensusDetails | None
    verdicts: tuple[GivenVerdict, ...]


@dataclass(frozen=True)
class CutoutPlace:
    """Where a detection's cutout is stored.

    Attributes
    ----------
    key, index
        Object in the store, and which of its cutouts.
    sha256
        Of the cutout's pixels.
    """

    key: str
    index: int
    sha256: str


@dataclass(frozen=True)
class ObjectDetails:
    """An object and its light curve; see :class:`~dbschema.models.SkyObject`.

    Attributes
    ----------
    light_curve
        Every epoch of its field, by time.
    """

    id: UUID
    field: str
    ra: float | None
    dec: float | None
    reference_id: UUID | None
    x_reference_pix: float | None
    y_reference_pix: float | None
    best_detection_id: UUID
    first_seen: dt.datetime | None
    last_seen: dt.datetime | None
    n_detections: int
    snr: float | None
    confidence_score: float
    status: str
    light_curve: tuple[LightCurvePoint, ...]


def detection_details(connection: Connection, detection_id: UUID) -> DetectionDetails:
    """A detection, whether or not it is current, with its whole lineage.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    query = (
        of_detections(
            Detection,
            Observation,
            Survey.name,
            PreprocessRun,
            ReferenceFrame,
            DifferenceRun,
            ModelRun,
            Model,
            Candidate,
            ObjectDetection.object_id,
        )
        .join(ModelRun, ModelRun.run_id == Detection.model_run_id)
        .join(Model, Model.id == ModelRun.model_id)
        .outerjoin(ReferenceFrame, ReferenceFrame.run_id == DifferenceRun.reference_id)
        .where(Detection.id == detection_id)
    )
    with Session(connection) as session:
        row = session.execute(query).one_or_none()
        if row is None:
            raise no_detection(detection_id)
        detection, observation, survey, processed, reference, difference = row[:6]
        run, model, candidate, object_id = row[6:]
        return view(
            DetectionDetails,
            detection,
            survey=survey,
            object_id=object_id,
            observation=view(ObservationDetails, observation),
            candidate=candidate and view(CandidateDetails, candidate),
            judged_by=view(
                JudgeDetails,
                run,
                model_name=model.name,
                model_version=model.version,
                weights_sha256=model.sha256,
            ),
            made_from=_made_from(observation, processed, reference, difference),
            consensus=_consensus(session, detection_id),
            verdicts=_verdicts(connection, detection_id),
        )


def of_detections(*selected: Any) -> Select[*tuple[Any, ...]]:
    """Selection from detections, the images they were made from, survey, candidate, object."""
    return (
        select(*selected)
        .select_from(Detection)
        .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
        .join(PreprocessRun, PreprocessRun.run_id == DifferenceRun.preprocess_run_id)
        .join(Observation, Observation.id == DifferenceRun.observation_id)
        .join(Survey, Survey.id == Observation.survey_id)
        .outerjoin(Candidate, Candidate.id == Detection.candidate_id)
        .outerjoin(
            ObjectDetection,
            and_(ObjectDetection.detection_id == Detection.id, ObjectDetection.status == "active"),
        )
    )


def cutout_place(connection: Connection, detection_id: UUID) -> CutoutPlace:
    """Where a detection's cutout is.

    Raises
    ------
    NoSuchItemError
        If there is no such detection, or it is a U-Net component found before components
        were cut out.
    """
    query = select(Detection.cutout_path, Detection.cutout_index, Detection.cutout_sha256).where(
        Detection.id == detection_id
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise no_detection(detection_id)
    key, index, sha256 = row
    if key is None or index is None or sha256 is None:
        raise NoSuchItemError(
            f"Detection {detection_id} is a U-Net component of a run that cut out none.",
            remedy="Materialize the detections of its night again: the new ones have cutouts.",
        )
    return CutoutPlace(key, index, sha256)


def object_details(connection: Connection, object_id: UUID) -> ObjectDetails:
    """An object and its light curve.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    with Session(connection) as session:
        found = session.get(SkyObject, object_id)
        if found is None:
            raise NoSuchItemError(
                f"There is no object {object_id}.", remedy="Look it up from a detection of it."
            )
        curve = assemble_light_curve(measurements_of(connection, object_id))
        return view(ObjectDetails, found, light_curve=curve)


def no_detection(detection_id: UUID) -> NoSuchItemError:
    """That there is no such detection."""
    return NoSuchItemError(f"There is no detection {detection_id}.", remedy="List the detections.")


def view(kind: type[_View], row: Base, **more: Any) -> _View:
    """A dataclass of a row's columns, and what else it has."""
    names = getattr(kind, "__dataclass_fields__", {}).keys() - more.keys()
    return kind(**{name: getattr(row, name) for name in names}, **more)


def _made_from(
    observation: Observation,
    processed: PreprocessRun,
    reference: ReferenceFrame | None,
    difference: DifferenceRun,
) -> tuple[SourceObject, ...]:
    raw = SourceObject("raw", observation.raw_fits_path, observation.raw_sha256)
    of_reference = (
        ()
        if reference is None
        else (view(SourceObject, reference, stage="reference", key=reference.reference_fits_path),)
    )
    return (
        raw,
        view(SourceObject, processed, stage="processed", key=processed.processed_fits_path),
        *of_reference,
        view(SourceObject, difference, stage="difference", key=difference.difference_fits_path),
    )


def _consensus(session: Session, detection_id: UUID) -> ConsensusDetails | None:
    found = session.get(DetectionConsensus, detection_id)
    return None if found is None else view(ConsensusDetails, found)


def _verdicts(connection: Connection, detection_id: UUID) -> tuple[GivenVerdict, ...]:
    names = [name for name in GivenVerdict.__dataclass_fields__ if name != "reviewer"]
    query = (
        select(*(getattr(ValidationEvent, name) for name in names), User.name.label("reviewer"))
        .join(User, User.id == ValidationEvent.reviewer_id)
        .where(ValidationEvent.detection_id == detection_id)
        .order_by(ValidationEvent.number.desc())
        .limit(MAX_PAGE)
    )
    return tuple(GivenVerdict(**row) for row in connection.execute(query).mappings())
