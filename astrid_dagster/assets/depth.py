"""survey_depth: what a night's pipeline finds of sources planted before subtraction."""

from collections.abc import Mapping
from uuid import UUID

import dagster as dg

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.monitoring.completeness import CompletenessBin
from astrid_core.monitoring.depth import DEPTH_VERSION, DepthConfig
from astrid_core.monitoring.depth_plot import depth_png
from astrid_core.monitoring.depth_summary import DepthSummary, HalfPoint, shortfalls
from astrid_core.stages.depth import inject, plan_depth, sum_night
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
    split_completed,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import any_night, survey_night, survey_nights
from astrid_dagster.resources import RunLedger, StoreResource
from dbschema.models import SurveyDepth, SurveyDepthRun

CHECK = "every_frame_injected"
PROMISE_CHECK = "completeness_as_promised"


@dg.multi_asset(
    name="measure_depth",
    ins={
        "processed_frames": dg.AssetIn(),
        "difference_runs": dg.AssetIn(),
        "reference_frames": dg.AssetIn(partition_mapping=any_night),
    },
    outs={
        "survey_depth": table_out(
            "Completeness and unmatched candidates by S/N and magnitude, and m50, from sources "
            "injected into some of the night's frames before subtraction.",
            tags.MONITORING,
            DEPTH_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[
        summary_spec(CHECK, "survey_depth"),
        dg.AssetCheckSpec(
            PROMISE_CHECK,
            asset="survey_depth",
            description="Sources of S/N ≥ 7 on blank sky are found as often as their S/N "
            "promises, within the error of counting.",
        ),
    ],
)
def measure_depth(
    context: dg.AssetExecutionContext,
    config: FrameConfig,
    processed_frames: StoredObjects,
    difference_runs: Rows,
    reference_frames: StoredObjects,
    store: StoreResource,
    ledger: RunLedger,
) -> Stream:
    """Inject into some of the night's frames, subtract and search them as the night did."""
    part = survey_night(context)
    extraction = ExtractionConfig(**part.survey.extraction)
    tasks = plan_depth(
        difference_runs,
        _names(processed_frames),
        _names(reference_frames),
        DepthConfig(**part.survey.depth),
        DifferenceConfig(**part.survey.differencing),
        extraction,
    )
    todo, done = split_completed(tasks, ledger, SurveyDepthRun, config.force)
    with open_bench(store) as bench:
        stream = NightStream(context, compute(inject, todo, bench), len(todo))
        stream.drain()
    rows = [*stream.rows, *done]
    observations = {row["observation_id"]: row for row in difference_runs}
    filters = {key: row["filter_band"] for key, row in observations.items()}
    names = {key: row["archive_id"] for key, row in observations.items()}
    depths = sum_night(part.survey.name, part.night, rows, filters)
    summaries = {band: summary for band, (summary, _) in depths.items()}
    title = f"Depth by injection · {part.survey.name} · {part.night}"
    yield dg.Output(
        [TableRows(SurveyDepthRun, rows), TableRows(SurveyDepth, [r for _, r in depths.values()])],
        "survey_depth",
        metadata=describe(rows, {}, names)
        | {"n_already_completed": len(done)}
        | _describe(title, summaries, extraction.threshold_sigma),
    )
    yield summary_check(CHECK, "survey_depth", rows)
    yield _promise_check(summaries)


def _names(objects: StoredObjects) -> dict[UUID, tuple[str, str]]:
    return {run_id: (stored.key, stored.sha256) for run_id, stored in objects.items()}


def _describe(
    title: str, summaries: Mapping[str, DepthSummary], threshold_sigma: float
) -> dict[str, object]:
    """Headline figures, the table and the curve."""
    if not any(summary.n_injected for summary in summaries.values()):
        return {}
    metadata: dict[str, object] = {}
    for band, summary in summaries.items():
        blank = summary.environments["blank"]
        metadata[f"m50 {band} (AB mag)"] = _with_error(blank.m50)
        metadata[f"S/N of 50 % {band}"] = _with_error(blank.snr50)
        metadata[f"injected {band}"] = summary.n_injected
        metadata[f"unmatched {band}"] = summary.n_unmatched
    return metadata | {
        "completeness": _table(summaries),
        "depth": inline_picture(
            "completeness curves", depth_png(title, summaries, threshold_sigma)
        ),
    }


def _table(summaries: Mapping[str, DepthSummary]) -> dg.TableMetadataValue:
    """A row per filter, environment and bin of S/N that was injected into."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "filter": band,
                    "environment": name,
                    "S/N": f"{one.low:g}–{one.high:g}" if one.high else f"> {one.low:g}",
                    "injected": one.n_injected,
                    "found": one.n_recovered,
                    "completeness": _with_interval(one),
                }
            )
            for band, summary in summaries.items()
            for name, depth in summary.environments.items()
            for one in depth.by_snr
            if one.n_injected
        ]
    )


def _with_interval(one: CompletenessBin) -> str:
    return f"{one.completeness:.3f} ({one.completeness_low:.3f}–{one.completeness_high:.3f})"


def _with_error(half: HalfPoint | None) -> str:
    return "not bracketed" if half is None else f"{half.value:.2f} ± {half.error:.2f}"


def _promise_check(summaries: Mapping[str, DepthSummary]) -> dg.AssetCheckResult:
    missed = [
        f"{band}, {text}" for band, summary in summaries.items() for text in shortfalls(summary)
    ]
    return dg.AssetCheckResult(
        check_name=PROMISE_CHECK,
        asset_key="survey_depth",
        passed=not missed,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(missed) or "no bin falls short by more than chance",
    )
