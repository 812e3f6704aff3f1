"""Typed models of every table.

What belongs here: columns, types, constraints, comments. What does not: queries and
sessions (``dbschema.session`` makes them; the rooms that read and write rows use them).

Two kinds of columns: those a re-materialization may overwrite, and those people decided
(``info=HUMAN``), which the Postgres IO manager never touches once a row exists.
Columns marked ``info=CLOCK`` tell when a row was written and differ between otherwise
identical runs.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.base import CLOCK, HUMAN, Base, Json
from dbschema.base import Run as _Run
from dbschema.base import clock as _clock
from dbschema.base import states as _states
from dbschema.crossmatch_models import CatalogueAnswer, Crossmatch, CrossmatchRun
from dbschema.label_models import LabelSnapshot, SnapshotLabel
from dbschema.object_models import ForcedPhotometry, ForcedRun, ObjectDetection, SkyObject
from dbschema.review_models import (
    ApiKey,
    DetectionConsensus,
    GoldItem,
    ReviewLease,
    ReviewRepeat,
    SignInLink,
    SignInSession,
    User,
    ValidationEvent,
)
from dbschema.training_models import (
    Alert,
    Promotion,
    TrainingDataHealth,
    TrainingDataset,
    TrainingGroup,
    TrainingRun,
    TrainingSample,
)

__all__ = [
    "CLOCK",
    "HUMAN",
    "Alert",
    "ApiKey",
    "Base",
    "Candidate",
    "CatalogueAnswer",
    "Crossmatch",
    "CrossmatchRun",
    "Detection",
    "DetectionConsensus",
    "DifferenceRun",
    "ExtractionRun",
    "ForcedPhotometry",
    "ForcedRun",
    "GoldItem",
    "IngestRun",
    "Json",
    "LabelSnapshot",
    "Model",
    "ModelRun",
    "ObjectDetection",
    "Observation",
    "PreprocessRun",
    "Promotion",
    "ReferenceFrame",
    "ReferenceMember",
    "ReviewLease",
    "ReviewRepeat",
    "SignInLink",
    "SignInSession",
    "SkyObject",
    "SnapshotLabel",
    "Survey",
    "TrainingDataHealth",
    "TrainingDataset",
    "TrainingGroup",
    "TrainingRun",
    "TrainingSample",
    "User",
    "ValidationEvent",
]

_UNTOUCHED = "status = 'active' AND NOT is_validated AND n_verdicts = 0"


class Survey(Base):
    """A survey of surveys.yaml, as it was when last materialized."""

    __tablename__ = "surveys"

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="UUIDv5 of the name")
    name: Mapped[str] = mapped_column(unique=True, comment="name in surveys.yaml")
    adapter: Mapped[str] = mapped_column(comment="adapter that reads it")
    config: Mapped[Json] = mapped_column(comment="its surveys.yaml entry")
    created_at: Mapped[dt.datetime] = _clock("when first seen")


class Observation(Base):
    """One exposure in one filter, or one calibration frame."""

    __tablename__ = "observations"
    __table_args__ = (
        UniqueConstraint("survey_id", "archive_id"),
        _states("frame_kind", "science", "bias", "dark", "flat"),
        Index(None, "survey_id", "night"),
        Index(None, "healpix"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="UUIDv5 of survey and archive_id")
    survey_id: Mapped[UUID] = mapped_column(ForeignKey("surveys.id"), comment="survey")
    archive_id: Mapped[str] = mapped_column(comment="the archive's own name for the exposure")
    night: Mapped[dt.date] = mapped_column(comment="local observing night, begun at local noon")
    field: Mapped[str] = mapped_column(comment="sky tile, or a name without WCS")
    frame_kind: Mapped[str] = mapped_column(comment="science, bias, dark or flat")
    ra: Mapped[float | None] = mapped_column(comment="centre, degrees ICRS; null without WCS")
    dec: Mapped[float | None] = mapped_column(comment="centre, degrees ICRS; null without WCS")
    healpix: Mapped[int | None] = mapped_column(comment="centre, HEALPix nested, order 16")
    footprint: Mapped[list[Any] | None] = mapped_column(comment="corners, [[ra, dec] x 4] degrees")
    observation_time: Mapped[dt.datetime | None] = mapped_column(
        comment="UTC of mid-exposure; null where the file does not say"
    )
    mjd_tai: Mapped[float | None] = mapped_column(comment="mid-exposure, MJD in TAI")
    filter_band: Mapped[str] = mapped_column(comment="filter; 'unknown' where not stated")
    exposure_s: Mapped[float | None] = mapped_column(comment="exposure time, seconds")
    gain_e_adu: Mapped[float | None] = mapped_column(comment="gain, electrons per raw unit")
    read_noise_e: Mapped[float | None] = mapped_column(comment="read noise, electrons rms")
    saturation_adu: Mapped[float | None] = mapped_column(comment="saturation, raw units")
    unit: Mapped[str] = mapped_column(comment="unit of the raw pixels (adu, electron, MJy/sr)")
    zero_point_mag: Mapped[float | None] = mapped_column(
        comment="AB magnitude of one raw unit, where header or survey states it"
    )
    instrument: Mapped[str] = mapped_column(comment="instrument")
    detector: Mapped[str] = mapped_column(comment="detector or image extension")
    width_pix: Mapped[int] = mapped_column(comment="NAXIS1")
    height_pix: Mapped[int] = mapped_column(comment="NAXIS2")
    assumed: Mapped[list[str]] = mapped_column(comment="names of values nothing stated")
    raw_fits_path: Mapped[str] = mapped_column(comment="object key of the raw file")
    raw_hdu: Mapped[int] = mapped_column(comment="index of the image HDU in the raw file")
    raw_sha256: Mapped[str] = mapped_column(comment="SHA-256 of the raw file's bytes")
    created_at: Mapped[dt.datetime] = _clock("when first ingested")


class IngestRun(_Run, Base):
    """What became of one file of a survey's night: ingested, or failed and why."""

    __tablename__ = "ingest_runs"
    __table_args__ = (
        _states("status", "completed", "failed"),
        Index(None, "survey_id", "night"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True, comment="content-addressed id")
    survey_id: Mapped[UUID] = mapped_column(ForeignKey("surveys.id"), comment="survey")
    night: Mapped[dt.date] = mapped_column(comment="night the file was listed under")
    source: Mapped[str] = mapped_column(comment="the archive's name of the file")
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of its bytes, if they came")
    n_observations: Mapped[int] = mapped_column(comment="observations found in it")
    status: Mapped[str] = mapped_column(comment="completed or failed")


class PreprocessRun(_Run, Base):
    """One processing of one observation into a frame."""

    __tablename__ = "preprocess_runs"
    __table_args__ = (
        _states("status", "completed", "degraded", "failed"),
        Index(None, "observation_id"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True, comment="content-addressed id")
    observation_id: Mapped[UUID] = mapped_column(
        ForeignKey("observations.id"), comment="observation processed"
    )
    calibration_ids: Mapped[list[str]] = mapped_column(
        comment="observations whose bias, dark and flat frames were used"
    )
    status: Mapped[str] = mapped_column(comment="completed, degraded or failed")
    processed_fits_path: Mapped[str | None] = mapped_column(comment="object key of the frame")
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the object")
    fwhm_pix: Mapped[float | None] = mapped_column(comment="PSF FWHM at the centre, pixels")
    ellipticity: Mapped[float | None] = mapped_column(comment="PSF 1 - b/a")
    sky: Mapped[float | None] = mapped_column(comment="median background, frame units")
    sky_noise: Mapped[float | None] = mapped_column(comment="rms per pixel on sky, frame units")
    zero_point_mag: Mapped[float | None] = mapped_column(comment="AB mag of one frame unit")
    depth_mag: Mapped[float | None] = mapped_column(comment="5 sigma point-source depth, AB mag")
    depth_flux: Mapped[float | None] = mapped_column(comment="5 sigma point source, frame units")
    n_stars: Mapped[int | None] = mapped_column(comment="stars behind the PSF")
    masked_fraction: Mapped[float | None] = mapped_column(comment="fraction of unusable pixels")
    degraded_because: Mapped[list[str]] = mapped_column(
        comment="quality limits missed", server_default=text("'[]'::jsonb")
    )


class ReferenceFrame(_Run, Base):
    """One versioned reference of a field and filter."""

    __tablename__ = "reference_frames"
    __table_args__ = (
        _states("status", "completed", "degraded", "failed"),
        _states("method", "single", "coadd"),
        Index(None, "survey_id", "field", "filter_band"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True, comment="content-addressed id")
    survey_id: Mapped[UUID] = mapped_column(ForeignKey("surveys.id"), comment="survey")
    set_name: Mapped[str] = mapped_column(comment="name of the reference set in surveys.yaml")
    field: Mapped[str] = mapped_column(comment="field")
    filter_band: Mapped[str] = mapped_column(comment="filter")
    method: Mapped[str] = mapped_column(comment="single frame or coadd")
    first_night: Mapped[dt.date | None] = mapped_column(comment="earliest member's night")
    last_night: Mapped[dt.date | None] = mapped_column(comment="latest member's night")
    n_members: Mapped[int] = mapped_column(comment="accepted members")
    ra: Mapped[float | None] = mapped_column(comment="centre, degrees ICRS")
    dec: Mapped[float | None] = mapped_column(comment="centre, degrees ICRS")
    footprint: Mapped[list[Any] | None] = mapped_column(comment="corners, degrees")
    status: Mapped[str] = mapped_column(comment="completed, degraded or failed")
    reference_fits_path: Mapped[str | None] = mapped_column(comment="object key of the frame")
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the object")
    fwhm_pix: Mapped[float | None] = mapped_column(comment="PSF FWHM at the centre, pixels")
    depth_flux: Mapped[float | None] = mapped_column(comment="5 sigma point source, frame units")


class ReferenceMember(Base):
    """A processed frame considered for a reference: its rank, or why it was rejected."""

    __tablename__ = "reference_members"

    reference_id: Mapped[UUID] = mapped_column(
        ForeignKey("reference_frames.run_id"), primary_key=True, comment="reference"
    )
    preprocess_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("preprocess_runs.run_id"), primary_key=True, comment="processed frame"
    )
    rank: Mapped[int] = mapped_column(comment="0 is the best frame")
    weight: Mapped[float] = mapped_column(comment="weight in the coadd; 0 when rejected")
    rejected_because: Mapped[str | None] = mapped_column(comment="reason; null when accepted")


class DifferenceRun(_Run, Base):
    """One subtraction of a reference from a processed frame, or why there was none."""

    __tablename__ = "difference_runs"
    __table_args__ = (
        _states("status", "completed", "degraded", "failed", "no_reference"),
        Index(None, "observation_id"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True, comment="content-addressed id")
    observation_id: Mapped[UUID] = mapped_column(
        ForeignKey("observations.id"), comment="science observation"
    )
    preprocess_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("preprocess_runs.run_id"), comment="processed frame subtracted from"
    )
    reference_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("reference_frames.run_id"), comment="reference; null when none qualified"
    )
    reference_choice: Mapped[list[Any]] = mapped_column(
        comment="each reference considered: id, verdict, reason"
    )
    status: Mapped[str] = mapped_column(comment="completed, degraded, failed or no_reference")
    difference_fits_path: Mapped[str | None] = mapped_column(comment="object key of D and S_corr")
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the object")
    scorr_sigma: Mapped[float | None] = mapped_column(comment="raw robust sigma of S_corr")
    scorr_sigma_blank: Mapped[float | None] = mapped_column(
        comment="the same on blank sky; null where there is too little of it"
    )
    scorr_sigma_sources: Mapped[float | None] = mapped_column(
        comment="the same within one FWHM of the frame's sources"
    )
    flux_ratio: Mapped[float | None] = mapped_column(comment="science over reference flux")
    n_matched: Mapped[int | None] = mapped_column(comment="stars matched in registration")
    registration_rms_pix: Mapped[float | None] = mapped_column(
        comment="rms of matched stars after registration, pixels"
    )
    overlap_fraction: Mapped[float | None] = mapped_column(comment="science area covered")
    masked_fraction: Mapped[float | None] = mapped_column(comment="fraction of unusable pixels")
    fwhm_pix: Mapped[float | None] = mapped_column(comment="FWHM of the PSF of D, pixels")
    depth_flux: Mapped[float | None] = mapped_column(comment="5 sigma point source in D")
    degraded_because: Mapped[list[str]] = mapped_column(
        comment="quality limits missed", server_default=text("'[]'::jsonb")
    )


class ExtractionRun(_Run, Base):
    """One search of one difference image for sources."""

    __tablename__ = "extraction_runs"
    __table_args__ = (
        _states("status", "completed", "failed"),
        Index(None, "difference_run_id"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True, comment="content-addressed id")
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="difference image searched"
    )
    status: Mapped[str] = mapped_column(comment="completed or failed")
    n_candidates: Mapped[int | None] = mapped_column(comment="sources that passed the filters")
    candidates_per_mpix: Mapped[float | None] = mapped_column(
        comment="candidates per 10^6 searched pixels"
    )
    filter_counts: Mapped[Json | None] = mapped_column(
        comment="sources rejected by each named filter"
    )
    cutout_path: Mapped[str | None] = mapped_column(
        comment="object key of the candidates' cutouts; null when there are none"
    )
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the cutouts object")


class SurveyDepthRun(_Run, Base):
    """Sources injected into one processed frame before subtraction, and which came back.

    Injections measure the pipeline; they are never candidates, detections or labels.
    """

    __tablename__ = "survey_depth_runs"
    __table_args__ = (
        _states("status", "completed", "degraded", "failed"),
        Index(None, "difference_run_id"),
    )

    run_id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="content-addressed id; seeds the injections"
    )
    observation_id: Mapped[UUID] = mapped_column(
        ForeignKey("observations.id"), comment="science observation injected into"
    )
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="the night's own difference it repeats"
    )
    reference_id: Mapped[UUID] = mapped_column(
        ForeignKey("reference_frames.run_id"), comment="reference subtracted, the night's own"
    )
    status: Mapped[str] = mapped_column(comment="completed, degraded or failed")
    n_injected: Mapped[int | None] = mapped_column(comment="injections on searched pixels")
    n_recovered: Mapped[int | None] = mapped_column(comment="of these, found again")
    n_masked: Mapped[int | None] = mapped_column(comment="injections on masked pixels, not counted")
    n_unmatched: Mapped[int | None] = mapped_column(comment="candidates that are no injection")
    searched_mpix: Mapped[float | None] = mapped_column(comment="searched area, 10^6 pixels")
    masked_fraction: Mapped[float | None] = mapped_column(comment="fraction not searched")
    zero_point_mag: Mapped[float | None] = mapped_column(comment="AB mag of one frame unit")
    injections: Mapped[list[Any] | None] = mapped_column(
        comment="each: x_pix, y_pix, flux (frame units), snr_true, environment (blank, host, "
        "star), is_recovered, flux_found and snr_found (null when missed)"
    )
    unmatched: Mapped[list[Any] | None] = mapped_column(
        comment="each unmatched candidate: x_pix, y_pix, snr (|S_corr| peak), flux, is_negative"
    )
    degraded_because: Mapped[list[str]] = mapped_column(
        comment="quality limits missed", server_default=text("'[]'::jsonb")
    )


class SurveyDepth(Base):
    """Depth of one survey, night and filter, summed over its injected frames."""

    __tablename__ = "survey_depth"
    __table_args__ = (UniqueConstraint("survey_id", "night", "filter_band"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="UUIDv5 of survey, night, filter")
    survey_id: Mapped[UUID] = mapped_column(ForeignKey("surveys.id"), comment="survey")
    night: Mapped[dt.date] = mapped_column(comment="local observing night")
    filter_band: Mapped[str] = mapped_column(comment="filter")
    run_ids: Mapped[list[str]] = mapped_column(comment="survey_depth_runs it sums")
    n_frames: Mapped[int] = mapped_column(comment="frames injected into")
    n_injected: Mapped[int] = mapped_column(comment="injections on searched pixels")
    n_recovered: Mapped[int] = mapped_column(comment="of these, found again")
    n_masked: Mapped[int] = mapped_column(comment="injections on masked pixels, not counted")
    n_unmatched: Mapped[int] = mapped_column(
        comment="candidates that are no injection: false, or a true change of the night"
    )
    searched_mpix: Mapped[float] = mapped_column(comment="searched area, 10^6 pixels")
    masked_fraction: Mapped[float] = mapped_column(comment="fraction not searched")
    snr50: Mapped[float | None] = mapped_column(
        comment="S/N_true of 50 % completeness on blank sky; null when not bracketed"
    )
    snr50_err: Mapped[float | None] = mapped_column(comment="its 1 sigma error")
    m50_mag: Mapped[float | None] = mapped_column(
        comment="AB mag of 50 % completeness on blank sky; null without zero point"
    )
    m50_err_mag: Mapped[float | None] = mapped_column(comment="its 1 sigma error")
    environments: Mapped[Json] = mapped_column(
        comment="blank, host, star: completeness in bins of S/N_true and of magnitude with 95 % "
        "Wilson intervals, fitted curves"
    )
    unmatched_by_snr: Mapped[list[Any]] = mapped_column(
        comment="unmatched candidates per 10^6 pixels by |S_corr|, 95 % Poisson intervals"
    )
    unmatched_by_magnitude: Mapped[list[Any]] = mapped_column(
        comment="the same by AB magnitude; empty without zero point"
    )
    created_at: Mapped[dt.datetime] = _clock("when first measured")
    selected_at: Mapped[dt.datetime] = _clock("when last materialized")


class Candidate(Base):
    """A source extracted on S_corr that passed the filters."""

    __tablename__ = "candidates"
    __table_args__ = (
        _states("status", "active", "superseded"),
        _states("flux_unit", "uJy", "instrumental"),
        Index(None, "difference_run_id"),
        Index(None, "healpix"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="UUIDv5 of run, sign, peak pixel")
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="difference image it was found on"
    )
    x_pix: Mapped[float] = mapped_column(comment="0-based pixel centre")
    y_pix: Mapped[float] = mapped_column(comment="0-based pixel centre")
    ra: Mapped[float | None] = mapped_column(comment="degrees ICRS; null without WCS")
    dec: Mapped[float | None] = mapped_column(comment="degrees ICRS; null without WCS")
    healpix: Mapped[int | None] = mapped_column(comment="HEALPix nested, order 16")
    flux: Mapped[float] = mapped_column(comment="PSF flux on D, flux_unit; negative if fading")
    flux_err: Mapped[float] = mapped_column(comment="1 sigma, own photons included")
    flux_unit: Mapped[str] = mapped_column(comment="uJy (AB) or instrumental")
    snr: Mapped[float] = mapped_column(comment="|flux| / flux_err")
    scorr_peak: Mapped[float] = mapped_column(comment="signed peak of S_corr")
    fwhm_pix: Mapped[float] = mapped_column(comment="FWHM on D, pixels")
    elongation: Mapped[float] = mapped_column(comment="a / b on S_corr")
    flags: Mapped[int] = mapped_column(comment="CandidateFlag bits")
    flag_names: Mapped[list[str]] = mapped_column(comment="names of the flags set")
    is_negative: Mapped[bool] = mapped_column(comment="fainter than the reference")
    is_injected: Mapped[bool] = mapped_column(
        comment="matches an injected source; never a label", server_default=text("false")
    )
    cutout_path: Mapped[str] = mapped_column(comment="object key of its run's cutouts")
    cutout_index: Mapped[int] = mapped_column(comment="plane in that object")
    cutout_sha256: Mapped[str] = mapped_column(comment="SHA-256 of its own cutout's pixels")
    status: Mapped[str] = mapped_column(
        comment="superseded when a forced re-run no longer finds it",
        server_default=text("'active'"),
    )
    created_at: Mapped[dt.datetime] = _clock("when first found")


class Model(Base):
    """A real/bogus model whose weights are known by their SHA-256."""

    __tablename__ = "models"

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="UUIDv5 of name and weights")
    name: Mapped[str] = mapped_column(comment="registered name")
    version: Mapped[str] = mapped_column(comment="registry version")
    architecture: Mapped[Json] = mapped_column(comment="constructor and its arguments")
    weights_path: Mapped[str] = mapped_column(comment="object key of the safetensors file")
    sha256: Mapped[str] = mapped_column(unique=True, comment="SHA-256 of the weights file")
    card: Mapped[Json] = mapped_column(comment="model card: data, held-out figures, threshold")
    mlflow_run_id: Mapped[str | None] = mapped_column(comment="MLflow run", info=CLOCK)
    created_at: Mapped[dt.datetime] = _clock("when registered")


class ModelRun(_Run, Base):
    """One model's judgement of one difference image."""

    __tablename__ = "model_runs"
    __table_args__ = (
        _states("status", "completed", "degraded", "failed"),
        Index(None, "difference_run_id"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True, comment="content-addressed id")
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="difference image judged"
    )
    model_id: Mapped[UUID] = mapped_column(ForeignKey("models.id"), comment="model that judged")
    status: Mapped[str] = mapped_column(comment="completed, degraded or failed")
    device: Mapped[str | None] = mapped_column(comment="cpu or cuda", info=CLOCK)
    n_detections: Mapped[int | None] = mapped_column(comment="detections made")
    cutout_path: Mapped[str | None] = mapped_column(
        comment="object key of the components' cutouts; null when there are none"
    )
    sha256: Mapped[str | None] = mapped_column(comment="SHA-256 of the cutouts object")


class Detection(Base):
    """A candidate or U-Net component with a calibrated confidence."""

    __tablename__ = "detections"
    __table_args__ = (
        _states("status", "active", "superseded"),
        _states("detection_type", "candidate", "component"),
        CheckConstraint("confidence_score BETWEEN 0 AND 1", name="confidence_score"),
        CheckConstraint(
            "num_nulls(cutout_path, cutout_index, cutout_sha256) IN (0, 3)", name="cutout"
        ),
        Index(None, "model_run_id"),
        Index(None, "difference_run_id"),
        Index(None, "healpix"),
        Index(None, "inherited_from"),
        Index(
            "ix_detections_confidence",
            "confidence_score",
            "id",
            postgresql_where=text("status = 'active'"),
        ),
        Index(
            "ix_detections_validated",
            "confidence_score",
            "id",
            postgresql_where=text("status = 'active' AND is_validated"),
        ),
        # The review queue: what nobody has judged, by uncertainty and in random order.
        Index(
            "ix_detections_uncertainty",
            text("abs(confidence_score - 0.5)"),
            "id",
            postgresql_where=text(_UNTOUCHED),
        ),
        Index("ix_detections_untouched", "id", postgresql_where=text(_UNTOUCHED)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, comment="UUIDv5 of model run and source")
    model_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("model_runs.run_id"), comment="model run that judged it"
    )
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="difference image it lies on"
    )
    candidate_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("candidates.id"), comment="candidate judged; null for a component"
    )
    x_pix: Mapped[float] = mapped_column(comment="0-based pixel centre")
    y_pix: Mapped[float] = mapped_column(comment="0-based pixel centre")
    ra: Mapped[float | None] = mapped_column(comment="degrees ICRS; null without WCS")
    dec: Mapped[float | None] = mapped_column(comment="degrees ICRS; null without WCS")
    x_reference_pix: Mapped[float | None] = mapped_column(
        comment="0-based pixel of the reference subtracted; null where not recorded"
    )
    y_reference_pix: Mapped[float | None] = mapped_column(
        comment="0-based pixel of the reference subtracted; null where not recorded"
    )
    healpix: Mapped[int | None] = mapped_column(comment="HEALPix nested, order 16")
    confidence_score: Mapped[float] = mapped_column(comment="calibrated probability of real")
    detection_type: Mapped[str] = mapped_column(comment="candidate or component")
    is_negative: Mapped[bool] = mapped_column(comment="fainter than the reference")
    cutout_path: Mapped[str | None] = mapped_column(
        comment="object key of its cutout: its candidate's, or its model run's; null for a "
        "component of a run that cut none"
    )
    cutout_index: Mapped[int | None] = mapped_column(comment="plane in that object")
    cutout_sha256: Mapped[str | None] = mapped_column(
        comment="SHA-256 of its own cutout's pixels, which a verdict names"
    )
    is_validated: Mapped[bool] = mapped_column(
        comment="people decided that it is real or bogus: it, or the one it inherits from",
        server_default=text("false"),
        info=HUMAN,
    )
    n_verdicts: Mapped[int] = mapped_column(
        comment="standing verdicts on it that count", server_default=text("0"), info=HUMAN
    )
    inherited_from: Mapped[UUID | None] = mapped_column(
        ForeignKey("detections.id"),
        comment="detection of another run on the observation whose verdicts hold here",
        info=HUMAN,
    )
    status: Mapped[str] = mapped_column(
        comment="superseded when a forced re-run no longer makes it",
        server_default=text("'active'"),
    )
    created_at: Mapped[dt.datetime] = _clock("when first made")
