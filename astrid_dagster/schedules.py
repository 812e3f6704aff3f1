"""Schedules: every nightly survey at noon, the health of training data in the morning."""

from datetime import date, timedelta

import dagster as dg

from astrid_dagster.jobs import health, nightly
from astrid_dagster.partitions import NIGHT, SURVEY, configured_surveys


@dg.schedule(
    job=nightly,
    cron_schedule="0 12 * * *",
    execution_timezone="UTC",
    description="At noon UTC, processes last night of every survey that says 'nightly: true', "
    "and its 'late_nights' before that again.",
)
def every_noon(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run per nightly survey for the night that has just ended, and one per late night."""
    today = context.scheduled_execution_time.date()
    configured = configured_surveys()
    requests = [
        _request(name, today - timedelta(days=1 + late), today, is_late=late > 0)
        for name, survey in configured.surveys.items()
        if survey.nightly
        for late in range(survey.late_nights + 1)
        if today - timedelta(days=1 + late) >= configured.partitions_start
    ]
    return requests or dg.SkipReason("No survey in surveys.yaml says 'nightly: true'.")


def _request(name: str, night: date, today: date, *, is_late: bool) -> dg.RunRequest:
    """A run of one survey-night; a late night is asked for anew every day."""
    return dg.RunRequest(
        run_key=f"{name}|{night}|{today}" if is_late else f"{name}|{night}",
        partition_key=dg.MultiPartitionKey({SURVEY: name, NIGHT: night.isoformat()}),
    )


every_morning = dg.ScheduleDefinition(
    name="every_morning",
    job=health,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At six UTC, measures the health of training data.",
)
