"""How much is left to judge."""

from sqlalchemy import Connection, func, select

from dbschema.models import Candidate, Detection, DifferenceRun
from dbschema.views import current_model_runs


def count_waiting(connection: Connection) -> int:
    """Detections of current, good runs that nothing is decided about, as the queue offers them.

    Judged ones without a decision are among them; injected sources are not.
    """
    run = current_model_runs.columns
    current = (
        select(run["run_id"])
        .join(DifferenceRun, DifferenceRun.run_id == run["difference_run_id"])
        .where(run["status"] == "completed", DifferenceRun.status == "completed")
    )
    query = (
        select(func.count())
        .select_from(Detection)
        .outerjoin(Candidate, Candidate.id == Detection.candidate_id)
        .where(
            Detection.status == "active",
            ~Detection.is_validated,
            Detection.model_run_id.in_(current),
            Candidate.is_injected.is_not(True),
        )
    )
    return connection.execute(query).scalar_one()
