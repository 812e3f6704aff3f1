"""training_data_health: what people decided lately, whether the champion drifts, and alerts."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from astrid_core.errors import ModelUnavailableError
from astrid_core.monitoring.health import FINGERPRINTS, HEALTH_VERSION, MIN_SCORE, Health
from astrid_core.settings import get_settings
from astrid_core.training.dataset_tracking import log_health
from astrid_dagster import tags
from astrid_dagster.assets.night import table_out
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.resources import AlertsResource, TrainingLedger
from dbschema.models import TrainingDataHealth

_CHECK = "quality_of_late_labels"


@dg.multi_asset(
    name="measure_training_data_health",
    deps=["detections", "labels"],
    outs={
        "training_data_health": table_out(
            "Quality of what people decided in the last seven days, and drift of the champion's "
            "confidences, day by day. People are alerted once where either is out of range.",
            tags.MONITORING,
            HEALTH_VERSION,
        )
    },
    check_specs=[
        dg.AssetCheckSpec(
            _CHECK,
            asset="training_data_health",
            description=f"Quality of what was judged lately is {MIN_SCORE} or better.",
        )
    ],
)
def measure_training_data_health(
    context: dg.AssetExecutionContext, training: TrainingLedger, alerts: AlertsResource
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Measure, keep, tell MLflow and people."""
    health = training.health(dt.datetime.now(dt.UTC))
    yield dg.Output(
        [TableRows(TrainingDataHealth, [health.row()])],
        "training_data_health",
        metadata=health.metrics() | {"mlflow": _log(context, health)},
    )
    seen = health.sightings()
    for sighting in seen:
        alerts.raise_alert(sighting)
    for over in set(FINGERPRINTS) - {sighting.fingerprint for sighting in seen}:
        alerts.resolve(over)
    quality = health.quality
    yield dg.AssetCheckResult(
        check_name=_CHECK,
        asset_key="training_data_health",
        passed=quality is None or quality.quality_score >= MIN_SCORE,
        severity=dg.AssetCheckSeverity.WARN,
        description="nothing was judged lately"
        if quality is None
        else f"quality {quality.quality_score:.3f} of {quality.total_samples} detections",
    )


def _log(context: dg.AssetExecutionContext, health: Health) -> str:
    """MLflow's run, or why there is none: health does not depend on it."""
    try:
        return log_health(get_settings().mlflow_uri, health.day, health.metrics())
    except ModelUnavailableError as error:
        context.log.warning(f"MLflow was not told: {error}")
        return "not told"
