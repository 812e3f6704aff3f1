"""Sensors: a failed run is told to people."""

import json
import urllib.request

import dagster as dg
from dagster._utils.error import SerializableErrorInfo

from astrid_core.settings import get_settings

_TIMEOUT_S = 10


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
