"""Defect maps: the exposures of a night tell which pixels of their detector are defective.

One exposure of each pointing is looked at, in the worker pool; what they have in common is
put together in the step's own process, before any frame is processed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from astrid_core.preprocessing.calibrate import calibrate
from astrid_core.preprocessing.config import DefectMapConfig, PreprocessConfig
from astrid_core.preprocessing.defectmap import (
    DefectMap,
    Standouts,
    find_defects,
    find_standouts,
)
from astrid_core.preprocessing.raw import read_raw
from astrid_core.sky import pixel_scale_arcsec, unit_vectors
from astrid_core.stages.bench import Bench
from astrid_core.stages.calibration import (
    CalibrationSet,
    GroupKey,
    Master,
    group_of,
    load_master,
)
from astrid_core.stages.outcome import Outcome, Row, Success, attempt


@dataclass(frozen=True)
class LookTask:
    """One exposure to look at for pixels that stand out.

    Attributes
    ----------
    observation
        Its ``observations`` row.
    row
        The start of its outcome's row; it is not stored.
    """

    survey: str
    observation: Row
    row: Row
    master: Master | None
    saturation_fraction: float

    @property
    def run_id(self) -> UUID:
        """The observation stands for the look at it."""
        return UUID(str(self.observation["id"]))


@dataclass(frozen=True)
class DetectorReport:
    """What a night tells of one detector.

    Attributes
    ----------
    n_exposures
        Science exposures of it.
    n_pointings
        Different pointings that could be looked at.
    n_defects
        Pixels of its map.
    untold_because
        Why there is no map; None where there is one.
    """

    instrument: str
    detector: str
    n_exposures: int
    n_pointings: int
    n_defects: int = 0
    untold_because: str | None = None


@dataclass(frozen=True)
class DefectMaps:
    """The defect maps of a night, and what a person should know of each detector."""

    maps: dict[GroupKey, DefectMap]
    reports: tuple[DetectorReport, ...] = ()

    def for_observation(self, observation: Row) -> DefectMap | None:
        """Map that fits an observation; None where nothing is known to be defective."""
        return self.maps.get(group_of(observation))


def plan_looks(
    survey: str,
    observations: Sequence[Row],
    calibrations: CalibrationSet,
    config: PreprocessConfig,
) -> list[LookTask]:
    """A task for one exposure of each pointing of every detector that has enough of them."""
    if not config.defect_map.enabled:
        return []
    tasks = []
    for rows in _by_detector(observations).values():
        chosen = distinct_pointings(rows, config.defect_map.min_dither_pix)
        if len(chosen) < config.defect_map.min_pointings:
            continue
        for observation in _spread(chosen, config.defect_map.max_pointings):
            tasks.append(
                LookTask(
                    survey=survey,
                    observation=observation,
                    row={"observation_id": observation["id"]},
                    master=calibrations.for_observation(observation),
                    saturation_fraction=config.mask.saturation_fraction,
                )
            )
    return tasks


def look(task: LookTask, bench: Bench) -> Outcome:
    """Look at one exposure; the row's ``standouts`` is what was seen."""
    return attempt(task.row, lambda: _compute(task, bench))


def build_defect_maps(
    observations: Sequence[Row], outcomes: Iterable[Outcome], config: DefectMapConfig
) -> DefectMaps:
    """Maps from what the exposures have in common.

    An exposure that could not be looked at is left out here and says why when it is
    processed; it never costs the night its map.

    Parameters
    ----------
    outcomes
        Of the looks that :func:`plan_looks` asked for.
    """
    seen: dict[UUID, Standouts] = {
        outcome.row["observation_id"]: outcome.row["standouts"]
        for outcome in outcomes
        if not outcome.has_failed
    }
    maps: dict[GroupKey, DefectMap] = {}
    reports = []
    for key, rows in sorted(_by_detector(observations).items()):
        standouts = [seen[row["id"]] for row in rows if row["id"] in seen]
        defects = _map_of(standouts, config)
        found = defects if isinstance(defects, DefectMap) else None
        if found is not None and len(found.pixels):
            maps[key] = found
        reports.append(
            DetectorReport(
                instrument=key[0],
                detector=key[1],
                n_exposures=len(rows),
                n_pointings=len(standouts) or len(distinct_pointings(rows, config.min_dither_pix)),
                n_defects=0 if found is None else len(found.pixels),
                untold_because=None if isinstance(defects, DefectMap) else defects,
            )
        )
    return DefectMaps(maps, tuple(reports))


def distinct_pointings(rows: Sequence[Row], min_dither_pix: float) -> list[Row]:
    """The first exposure of each pointing, by time; exposures without WCS tell of none.

    Each is further than ``min_dither_pix`` from all before it: another field, or a dither.
    """
    chosen: list[Row] = []
    directions = np.zeros((0, 3))
    for row in rows:
        if row["ra"] is None or row["footprint"] is None:
            continue
        direction = unit_vectors(np.array([row["ra"]]), np.array([row["dec"]]))
        scale = pixel_scale_arcsec(row["footprint"], row["width_pix"])
        least = np.radians(min_dither_pix * scale / 3600.0)
        if (np.linalg.norm(directions - direction, axis=1) > least).all():
            chosen.append(row)
            directions = np.vstack([directions, direction])
    return chosen


def _map_of(standouts: Sequence[Standouts], config: DefectMapConfig) -> DefectMap | str:
    """The map that exposures at different pointings add up to, or why there is none."""
    if not config.enabled:
        return "switched off"
    if len(standouts) < config.min_pointings:
        return (
            f"fewer than {config.min_pointings} exposures further than "
            f"{config.min_dither_pix:g} px apart on the sky: what stays in place may be a star"
        )
    shape = standouts[0].shape
    if any(one.shape != shape for one in standouts):
        return "its exposures are trimmed to different shapes"
    pixels = find_defects(standouts, config)
    share = len(pixels) / (shape[0] * shape[1])
    if share > config.max_fraction:
        return f"{share:.1%} of its pixels stay in place: a pattern, not defects"
    return DefectMap(shape, pixels)


def _compute(task: LookTask, bench: Bench) -> Success:
    observation = task.observation
    with bench.fetched(observation["raw_fits_path"], observation["raw_sha256"]) as path:
        raw = read_raw(path, observation | {"survey": task.survey}, bench.max_frame_mpix)
    master = None if task.master is None else load_master(task.master)
    calibrated = calibrate(raw, master, task.saturation_fraction)
    return Success({"status": "completed", "standouts": find_standouts(calibrated)})


def _by_detector(observations: Sequence[Row]) -> dict[GroupKey, list[Row]]:
    """Science exposures of each detector and shape, by time."""
    groups: dict[GroupKey, list[Row]] = defaultdict(list)
    for row in observations:
        if row["frame_kind"] == "science":
            groups[group_of(row)].append(row)
    return {
        key: sorted(rows, key=lambda row: (str(row["observation_time"]), str(row["id"])))
        for key, rows in groups.items()
    }


def _spread(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many of the rows, evenly over them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i)] for i in np.linspace(0, len(rows) - 1, most)]
