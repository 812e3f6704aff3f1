"""Schedules: every nightly survey at noon, the health of training data in the morning."""

from datetime import timedelta

import dagster as dg

from astrid_dagster.jobs import health, nightly
from astrid_dagster.partitions import NIGHT, SURVEY, configured_surveys


@dg.schedule(
    job=nightly,
    cron_schedule="0 12 * * *",
    execution_timezone="UTC",
    description="At noon UTC, processes last night of every survey that says 'nightly: true'.",
)
def every_noon(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run per nightly survey for the night that has just ended."""
    night = (context.scheduled_execution_time.date() - timedelta(days=1)).isoformat()
    names = [name for name, survey in configured_surveys().surveys.items() if survey.nightly]
    if not names:
        return dg.SkipReason("No survey in surveys.yaml says 'nightly: true'.")
    return [
        dg.RunRequest(
            run_key=f"{name}|{night}",
            partition_key=dg.MultiPartitionKey({SURVEY: name, NIGHT: night}),
        )
        for name in names
    ]


every_morning = dg.ScheduleDefinition(
    name="every_morning",
    job=health,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At six UTC, measures the health of training data.",
)
