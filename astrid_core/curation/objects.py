"""Objects: detections at one position over epochs.

What belongs here: association as a pure function of the detections. What does not: reading
and writing rows (``curation.sightings``).

Detections gather about the strongest of them, and only as far as one association radius:
never about each other, so that what moves a little from frame to frame makes several
objects instead of one long chain.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.spatial import cKDTree

from astrid_core.curation.inherit import mutual_nearest
from astrid_core.identity import object_id
from astrid_core.sky import unit_vectors

F64 = NDArray[np.float64]
OBJECTS_VERSION = "1"
"""Code version of the association."""

_MIN_RADIUS_PIX = 1.5
"""Two detections of a frame that stay apart by more cannot share a pixel, nor an object's id."""
_ARCSEC_PER_RADIAN = np.degrees(1.0) * 3600.0


class ObjectConfig(BaseModel):
    """Which detections are worth an object, how near is one, and how long before it is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_confidence: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Least calibrated confidence of a detection that may belong to an object; "
        "what people found real always may, what they found bogus never.",
    )
    radius_fwhm: float = Field(
        default=0.5, gt=0, le=3, description="Association radius: part set by the FWHM of D."
    )
    radius_registration: float = Field(
        default=3.0, ge=0, le=20, description="Part set by the registration's rms, in units of it."
    )
    precovery_days: float = Field(
        default=30.0,
        ge=0,
        le=36525,
        description="How long before its first detection an object is measured. From then on it "
        "is measured on every image; before, on none: what a night costs must not grow with the "
        "nights there are.",
    )


@dataclass(frozen=True)
class Epoch:
    """A difference image that detections lie on.

    Attributes
    ----------
    observation_time
        UTC of mid-exposure; None where unknown.
    reference_id
        Reference it was made with.
    pixel_scale_arcsec
        None without WCS.
    """

    observation_id: UUID
    night: dt.date
    observation_time: dt.datetime | None
    reference_id: UUID | None
    fwhm_pix: float
    registration_rms_pix: float
    pixel_scale_arcsec: float | None

    def radius_pix(self, config: ObjectConfig) -> float:
        """How far from an object's position its detection may lie, pixels of the frame."""
        by_fwhm = config.radius_fwhm * self.fwhm_pix
        by_registration = config.radius_registration * self.registration_rms_pix
        return float(max(_MIN_RADIUS_PIX, np.hypot(by_fwhm, by_registration)))


@dataclass(frozen=True)
class Sighting:
    """A detection as far as association is concerned.

    Attributes
    ----------
    x_pix, y_pix
        Position on its own frame, 0-based.
    ra, dec
        Degrees ICRS; None without WCS.
    x_reference_pix, y_reference_pix
        Position on its reference, 0-based; None where not recorded.
    snr
        0 where it has no flux of its own (a U-Net component).
    """

    id: UUID
    epoch: Epoch
    x_pix: float
    y_pix: float
    ra: float | None
    dec: float | None
    x_reference_pix: float | None
    y_reference_pix: float | None
    snr: float
    confidence_score: float

    @property
    def grid(self) -> UUID | str | None:
        """What its position is measured on: ``sky``, a reference, or None."""
        if self.ra is not None and self.epoch.pixel_scale_arcsec is not None:
            return "sky"
        return None if self.x_reference_pix is None else self.epoch.reference_id


@dataclass(frozen=True)
class Gathering:
    """An object: the sighting whose position it has, and all of its sightings.

    Attributes
    ----------
    best
        The strongest of its surroundings.
    sightings
        By time; at most one of each frame.
    separations_pix
        Distance of each from ``best``, pixels of its own frame.
    """

    best: Sighting
    sightings: tuple[Sighting, ...]
    separations_pix: tuple[float, ...]

    @property
    def id(self) -> UUID:
        """Named by its first sighting's observation and pixel."""
        first = self.sightings[0]
        return object_id(first.epoch.observation_id, first.x_pix, first.y_pix)


@dataclass(frozen=True)
class Association:
    """What a set of detections adds up to.

    Attributes
    ----------
    objects
        In the order of their ids.
    ambiguous
        Detections that a stronger one of the same frame stands for: closer to it than the
        association radius, they cannot be told apart over epochs.
    unplaced
        Detections without WCS and without a recorded position on their reference.
    """

    objects: tuple[Gathering, ...]
    ambiguous: tuple[UUID, ...]
    unplaced: tuple[UUID, ...]


def associate(sightings: Iterable[Sighting], config: ObjectConfig) -> Association:
    """Gather the detections of one field into objects.

    The result depends on the set of detections alone, not on their order. Detections are
    compared on the sky where both have a WCS, else on the reference they share. Of each
    frame an object gets the detection that is nearest to it, if it is also the object that
    is nearest to that detection, within the frame's association radius: part of the FWHM
    and the registration's error in quadrature.
    """
    ordered = sorted(sightings, key=_strongest_first)
    by_grid: dict[UUID | str, list[Sighting]] = defaultdict(list)
    unplaced = []
    for one in ordered:
        if (grid := one.grid) is None:
            unplaced.append(one.id)
        else:
            by_grid[grid].append(one)
    objects: list[Gathering] = []
    ambiguous: list[UUID] = []
    for grid, members in by_grid.items():
        is_shadowed = _shadowed(members, config)
        ambiguous += [
            one.id for one, shadowed in zip(members, is_shadowed, strict=True) if shadowed
        ]
        distinct = [one for one, shadowed in zip(members, is_shadowed, strict=True) if not shadowed]
        objects += _gather(distinct, is_sky=grid == "sky", config=config)
    return Association(
        tuple(sorted(objects, key=lambda one: one.id)),
        tuple(sorted(ambiguous)),
        tuple(sorted(unplaced)),
    )


def _strongest_first(one: Sighting) -> tuple[float, float, str]:
    return -one.snr, -one.confidence_score, str(one.id)


def _earliest_first(one: Sighting) -> tuple[dt.date, bool, float, str]:
    time = one.epoch.observation_time
    moment = 0.0 if time is None else time.timestamp()
    return one.epoch.night, time is None, moment, str(one.epoch.observation_id)


def _shadowed(ordered: Sequence[Sighting], config: ObjectConfig) -> NDArray[np.bool_]:
    """Sightings that a stronger one of their frame is too close to; (n,), in strength's order."""
    is_shadowed = np.zeros(len(ordered), dtype=bool)
    for members in _frames(ordered):
        position = np.array([(ordered[i].x_pix, ordered[i].y_pix) for i in members.tolist()])
        radius = ordered[int(members[0])].epoch.radius_pix(config)
        near = cKDTree(position).query_ball_point(position, radius)
        for place, neighbours in enumerate(near):
            if not is_shadowed[members[place]]:
                weaker = [neighbour for neighbour in neighbours if neighbour > place]
                is_shadowed[members[weaker]] = True
    return is_shadowed


def _gather(ordered: Sequence[Sighting], is_sky: bool, config: ObjectConfig) -> list[Gathering]:
    """Objects on one grid, from sightings in order of strength.

    Seeds are found in rounds: of what belongs to no object yet, the strongest that are out
    of each other's reach. After each round every frame is assigned anew, so that a new seed
    takes what is nearer to it than to the old ones.
    """
    unit = np.array([_unit_per_pixel(one, is_sky) for one in ordered])
    radius = np.array([one.epoch.radius_pix(config) for one in ordered]) * unit
    points = _points(ordered, is_sky)
    frames = _frames(ordered)
    seeds: list[int] = []
    owner = np.full(len(ordered), -1)
    while (waiting := np.setdiff1d(np.flatnonzero(owner < 0), seeds)).size:
        seeds = sorted([*seeds, *_new_seeds(points, radius, waiting)])
        owner = _owners(points, radius, frames, np.array(seeds))
    gathered = []
    for seed in seeds:
        members = sorted(
            np.flatnonzero(owner == seed).tolist(), key=lambda i: _earliest_first(ordered[i])
        )
        distance = np.linalg.norm(points[members] - points[seed], axis=1) / unit[members]
        gathered.append(
            Gathering(
                ordered[seed],
                tuple(ordered[i] for i in members),
                tuple(float(value) for value in distance),
            )
        )
    return gathered


def _unit_per_pixel(one: Sighting, is_sky: bool) -> float:
    """Arcsec, or reference pixels, per pixel of the sighting's frame."""
    scale = one.epoch.pixel_scale_arcsec
    return scale if is_sky and scale is not None else 1.0


def _points(ordered: Sequence[Sighting], is_sky: bool) -> F64:
    """(n, 3) arcsec on the sphere, or (n, 2) pixels of the reference."""
    if is_sky:
        ra, dec = (np.array([getattr(one, name) for one in ordered]) for name in ("ra", "dec"))
        return unit_vectors(ra, dec) * _ARCSEC_PER_RADIAN
    return np.array([(one.x_reference_pix, one.y_reference_pix) for one in ordered])


def _frames(ordered: Sequence[Sighting]) -> list[NDArray[np.intp]]:
    """Indices of the sightings of each frame."""
    frames: dict[UUID, list[int]] = defaultdict(list)
    for index, one in enumerate(ordered):
        frames[one.epoch.observation_id].append(index)
    return [np.array(members, dtype=np.intp) for members in frames.values()]


def _new_seeds(points: F64, radius: F64, waiting: NDArray[np.intp]) -> list[int]:
    """The strongest of those waiting that do not lie within their radius of a stronger one."""
    tree = cKDTree(points[waiting])
    covered = np.zeros(len(points), dtype=bool)
    reach = float(radius[waiting].max())
    seeds = []
    for index in waiting:
        if covered[index]:
            continue
        seeds.append(int(index))
        near = waiting[tree.query_ball_point(points[index], reach)]
        distance = np.linalg.norm(points[near] - points[index], axis=1)
        covered[near[distance <= radius[near]]] = True
    return seeds


def _owners(
    points: F64, radius: F64, frames: Sequence[NDArray[np.intp]], seeds: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Seed that each sighting belongs to, −1 for none: mutual nearest within its radius."""
    owner = np.full(len(points), -1, dtype=np.intp)
    for members in frames:
        reach = float(radius[members[0]])
        for i, j in mutual_nearest(points[members], points[seeds], reach):
            owner[members[i]] = seeds[j]
    return owner
