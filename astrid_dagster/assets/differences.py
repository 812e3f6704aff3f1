"""difference_images and difference_runs: science minus reference."""

import dagster as dg

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.subtract import DIFFERENCE_VERSION
from astrid_core.monitoring.quality import DIFFERENCE_MEASURES, frame_records
from astrid_core.stages.difference import difference, plan_differences
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
from astrid_dagster.assets.quality import quality_check, quality_spec
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import any_night, survey_night, survey_nights
from astrid_dagster.resources import RunLedger, StoreResource
from dbschema.models import DifferenceRun

CHECK = "every_frame_differenced"
QUALITY_CHECK = "difference_quality_in_range"
MEDIANS = {
    "scorr_sigma": "σ(S_corr)",
    "scorr_sigma_blank": "σ(S_corr) on blank sky",
    "scorr_sigma_sources": "σ(S_corr) on sources",
    "registration_rms_pix": "registration rms (pix)",
    "n_matched": "stars matched",
    "flux_ratio": "flux ratio",
    "masked_fraction": "masked fraction",
}


@dg.multi_asset(
    name="subtract",
    ins={
        "processed_frames": dg.AssetIn(),
        "preprocess_runs": dg.AssetIn(),
        "reference_frames": dg.AssetIn(partition_mapping=any_night),
        "reference_runs": dg.AssetIn(partition_mapping=any_night),
    },
    outs={
        "difference_images": fits_out(
            "ZOGY difference D with its PSF, S_corr, mask and the warped reference.",
            tags.IMAGING,
            DIFFERENCE_VERSION,
        ),
        "difference_runs": table_out(
            "Which reference was subtracted and why, and how good the result is.",
            tags.IMAGING,
            DIFFERENCE_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[
        summary_spec(CHECK, "difference_runs"),
        quality_spec(
            QUALITY_CHECK,
            "difference_runs",
            "Registration residual and σ(S_corr), on blank sky and on sources, are in range.",
        ),
    ],
)
def subtract(
    context: dg.AssetExecutionContext,
    config: FrameConfig,
    processed_frames: StoredObjects,
    preprocess_runs: Rows,
    reference_frames: StoredObjects,
    reference_runs: Rows,
    store: StoreResource,
    ledger: RunLedger,
) -> Stream:
    """Subtract from every processed frame of the night the reference chosen for it."""
    part = survey_night(context)
    tasks = plan_differences(
        part.survey.name,
        stored(preprocess_runs, processed_frames, "run_id"),
        stored(reference_runs, reference_frames, "run_id"),
        part.survey.min_separation_days,
        DifferenceConfig(**part.survey.differencing),
    )
    todo, done = split_completed(tasks, ledger, DifferenceRun, config.force)
    with open_bench(store) as bench:
        stream = NightStream(context, compute(difference, todo, bench), len(todo))
        yield dg.Output(stream.files(), "difference_images")
    rows = [*stream.rows, *done]
    names = {row["observation_id"]: row["archive_id"] for row in preprocess_runs}
    yield dg.Output(
        [TableRows(DifferenceRun, rows)],
        "difference_runs",
        metadata=describe(rows, MEDIANS, names) | {"n_already_completed": len(done)},
    )
    yield summary_check(CHECK, "difference_runs", rows)
    records = frame_records(preprocess_runs, rows)
    yield quality_check(QUALITY_CHECK, "difference_runs", part, records, DIFFERENCE_MEASURES)
