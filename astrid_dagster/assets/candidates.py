"""cutouts and candidates: sources on S_corr that passed the filters."""

from collections import Counter
from collections.abc import Sequence

import dagster as dg

from astrid_core.errors import AstridError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import EXTRACTION_VERSION
from astrid_core.monitoring.quality import SEARCH_MEASURES, frame_records
from astrid_core.stages.bench import Bench
from astrid_core.stages.candidates import (
    ExtractionTask,
    extract,
    picture_strongest,
    plan_extraction,
)
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    NightStream,
    Rows,
    Stream,
    compute,
    describe,
    fits_out,
    open_bench,
    stored,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.assets.quality import quality_check, quality_page, quality_spec
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import survey_night, survey_nights
from astrid_dagster.resources import StoreResource
from dbschema.models import Candidate, ExtractionRun

CHECK = "every_difference_searched"
QUALITY_CHECK = "candidate_density_in_range"


@dg.multi_asset(
    name="find_candidates",
    ins={
        "processed_frames": dg.AssetIn(),
        "preprocess_runs": dg.AssetIn(),
        "difference_images": dg.AssetIn(),
        "difference_runs": dg.AssetIn(),
    },
    outs={
        "cutouts": fits_out(
            "Per difference image: science, reference, difference and S_corr around "
            "each candidate.",
            tags.DETECTION,
            EXTRACTION_VERSION,
        ),
        "candidates": table_out(
            "Sources on S_corr that passed the named filters, positive and negative.",
            tags.DETECTION,
            EXTRACTION_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[
        summary_spec(CHECK, "candidates"),
        quality_spec(QUALITY_CHECK, "candidates", "No difference image bursts with candidates."),
    ],
)
def find_candidates(
    context: dg.AssetExecutionContext,
    processed_frames: StoredObjects,
    preprocess_runs: Rows,
    difference_images: StoredObjects,
    difference_runs: Rows,
    store: StoreResource,
) -> Stream:
    """Search every difference image of the night.

    Never skipped, unlike the imaging stages: it is quick, and candidates that a change of
    configuration superseded must become active again when the change is taken back.
    """
    part = survey_night(context)
    config = ExtractionConfig(**part.survey.extraction)
    tasks = plan_extraction(
        part.survey.name,
        stored(difference_runs, difference_images, "run_id"),
        stored(preprocess_runs, processed_frames, "run_id"),
        config,
    )
    with open_bench(store) as bench:
        stream = NightStream(context, compute(extract, tasks, bench), len(tasks))
        yield dg.Output(stream.files(), "cutouts")
        searched = {row["difference_run_id"] for row in stream.rows if row["status"] == "completed"}
        shown = [task for task in tasks if task.difference["run_id"] in searched]
        preview = _picture(context, shown, stream.children, bench)
    records = frame_records(preprocess_runs, difference_runs, stream.rows)
    yield dg.Output(
        [
            TableRows(ExtractionRun, stream.rows),
            TableRows(
                Candidate,
                stream.children,
                parent_column="difference_run_id",
                parent_ids=list(searched),
            ),
        ],
        "candidates",
        metadata=describe(
            stream.rows,
            {"n_candidates": "candidates per frame", "candidates_per_mpix": "candidates per Mpix"},
            {},
            preview,
        )
        | _counts(stream)
        | quality_page(part, records),
    )
    yield summary_check(CHECK, "candidates", stream.rows)
    yield quality_check(QUALITY_CHECK, "candidates", part, records, SEARCH_MEASURES)


def _picture(
    context: dg.AssetExecutionContext,
    searched: Sequence[ExtractionTask],
    found: Rows,
    bench: Bench,
) -> bytes | None:
    """The night's strongest frame; without it where it cannot be had: it is no result."""
    try:
        return picture_strongest(searched, found, bench)
    except AstridError as error:
        context.log.warning(f"No picture of the strongest candidate's frame: {error}")
        return None


def _counts(stream: NightStream) -> dict[str, object]:
    filters: Counter[str] = Counter()
    for row in stream.rows:
        filters.update(row.get("filter_counts") or {})
    negative = sum(child["is_negative"] for child in stream.children)
    return {
        "n_candidates": len(stream.children),
        "n_negative": negative,
        "n_positive": len(stream.children) - negative,
        "rejected by filter": dict(sorted(filters.items())),
    }
