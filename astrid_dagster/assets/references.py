"""reference_frames and reference_runs: named, versioned sets, built on purpose."""

import dagster as dg

from astrid_core.differencing.references import REFERENCE_VERSION
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.stages.reference import plan_references, reference
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    FrameConfig,
    NightStream,
    Rows,
    Stream,
    compute,
    describe,
    fits_out,
    open_bench,
    split_completed,
    stored,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import any_night, configured_surveys, surveys
from astrid_dagster.resources import RunLedger, StoreResource
from dbschema.models import ReferenceFrame, ReferenceMember

CHECK = "every_reference_built"


@dg.multi_asset(
    name="build_references",
    ins={
        "processed_frames": dg.AssetIn(partition_mapping=any_night),
        "preprocess_runs": dg.AssetIn(partition_mapping=any_night),
    },
    outs={
        "reference_frames": fits_out(
            "Per field and filter: the frame or coadd that is subtracted.",
            tags.REFERENCES,
            REFERENCE_VERSION,
        ),
        "reference_runs": table_out(
            "How each reference was built: members, ranks, and why others were rejected.",
            tags.REFERENCES,
            REFERENCE_VERSION,
        ),
    },
    partitions_def=surveys,
    check_specs=[summary_spec(CHECK, "reference_runs")],
)
def build_references(
    context: dg.AssetExecutionContext,
    config: FrameConfig,
    processed_frames: StoredObjects,
    preprocess_runs: Rows,
    store: StoreResource,
    ledger: RunLedger,
) -> Stream:
    """Build the survey's reference set from the processed frames its configuration names."""
    survey = configured_surveys().surveys[context.partition_key]
    chosen = [
        run
        for run in stored(preprocess_runs, processed_frames, "run_id")
        if survey.is_reference(run["night"], run["archive_id"])
    ]
    stage_config = ReferenceConfig(
        method=survey.references.method,
        max_members=survey.references.max_members,
        **survey.references.limits,
    )
    # Objects come of differences, which come of references: rows are queried, and what is not
    # known yet when a reference is built makes another one when it is built again.
    sightings = ledger.changes([run["observation_id"] for run in chosen])
    tasks = plan_references(survey.name, survey.references.name, chosen, sightings, stage_config)
    todo, done = split_completed(tasks, ledger, ReferenceFrame, config.force)
    with open_bench(store) as bench:
        stream = NightStream(context, compute(reference, todo, bench), len(todo))
        yield dg.Output(stream.files(), "reference_frames")
    rows = [*stream.rows, *done]
    if not rows:
        context.log.warning(
            f"No processed frame of {survey.name} belongs to its reference set "
            f"'{survey.references.name}': process the reference nights first, or name them in "
            "surveys.yaml."
        )
    yield dg.Output(
        [TableRows(ReferenceFrame, rows), TableRows(ReferenceMember, stream.children)],
        "reference_runs",
        metadata=describe(rows, {"n_members": "members", "fwhm_pix": "FWHM (pix)"})
        | {
            "set": survey.references.name,
            "n_sightings_marked": len(sightings),
            "n_already_completed": len(done),
        },
    )
    yield summary_check(CHECK, "reference_runs", rows)
