"""Verdicts inherited by reference: the same source, seen by another run on the same observation.

New code, configuration, references or models make new detections beside the judged ones. A
source that people judged already must not be put before them again, and its verdict must
not be copied either, because a copy would outlive a correction: the new detection refers
to the judged one, and is validated as long as that one is.

Who changes a consensus locks its detection first and its heirs then; who makes an heir
locks the detection it inherits from, and looks whether it is still decided. So neither
misses what the other did.
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
from sqlalchemy import (
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)
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
        When its own consensus was decided; None where it is not.
    is_validated
        Whether it is decided already, itself or by inheritance.
    """

    id: UUID
    model_run_id: UUID
    x_pix: float
    y_pix: float
    fwhm_pix: float | None
    decided_at: dt.datetime | None
    is_validated: bool


def inherit_verdicts(connection: Connection, model_run_ids: Iterable[UUID]) -> int:
    """Let the detections of model runs inherit the verdicts of other runs' detections.

    A detection inherits from the detection of another run on the same observation that has
    the same sign, is decided itself, and is its mutual nearest neighbour among all
    detections of the two runs, within one FWHM of the difference image's PSF. Where several
    runs offer one, the consensus decided last wins. Detections that are validated, by
    people's verdicts on them or by inheritance, keep what they have.

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
    decided = _hold_decided(connection, heirs.values())
    heirs = {heir: origin for heir, origin in heirs.items() if origin in decided}
    if heirs:
        connection.execute(
            update(Detection)
            .where(Detection.id == bindparam("heir"))
            .values(inherited_from=bindparam("origin"), is_validated=True),
            [{"heir": heir, "origin": heirs[heir]} for heir in sorted(heirs)],
        )
        measure_disagreement(connection, heirs.values())
    return len(heirs)


def runs_beside(connection: Connection, detection_id: UUID) -> list[UUID]:
    """Other model runs on a detection's observation: those that its verdict may reach."""
    own, other = aliased(DifferenceRun), aliased(DifferenceRun)
    query = (
        select(ModelRun.run_id)
        .join(other, other.run_id == ModelRun.difference_run_id)
        .join(own, own.observation_id == other.observation_id)
        .join(Detection, Detection.difference_run_id == own.run_id)
        .where(Detection.id == detection_id, ModelRun.run_id != Detection.model_run_id)
    )
    return list(connection.scalars(query))


def tell_heirs(connection: Connection, origin: UUID) -> None:
    """Bring ``is_validated`` of a detection's heirs up to date with its consensus.

    To be called by who changed the consensus and holds the detection's lock.
    """
    heirs = connection.scalars(
        select(Detection.id)
        .where(Detection.inherited_from == origin)
        .order_by(Detection.id)
        .with_for_update(key_share=True)
    ).all()
    if not heirs:
        return
    # A statement of its own, begun when all locks are held: it sees what others committed.
    decided = exists().where(
        DetectionConsensus.detection_id.in_((Detection.id, Detection.inherited_from)),
        DetectionConsensus.decided_by.is_not(None),
    )
    connection.execute(
        update(Detection)
        .where(Detection.id.in_(heirs), Detection.is_validated != decided)
        .values(is_validated=decided)
    )


def measure_disagreement(connection: Connection, detection_ids: Iterable[UUID]) -> None:
    """Say of decided detections how far the newest judgement of each is from its label.

    The newest is the model's on its latest heir, else the one it was shown with.
    """
    newest = (
        select(Detection.confidence_score)
        .where(
            or_(
                Detection.id == DetectionConsensus.detection_id,
                Detection.inherited_from == DetectionConsensus.detection_id,
            )
        )
        .order_by(
            Detection.created_at.desc(),
            Detection.id == DetectionConsensus.detection_id,
            Detection.id,
        )
        .limit(1)
        .scalar_subquery()
    )
    is_real = cast(DetectionConsensus.label == "real", Integer)
    connection.execute(
        update(DetectionConsensus)
        .where(
            DetectionConsensus.detection_id.in_(set(detection_ids)),
            DetectionConsensus.decided_by.is_not(None),
        )
        .values(disagreement=func.abs(is_real - newest))
    )


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


def _hold_decided(connection: Connection, origins: Iterable[UUID]) -> set[UUID]:
    """Those that are decided, and stay so until the end of the transaction."""
    wanted = sorted(set(origins))
    connection.execute(
        select(Detection.id)
        .where(Detection.id.in_(wanted))
        .order_by(Detection.id)
        .with_for_update(read=True)
    )
    query = select(DetectionConsensus.detection_id).where(
        DetectionConsensus.detection_id.in_(wanted), DetectionConsensus.decided_by.is_not(None)
    )
    return set(connection.scalars(query))


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
                if not new[i].is_validated and _outranks(old[j], origins.get(i)):
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
                is_validated=row.is_validated,
            )
        )
    return groups.values()


def _sightings(runs: set[UUID]) -> Select[*tuple[Any, ...]]:
    """Detections on the observations of ``runs``, where any detection is decided at all."""
    touched = (
        select(DifferenceRun.observation_id)
        .join(ModelRun, ModelRun.difference_run_id == DifferenceRun.run_id)
        .where(ModelRun.run_id.in_(runs))
    )
    judged, judged_run = aliased(Detection), aliased(DifferenceRun)
    is_decided = DetectionConsensus.decided_by.is_not(None)
    observations = (
        select(judged_run.observation_id)
        .join(judged, judged.difference_run_id == judged_run.run_id)
        .join(DetectionConsensus, DetectionConsensus.detection_id == judged.id)
        .where(judged_run.observation_id.in_(touched), is_decided)
    )
    return (
        select(
            Detection.id,
            Detection.model_run_id,
            Detection.x_pix,
            Detection.y_pix,
            Detection.is_negative,
            Detection.is_validated,
            DifferenceRun.observation_id,
            DifferenceRun.fwhm_pix,
            DetectionConsensus.updated_at,
        )
        .join(DifferenceRun, DifferenceRun.run_id == Detection.difference_run_id)
        .outerjoin(
            DetectionConsensus,
            and_(DetectionConsensus.detection_id == Detection.id, is_decided),
        )
        .where(
            DifferenceRun.observation_id.in_(observations),
            # What people decided counts even where a forced re-run no longer finds it.
            or_(Detection.status == "active", DetectionConsensus.detection_id.is_not(None)),
        )
        .order_by(Detection.id)
    )
