"""Which of the model runs on an observation a detection must be of, to be the current one."""

from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import QueryableAttribute

from dbschema.models import Detection, DifferenceRun
from dbschema.views import current_model_runs

USABLE = ("completed", "degraded")
"""States of runs that gave something."""

_Id = ColumnElement[UUID] | QueryableAttribute[UUID]


def is_of_current_run(
    statuses: tuple[str, ...] = USABLE,
    model_run_id: _Id = Detection.model_run_id,
    difference_run_id: _Id = Detection.difference_run_id,
) -> ColumnElement[bool]:
    """Condition on rows of detections: of their observation's current model run.

    A scalar subquery, so that it is asked of the few rows a query gets to, and never joined
    with all runs.

    Parameters
    ----------
    statuses
        What the model run and its difference image must be in.
    model_run_id, difference_run_id
        Columns of the rows.
    """
    run = current_model_runs.columns
    current: ColumnElement[UUID] = (
        select(run["run_id"])
        .join(DifferenceRun, DifferenceRun.observation_id == run["observation_id"])
        .where(
            DifferenceRun.run_id == difference_run_id,
            DifferenceRun.status.in_(statuses),
            run["status"].in_(statuses),
        )
        .scalar_subquery()
    )
    return usually(model_run_id == current)


def usually(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, but such that the planner takes it to hold for half of all rows.

    Of an equality with a subquery it believes that next to no row fulfils it, and then reads
    and sorts a whole table where the first rows of an index would do.
    """
    return func.coalesce(condition, False)
