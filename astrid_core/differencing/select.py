"""Which reference a science frame is compared with, and why not the others."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from astrid_core.sky import unit_vectors

F64 = NDArray[np.float64]

MIN_OVERLAP = 0.3
"""Share of the science frame that a reference must cover."""

Corners = tuple[tuple[float, float], ...]
"""Corners of a frame, (ra, dec) in degrees ICRS, in order around it."""


@dataclass(frozen=True)
class ScienceInfo:
    """What decides a science frame's reference."""

    observation_id: UUID
    field: str
    filter_band: str
    night: dt.date
    footprint: Corners | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ScienceInfo":
        """From a ``preprocess_runs`` row with its observation's columns."""
        return cls(
            observation_id=_uuid(row["observation_id"]),
            field=row["field"],
            filter_band=row["filter_band"],
            night=row["night"],
            footprint=_corners(row.get("footprint")),
        )


@dataclass(frozen=True)
class ReferenceInfo:
    """What is known about a reference when choosing.

    Attributes
    ----------
    first_night, last_night
        Of its members; None where nothing was built.
    members
        Observations of its accepted members.
    built_at
        When it was last materialized; decides between references of the same nights.
    """

    id: UUID
    field: str
    filter_band: str
    status: str
    first_night: dt.date | None
    last_night: dt.date | None
    members: frozenset[UUID]
    footprint: Corners | None = None
    built_at: dt.datetime | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ReferenceInfo":
        """From a ``reference_frames`` row with ``member_observation_ids``."""
        return cls(
            id=_uuid(row["run_id"]),
            field=row["field"],
            filter_band=row["filter_band"],
            status=row["status"],
            first_night=row.get("first_night"),
            last_night=row.get("last_night"),
            members=frozenset(_uuid(member) for member in row["member_observation_ids"]),
            footprint=_corners(row.get("footprint")),
            built_at=row.get("selected_at"),
        )


@dataclass(frozen=True)
class ReferenceChoice:
    """The reference chosen, and the verdict on every one considered.

    Attributes
    ----------
    chosen
        Its id; None when none qualified, which is an outcome and no error.
    considered
        ``{"id", "verdict": chosen | eligible | rejected, "reason"}``, the field's own first,
        then newest first.
    """

    chosen: UUID | None
    considered: list[dict[str, Any]]


def select_reference(
    science: ScienceInfo, references: Sequence[ReferenceInfo], min_separation_days: float
) -> ReferenceChoice:
    """The newest valid reference that covers a science frame and does not contain it.

    One of the frame's own field goes before any of another, however new: a header that lies
    about its place or scale makes a reference that covers fields it never saw.

    Parameters
    ----------
    min_separation_days
        Between the science night and every night of the reference, either way round:
        closer, a slow transient would be in both. 0 allows any night.

    Notes
    -----
    Frames with footprints are compared on the sky, others by the name of their field.
    Order does not matter: newest is by last night, then by building time, then by id.
    """
    ordered = sorted(
        references, key=lambda one: (one.field == science.field, *_age(one)), reverse=True
    )
    chosen: UUID | None = None
    chosen_field = ""
    considered: list[dict[str, Any]] = []
    for reference in ordered:
        reason = _rejection(science, reference, min_separation_days)
        if reason is not None:
            verdict = "rejected"
        elif chosen is None:
            chosen, chosen_field, verdict = reference.id, reference.field, "chosen"
            reason = "newest that qualifies"
        elif reference.field != chosen_field == science.field:
            verdict, reason = "eligible", f"of field {reference.field}, not the frame's own"
        else:
            verdict, reason = "eligible", "older than the chosen one"
        considered.append({"id": str(reference.id), "verdict": verdict, "reason": reason})
    return ReferenceChoice(chosen, considered)


def _age(reference: ReferenceInfo) -> tuple[dt.date, float, str]:
    built = reference.built_at
    return (
        reference.last_night or dt.date.min,
        0.0 if built is None else built.timestamp(),
        str(reference.id),
    )


def _rejection(
    science: ScienceInfo, reference: ReferenceInfo, min_separation_days: float
) -> str | None:
    """Why a reference cannot serve; None if it can."""
    if reference.status != "completed":
        return f"its status is {reference.status}"
    if reference.first_night is None or reference.last_night is None:
        return "its nights are unknown"
    if reference.filter_band != science.filter_band:
        return f"filter {reference.filter_band}, not {science.filter_band}"
    if science.observation_id in reference.members:
        return "contains this observation"
    days = separation_days(science.night, reference.first_night, reference.last_night)
    if days < min_separation_days:
        return f"{days} d from this night, less than {min_separation_days:g} d"
    if science.footprint is None or reference.footprint is None:
        if reference.field != science.field:
            return f"field {reference.field}, not {science.field}, and no WCS to compare"
        return None
    overlap = overlap_fraction(science.footprint, reference.footprint)
    if overlap < MIN_OVERLAP:
        return f"covers {overlap:.0%} of the frame, less than {MIN_OVERLAP:.0%}"
    return None


def separation_days(night: dt.date, first_night: dt.date, last_night: dt.date) -> int:
    """Days from a night to the nearest night of a range; 0 within it."""
    return max((first_night - night).days, (night - last_night).days, 0)


# --- overlap on the sky -------------------------------------------------------------------


def overlap_fraction(science: Corners, reference: Corners) -> float:
    """Share of the science footprint inside the reference's, both convex.

    Corners are projected on the tangent plane at the science centre, where the polygons
    are clipped (Sutherland & Hodgman 1974).
    """
    centre = directions(science).mean(axis=0)
    ours, theirs = _project(science, centre), _project(reference, centre)
    if ours is None or theirs is None:
        return 0.0
    area = _area(ours)
    if area == 0:
        return 0.0
    return min(abs(_area(_clip(ours, theirs)) / area), 1.0)


def directions(corners: Corners) -> F64:
    """(n, 3) unit vectors."""
    ra, dec = np.asarray(corners, dtype=np.float64).T
    return unit_vectors(ra, dec)


def _project(corners: Corners, centre: F64) -> F64 | None:
    """Gnomonic projection, counter-clockwise; None for corners beyond the horizon."""
    axis = centre / np.linalg.norm(centre)
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    east = np.cross(helper, axis)
    east /= np.linalg.norm(east)
    north = np.cross(axis, east)
    vectors = directions(corners)
    depth = vectors @ axis
    if (depth <= 0.1).any():
        return None
    plane: F64 = np.column_stack([vectors @ east, vectors @ north]) / depth[:, None]
    return plane[::-1] if _area(plane) < 0 else plane


def _area(polygon: F64) -> float:
    """Signed area, positive counter-clockwise."""
    if len(polygon) < 3:
        return 0.0
    x, y = polygon.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _clip(subject: F64, clipper: F64) -> F64:
    """Part of a polygon inside a convex counter-clockwise one."""
    output = [np.asarray(point) for point in subject]
    for a, b in zip(clipper, np.roll(clipper, -1, axis=0), strict=True):
        points, output = output, []
        for p, q in zip(points, points[1:] + points[:1], strict=True):
            side_p, side_q = _side(a, b, p), _side(a, b, q)
            if side_p >= 0:
                output.append(p)
            if side_p * side_q < 0:
                output.append(p + (q - p) * (side_p / (side_p - side_q)))
    return np.array(output).reshape(-1, 2)


def _side(a: F64, b: F64, p: F64) -> float:
    """Positive where p is left of the line from a to b."""
    return float((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]))


def _uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _corners(value: Sequence[Sequence[float]] | None) -> Corners | None:
    return None if not value else tuple((float(ra), float(dec)) for ra, dec in value)
