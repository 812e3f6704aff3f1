"""One frame's samples: the unit of a collection's work, done in a worker process. No torch."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.discs import disc_radius
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.errors import AstridError
from astrid_core.frame import Frame
from astrid_core.identity import derive_id
from astrid_core.simulation.injection import inject_sources, plan_injections
from astrid_core.sky import sky_position
from astrid_core.stages.bench import Bench
from astrid_core.training.cutting import Positions, cut_samples, peak_scorr
from astrid_core.training.labelled import FrameSource, Labelled
from astrid_core.training.quality import image_quality
from astrid_core.training.samples import IMAGE_PLANES, SIDE_PIX, SampleRecord, Split
from astrid_core.training.splits import Place, cell_of, overlapping

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

_UNSET = UUID(int=0)
"""Id, position and hash of a record are the collection's to give."""


@dataclass(frozen=True)
class FrameTask:
    """One pair of frames, and what is to be cut from it.

    Attributes
    ----------
    wanted, splits
        Detections to cut around, with split and group of each.
    known
        (x, y, is_real) of everything on the frame whose truth is known.
    n_injections
        Sources to inject, in cells of the train split alone.
    held
        Places in the field that injections must not overlap: what is measured by.
    """

    frame: FrameSource
    wanted: Sequence[Labelled]
    splits: Sequence[tuple[Split, str]]
    known: Sequence[tuple[float, float, bool]]
    n_injections: int
    seed: int
    train_cells: frozenset[str]
    held: Sequence[Place]
    differencing: DifferenceConfig


@dataclass(frozen=True)
class CutFrame:
    """Samples of one frame; id, position and hash of the records are not set."""

    images: F32
    masks: U8
    records: Sequence[SampleRecord]
    qualities: F64


def cut_frame(task: FrameTask, bench: Bench) -> CutFrame | AstridError:
    """Cut a frame's samples; what goes wrong with the frame is the answer, not raised."""
    try:
        science = bench.frame(*task.frame.processed)
        difference = bench.difference(*task.frame.difference)
        parts = [_detections(task, science, difference)]
        if task.n_injections and task.frame.reference is not None:
            parts.append(_injections(task, science, bench))
    except AstridError as error:
        return error
    return CutFrame(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.masks for part in parts]),
        [record for part in parts for record in part.records],
        np.concatenate([part.qualities for part in parts]),
    )


def _detections(task: FrameTask, science: Frame, difference: DifferenceImage) -> CutFrame:
    x = np.array([one.x_pix for one in task.wanted])
    y = np.array([one.y_pix for one in task.wanted])
    images, masks = cut_samples(science, difference, Positions.of(task.known), x, y)
    fwhm = difference.psf.fwhm_pix
    peaks = peak_scorr(images, disc_radius(fwhm))
    records = [
        record_of(one, split, group, float(peak))
        for one, (split, group), peak in zip(task.wanted, task.splits, peaks, strict=True)
    ]
    return CutFrame(images, masks, records, image_quality(images, task.frame.is_degraded))


def record_of(one: Labelled, split: Split, group: str, peak: float) -> SampleRecord:
    """A detection's record; ``peak`` is S_corr there, for those without a candidate."""
    frame = one.frame
    return SampleRecord(
        id=_UNSET,
        position=0,
        split=split,
        label_source=one.source,
        group_key=group,
        sha256="",
        labels={
            "is_anomaly": one.is_real,
            "anomaly_type": one.subtype,
            "confidence": one.confidence,
            "reviewer_notes": list(one.notes),
            "label_source": one.source,
        },
        metadata=_of_frame(frame)
        | {
            "detection_id": str(one.detection_id),
            "injection": None,
            "object_id": None if one.object_id is None else str(one.object_id),
            "x_pix": one.x_pix,
            "y_pix": one.y_pix,
            "ra": one.ra,
            "dec": one.dec,
            "is_negative": one.is_negative,
            "detection_type": one.detection_type,
            "confidence_score": one.confidence_score,
            "snr": one.snr,
            "scorr_peak": peak if one.scorr_peak is None else one.scorr_peak,
            "decided_by": one.decided_by,
            "strata": list(one.strata),
            "n_judged": one.n_judged,
            "n_agree": one.n_agree,
            "made_from": _made_from(frame)
            | {
                "model": {
                    "run_id": str(one.model_run_id),
                    "model_id": str(one.model_id),
                    "sha256": one.model_sha256,
                },
                "verdicts": [str(verdict) for verdict in one.verdict_ids],
            },
        },
    )


def _of_frame(frame: FrameSource) -> dict[str, Any]:
    time: dt.datetime | None = frame.observation_time
    return {
        "survey": frame.survey,
        "night": frame.night.isoformat(),
        "field": frame.field,
        "filter_band": frame.filter_band,
        "observation_id": str(frame.observation_id),
        "observation_time": None if time is None else time.isoformat(),
        "fwhm_pix": frame.fwhm_pix,
        "mpix": frame.mpix,
        "scale_arcsec": frame.scale_arcsec,
    }


def _made_from(frame: FrameSource) -> dict[str, Any]:
    objects = {
        "raw": frame.raw,
        "processed": frame.processed,
        "reference": frame.reference,
        "difference": frame.difference,
    }
    return {
        stage: None
        if named is None
        else {"run_id": str(frame.ids[stage]), "key": named[0], "sha256": named[1]}
        for stage, named in objects.items()
    }


# --- injections ---------------------------------------------------------------------------


def _injections(task: FrameTask, science: Frame, bench: Bench) -> CutFrame:
    """Sources planted before subtraction, cut from the difference that they give."""
    frame = task.frame
    assert frame.reference is not None  # noqa: S101  asked by the caller
    reference = bench.frame(*frame.reference)
    rng = np.random.default_rng(
        derive_id("training_injections", task.seed, frame.difference_run_id).int
    )
    plan = plan_injections(science, rng, reference=reference, flux_ratio=frame.flux_ratio or 1.0)
    places = [_place(frame, science, float(row["x_pix"]), float(row["y_pix"])) for row in plan]
    chosen = _free(task, plan, places, rng)
    if not chosen:
        return _nothing()
    plan, places = plan[chosen], [places[i] for i in chosen]
    x, y = plan["x_pix"], plan["y_pix"]
    injected = inject_sources(science, x, y, plan["flux"], rng)
    difference = subtract_frames(injected, reference, task.differencing)
    known = [*task.known, *((float(a), float(b), True) for a, b in zip(x, y, strict=True))]
    images, masks = cut_samples(injected, difference, Positions.of(known), x, y)
    peaks = peak_scorr(images, disc_radius(difference.psf.fwhm_pix))
    records = [
        _injection_record(task, index, row, place, float(peak))
        for index, (row, place, peak) in enumerate(zip(plan, places, peaks, strict=True))
    ]
    return CutFrame(images, masks, records, image_quality(images, frame.is_degraded))


def _free(
    task: FrameTask, plan: NDArray[Any], places: Sequence[Place], rng: np.random.Generator
) -> list[int]:
    """Injections on sky of the train split, away from what is known and what is measured by."""
    taken = set(overlapping(places, task.held))
    reach = 2 * disc_radius(task.frame.fwhm_pix)
    free = [
        index
        for index, (row, place) in enumerate(zip(plan, places, strict=True))
        if index not in taken
        and cell_of(place) in task.train_cells
        and all(np.hypot(row["x_pix"] - x, row["y_pix"] - y) > reach for x, y, _ in task.known)
    ]
    rng.shuffle(free)
    return sorted(free[: task.n_injections])


def _place(frame: FrameSource, science: Frame, x_pix: float, y_pix: float) -> Place:
    ra, dec = sky_position(science.wcs, x_pix, y_pix)
    return Place(frame.survey, frame.field, frame.night.isoformat(), ra, dec, frame.scale_arcsec)


def _injection_record(
    task: FrameTask, index: int, row: Any, place: Place, peak: float
) -> SampleRecord:
    frame = task.frame
    return SampleRecord(
        id=_UNSET,
        position=0,
        split="train",
        label_source="injection",
        group_key=cell_of(place),
        sha256="",
        labels={
            "is_anomaly": True,
            "anomaly_type": None,
            "confidence": 1.0,
            "reviewer_notes": [],
            "label_source": "injection",
        },
        metadata=_of_frame(frame)
        | {
            "detection_id": None,
            "injection": f"{task.seed}|{frame.difference_run_id}|{index}",
            "object_id": None,
            "x_pix": float(row["x_pix"]),
            "y_pix": float(row["y_pix"]),
            "ra": place.ra,
            "dec": place.dec,
            "is_negative": False,
            "detection_type": "injection",
            "confidence_score": None,
            "snr": float(row["snr_true"]),
            "scorr_peak": peak,
            "decided_by": None,
            "strata": [],
            "made_from": _made_from(frame),
        },
    )


def _nothing() -> CutFrame:
    shape = (0, SIDE_PIX, SIDE_PIX)
    images = np.zeros((0, len(IMAGE_PLANES), *shape[1:]), dtype=np.float32)
    return CutFrame(images, np.zeros(shape, dtype=np.uint8), [], np.zeros(0))
