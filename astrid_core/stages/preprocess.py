"""Preprocess: one raw observation becomes a frame."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from astrid_core.frame import write_frame
from astrid_core.identity import config_digest, object_key, run_id
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.defectmap import DefectMap
from astrid_core.preprocessing.process import PREPROCESS_VERSION, process_frame
from astrid_core.preprocessing.raw import read_raw
from astrid_core.stages.bench import Bench, stage
from astrid_core.stages.calibration import CalibrationSet, Master, load_master
from astrid_core.stages.defectmaps import DefectMaps
from astrid_core.stages.outcome import Outcome, Row, Success, attempt


@dataclass(frozen=True)
class PreprocessTask:
    """One observation to process.

    Attributes
    ----------
    observation
        Its ``observations`` row.
    row
        The start of its ``preprocess_runs`` row.
    master
        The master calibration to apply; None where the night has none for it.
    defects
        Its detector's defect map; None where the night tells of no defect.
    """

    survey: str
    observation: Row
    row: Row
    config: PreprocessConfig
    master: Master | None
    defects: DefectMap | None

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""
        return UUID(str(self.row["run_id"]))


def plan_preprocessing(
    survey: str,
    observations: Sequence[Row],
    calibrations: CalibrationSet,
    defect_maps: DefectMaps,
    config: PreprocessConfig,
) -> list[PreprocessTask]:
    """A task for every science observation of a night, in the order of observation."""
    digest = config_digest(config.model_dump(mode="json"))
    tasks = []
    for observation in observations:
        if observation["frame_kind"] != "science":
            continue
        master = calibrations.for_observation(observation)
        used = [] if master is None else [str(member) for member in master.observation_ids]
        hashes = [] if master is None else list(master.sha256s)
        defects = defect_maps.for_observation(observation)
        maps = [] if defects is None else [defects.digest]
        run = run_id(
            "preprocess",
            observation["id"],
            [observation["raw_sha256"], *hashes, *maps],
            PREPROCESS_VERSION,
            digest,
        )
        row: Row = {
            "run_id": run,
            "observation_id": observation["id"],
            "calibration_ids": used,
            "code_version": PREPROCESS_VERSION,
            "config_digest": digest,
        }
        tasks.append(PreprocessTask(survey, observation, row, config, master, defects))
    return tasks


def preprocess(task: PreprocessTask, bench: Bench) -> Outcome:
    """Process one observation; the outcome's row is its ``preprocess_runs`` row."""
    return attempt(task.row, lambda: _compute(task, bench))


def _compute(task: PreprocessTask, bench: Bench) -> Success:
    observation = task.observation
    with bench.fetched(observation["raw_fits_path"], observation["raw_sha256"]) as path:
        raw = read_raw(path, observation | {"survey": task.survey}, bench.max_frame_mpix)
    master = None if task.master is None else load_master(task.master)
    processed = process_frame(raw, master, task.config, task.defects)
    key = object_key("processed_frames", task.survey, observation["night"], task.run_id)
    target = bench.staging_path(key)
    provenance = {"RUNID": str(task.run_id)}
    if task.defects is not None:
        provenance["DEFECTS"] = task.defects.digest
    write_frame(processed.frame, target, provenance)
    staged = stage(key, target)
    values = asdict(processed.quality) | {
        "status": "degraded" if processed.degraded_because else "completed",
        "degraded_because": list(processed.degraded_because),
        "processed_fits_path": key,
        "sha256": staged.sha256,
    }
    return Success(values, staged)
