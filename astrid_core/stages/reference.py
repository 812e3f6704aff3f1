"""Reference: the processed frames of one field and filter become its reference."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from uuid import UUID

import numpy as np

from astrid_core.differencing.linearity import require_linear
from astrid_core.differencing.masking import with_changing
from astrid_core.differencing.ranking import MemberQuality, RankedMember, rank_members
from astrid_core.differencing.references import REFERENCE_VERSION, Reference, build_reference
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.errors import NoReferenceError
from astrid_core.frame import Frame, write_frame
from astrid_core.identity import config_digest, derive_id, object_key, run_id, survey_id
from astrid_core.sky import footprint
from astrid_core.stages.bench import Bench, stage
from astrid_core.stages.outcome import Outcome, Row, Success, attempt

Pixel = tuple[int, int]


@dataclass(frozen=True)
class ReferenceTask:
    """One field and filter, with the processed frames its reference may be built from.

    Attributes
    ----------
    members
        Their ``preprocess_runs`` rows with the observations' columns.
    row
        The start of its ``reference_frames`` row.
    changes
        Observation → whole (x, y) pixels of it where an object was seen to change.
    """

    survey: str
    members: tuple[Row, ...]
    row: Row
    changes: Mapping[UUID, tuple[Pixel, ...]]
    config: ReferenceConfig

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""
        return UUID(str(self.row["run_id"]))


def plan_references(
    survey: str,
    set_name: str,
    preprocess_runs: Sequence[Row],
    sightings: Sequence[Row],
    config: ReferenceConfig,
) -> list[ReferenceTask]:
    """A task for every field and filter that has a processed frame on the reference nights.

    Parameters
    ----------
    sightings
        Detections that belong to an object, on any of the frames: ``observation_id``,
        ``x_pix``, ``y_pix``. Where there are others, it is another reference.
    """
    seen = _changes(sightings)
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for run in preprocess_runs:
        groups[run["field"], run["filter_band"]].append(run)
    digest = config_digest(config.model_dump(mode="json") | {"set_name": set_name})
    tasks = []
    for (field, band), runs in sorted(groups.items()):
        members = tuple(sorted(runs, key=lambda run: str(run["run_id"])))
        slot = derive_id("reference", survey, set_name, field, band)
        mine = {run["observation_id"] for run in members}
        changes = {one: pixels for one, pixels in seen.items() if one in mine}
        inputs = [run["run_id"] for run in members]
        inputs += [derive_id("changes", one, *pixels) for one, pixels in changes.items()]
        row: Row = {
            "run_id": run_id("reference", slot, inputs, REFERENCE_VERSION, digest),
            "survey_id": survey_id(survey),
            "set_name": set_name,
            "field": field,
            "filter_band": band,
            "method": config.method,
            "n_members": 0,
            "code_version": REFERENCE_VERSION,
            "config_digest": digest,
        }
        tasks.append(ReferenceTask(survey, members, row, changes, config))
    return tasks


def reference(task: ReferenceTask, bench: Bench) -> Outcome:
    """Build one reference; children are its ``reference_members`` rows."""
    return attempt(task.row, lambda: _compute(task, bench))


def _compute(task: ReferenceTask, bench: Bench) -> Success:
    runs = {run["run_id"]: run for run in task.members}
    ranking = rank_members([MemberQuality.from_row(run) for run in task.members], task.config)
    fit = [runs[member.id] for member in ranking if member.rejected_because is None]
    if not fit:
        raise _nothing_fit(task, ranking)
    built = build_reference([partial(_fetch, task, run, bench) for run in fit], task.config)
    members = _member_rows(task, ranking, built)
    used = [runs[row["preprocess_run_id"]] for row in members if row["rejected_because"] is None]
    nights: list[date] = [run["night"] for run in used]
    meta = replace(built.frame.meta, observation_id=task.run_id, night=max(nights))
    frame = replace(built.frame, meta=meta)
    key = object_key("reference_frames", task.survey, max(nights), task.run_id)
    target = bench.staging_path(key)
    write_frame(frame, target, {"RUNID": str(task.run_id)})
    staged = stage(key, target)
    ra, dec, corners = footprint(frame.wcs, frame.shape)
    values = {
        "status": "completed",
        "first_night": min(nights),
        "last_night": max(nights),
        "n_members": len(used),
        "ra": ra,
        "dec": dec,
        "footprint": corners,
        "reference_fits_path": key,
        "sha256": staged.sha256,
        "fwhm_pix": frame.psf.fwhm_pix,
        "depth_flux": built.depth_flux,
    }
    return Success(values, staged, tuple(members))


def _nothing_fit(task: ReferenceTask, ranking: Sequence[RankedMember]) -> NoReferenceError:
    """The error that says of each frame considered why it is no reference."""
    considered = ", ".join(
        f"{runs['archive_id']}: {member.rejected_because}"
        for member in ranking
        for runs in task.members
        if runs["run_id"] == member.id
    )
    return NoReferenceError(
        f"None of {len(ranking)} frames of {task.row['field']} in {task.row['filter_band']} "
        f"qualifies for a reference ({considered})",
        remedy="Name more reference nights, or relax the set's 'limits' in surveys.yaml.",
        n_frames=len(ranking),
    )


def _member_rows(
    task: ReferenceTask, ranking: Sequence[RankedMember], built: Reference
) -> list[Row]:
    """A row for every frame considered: unfit ones from the ranking, the rest as built."""
    combined = {member.rank: member for member in built.members}
    rows = []
    for member in ranking:
        reason, weight = member.rejected_because, 0.0
        if reason is None:
            reason = combined[member.rank].rejected_because
            weight = combined[member.rank].weight
        rows.append(
            {
                "reference_id": task.run_id,
                "preprocess_run_id": member.id,
                "rank": member.rank,
                "weight": weight,
                "rejected_because": reason,
            }
        )
    return rows


def _changes(sightings: Sequence[Row]) -> dict[UUID, tuple[Pixel, ...]]:
    """Pixels of each observation where an object was seen.

    Whole pixels: a detection made again, a hair beside the old one, is no other reference.
    """
    pixels: dict[UUID, set[Pixel]] = defaultdict(set)
    for one in sightings:
        pixels[one["observation_id"]].add((round(one["x_pix"]), round(one["y_pix"])))
    return {observation: tuple(sorted(found)) for observation, found in pixels.items()}


def _fetch(task: ReferenceTask, run: Row, bench: Bench) -> Frame:
    """A member, marked where objects are known to change on it.

    Raises
    ------
    WrongSurveyError
        If it is for display only.
    """
    frame = bench.frame(run["processed_fits_path"], run["sha256"])
    require_linear(frame.meta, run["archive_id"])
    pixels = task.changes.get(run["observation_id"])
    if pixels is None:
        return frame
    x, y = np.array(pixels).T
    return with_changing(frame, x, y)
