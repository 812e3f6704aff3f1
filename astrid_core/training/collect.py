"""Collecting a training dataset: from a request to shards and rows.

Planned first, in one transaction (which detections, which splits), then frame by frame (pixels
into shards, one frame in hand), then all rows at once. A collection that is interrupted leaves
objects that nothing names, and the splits it decided, which hold for the next.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.errors import AstridError, DatasetFrozenError, EmptyDatasetError
from astrid_core.identity import derive_id, sha256_file
from astrid_core.parallel import map_frames
from astrid_core.simulation.config import SceneConfig
from astrid_core.stages.bench import Bench
from astrid_core.stages.outcome import StagedObject
from astrid_core.training.audit import Finding, KnownModel, audit, sky_of
from astrid_core.training.frames import CutFrame, FrameTask, cut_frame
from astrid_core.training.labelled import Labelled, labelled_detections
from astrid_core.training.quality import QualityReport, assess_quality
from astrid_core.training.request import CollectionRequest
from astrid_core.training.samples import (
    SampleRecord,
    Split,
    dataset_digest,
    pixels_sha256,
)
from astrid_core.training.splits import Decided, Place, assign, cell_of
from astrid_core.training.stored import Shard
from dbschema.models import LabelSnapshot, Model, Survey, TrainingDataset, TrainingGroup

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

COLLECTION_VERSION = "1"
SHARD_SAMPLES = 256
"""Samples of a shard: 33 MB of images, so that little is in hand and few objects are stored."""

_LOCK = "astrid.training_groups"
_WITHIN = 4
_PRELOAD = ("astrid_core.training.frames",)


@dataclass(frozen=True)
class CollectionPlan:
    """Everything that a collection will do, decided.

    Attributes
    ----------
    tasks
        A frame each, in the order of the dataset.
    places
        Place of each sample by detection.
    dropped
        Why how many labelled detections are left out.
    models, seeds
        What the audit has to know of models and simulated surveys.
    """

    dataset_id: UUID
    request: CollectionRequest
    requested_by: str
    snapshot_id: UUID | None
    tasks: Sequence[FrameTask]
    places: Mapping[UUID, Place]
    dropped: Mapping[str, int]
    models: Sequence[KnownModel]
    seeds: Mapping[str, int]

    @property
    def n_samples(self) -> int:
        """Samples that are to be cut, injections aside."""
        return sum(len(task.wanted) for task in self.tasks)


# --- the plan -----------------------------------------------------------------------------


def plan_collection(
    connection: Connection,
    dataset_id: UUID,
    request: CollectionRequest,
    requested_by: str,
    differencing: Mapping[str, DifferenceConfig],
) -> CollectionPlan:
    """Decide what a dataset is made of; splits of new cells and nights are kept at once.

    Parameters
    ----------
    differencing
        Survey → how it subtracts, for injections.

    Raises
    ------
    DatasetFrozenError
        If the dataset is there already.
    EmptyDatasetError
        If nothing matches.
    TooFewGroupsError
        If the sky or the nights are too few for splits.
    """
    _require_new(connection, dataset_id)
    # One plan at a time: two could decide the same cell differently.
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(_LOCK))))
    found, dropped = labelled_detections(connection, request)
    if not found:
        raise nothing_matches(request)
    taken = draw_samples(found, request)
    places = {one.detection_id: place_of(one) for one in found}
    splits, left_out = _split(connection, taken, places)
    tasks = _tasks(found, splits, places, request, differencing)
    return CollectionPlan(
        dataset_id=dataset_id,
        request=request,
        requested_by=requested_by,
        snapshot_id=connection.scalar(
            select(LabelSnapshot.id).order_by(LabelSnapshot.selected_at.desc()).limit(1)
        ),
        tasks=tasks,
        places=places,
        dropped={
            **dropped,
            "more than max_samples": len(found) - len(taken),
            **left_out,
        },
        models=_models(connection),
        seeds=_seeds(connection, request.survey_ids),
    )


def nothing_matches(request: CollectionRequest) -> EmptyDatasetError:
    """That a request matches no detection, and what can be done."""
    return EmptyDatasetError(
        f"No detection of {', '.join(request.survey_ids)} between {request.start:%Y-%m-%d %H:%M} "
        f"and {request.end:%Y-%m-%d %H:%M} UTC is validated, none has a confidence of "
        f"{request.confidence_threshold} or more, and none is a clear negative.",
        remedy="Widen the dates; lower confidence_threshold; or see whether detection ran for "
        "these nights.",
    )


def place_of(one: Labelled) -> Place:
    """Where a detection is, and what ties it to others."""
    frame = one.frame
    ties: list[tuple[str, ...]] = []
    if one.object_id is not None:
        ties.append(("object", str(one.object_id)))
    if one.subtype == "moving":
        # Whatever moves in a field may be one thing: each of its detections is an object apart.
        ties.append(("moving", frame.survey, frame.field))
    return Place(
        frame.survey,
        frame.field,
        frame.night.isoformat(),
        one.ra,
        one.dec,
        frame.scale_arcsec,
        tuple(ties),
    )


def _require_new(connection: Connection, dataset_id: UUID) -> None:
    if connection.scalar(select(TrainingDataset.id).where(TrainingDataset.id == dataset_id)):
        raise DatasetFrozenError(
            f"Training dataset {dataset_id} is there already, and is never changed.",
            remedy="Collect again under the same name: that is its next version.",
        )


def draw_samples(found: Sequence[Labelled], request: CollectionRequest) -> list[Labelled]:
    """As many as asked for, by a hash of seed and detection."""

    def order(one: Labelled) -> str:
        return hashlib.sha256(f"{request.seed}|{one.detection_id}".encode()).hexdigest()

    chosen = sorted(found, key=order)
    if request.sampling == "random":
        ids = {one.detection_id for one in chosen[: request.max_samples]}
    else:
        most = 1 if request.sampling == "balanced" else _WITHIN
        ids = _near_balance(chosen, request.max_samples, most)
    return [one for one in found if one.detection_id in ids]


def _near_balance(chosen: Sequence[Labelled], max_samples: int, most: int) -> set[UUID]:
    """The first of either label, the commoner one at most ``most`` times as often."""
    rarer, commoner = sorted(
        ([one for one in chosen if one.is_real is real] for real in (True, False)), key=len
    )
    n_all = len(rarer) + min(len(commoner), most * len(rarer))
    n_rarer = min(len(rarer), max(1, max_samples * len(rarer) // max(n_all, 1)))
    n_commoner = min(len(commoner), most * n_rarer, max(1, max_samples - n_rarer))
    return {one.detection_id for one in (*rarer[:n_rarer], *commoner[:n_commoner])}


def _split(
    connection: Connection, taken: Sequence[Labelled], places: Mapping[UUID, Place]
) -> tuple[dict[UUID, tuple[Split, str]], Mapping[str, int]]:
    """(split, group) of those that are kept, and why the others are not."""
    own = [places[one.detection_id] for one in taken]
    if taken[0].source == "model":
        # Nobody measures by what the model says of itself.
        return {
            one.detection_id: ("train", cell_of(place))
            for one, place in zip(taken, own, strict=True)
        }, {}
    rows = connection.execute(select(TrainingGroup.kind, TrainingGroup.key, TrainingGroup.split))
    known: Decided = {(row.kind, row.key): row.split for row in rows}
    assigned = assign(own, known)
    if assigned.decided:
        connection.execute(
            insert(TrainingGroup),
            [
                {"kind": kind, "key": key, "split": split}
                for (kind, key), split in sorted(assigned.decided.items())
            ],
        )
    kept = {
        one.detection_id: (split, cell)
        for one, split, cell in zip(taken, assigned.splits, assigned.cells, strict=True)
        if split is not None
    }
    return kept, assigned.dropped


def _tasks(
    found: Sequence[Labelled],
    splits: Mapping[UUID, tuple[Split, str]],
    places: Mapping[UUID, Place],
    request: CollectionRequest,
    differencing: Mapping[str, DifferenceConfig],
) -> list[FrameTask]:
    by_frame: dict[UUID, list[Labelled]] = defaultdict(list)
    for one in found:
        by_frame[one.frame.difference_run_id].append(one)
    learnt = frozenset(cell for split, cell in splits.values() if split == "train")
    held: dict[str, list[Place]] = defaultdict(list)
    for one in found:
        if splits.get(one.detection_id, ("train", ""))[0] != "train":
            held[one.frame.field].append(places[one.detection_id])
    tasks = []
    for run in sorted(by_frame, key=lambda run: _frame_order(by_frame[run][0], run)):
        on_frame = by_frame[run]
        wanted = tuple(one for one in on_frame if one.detection_id in splits)
        if not wanted:
            continue
        in_train = any(splits[one.detection_id][0] == "train" for one in wanted)
        survey = on_frame[0].frame.survey
        tasks.append(
            FrameTask(
                frame=on_frame[0].frame,
                wanted=wanted,
                splits=tuple(splits[one.detection_id] for one in wanted),
                known=tuple((one.x_pix, one.y_pix, one.is_real) for one in on_frame),
                n_injections=request.injections_per_frame if in_train else 0,
                seed=request.seed,
                train_cells=learnt,
                held=tuple(held[on_frame[0].frame.field]),
                differencing=differencing.get(survey, DifferenceConfig()),
            )
        )
    return tasks


def _frame_order(one: Labelled, run: UUID) -> tuple[str, str, str]:
    return one.frame.survey, one.frame.night.isoformat(), str(run)


def _models(connection: Connection) -> list[KnownModel]:
    rows = connection.execute(select(Model.version, Model.name, Model.card).order_by(Model.version))
    return [KnownModel.of(f"{row.name} version {row.version}", row.card) for row in rows]


def _seeds(connection: Connection, surveys: Sequence[str]) -> dict[str, int]:
    """Seeds of simulated surveys."""
    query = select(Survey.name, Survey.config).where(
        Survey.name.in_(surveys), Survey.adapter == "simulated"
    )
    default = SceneConfig().seed
    return {
        row.name: row.config.get("simulated", {}).get("seed", default)
        for row in connection.execute(query)
    }


# --- pixels -------------------------------------------------------------------------------


@dataclass
class Collection:
    """A collection at work: files as they are finished, then the rows.

    Attributes
    ----------
    report
        Told how many frames are done.
    """

    plan: CollectionPlan
    bench: Bench
    workers: int
    report: Callable[[int], None]
    records: list[SampleRecord] = field(default_factory=list)
    qualities: list[float] = field(default_factory=list)
    shards: list[Shard] = field(default_factory=list)
    examples: list[tuple[SampleRecord, F32, U8]] = field(default_factory=list)
    _sky: list[F32] = field(default_factory=list)
    _images: list[F32] = field(default_factory=list)
    _masks: list[U8] = field(default_factory=list)
    _unreadable: Counter[str] = field(default_factory=Counter)

    def files(self) -> Iterator[StagedObject]:
        """Shards to store, each when it is full.

        Raises
        ------
        EmptyDatasetError
            If no frame could be read.
        """
        work = partial(cut_frame, bench=self.bench)
        tasks = self.plan.tasks
        with closing(map_frames(work, tasks, self.workers, _PRELOAD)) as done:
            for number, (task, cut) in enumerate(done, start=1):
                if isinstance(cut, AstridError):
                    self._unreadable[f"{type(cut).__name__}: {cut}"] += len(task.wanted)
                else:
                    self._add(cut)
                if len(self._images) >= SHARD_SAMPLES:
                    yield from self._close_shard()
                self.report(number)
        yield from self._close_shard()
        if not any(record.label_source != "injection" for record in self.records):
            problems = "; ".join(sorted(self._unreadable))
            raise EmptyDatasetError(
                f"None of {len(tasks)} frames could be read: {problems}",
                remedy="Materialize the difference images of these nights again, with force.",
            )

    def _add(self, cut: CutFrame) -> None:
        self._sky.append(sky_of(cut.images).astype(np.float16))
        self.qualities += cut.qualities.tolist()
        for image, mask, given in zip(cut.images, cut.masks, cut.records, strict=True):
            name = given.metadata["detection_id"] or given.metadata["injection"]
            record = replace(
                given,
                id=derive_id("training_sample", self.plan.dataset_id, name),
                position=len(self.records),
                sha256=pixels_sha256(image, mask),
            )
            self.records.append(record)
            self._images.append(image)
            self._masks.append(mask)
            if len(self.examples) < _EXAMPLES and record.label_source != "injection":
                self.examples.append((record, image, mask))

    def _close_shard(self) -> Iterator[StagedObject]:
        if not self._images:
            return
        images, masks = np.stack(self._images), np.stack(self._masks)
        self._images.clear()
        self._masks.clear()
        staged = [self._stage(images), self._stage(masks)]
        self.shards.append(
            Shard(
                image_path=staged[0].key,
                image_sha256=staged[0].sha256,
                mask_path=staged[1].key,
                mask_sha256=staged[1].sha256,
                n_samples=len(images),
                n_bytes=images.nbytes + masks.nbytes,
            )
        )
        yield from staged

    def _stage(self, array: NDArray[Any]) -> StagedObject:
        path = self.bench.scratch / f"shard-{len(self.shards)}-{array.ndim}.npy"
        np.save(path, array, allow_pickle=False)
        sha256 = sha256_file(path)
        return StagedObject(shard_key(sha256), path, sha256)

    # --- rows -------------------------------------------------------------------------------

    def finish(self) -> "Collected":
        """Audit and quality of what was collected; once all files are stored."""
        places = [_place_of_record(record, self.plan.places) for record in self.records]
        sky = np.concatenate(self._sky).astype(np.float32)
        findings = audit(self.records, places, sky, self.plan.models, self.plan.seeds)
        labelled = [i for i, r in enumerate(self.records) if r.label_source != "injection"]
        quality = assess_quality(
            [self.records[i] for i in labelled], [self.qualities[i] for i in labelled], findings
        )
        dropped = {reason: n for reason, n in self.plan.dropped.items() if n}
        return Collected(
            plan=self.plan,
            records=self.records,
            shards=self.shards,
            findings=findings,
            quality=quality,
            dropped=dropped | dict(self._unreadable),
            examples=self.examples,
        )


_EXAMPLES = 10


def shard_key(sha256: str) -> str:
    """Object key of a shard's file: content-addressed."""
    return f"training_samples/{sha256}.npy"


def _place_of_record(record: SampleRecord, places: Mapping[UUID, Place]) -> Place:
    detection = record.metadata["detection_id"]
    if detection is not None:
        return places[UUID(str(detection))]
    data = record.metadata
    return Place(
        str(data["survey"]),
        str(data["field"]),
        str(data["night"]),
        data["ra"],
        data["dec"],
        data["scale_arcsec"],
    )


@dataclass(frozen=True)
class Collected:
    """A dataset, complete but for its rows."""

    plan: CollectionPlan
    records: Sequence[SampleRecord]
    shards: Sequence[Shard]
    findings: Sequence[Finding]
    quality: QualityReport
    dropped: Mapping[str, int]
    examples: Sequence[tuple[SampleRecord, F32, U8]]

    @property
    def status(self) -> tuple[str, str | None]:
        """Status and why it is not active."""
        if self.quality.issues:
            return "quality_failed", " ".join(self.quality.issues)
        if any(record.label_source == "model" for record in self.records):
            return "provisional", (
                "Nothing in the window is validated: the labels are the model's own. Have "
                "detections judged and collect again."
            )
        return "active", None

    @property
    def n_by_split(self) -> dict[str, dict[str, dict[str, int]]]:
        """Split → label source → real and bogus."""
        counts: dict[str, dict[str, dict[str, int]]] = {}
        for record in self.records:
            of_split = counts.setdefault(record.split, {})
            of_source = of_split.setdefault(record.label_source, {"real": 0, "bogus": 0})
            of_source["real" if record.is_real else "bogus"] += 1
        return counts

    def dataset_row(self, connection: Connection, dagster_run_id: str | None) -> dict[str, Any]:
        """Row of ``training_datasets``; its version is the next of its name, which is held."""
        request, quality = self.plan.request, self.quality
        connection.execute(
            select(func.pg_advisory_xact_lock(func.hashtext(f"{_LOCK}|{request.name}")))
        )
        last = connection.scalar(
            select(func.max(TrainingDataset.version)).where(TrainingDataset.name == request.name)
        )
        status, reason = self.status
        return {
            "id": self.plan.dataset_id,
            "name": request.name,
            "description": request.description,
            "collection_params": request.model_dump(mode="json"),
            "total_samples": quality.total_samples,
            "anomaly_ratio": quality.anomaly_ratio,
            "quality_score": quality.quality_score,
            "created_by": self.plan.requested_by,
            "status": status,
            "status_reason": reason,
            "version": (last or 0) + 1,
            "digest": dataset_digest(self.records),
            "code_version": COLLECTION_VERSION,
            "snapshot_id": self.plan.snapshot_id,
            "shards": [vars(shard) for shard in self.shards],
            "n_by_split": self.n_by_split,
            "n_dropped": dict(self.dropped),
            "quality": quality.to_json(),
            "audit": {
                finding.check: vars(finding) | {"passed": finding.passed}
                for finding in self.findings
            },
            "dagster_run_id": dagster_run_id,
        }

    def sample_rows(self) -> list[dict[str, Any]]:
        """Rows of ``training_samples``."""
        rows = []
        record = iter(self.records)
        for shard in self.shards:
            for index in range(shard.n_samples):
                rows.append(_sample_row(self.plan.dataset_id, next(record), shard, index))
        return rows


def _sample_row(dataset_id: UUID, record: SampleRecord, shard: Shard, index: int) -> dict[str, Any]:
    detection = record.metadata["detection_id"]
    return {
        "id": record.id,
        "dataset_id": dataset_id,
        "detection_id": None if detection is None else UUID(str(detection)),
        "image_path": shard.image_path,
        "mask_path": shard.mask_path,
        "labels": dict(record.labels),
        "metadata": dict(record.metadata),
        "observation_id": UUID(str(record.metadata["observation_id"])),
        "position": record.position,
        "shard_index": index,
        "sha256": record.sha256,
        "split": record.split,
        "group_key": record.group_key,
        "label_source": record.label_source,
    }
