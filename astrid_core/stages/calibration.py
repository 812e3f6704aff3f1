"""Calibration: the bias, dark and flat frames of a night become masters, once per group.

Masters are built in the step's own process and kept as files of its scratch folder, so
that every worker reads them instead of receiving copies.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from astrid_core.errors import CalibrationError
from astrid_core.identity import derive_id
from astrid_core.preprocessing.calibrate import MasterCalibration, build_calibration
from astrid_core.preprocessing.raw import read_raw
from astrid_core.stages.bench import Bench
from astrid_core.stages.outcome import Row

GroupKey = tuple[str, str, int, int]

_FLAT = "flat:"


@dataclass(frozen=True)
class Master:
    """The master calibration of one detector and shape, or why there is none.

    Attributes
    ----------
    observation_ids, sha256s
        The calibration frames it stands for.
    path
        Its file in the scratch folder; None when it could not be built.
    error
        Why it could not be built.
    """

    observation_ids: tuple[UUID, ...]
    sha256s: tuple[str, ...]
    path: Path | None
    error: str | None = None


@dataclass(frozen=True)
class CalibrationSet:
    """The masters of one night."""

    masters: dict[GroupKey, Master]

    def for_observation(self, observation: Row) -> Master | None:
        """Master that fits an observation; None when its night has no calibration frames."""
        return self.masters.get(group_of(observation))


def build_calibrations(survey: str, observations: Sequence[Row], bench: Bench) -> CalibrationSet:
    """Masters from every group of calibration frames among a night's observations.

    A group that cannot be built makes the frames it belongs to fail, not the night: a
    science frame is never silently left uncalibrated when calibration frames exist.
    """
    groups: dict[GroupKey, list[Row]] = defaultdict(list)
    for row in observations:
        if row["frame_kind"] != "science":
            groups[group_of(row)].append(row)
    return CalibrationSet({key: _build(survey, rows, bench) for key, rows in groups.items()})


def load_master(master: Master) -> MasterCalibration:
    """The calibration a master stands for.

    Raises
    ------
    CalibrationError
        If it could not be built.
    """
    if master.path is None:
        raise CalibrationError(
            f"The night's calibration frames could not be combined: {master.error}",
            remedy="Mend or remove the calibration frame it names and re-run the night.",
            n_frames=len(master.observation_ids),
        )
    return _read(master.path)


def group_of(row: Row) -> GroupKey:
    """What exposures of the same pixels share: instrument, detector and shape."""
    return row["instrument"], row["detector"], row["height_pix"], row["width_pix"]


def _build(survey: str, rows: Sequence[Row], bench: Bench) -> Master:
    ordered = sorted(rows, key=lambda row: str(row["id"]))
    ids = tuple(row["id"] for row in ordered)
    sha256s = tuple(row["raw_sha256"] for row in ordered)
    try:
        frames = []
        for row in ordered:
            with bench.fetched(row["raw_fits_path"], row["raw_sha256"]) as path:
                frames.append(read_raw(path, row | {"survey": survey}, bench.max_frame_mpix))
        calibration = build_calibration(frames)
    except Exception as error:  # noqa: BLE001  frames that cannot be combined cost no night
        return Master(ids, sha256s, None, f"{type(error).__name__}: {error}")
    path = bench.scratch / f"master-{derive_id('master', *ids)}.npz"
    _write(calibration, path)
    return Master(ids, sha256s, path)


def _write(calibration: MasterCalibration, path: Path) -> None:
    planes: dict[str, Any] = {_FLAT + band: flat for band, flat in calibration.flats.items()}
    for name in ("bias", "dark"):
        plane = getattr(calibration, name)
        if plane is not None:
            planes[name] = plane
    np.savez(
        path,
        instrument=np.array(calibration.instrument),
        detector=np.array(calibration.detector),
        shape=np.array(calibration.shape),
        observation_ids=np.array([str(i) for i in calibration.observation_ids]),
        **planes,
    )


@lru_cache(maxsize=2)
def _read(path: Path) -> MasterCalibration:
    with np.load(path, allow_pickle=False) as planes:
        ny, nx = planes["shape"].tolist()
        return MasterCalibration(
            instrument=str(planes["instrument"]),
            detector=str(planes["detector"]),
            shape=(ny, nx),
            bias=planes.get("bias"),
            dark=planes.get("dark"),
            flats={
                name.removeprefix(_FLAT): planes[name]
                for name in planes.files
                if name.startswith(_FLAT)
            },
            observation_ids=tuple(UUID(i) for i in planes["observation_ids"].tolist()),
        )
