"""What is done to a part's storage by its own library, in a process of its own.

``python -m astrid_stack.tasks dagster|mlflow|champion`` with the stack's environment. The
libraries take seconds to import and read the process's environment, so ``astrid up`` runs
these beside other work, and only where there is something to do.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from astrid_stack.processes import lived_at

if TYPE_CHECKING:
    from dagster import DagsterInstance

NEWER_SCHEMA = 3
"""Exit status: the database was written by a newer release."""


def prepare_dagster() -> None:
    """Bring Dagster's storage to this release, and end runs that died with this machine."""
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        prepare_instance(instance, gpu_slots=1)
        fail_dead_runs(instance)


def prepare_instance(instance: "DagsterInstance", gpu_slots: int) -> None:
    """Bring an instance's storage to this release, and set how many steps hold a GPU at once."""
    from astrid_stack.dagster import GPU_POOL

    instance.upgrade(print)
    instance.event_log_storage.set_concurrency_slots(GPU_POOL, gpu_slots)


def fail_dead_runs(instance: "DagsterInstance") -> list[str]:
    """End runs that claim to be going on while their process is gone; free their slots.

    A run is alive if one of the processes it reported still is. One that reported none yet
    (STARTING) is alive only if it is younger than the code server, which starts runs.

    Returns
    -------
    Ids of the runs ended.
    """
    from dagster import DagsterRunStatus, RunsFilter

    unfinished = [
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    ]
    ended = []
    for record in instance.get_run_records(RunsFilter(statuses=unfinished)):
        run = record.dagster_run
        if _is_alive(instance, run.run_id, record.update_timestamp.timestamp()):
            continue
        message = "Its process ended without a word; noticed by 'astrid up'."
        if run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
        print(f"run {run.run_id}: ended, its process is gone", flush=True)
    return ended


def _is_alive(instance: "DagsterInstance", run_id: str, updated: float) -> bool:
    from dagster import DagsterEventType

    reported = {}
    events = instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)
    for event in events:
        data = event.dagster_event.engine_event_data if event.dagster_event else None
        pid = data.metadata.get("pid") if data else None
        if pid is not None:
            reported[int(str(pid.value))] = event.timestamp
    if reported:
        return any(lived_at(pid, when) for pid, when in reported.items())
    code_server_since = float(os.environ["ASTRID_CODE_SINCE"])
    return updated > code_server_since


def prepare_mlflow() -> None:
    """Bring MLflow's database to this release."""
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine_with_retry

    _upgrade_db(create_sqlalchemy_engine_with_retry(os.environ["MLFLOW_BACKEND_STORE_URI"]))


def prepare_champion() -> None:
    """Register the shipped model as champion where there is none."""
    from astrid_core.detection.registry import ensure_bootstrap, upsert_model
    from astrid_core.settings import Settings
    from astrid_core.storage import ObjectStore
    from dbschema.session import make_engine

    settings = Settings()
    row = ensure_bootstrap(settings.mlflow_uri, ObjectStore.from_settings(settings))
    upsert_model(make_engine(settings.database_url.get_secret_value()), row)


def shipped_model() -> str | None:
    """What the model registry is prepared for: the shipped card's SHA-256; None without one.

    Read without the registry's own module, whose import takes seconds.
    """
    folder = Path(str(resources.files("astrid_core"))) / "detection" / "weights"
    try:
        card = json.loads((folder / "realbogus-bootstrap.json").read_text())
    except FileNotFoundError:
        return None
    return f"champion {card['sha256']}"


TASKS: Mapping[str, Callable[[], None]] = {
    "dagster": prepare_dagster,
    "mlflow": prepare_mlflow,
    "champion": prepare_champion,
}


def main(name: str) -> int:
    """Run one task; 0 when done, :data:`NEWER_SCHEMA` when the storage is ahead of us."""
    started = time.monotonic()
    try:
        TASKS[name]()
    except Exception as error:
        chain = [error, error.__cause__, error.__context__]
        if any("Can't locate revision" in str(link) for link in chain):
            print(f"{name}: {error}", flush=True)
            return NEWER_SCHEMA
        raise
    print(f"{name}: prepared in {time.monotonic() - started:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
