"""Tables of objects and their light curves.

``dbschema.models`` imports them, so that they are there whenever the other tables are.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.base import Base, Run, clock, states


class SkyObject(Base):
    """Detections at one position over epochs: one thing, as far as position can tell.

    Named by its place: on the sky where its frames have a WCS, else in the pixels of the
    reference that its frames were registered on.
    """

    __tablename__ = "objects"
    __table_args__ = (
        states("status", "active", "superseded"),
        Index(None, "field_id"),
        Index(None, "healpix"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of its first detection's observation and pixel"
    )
    survey_id: Mapped[UUID] = mapped_column(ForeignKey("surveys.id"), comment="survey")
    field: Mapped[str] = mapped_column(comment="field whose frames show it")
    field_id: Mapped[UUID] = mapped_column(
        comment="UUIDv5 of survey and field: what is associated together"
    )
    ra: Mapped[float | None] = mapped_column(comment="degrees ICRS; null without WCS")
    dec: Mapped[float | None] = mapped_column(comment="degrees ICRS; null without WCS")
    healpix: Mapped[int | None] = mapped_column(comment="HEALPix nested, order 16")
    reference_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("reference_frames.run_id"),
        comment="without WCS, the reference whose pixels it is placed in",
    )
    x_reference_pix: Mapped[float | None] = mapped_column(
        comment="0-based pixel of reference_id; null with WCS"
    )
    y_reference_pix: Mapped[float | None] = mapped_column(
        comment="0-based pixel of reference_id; null with WCS"
    )
    best_detection_id: Mapped[UUID] = mapped_column(
        ForeignKey("detections.id"), comment="its strongest detection, whose position it has"
    )
    first_seen: Mapped[dt.datetime | None] = mapped_column(
        comment="UTC mid-exposure of its first detection; null where times are unknown"
    )
    last_seen: Mapped[dt.datetime | None] = mapped_column(
        comment="UTC mid-exposure of its last detection; null where times are unknown"
    )
    n_detections: Mapped[int] = mapped_column(comment="detections associated with it")
    snr: Mapped[float | None] = mapped_column(
        comment="S/N of that detection; null for a U-Net component, which has no flux"
    )
    confidence_score: Mapped[float] = mapped_column(comment="highest of its detections")
    status: Mapped[str] = mapped_column(
        comment="superseded when its detections now make another object, or none",
        server_default=text("'active'"),
    )
    created_at: Mapped[dt.datetime] = clock("when first associated")


class ObjectDetection(Base):
    """Which object a detection belongs to; at most one."""

    __tablename__ = "object_detections"
    __table_args__ = (
        states("status", "active", "superseded"),
        Index(None, "object_id"),
        Index(None, "field_id"),
    )

    detection_id: Mapped[UUID] = mapped_column(
        ForeignKey("detections.id"), primary_key=True, comment="detection"
    )
    object_id: Mapped[UUID] = mapped_column(ForeignKey("objects.id"), comment="its object")
    field_id: Mapped[UUID] = mapped_column(comment="the object's field_id")
    separation_pix: Mapped[float] = mapped_column(
        comment="distance from the object's position, pixels of its frame"
    )
    status: Mapped[str] = mapped_column(
        comment="superseded when the detection no longer belongs to an object",
        server_default=text("'active'"),
    )
    created_at: Mapped[dt.datetime] = clock("when first associated")


class ForcedRun(Run, Base):
    """One difference image measured at the positions of objects of its field."""

    __tablename__ = "forced_runs"
    __table_args__ = (
        states("status", "completed", "failed"),
        Index(None, "difference_run_id"),
    )

    run_id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of the difference image, code and configuration"
    )
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="difference image measured"
    )
    objects_digest: Mapped[str] = mapped_column(
        comment="digest of the objects and positions asked for; another digest measures again"
    )
    status: Mapped[str] = mapped_column(comment="completed or failed")
    n_measured: Mapped[int | None] = mapped_column(comment="objects on the frame")
    n_masked: Mapped[int | None] = mapped_column(comment="of those, on unusable pixels")


class ForcedPhotometry(Base):
    """Flux of an object on a difference image, whether or not anything was detected there.

    A measured non-detection is a limit: flux + n · flux_err is the n sigma upper limit. Rows
    of a superseded object stay, as it does; its status holds for them.
    """

    __tablename__ = "forced_photometry"
    __table_args__ = (
        states("flux_unit", "uJy", "instrumental"),
        Index(None, "object_id"),
        Index(None, "difference_run_id"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of object and difference image"
    )
    object_id: Mapped[UUID] = mapped_column(ForeignKey("objects.id"), comment="object")
    difference_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("difference_runs.run_id"), comment="difference image measured"
    )
    forced_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("forced_runs.run_id"), comment="run that measured it"
    )
    x_pix: Mapped[float] = mapped_column(comment="position measured, 0-based pixel centre")
    y_pix: Mapped[float] = mapped_column(comment="position measured, 0-based pixel centre")
    flux: Mapped[float | None] = mapped_column(
        comment="PSF flux on D, signed, flux_unit; null where masked"
    )
    flux_err: Mapped[float | None] = mapped_column(
        comment="1 sigma, own photons included; null where masked"
    )
    snr: Mapped[float | None] = mapped_column(comment="flux / flux_err, signed")
    reference_flux: Mapped[float | None] = mapped_column(
        comment="PSF flux on the reference, on the science frame's scale, flux_unit; null where "
        "the reference is masked there"
    )
    reference_flux_err: Mapped[float | None] = mapped_column(
        comment="1 sigma; common to all epochs of one reference"
    )
    flux_unit: Mapped[str] = mapped_column(comment="uJy (AB) or instrumental")
    flags: Mapped[int] = mapped_column(comment="ForcedFlag bits")
    flag_names: Mapped[list[str]] = mapped_column(comment="names of the flags set")
    created_at: Mapped[dt.datetime] = clock("when first measured")
