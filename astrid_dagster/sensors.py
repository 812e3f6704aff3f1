"""Sensors: a failed run is told to people, and people's verdicts become labels."""

import datetime as dt
import json
import time
import urllib.request
from collections.abc import Iterator

import dagster as dg
from dagster._utils.error import SerializableErrorInfo

from astrid_core.curation.batches import (
    Batch,
    describe_batch,
    format_cursor,
    parse_cursor,
    read_batch,
    why_due,
)
from astrid_core.curation.events import EventCursor
from astrid_core.curation.reviewers import Fraction, reviewer_statistics
from astrid_core.curation.snapshot import total_of
from astrid_core.identity import derive_id
from astrid_core.monitoring.health import why_collect_again
from astrid_core.settings import get_settings
from astrid_core.training.dataset_tracking import unlogged
from astrid_core.training.request import COLLECTION_OP
from astrid_dagster import tags
from astrid_dagster.assets.validation import show_fraction, validation_events
from astrid_dagster.jobs import collect_training_data, labels, log_training_data
from astrid_dagster.partitions import dataset_partitions
from astrid_dagster.resources import DatabaseResource

_TIMEOUT_S = 10


# --- verdicts -----------------------------------------------------------------------------


@dg.sensor(
    job=labels,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Makes labels anew once ASTRID_LABELS_MIN_VERDICTS verdicts have come in, or "
    "the first of fewer has waited ASTRID_LABELS_MAX_WAIT_S. Every verdict is in one batch, and "
    "every batch makes one run. It reads the verdicts themselves, not events about them.",
)
def refresh_labels(
    context: dg.SensorEvaluationContext, database: DatabaseResource
) -> dg.SensorResult:
    """Ask for labels of the verdicts behind the cursor, if they are due."""
    after = _last_launched(context.instance, parse_cursor(context.cursor))
    settings = get_settings()
    batch = database.run(lambda connection: read_batch(connection, after))
    is_due, why = why_due(batch, settings.labels_min_verdicts, settings.labels_max_wait_s)
    context.log.info(why)
    if not is_due:
        return dg.SensorResult(skip_reason=why, cursor=format_cursor(after))
    agreement = database.run(
        lambda connection: total_of([one.agreement for one in reviewer_statistics(connection)])
    )
    return dg.SensorResult(
        run_requests=[_run_request(batch, why)],
        asset_events=[_verdicts_came(batch, why, agreement)],
        cursor=format_cursor(batch.last),
    )


def _last_launched(instance: dg.DagsterInstance, cursor: EventCursor | None) -> EventCursor | None:
    """The cursor, moved behind what runs were launched for already.

    A daemon that dies after launching a run has not kept the cursor behind its batch; by
    then more verdicts may have come in, so that the same batch cannot be cut again.
    """
    while runs := instance.get_runs(
        dg.RunsFilter(job_name=labels.name, tags={tags.LABELS_AFTER: format_cursor(cursor)}),
        limit=1,
    ):
        cursor = parse_cursor(runs[0].tags[tags.LABELS_LAST])
    return cursor


def _run_request(batch: Batch, why: str) -> dg.RunRequest:
    after, last = format_cursor(batch.after), format_cursor(batch.last)
    return dg.RunRequest(
        run_key=f"{after}..{last}",
        tags={tags.LABELS_AFTER: after, tags.LABELS_LAST: last, tags.LABELS_WHY: why},
    )


def _verdicts_came(batch: Batch, why: str, agreement: Fraction) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        validation_events.key,
        description=why,
        metadata=describe_batch(batch) | {"agreement": show_fraction(agreement)},
    )


# --- training data ------------------------------------------------------------------------


@dg.sensor(
    job=collect_training_data,
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=3600,
    description="Collects the next version of the newest active dataset once "
    "ASTRID_RETRAIN_MIN_LABELS labels are new, or it is ASTRID_RETRAIN_MAX_DAYS old, or the "
    "champion drifts. The dataset's description says which. Switch it on to have models "
    "retrained by themselves, with train_on_new_datasets.",
)
def collect_again(
    context: dg.SensorEvaluationContext, database: DatabaseResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask for another dataset, once for each that is outgrown."""
    now = dt.datetime.now(dt.UTC)
    due = database.run(lambda connection: why_collect_again(connection, now, get_settings()))
    if due is None:
        return dg.SkipReason("The newest training dataset is new enough, or there is none.")
    outgrown, why = due
    if context.cursor == str(outgrown.id):
        return dg.SkipReason(f"Another dataset was asked for: {why}.")
    dataset_id = str(derive_id("training_dataset", "after", outgrown.id))
    asked = {
        name: value
        for name, value in outgrown.collection_params.items()
        if name not in ("start", "end", "description")
    }
    config = {"request": asked | {"description": f"Collected anew: {why}."}}
    context.log.info(why)
    return dg.SensorResult(
        dynamic_partitions_requests=[dataset_partitions.build_add_request([dataset_id])],
        run_requests=[
            dg.RunRequest(
                run_key=dataset_id,
                partition_key=dataset_id,
                run_config={
                    "ops": {COLLECTION_OP: {"config": config | {"requested_by": "collect_again"}}}
                },
                tags={tags.WHY: why},
            )
        ],
        cursor=str(outgrown.id),
    )


# --- MLflow --------------------------------------------------------------------------------

_LATE_S = 300
_AGAIN_S = 1800


@dg.sensor(
    job=log_training_data,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_LATE_S,
    description="Has datasets logged that MLflow did not take when they were collected, each "
    "once every half hour until it does.",
)
def log_late_datasets(
    _: dg.SensorEvaluationContext, database: DatabaseResource
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for each dataset that MLflow does not know."""
    late = database.run(lambda connection: unlogged(connection, _LATE_S))
    if not late:
        yield dg.SkipReason("MLflow knows every dataset.")
    turn = int(time.time() // _AGAIN_S)
    for dataset_id in late:
        yield dg.RunRequest(run_key=f"{dataset_id}|{turn}", partition_key=str(dataset_id))


# --- failures -----------------------------------------------------------------------------


@dg.run_failure_sensor(
    name="report_failed_runs",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Logs every failed run with its partition and first error, and posts it as "
    "JSON to ASTRID_ALERT_URL where that is set (a chat webhook, an alert manager).",
)
def report_failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Say which partition of which job failed, why, and how to run it again."""
    report = failure_report(context)
    context.log.error(report["text"])
    url = get_settings().alert_url
    if url is not None:
        request = urllib.request.Request(  # noqa: S310  the operator's own address, http(s) only
            str(url.get_secret_value()),
            data=json.dumps(report).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()  # noqa: S310


def failure_report(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """The failure as text and fields."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition", "no partition")
    errors = [
        _root_cause(event.step_failure_data.error)
        for event in context.get_step_failure_events()
        if event.step_failure_data.error is not None
    ]
    reason = errors[0] if errors else context.failure_event.message or "unknown reason"
    return {
        "run_id": run.run_id,
        "job": run.job_name,
        "partition": partition,
        "error": reason,
        "text": f"AstrID: {run.job_name} failed for {partition}: {reason} "
        f"Re-run that partition from Dagster's UI once the cause is mended (run {run.run_id}).",
    }


def _root_cause(error: SerializableErrorInfo) -> str:
    """First line of the innermost error: Dagster's own wrapping says only which op."""
    while error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0]
