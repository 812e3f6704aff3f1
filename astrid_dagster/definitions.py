"""The assembly of everything Dagster loads; tests and the command line share it."""

from collections.abc import Mapping

import dagster as dg

from astrid_core.settings import DefinitionSettings
from astrid_dagster.assets import ALL_ASSETS
from astrid_dagster.assets.validation import queue_depth, validation_events
from astrid_dagster.executors import executor
from astrid_dagster.io_managers.fits import FitsIOManager
from astrid_dagster.io_managers.postgres import PostgresIOManager
from astrid_dagster.io_managers.scratch import ScratchIOManager
from astrid_dagster.jobs import JOBS
from astrid_dagster.logs import set_up_logs
from astrid_dagster.resources import (
    AlertsResource,
    ChampionResource,
    DatabaseResource,
    RunLedger,
    StoreResource,
    TrackingResource,
    TrainingLedger,
)
from astrid_dagster.schedules import every_morning, every_noon
from astrid_dagster.sensors import (
    collect_again,
    log_late_datasets,
    refresh_labels,
    report_failed_runs,
)
from astrid_dagster.training_sensors import (
    close_canceled_trainings,
    close_failed_trainings,
    redetect_after_promotion,
    train_on_new_datasets,
)


def build_defs(resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """All definitions, with some resources replaced."""
    store, database = StoreResource(), DatabaseResource()
    resources: dict[str, object] = {
        "store": store,
        "database": database,
        "ledger": RunLedger(database=database),
        "training": TrainingLedger(database=database),
        "alerts": AlertsResource(database=database),
        "champion": ChampionResource(),
        "tracking": TrackingResource(),
        "fits_io": FitsIOManager(store=store, database=database),
        "postgres_io": PostgresIOManager(database=database),
        "scratch_io": ScratchIOManager(store=store),
    }
    return dg.Definitions(
        assets=[*ALL_ASSETS, validation_events],
        asset_checks=[queue_depth],
        jobs=JOBS,
        schedules=[every_noon, every_morning],
        sensors=[
            refresh_labels,
            log_late_datasets,
            collect_again,
            train_on_new_datasets,
            redetect_after_promotion,
            close_failed_trainings,
            close_canceled_trainings,
            report_failed_runs,
        ],
        executor=executor(DefinitionSettings().executor),
        resources=resources | dict(resource_overrides or {}),
    )


set_up_logs()
defs = build_defs()
