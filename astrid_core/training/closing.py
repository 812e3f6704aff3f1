"""How a training run's row ends, and that of one whose process died. No torch here."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, select, update

from astrid_core.training.tracking import end_abandoned
from dbschema.models import TrainingRun
from dbschema.transactions import in_transaction


def close_run(engine: Engine, mlflow_uri: str, dagster_run_id: str, why: str) -> list[UUID]:
    """Mark what a dead Dagster run left running as failed, here and in MLflow.

    Returns
    -------
    The training runs that were closed.
    """
    table = TrainingRun.__table__
    query = select(table.c.id, table.c.mlflow_run_id).where(
        table.c.dagster_run_id == dagster_run_id, table.c.status == "running"
    )
    found = in_transaction(engine, lambda connection: connection.execute(query).all())
    for run_id, mlflow_run_id in found:
        update_run(engine, run_id, failure("TrainingRunError", why))
        if mlflow_run_id is not None:
            end_abandoned(mlflow_uri, mlflow_run_id)
    return [run_id for run_id, _ in found]


def failure(kind: str, message: str) -> dict[str, Any]:
    """Columns of a run that failed."""
    return {
        "status": "failed",
        "completed_at": dt.datetime.now(dt.UTC),
        "error_type": kind,
        "error_message": message,
    }


def update_run(engine: Engine, run_id: UUID, values: Mapping[str, Any]) -> None:
    """Change columns of a run's row."""
    statement = update(TrainingRun).where(TrainingRun.id == run_id).values(**values)
    in_transaction(engine, lambda connection: connection.execute(statement))
