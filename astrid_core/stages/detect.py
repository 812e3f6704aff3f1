"""Detect: the U-Net judges one difference image's candidates and looks for what they missed.

Every detection has a cutout: a candidate's is the candidate's own, a component's is cut here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from astrid_core.detection.config import DETECTION_VERSION, DetectionConfig, DeviceChoice
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.identity import component_id, config_digest, detection_id, object_key, run_id
from astrid_core.sky import healpix_index, sky_position
from astrid_core.stages.bench import Bench
from astrid_core.stages.cutting import stage_cutouts
from astrid_core.stages.outcome import Outcome, Row, Success, attempt

if TYPE_CHECKING:
    from astrid_core.detection.registry import ChampionRef
    from astrid_core.detection.scoring import ScoredSource
    from astrid_core.detection.unet import RealBogusModel


@dataclass(frozen=True)
class JudgedCandidate:
    """A candidate as far as its judgement needs it; see :class:`~dbschema.models.Candidate`."""

    id: str
    x_pix: float
    y_pix: float
    is_negative: bool
    cutout_path: str
    cutout_index: int
    cutout_sha256: str


@dataclass(frozen=True)
class DetectionTask:
    """One difference image to judge: keys and positions only, so that it travels as JSON.

    Attributes
    ----------
    science, difference
        (object key, SHA-256) of the processed frame and the difference image.
    cutout_key
        Key of the object that the components' cutouts will be.
    row
        The start of its ``model_runs`` row.
    """

    science: tuple[str, str]
    difference: tuple[str, str]
    candidates: tuple[JudgedCandidate, ...]
    cutout_key: str
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
            candidates=tuple(JudgedCandidate(**one) for one in value["candidates"]),
            cutout_key=value["cutout_key"],
            row=dict(value["row"]),
        )


def plan_detection(
    survey: str,
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
        identity = run_id("model", run["observation_id"], inputs, DETECTION_VERSION, digest)
        row: Row = {
            "run_id": identity,
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
                candidates=tuple(_judged_candidate(candidate) for candidate in mine),
                cutout_key=object_key("component_cutouts", survey, run["night"], identity),
                row=row,
            )
        )
    return tasks


def _judged_candidate(row: Row) -> JudgedCandidate:
    values = {field.name: row[field.name] for field in fields(JudgedCandidate)}
    return JudgedCandidate(**values | {"id": str(row["id"])})


@lru_cache(maxsize=1)
def load_champion(champion: "ChampionRef", device: DeviceChoice) -> "RealBogusModel":
    """The champion's network, loaded once by every process that judges.

    Raises
    ------
    ModelIntegrityError, ModelUnavailableError
        As :func:`astrid_core.detection.unet.load_model` does.
    """
    # Imported here: torch takes seconds, and planning a night needs none of it.
    from astrid_core.detection.unet import load_model

    return load_model(champion.weights, champion.card, champion.sha256, device)


def judging_device(wanted: DeviceChoice, champion: "ChampionRef") -> DeviceChoice:
    """Type of the device to judge on: that a process looks, which need not be one that judges.

    On a CPU the champion is loaded too: weights that do not fit fail the step, not every frame.

    Raises
    ------
    ModelIntegrityError, ModelUnavailableError
        As :func:`astrid_core.detection.unet.load_model` does.
    """
    from astrid_core.detection.unet import choose_device  # torch: see load_champion

    if choose_device(wanted).type == "cuda":
        return "cuda"
    load_champion(champion, "cpu")
    return "cpu"


def judge(
    task: DetectionTask, bench: Bench, champion: "ChampionRef", config: DetectionConfig
) -> Outcome:
    """Judge one difference image; children are its ``detections`` rows."""
    return attempt(
        task.row,
        lambda: _compute(task, load_champion(champion, config.device), bench, config),
    )


def _compute(
    task: DetectionTask, model: "RealBogusModel", bench: Bench, config: DetectionConfig
) -> Success:
    from astrid_core.detection.scoring import detect  # torch: see load_champion

    science = bench.frame(*task.science)
    difference = bench.difference(*task.difference)
    positions = [(candidate.x_pix, candidate.y_pix) for candidate in task.candidates]
    scored = detect(model, science, difference, positions, config)
    values = {"status": "completed", "n_detections": len(scored), "device": model.device.type}
    judged = tuple(
        _of_candidate(task, difference, source, task.candidates[source.candidate_index])
        for source in scored
        if source.candidate_index is not None
    )
    components = [
        _of_component(task, difference, source)
        for source in scored
        if source.candidate_index is None
    ]
    if not components:
        return Success(values, children=judged)
    key = task.cutout_key
    staged, found = stage_cutouts(
        components, "detection", difference, science, key, task.run_id, bench
    )
    values |= {"cutout_path": key, "sha256": staged.sha256}
    return Success(values, staged, (*judged, *found))


def _of_candidate(
    task: DetectionTask,
    difference: DifferenceImage,
    source: "ScoredSource",
    candidate: JudgedCandidate,
) -> Row:
    identity = UUID(candidate.id)
    return _detection_row(task, difference, source) | {
        "id": detection_id(task.run_id, identity),
        "candidate_id": identity,
        "is_negative": candidate.is_negative,
        "cutout_path": candidate.cutout_path,
        "cutout_index": candidate.cutout_index,
        "cutout_sha256": candidate.cutout_sha256,
    }


def _of_component(task: DetectionTask, difference: DifferenceImage, source: "ScoredSource") -> Row:
    run, is_negative = task.run_id, source.is_negative
    component = component_id(run, is_negative, source.x_peak_pix, source.y_peak_pix)
    return _detection_row(task, difference, source) | {
        "id": detection_id(run, component),
        "candidate_id": None,
        "is_negative": is_negative,
    }


def _detection_row(task: DetectionTask, difference: DifferenceImage, source: "ScoredSource") -> Row:
    """What the rows of candidates and components have alike."""
    ra, dec = sky_position(difference.wcs, source.x_pix, source.y_pix)
    x_reference, y_reference = difference.reference_position(source.x_pix, source.y_pix)
    return {
        "model_run_id": task.run_id,
        "difference_run_id": task.row["difference_run_id"],
        "x_pix": source.x_pix,
        "y_pix": source.y_pix,
        "ra": ra,
        "dec": dec,
        "x_reference_pix": x_reference,
        "y_reference_pix": y_reference,
        "healpix": None if ra is None or dec is None else healpix_index(ra, dec),
        "confidence_score": source.confidence_score,
        "detection_type": source.detection_type,
        "status": "active",
    }
