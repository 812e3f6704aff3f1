"""Which of the model runs on an observation a detection must be of, to be the current one."""

from uuid import UUID

from sqlalchemy import ColumnElement, select

from dbschema.models import Detection, DifferenceRun
from dbschema.views import current_model_runs

USABLE = ("completed", "degraded")
"""States of runs that gave something."""


def is_of_current_run(statuses: tuple[str, ...] = USABLE) -> ColumnElement[bool]:
    """Condition on ``detections``: of its observation's current model run.

    A scalar subquery, so that it is asked of the few rows a query gets to, and never joined
    with all runs.

    Parameters
    ----------
    statuses
        What the model run and its difference image must be in.
    """
    run = current_model_runs.columns
    current: ColumnElement[UUID] = (
        select(run["run_id"])
        .join(DifferenceRun, DifferenceRun.observation_id == run["observation_id"])
        .where(
            DifferenceRun.run_id == Detection.difference_run_id,
            DifferenceRun.status.in_(statuses),
            run["status"].in_(statuses),
        )
        .correlate(Detection)
        .scalar_subquery()
    )
    return Detection.model_run_id == current
