"""Tables of the cross-match with other people's catalogues, and of their answers.

``dbschema.models`` imports them, so that they are there whenever the other tables are.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dbschema.base import CLOCK, Base, Json, Run, clock, states

_CATALOGUES = ("gaia", "vsx", "skybot")


class CatalogueAnswer(Base):
    """What a catalogue answered to one question: asked once, kept until it expires."""

    __tablename__ = "catalogue_answers"
    __table_args__ = (states("catalogue", *_CATALOGUES),)

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of catalogue, address, parameters and code version"
    )
    catalogue: Mapped[str] = mapped_column(comment="gaia, vsx or skybot")
    url: Mapped[str] = mapped_column(comment="address of the service asked")
    parameters: Mapped[Json] = mapped_column(comment="parameters sent")
    ra: Mapped[float] = mapped_column(comment="centre of the cone asked for, degrees ICRS")
    dec: Mapped[float] = mapped_column(comment="centre of the cone asked for, degrees ICRS")
    radius_deg: Mapped[float] = mapped_column(comment="radius of the cone, degrees")
    epoch: Mapped[dt.datetime | None] = mapped_column(
        comment="UTC the sources' positions were asked for; null for the catalogue's own epoch"
    )
    sha256: Mapped[str] = mapped_column(comment="SHA-256 of the answer's bytes", info=CLOCK)
    n_sources: Mapped[int] = mapped_column(comment="sources in it")
    sources: Mapped[list[Any]] = mapped_column(
        comment="each: source_id, name, ra and dec (degrees ICRS, catalogue's epoch), and what "
        "is known of magnitude, band, source_class, proper motion or rate"
    )
    fetched_at: Mapped[dt.datetime] = mapped_column(comment="when it was fetched", info=CLOCK)
    expires_at: Mapped[dt.datetime | None] = mapped_column(
        comment="when it is asked for again; null for never", info=CLOCK
    )
    created_at: Mapped[dt.datetime] = clock("when first asked")


class CrossmatchRun(Run, Base):
    """The latest cross-match of one observation with one catalogue."""

    __tablename__ = "crossmatch_runs"
    __table_args__ = (
        states("status", "completed", "failed"),
        states("catalogue", *_CATALOGUES),
        Index(None, "observation_id"),
    )

    run_id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of observation and catalogue"
    )
    observation_id: Mapped[UUID] = mapped_column(
        ForeignKey("observations.id"), comment="observation whose detections were matched"
    )
    catalogue: Mapped[str] = mapped_column(comment="gaia, vsx or skybot")
    answer_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("catalogue_answers.id"),
        comment="answer matched with; null when failed, or when nothing was to be asked",
    )
    status: Mapped[str] = mapped_column(
        comment="completed, or failed: matches of an earlier success then stay"
    )
    observatory_code: Mapped[str | None] = mapped_column(
        comment="IAU code positions were asked for; null where sources do not move"
    )
    assumed: Mapped[list[str]] = mapped_column(
        comment="values that nothing stated", server_default=text("'[]'::jsonb")
    )
    n_sightings: Mapped[int] = mapped_column(comment="detections of objects matched")
    n_sources: Mapped[int | None] = mapped_column(comment="sources in the answer")
    n_matches: Mapped[int] = mapped_column(comment="matches found")


class Crossmatch(Base):
    """A catalogue's source near a detection of an object, both at mid-exposure."""

    __tablename__ = "crossmatches"
    __table_args__ = (
        states("status", "active", "superseded"),
        states("catalogue", *_CATALOGUES),
        states("kind", "star", "variable", "moving"),
        CheckConstraint("chance_probability BETWEEN 0 AND 1", name="chance_probability"),
        Index(None, "crossmatch_run_id"),
        Index(None, "object_id"),
        Index(None, "detection_id"),
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True, comment="UUIDv5 of cross-match, detection and source"
    )
    crossmatch_run_id: Mapped[UUID] = mapped_column(
        ForeignKey("crossmatch_runs.run_id"), comment="cross-match that found it"
    )
    object_id: Mapped[UUID] = mapped_column(ForeignKey("objects.id"), comment="object")
    detection_id: Mapped[UUID] = mapped_column(
        ForeignKey("detections.id"), comment="its detection, whose position was matched"
    )
    catalogue: Mapped[str] = mapped_column(comment="gaia, vsx or skybot")
    source_id: Mapped[str] = mapped_column(comment="the catalogue's own identifier")
    name: Mapped[str] = mapped_column(comment="its name for people")
    kind: Mapped[str] = mapped_column(comment="star, variable or moving")
    source_class: Mapped[str | None] = mapped_column(
        comment="type of variability, or dynamical class; null for a star"
    )
    rank: Mapped[int] = mapped_column(comment="0 for the nearest of its catalogue, then 1, 2, …")
    separation_arcsec: Mapped[float] = mapped_column(comment="from the detection")
    ra: Mapped[float] = mapped_column(comment="of the source at epoch, degrees ICRS")
    dec: Mapped[float] = mapped_column(comment="of the source at epoch, degrees ICRS")
    epoch: Mapped[dt.datetime] = mapped_column(comment="UTC of mid-exposure")
    magnitude: Mapped[float | None] = mapped_column(
        comment="Gaia G, VSX at maximum, SkyBoT predicted V; null where not given"
    )
    band: Mapped[str | None] = mapped_column(comment="passband of the magnitude")
    rate_ra_arcsec_per_h: Mapped[float | None] = mapped_column(
        comment="motion in RA times cos(dec); null for what does not move"
    )
    rate_dec_arcsec_per_h: Mapped[float | None] = mapped_column(
        comment="motion in declination; null for what does not move"
    )
    position_err_arcsec: Mapped[float | None] = mapped_column(
        comment="uncertainty of the ephemeris; null for what does not move"
    )
    density_per_arcmin2: Mapped[float] = mapped_column(
        comment="the catalogue's sources per square arcminute hereabouts"
    )
    chance_probability: Mapped[float] = mapped_column(
        comment="that an unrelated source lies as near: 1 - exp(-pi r^2 density)"
    )
    status: Mapped[str] = mapped_column(
        comment="superseded when a later cross-match no longer finds it",
        server_default=text("'active'"),
    )
    created_at: Mapped[dt.datetime] = clock("when first found")
