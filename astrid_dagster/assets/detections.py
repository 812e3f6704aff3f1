"""detections: the U-Net's judgement of every candidate, and what it found besides.

A graph of three ops, so that only the middle one asks for a GPU. Between ops travel keys
and positions as JSON, never pixels: each op may run in a pod of its own. The cutouts of
U-Net components leave the middle one for the object store, before the rows that name them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

import dagster as dg

from astrid_core.detection.config import DETECTION_VERSION, DetectionConfig
from astrid_core.detection.registry import ChampionRef
from astrid_core.errors import WorkerDiedError
from astrid_core.stages.bench import Bench
from astrid_core.stages.detect import (
    DetectionTask,
    judge,
    judging_device,
    load_champion,
    plan_detection,
)
from astrid_core.stages.outcome import Outcome
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    JUDGING,
    FrameConfig,
    NightStream,
    Rows,
    compute,
    describe,
    frame_pool,
    open_bench,
    split_completed,
    stored,
)
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import survey_night, survey_nights
from astrid_dagster.resources import ChampionResource, RunLedger, StoreResource
from dbschema.models import Base, Detection, Model, ModelRun


@dg.op(
    out=dg.Out(io_manager_key="scratch_io"),
    description="Decide which difference images the champion has yet to judge.",
)
def plan_judgement(
    context: dg.OpExecutionContext,
    config: FrameConfig,
    candidates: Rows,
    difference_images: StoredObjects,
    difference_runs: Rows,
    preprocess_runs: Rows,
    champion: ChampionResource,
    ledger: RunLedger,
) -> dict[str, Any]:
    """Tasks for the U-Net op, and the rows of runs completed before."""
    part = survey_night(context)
    model = champion.resolve()
    context.log.info(f"champion is {model.name} version {model.version} ({model.sha256[:12]})")
    tasks = plan_detection(
        part.survey.name,
        stored(difference_runs, difference_images, "run_id"),
        preprocess_runs,
        candidates,
        model.model_id,
        model.digest,
        DetectionConfig(**part.survey.detection),
    )
    todo, done = split_completed(tasks, ledger, ModelRun, config.force)
    return _jsonable({"model": model.row(), "todo": [asdict(t) for t in todo], "done": done})


@dg.op(
    out={
        "cutouts": dg.Out(
            io_manager_key="fits_io", description="Per difference image: around each component."
        ),
        "scored": dg.Out(io_manager_key="scratch_io", description="Runs and detections."),
    },
    tags=tags.GPU_TAGS,
    pool=tags.GPU_POOL,
    description="Judge candidates with the U-Net: the one op that wants a GPU.",
)
def score_with_unet(
    context: dg.OpExecutionContext,
    plan: dict[str, Any],
    champion: ChampionResource,
    store: StoreResource,
) -> Iterator[dg.Output[Any]]:
    """Score every planned difference image; a frame that fails is a failed row."""
    part = survey_night(context)
    config = DetectionConfig(**part.survey.detection)
    todo = [DetectionTask.from_json(value) for value in plan["todo"]]
    outcomes: Iterator[Outcome] = iter(())
    with open_bench(store) as bench:
        if todo:
            context.log.info(f"{len(todo)} difference images to judge")
            reference = champion.fetch(plan["model"]["version"])
            outcomes = judged(todo, bench, reference, config)
        stream = NightStream(context, outcomes, len(todo))
        yield dg.Output(stream.files(), "cutouts")
    yield dg.Output(_jsonable({"runs": stream.rows, "detections": stream.children}), "scored")


def judged(
    todo: list[DetectionTask], bench: Bench, champion: ChampionRef, config: DetectionConfig
) -> Iterator[Outcome]:
    """Judgements in order: on a GPU all by this process, on CPUs by the workers.

    Those compute with one thread each, so that what is judged does not depend on the number
    of cores. One of them is asked for the device: only to use a GPU does this process need torch.
    """
    pool = frame_pool(JUDGING)
    [(_, device)] = pool.map(partial(judging_device, champion=champion), [config.device])
    if isinstance(device, WorkerDiedError):
        raise device
    work = partial(judge, champion=champion, config=config.model_copy(update={"device": device}))
    if device == "cuda":
        load_champion(champion, device)  # weights that do not fit fail the step, not every frame
        return map(partial(work, bench=bench), todo)
    return compute(work, todo, bench, pool)


@dg.op(
    # Rows name the cutouts, so these are stored before; and Dagster leaves out an output of
    # a graph that nothing waits for.
    ins={"cutouts": dg.In(dg.Nothing)},
    out=dg.Out(io_manager_key="postgres_io"),
    description="Write model runs and detections.",
)
def collect_detections(
    context: dg.OpExecutionContext, plan: dict[str, Any], scored: dict[str, Any]
) -> list[TableRows]:
    """Rows of the model, its runs and their detections, in the order of their keys."""
    runs = [_typed(ModelRun, row) for row in [*scored["runs"], *plan["done"]]]
    detections = [_typed(Detection, row) for row in scored["detections"]]
    judged = [_typed(ModelRun, row)["run_id"] for row in scored["runs"]]
    context.add_output_metadata(
        describe(runs)
        | {
            "model": f"{plan['model']['name']} version {plan['model']['version']}",
            "model sha256": plan["model"]["sha256"],
            "n_detections": len(detections),
            "n_components": sum(row["candidate_id"] is None for row in detections),
            "n_already_completed": len(plan["done"]),
            "confidence": _histogram([row["confidence_score"] for row in detections]),
        }
    )
    return [
        TableRows(Model, [_typed(Model, plan["model"])]),
        TableRows(ModelRun, runs),
        TableRows(Detection, detections, parent_column="model_run_id", parent_ids=judged),
    ]


@dg.graph_asset(
    partitions_def=survey_nights,
    ins={
        "candidates": dg.AssetIn(),
        "difference_images": dg.AssetIn(),
        "difference_runs": dg.AssetIn(),
        "preprocess_runs": dg.AssetIn(),
    },
    group_name=tags.DETECTION,
    owners=[tags.OWNER],
    kinds={"postgres", "pytorch", "table"},
    code_version=DETECTION_VERSION,
    description="Candidates and U-Net components with a calibrated confidence of being real. "
    "The champion model is a resource; its version is in model_runs.",
)
def detections(
    candidates: Any, difference_images: Any, difference_runs: Any, preprocess_runs: Any
) -> Any:
    """Plan, score on the GPU, collect."""
    plan = plan_judgement(
        candidates=candidates,
        difference_images=difference_images,
        difference_runs=difference_runs,
        preprocess_runs=preprocess_runs,
    )
    cutouts, scored = score_with_unet(plan)
    return collect_detections(plan=plan, scored=scored, cutouts=cutouts)


def _jsonable(value: dict[str, Any]) -> dict[str, Any]:
    """The value as JSON gives it back: ids and times are text."""
    result: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return result


def _typed(table: type[Base], row: dict[str, Any]) -> dict[str, Any]:
    """A row from JSON with its ids as UUIDs again."""
    columns = table.__table__.columns
    return {
        name: UUID(value)
        if isinstance(value, str) and columns[name].type.python_type is UUID
        else value
        for name, value in row.items()
    }


def _histogram(scores: list[float]) -> dict[str, int]:
    """Counts of confidences in tenths."""
    tenths = Counter(min(int(score * 10), 9) for score in scores)
    return {f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}": tenths[tenth] for tenth in range(10)}
