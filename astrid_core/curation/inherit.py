"""Verdicts inherited by reference: the same source, seen by another run on the same observation.

New code, configuration, references or models make new detections beside the judged ones. A
source that people judged already must not be put before them again, and its verdict must
not be copied either, because a copy would outlive a correction: the new detection refers
to the judged one.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sqlalchemy import Connection, Select, bindparam, or_, select, update
from sqlalchemy.orm import aliased

from dbschema.models import (
    Detection,
    DetectionConsensus,
    DifferenceRun,
    ModelRun,
)

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class _Sighting:
    """A detection as far as inheritance is concerned.

    Attributes
    ----------
    fwhm_pix
        Of its difference image's PSF; None where it is not known.
    decided_at
        When its own consensus was decided; None where it has none.
    is_settled
        Whether it has a verdict already, its own or an inherited one.
    """

    id: UUID
    model_run_id: UUID
    x_pix: float
    y_pix: float
    fwhm_pix: float | None
    decided_at: dt.datetime | None
    is_settled: bool


def inherit_verdicts(connection: Connection, model_run_ids: Iterable[UUID]) -> int:
    """Let the detections of model runs inherit the verdicts of other runs' detections.

    A detection inherits from the detection of another run on the same observation that has
    the same sign, a consensus of its own, and is its mutual nearest neighbour among all
    detections of the two runs, within one FWHM of the difference image's PSF. Where several
    runs offer one, the consensus decided last wins. Detections that people judged
    themselves, or that inherit already, keep what they have.

    Works in the caller's transaction, the one that stores the detections.

    Returns
    -------
    Number of detections that inherited.
    """
    runs = set(model_run_ids)
    heirs = {
        heir: origin
        for sightings in _comparable(connection, runs)
        for heir, origin in _heirs(sightings, runs)
    }
    if heirs:
        connection.execute(
            update(Detection)
            .where(Detection.id == bindparam("heir"))
            .values(inherited_from=bindparam("origin"), is_validated=True),
            [{"heir": heir, "origin": heirs[heir]} for heir in sorted(heirs)],
        )
    return len(heirs)


def mutual_nearest(one: F64, other: F64, radius: float) -> list[tuple[int, int]]:
    """Pairs of points that are each other's nearest neighbour within a radius.

    Parameters
    ----------
    one, other
        (n, 2) and (m, 2) positions.
    radius
        Largest distance of a pair, in the positions' unit, inclusive.

    Returns
    -------
    Indices into ``one`` and ``other``, ascending in the first; no index occurs twice.
    """
    if not len(one) or not len(other):
        return []
    distance, nearest = map(np.asarray, cKDTree(other).query(one))
    back = np.asarray(cKDTree(one).query(other)[1])
    pairs = np.flatnonzero((distance <= radius) & (back[nearest] == np.arange(len(one))))
    return [(int(i), int(nearest[i])) for i in pairs]


def _heirs(sightings: Sequence[_Sighting], runs: set[UUID]) -> Iterable[tuple[UUID, UUID]]:
    """Heirs of ``runs`` and their origins among sightings of one observation and sign."""
    by_run: dict[UUID, list[_Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_run[sighting.model_run_id].append(sighting)
    judged = [run for run, seen in by_run.items() if any(s.decided_at for s in seen)]
    for run in runs & by_run.keys():
        new = by_run[run]
        fwhm_pix = new[0].fwhm_pix
        if fwhm_pix is None:
            continue
        origins: dict[int, _Sighting] = {}
        for old in (by_run[other] for other in judged if other != run):
            for i, j in mutual_nearest(_positions(new), _positions(old), fwhm_pix):
                if not new[i].is_settled and _outranks(old[j], origins.get(i)):
                    origins[i] = old[j]
        yield from ((new[i].id, origin.id) for i, origin in origins.items())


def _outranks(one: _Sighting, other: _Sighting | None) -> bool:
    """Whether the consensus on one was decided after the other's; by id within one moment."""
    if one.decided_at is None:
        return False
    if other is None or other.decided_at is None:
        return True
    return (one.decided_at, one.id) > (other.decided_at, other.id)


def _positions(sightings: Sequence[_Sighting]) -> F64:
    return np.array([(s.x_pix, s.y_pix) for s in sightings], dtype=np.float64)


def _comparable(connection: Connection, runs: set[UUID]) -> Iterable[list[_Sighting]]:
    """Sightings that could be one source: of one observation and sign, in a fixed order."""
    groups: dict[tuple[UUID, bool], list[_Sighting]] = defaultdict(list)
    for row in connection.execute(_sightings(runs)):
        groups[row.observation_id, row.is_negative].append(
            _Sighting(
                id=row.id,
                model_run_id=row.model_run_id,
                x_pix=row.x_pix,
                y_pix=row.y_pix,
                fwhm_pix=row.fwhm_pix,
                decided_at=row.updated_at,
                is_settled=row.is_validated or row.inherited_from is not None,
            )
        )
    return groups.values()


def _sightings(runs: set[UUID]) -> Select[*tuple[Any, ...]]:
    """Detections on the observations of ``runs``, where any detection was judged at all."""
    touched = (
        select(DifferenceRun.observation_id)
        .join(ModelRun, ModelRun.difference_run_id == DifferenceRun.run_id)
        .where(ModelRun.run_id.in_(runs))
    )
    judged, judged_run = aliased(Detection), aliased(DifferenceRun)
    observations = (
        select(judged_run.observation_id)
        .join(judged, judged.difference_run_id == judged_run.run_id)
        .join(DetectionConsensus, DetectionConsensus.detection_id == judged.id)
        .where(judged_run.observation_id.in_(touched))
    )
    return (
        select(
            Detection.id,
            Detection.model_run_id,
            Detection.x_pix,
            Detection.y_pix,
            Detection.is_negative,
            Detection.is_validated,
            Detection.inherited_from,
            DifferenceRun.observation_id,
            DifferenceRun.fwhm_pix,
            DetectionConsensus.updated_at,
        )
        .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
        .outerjoin(DetectionConsensus, DetectionConsensus.detection_id == Detection.id)
        .where(
            DifferenceRun.observation_id.in_(observations),
            # What people judged counts even where a forced re-run no longer finds it.
            or_(Detection.status == "active", DetectionConsensus.detection_id.is_not(None)),
        )
        .order_by(Detection.id)
    )
