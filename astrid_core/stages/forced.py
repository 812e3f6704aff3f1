"""Forced photometry: one difference image is measured at the known objects of its field."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.transform import invert
from astrid_core.errors import NoReferenceError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.forced import FORCED_VERSION, ForcedFlux, force_photometry
from astrid_core.flags import ForcedFlag, flag_names
from astrid_core.frame import Frame
from astrid_core.identity import config_digest, forced_id, run_id
from astrid_core.photometry import flux_unit_and_scale
from astrid_core.sky import pixel_positions
from astrid_core.stages.bench import Bench
from astrid_core.stages.outcome import Outcome, Row, Success, attempt

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """Where an object is: on the sky, or on the pixels of a reference.

    Attributes
    ----------
    ra, dec
        Degrees ICRS; None without WCS.
    reference_id, x_reference_pix, y_reference_pix
        Without WCS, 0-based pixel of that reference.
    """

    id: UUID
    ra: float | None
    dec: float | None
    reference_id: UUID | None
    x_reference_pix: float | None
    y_reference_pix: float | None


@dataclass(frozen=True)
class ForcedTask:
    """One difference image and the objects to measure on it.

    Attributes
    ----------
    difference
        Row of its ``difference_runs`` with its observation's columns.
    reference
        (object key, SHA-256) of the reference that was subtracted; None where it is gone.
    targets
        In the order of their ids.
    row
        The start of its ``forced_runs`` row.
    """

    difference: Row
    reference: tuple[str, str] | None
    targets: tuple[Target, ...]
    row: Row
    max_masked_weight: float

    @property
    def run_id(self) -> UUID:
        """Id of the run: of the image, code and configuration, whatever the objects."""
        return UUID(str(self.row["run_id"]))


class Stored(Protocol):
    """An object in the store."""

    @property
    def key(self) -> str:
        """Object key."""

    @property
    def sha256(self) -> str:
        """Hex digest of its bytes."""


def plan_forced(
    difference_runs: Sequence[Row],
    references: Mapping[UUID, Stored],
    objects: Sequence[Row],
    config: ExtractionConfig,
    precovery_days: float,
) -> list[ForcedTask]:
    """A task for every difference image on which there are objects to measure.

    Which these are does not depend on the order in which nights were processed. Images of one
    reference follow each other.

    Parameters
    ----------
    difference_runs
        Images of any nights.
    references
        Stored references by the id of their run.
    objects
        Rows of ``objects``, all of the fields they are of.
    precovery_days
        How long before its first detection an object is measured.
    """
    precovery = dt.timedelta(days=precovery_days)
    of_fields: dict[str, list[tuple[dt.datetime | None, Target]]] = defaultdict(list)
    for one in sorted(objects, key=lambda one: str(one["id"])):
        target = Target(**{field.name: one[field.name] for field in fields(Target)})
        of_fields[one["field"]].append((one["first_seen"], target))
    digests: dict[tuple[Target, ...], str] = {}
    settings = config_digest({"max_masked_weight": config.max_masked_weight})
    tasks = []
    for run in sorted(difference_runs, key=lambda run: str(run["reference_id"])):
        targets = tuple(
            target
            for first_seen, target in of_fields.get(run["field"], ())
            if _concerns(first_seen, run["observation_time"], precovery)
        )
        if not targets:
            continue
        if targets not in digests:
            digests[targets] = _digest(targets)
        reference = references.get(run["reference_id"])
        row: Row = {
            "run_id": run_id(
                "forced", run["observation_id"], [run["run_id"]], FORCED_VERSION, settings
            ),
            "difference_run_id": run["run_id"],
            "objects_digest": digests[targets],
            "code_version": FORCED_VERSION,
            "config_digest": settings,
        }
        tasks.append(
            ForcedTask(
                difference=run,
                reference=None if reference is None else (reference.key, reference.sha256),
                targets=targets,
                row=row,
                max_masked_weight=config.max_masked_weight,
            )
        )
    return tasks


def _concerns(
    first_seen: dt.datetime | None, image_time: dt.datetime | None, precovery: dt.timedelta
) -> bool:
    """Whether an object is measured on an image; it is where a time is unknown."""
    if first_seen is None or image_time is None:
        return True
    return first_seen - image_time <= precovery


def force(task: ForcedTask, bench: Bench) -> Outcome:
    """Measure one difference image; children are its ``forced_photometry`` rows."""
    return attempt(task.row, lambda: _compute(task, bench))


def _compute(task: ForcedTask, bench: Bench) -> Success:
    run = task.difference
    if task.reference is None:
        raise NoReferenceError(
            f"Difference image {run['run_id']} was made with a reference that is not in store",
            remedy="Re-materialize the survey's references, then the night.",
            reference_id=run["reference_id"],
        )
    image = bench.difference(run["difference_fits_path"], run["sha256"])
    reference = _reference(bench, *task.reference)
    x, y = _positions(task, image)
    measured = force_photometry(image, reference, x, y, task.max_masked_weight)
    children = tuple(_row(task, image, one) for one in measured)
    values = {
        "status": "completed",
        "n_measured": len(children),
        "n_masked": sum(child["flux"] is None for child in children),
    }
    return Success(values, children=children)


@lru_cache(maxsize=1)
def _reference(bench: Bench, key: str, sha256: str) -> Frame:
    """A reference, kept until another one is asked for: tasks of one field come together."""
    return bench.frame(key, sha256)


def _positions(task: ForcedTask, image: DifferenceImage) -> tuple[F64, F64]:
    """Pixels of the targets on the image; NaN where there is no way from one to the other."""
    x, y = np.full(len(task.targets), np.nan), np.full(len(task.targets), np.nan)
    on_sky = [i for i, one in enumerate(task.targets) if one.ra is not None]
    if image.wcs is not None and on_sky:
        ra, dec = (_column(task.targets, on_sky, name) for name in ("ra", "dec"))
        x[on_sky], y[on_sky] = pixel_positions(image.wcs, ra, dec)
    mine = task.difference["reference_id"]
    on_grid = [
        i for i, one in enumerate(task.targets) if one.ra is None and one.reference_id == mine
    ]
    if image.to_reference is not None and on_grid:
        names = ("x_reference_pix", "y_reference_pix")
        to_x, to_y = (_column(task.targets, on_grid, name) for name in names)
        ny, nx = image.shape
        centre = ((nx - 1) / 2, (ny - 1) / 2)
        x[on_grid], y[on_grid] = invert(image.to_reference, to_x, to_y, centre)
    return x, y


def _column(targets: Sequence[Target], indices: Sequence[int], name: str) -> F64:
    return np.array([getattr(targets[i], name) for i in indices], dtype=np.float64)


def _row(task: ForcedTask, image: DifferenceImage, one: ForcedFlux) -> Row:
    unit, scale = flux_unit_and_scale(image.meta.zero_point_mag)
    target, run = task.targets[one.index], task.difference["run_id"]
    degraded = ForcedFlag.DEGRADED_FRAME if task.difference["status"] == "degraded" else 0
    flags = int(one.flags | degraded)
    return {
        "id": forced_id(target.id, run),
        "object_id": target.id,
        "difference_run_id": run,
        "forced_run_id": task.run_id,
        "x_pix": one.x_pix,
        "y_pix": one.y_pix,
        "flux": _scaled(one.flux, scale),
        "flux_err": _scaled(one.flux_err, scale),
        "snr": None if one.flux is None or not one.flux_err else one.flux / one.flux_err,
        "reference_flux": _scaled(one.reference_flux, scale),
        "reference_flux_err": _scaled(one.reference_flux_err, scale),
        "flux_unit": unit,
        "flags": flags,
        "flag_names": flag_names(flags, ForcedFlag),
    }


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _digest(targets: Sequence[Target]) -> str:
    """Digest of objects and their positions, to the last bit."""
    return config_digest({"targets": [[repr(value) for value in astuple(one)] for one in targets]})
