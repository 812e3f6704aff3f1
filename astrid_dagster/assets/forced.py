"""forced_photometry: the light curves of the known objects of the night's fields."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import dagster as dg

from astrid_core.curation.lightcurve import assemble_light_curve, plot_light_curve
from astrid_core.curation.objects import ObjectConfig
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.forced import FORCED_VERSION
from astrid_core.stages.forced import ForcedTask, force, plan_forced
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    FrameConfig,
    NightStream,
    Rows,
    Stream,
    compute,
    describe,
    inline_picture,
    open_bench,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import any_night, survey_night, survey_nights
from astrid_dagster.resources import RunLedger, StoreResource
from dbschema.models import ForcedPhotometry, ForcedRun

CHECK = "every_image_measured"


@dg.multi_asset(
    name="force_photometry",
    ins={
        "objects": dg.AssetIn(),
        "reference_frames": dg.AssetIn(partition_mapping=any_night),
    },
    deps=["difference_images", "difference_runs"],
    outs={
        "forced_photometry": table_out(
            "Flux of every object at every epoch of its field from some days before its first "
            "detection, detected there or not.",
            tags.DETECTION,
            FORCED_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[summary_spec(CHECK, "forced_photometry")],
)
def force_photometry(
    context: dg.AssetExecutionContext,
    config: FrameConfig,
    objects: Rows,
    reference_frames: StoredObjects,
    store: StoreResource,
    ledger: RunLedger,
) -> Stream:
    """Measure the objects of the night's fields on the images of those fields.

    An object found tonight has earlier nights too, as many as ``precovery_days`` holds, and an
    object of any night has tonight's images: both are the same rule. Images already measured at
    exactly these objects are left alone, so that a night that finds nothing new costs its own
    images only.
    """
    part = survey_night(context)
    epochs = ledger.epochs(part.survey.name, sorted({row["field"] for row in objects}))
    extraction = ExtractionConfig(**part.survey.extraction)
    precovery_days = ObjectConfig(**part.survey.objects).precovery_days
    tasks = plan_forced(epochs, reference_frames, objects, extraction, precovery_days)
    todo, done = _split_measured(tasks, ledger, config.force)
    with open_bench(store) as bench:
        stream = NightStream(context, compute(force, todo, bench), len(todo))
        stream.drain()
    rows = [*stream.rows, *done]
    images = {row["run_id"]: row for row in epochs}
    names = {row["observation_id"]: row["archive_id"] for row in epochs}
    seen = [
        row | {"observation_id": images[row["difference_run_id"]]["observation_id"]} for row in rows
    ]
    yield dg.Output(
        [TableRows(ForcedRun, stream.rows), TableRows(ForcedPhotometry, stream.children)],
        "forced_photometry",
        metadata=describe(seen, {"n_measured": "objects per image"}, names)
        | {
            "n_objects": len(objects),
            "n_nights": len({row["night"] for row in epochs}),
            "n_measured": len(stream.children),
            "n_already_completed": len(done),
        }
        | _preview(objects, images, stream.children, ledger),
    )
    yield summary_check(CHECK, "forced_photometry", rows)


def _split_measured(
    tasks: Sequence[ForcedTask], ledger: RunLedger, is_forced: bool
) -> tuple[list[ForcedTask], Rows]:
    """Images still to measure, and rows of those that have these very measurements.

    An image has one measurement of an object: what another configuration measured since is
    measured again. Rows of the latter are current as they are, and are not written: there are
    as many as there are nights.
    """
    if is_forced:
        return list(tasks), []
    found = ledger.measured([task.difference["run_id"] for task in tasks])
    done = {task.run_id: found[task.run_id] for task in tasks if _is_measured(task, found)}
    return [task for task in tasks if task.run_id not in done], list(done.values())


def _is_measured(task: ForcedTask, found: Mapping[UUID, dict[str, Any]]) -> bool:
    row = found.get(task.run_id)
    return (
        row is not None
        and row["status"] == "completed"
        and row["objects_digest"] == task.row["objects_digest"]
    )


def _preview(
    objects: Rows,
    images: Mapping[UUID, dict[str, Any]],
    measured: Sequence[dict[str, Any]],
    ledger: RunLedger,
) -> dict[str, Any]:
    """Light curve of the brightest object: what is stored, with what is about to be."""
    if not objects:
        return {}
    brightest = max(objects, key=lambda row: (row["snr"] or 0.0, str(row["id"])))
    rows = {row["id"]: row for row in ledger.measurements(brightest["id"])} | {
        row["id"]: images[row["difference_run_id"]] | row
        for row in measured
        if row["object_id"] == brightest["id"]
    }
    points = assemble_light_curve(rows.values())
    title = f"{brightest['field']}, object {brightest['id']}"
    return {
        "brightest object": str(brightest["id"]),
        "light curve": inline_picture(
            "light curve of the brightest object", plot_light_curve(points, title)
        ),
    }
