"""Detect: the U-Net judges one difference image's candidates and looks for what they missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from astrid_core.detection.config import DETECTION_VERSION, DetectionConfig
from astrid_core.differencing.difference import DifferenceImage, read_difference
from astrid_core.frame import read_frame
from astrid_core.identity import component_id, config_digest, detection_id, run_id
from astrid_core.sky import healpix_index, sky_position
from astrid_core.stages.bench import Bench
from astrid_core.stages.outcome import Outcome, Row, Success, attempt

if TYPE_CHECKING:
    from astrid_core.detection.scoring import ScoredSource
    from astrid_core.detection.unet import RealBogusModel


@dataclass(frozen=True)
class DetectionTask:
    """One difference image to judge: keys and positions only, so that it travels as JSON.

    Attributes
    ----------
    science, difference
        (object key, SHA-256) of the processed frame and the difference image.
    candidates
        (id, x_pix, y_pix, is_negative) of each candidate.
    row
        The start of its ``model_runs`` row.
    """

    science: tuple[str, str]
    difference: tuple[str, str]
    candidates: tuple[tuple[str, float, float, bool], ...]
    row: Row

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""
        return UUID(str(self.row["run_id"]))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DetectionTask":
        """Task from its JSON form (``dataclasses.asdict``, ids as text)."""
        science_key, science_sha256 = value["science"]
        difference_key, difference_sha256 = value["difference"]
        return cls(
            science=(science_key, science_sha256),
            difference=(difference_key, difference_sha256),
            candidates=tuple((str(i), x, y, n) for i, x, y, n in value["candidates"]),
            row=dict(value["row"]),
        )


def plan_detection(
    difference_runs: Sequence[Row],
    preprocess_runs: Sequence[Row],
    candidates: Sequence[Row],
    model_id: UUID,
    model_digest: str,
    config: DetectionConfig,
) -> list[DetectionTask]:
    """A task for every difference image of a night and the model that will judge it."""
    digest = config_digest(config.model_dump(mode="json"))
    processed = {run["run_id"]: run for run in preprocess_runs}
    found: dict[UUID, list[Row]] = {}
    for candidate in sorted(candidates, key=lambda row: str(row["id"])):
        found.setdefault(candidate["difference_run_id"], []).append(candidate)
    tasks = []
    for run in difference_runs:
        mine = found.get(run["run_id"], [])
        inputs = [run["run_id"], model_digest, *(row["id"] for row in mine)]
        row: Row = {
            "run_id": run_id("model", run["observation_id"], inputs, DETECTION_VERSION, digest),
            "difference_run_id": run["run_id"],
            "model_id": model_id,
            "code_version": DETECTION_VERSION,
            "config_digest": digest,
        }
        science = processed[run["preprocess_run_id"]]
        tasks.append(
            DetectionTask(
                science=(science["processed_fits_path"], science["sha256"]),
                difference=(run["difference_fits_path"], run["sha256"]),
                candidates=tuple(
                    (str(row["id"]), row["x_pix"], row["y_pix"], row["is_negative"]) for row in mine
                ),
                row=row,
            )
        )
    return tasks


def judge(
    task: DetectionTask, model: "RealBogusModel", bench: Bench, config: DetectionConfig
) -> Outcome:
    """Judge one difference image; children are its ``detections`` rows."""
    return attempt(task.row, lambda: _compute(task, model, bench, config))


def _compute(
    task: DetectionTask, model: "RealBogusModel", bench: Bench, config: DetectionConfig
) -> Success:
    # Imported here: torch takes seconds, and planning a night needs none of it.
    from astrid_core.detection.scoring import detect

    with bench.fetched(*task.science) as path:
        science = read_frame(path)
    with bench.fetched(*task.difference) as path:
        difference = read_difference(path)
    positions = [(x, y) for _, x, y, _ in task.candidates]
    scored = detect(model, science, difference, positions, config)
    children = tuple(_detection_row(task, difference, source) for source in scored)
    values = {
        "status": "completed",
        "n_detections": len(children),
        "device": model.device.type,
    }
    return Success(values, children=children)


def _detection_row(task: DetectionTask, difference: DifferenceImage, source: "ScoredSource") -> Row:
    run = task.run_id
    if source.candidate_index is None:
        candidate, is_negative = None, source.is_negative
        judged = component_id(run, is_negative, source.x_peak_pix, source.y_peak_pix)
    else:
        identity, _, _, is_negative = task.candidates[source.candidate_index]
        candidate = judged = UUID(identity)
    ra, dec = sky_position(difference.wcs, source.x_pix, source.y_pix)
    x_reference, y_reference = difference.reference_position(source.x_pix, source.y_pix)
    return {
        "id": detection_id(run, judged),
        "model_run_id": run,
        "difference_run_id": task.row["difference_run_id"],
        "candidate_id": candidate,
        "x_pix": source.x_pix,
        "y_pix": source.y_pix,
        "ra": ra,
        "dec": dec,
        "x_reference_pix": x_reference,
        "y_reference_pix": y_reference,
        "healpix": None if ra is None or dec is None else healpix_index(ra, dec),
        "confidence_score": source.confidence_score,
        "detection_type": source.detection_type,
        "is_negative": is_negative,
        "status": "active",
    }
