"""The audit of a whole installation: rows, objects, and what Dagster believes is going on."""

from collections.abc import Callable

from sqlalchemy import Connection, select

from astrid_core.care.audit import audit
from astrid_core.care.objects import Grace
from astrid_core.care.report import AuditReport
from astrid_stack.care.installation import Installation
from astrid_stack.care.orchestration import Patience, check_orchestration, read_orchestration
from dbschema.migrate import check
from dbschema.models import TrainingRun
from dbschema.transactions import snapshot_at


def audit_installation(
    installation: Installation,
    *,
    read_all: bool = True,
    grace: Grace | None = None,
    patience: Patience | None = None,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> AuditReport:
    """Look whether everything is in its place, and nothing stuck.

    Dagster's part is left out where the environment does not name its database.

    Parameters
    ----------
    read_all, grace, report
        As :func:`astrid_core.care.audit.audit` has them.

    Raises
    ------
    SchemaVersionError
        If the database has another schema than this code's.
    DatabaseError, StoreError
        If a database or the store failed.
    """
    address = installation.address("astrid")
    check(address)
    with snapshot_at(address) as connection:
        found = audit(connection, installation.store, read_all=read_all, grace=grace, report=report)
        trainings = running_trainings(connection)
    if "dagster" not in installation.databases:
        return found
    # After the trainings: one that began since is not among them, its run may be.
    with snapshot_at(installation.address("dagster")) as connection:
        orchestration = read_orchestration(connection)
    told = patience or Patience(is_local=installation.is_embedded)
    return found + AuditReport(tuple(check_orchestration(orchestration, trainings, told)))


def running_trainings(connection: Connection) -> list[tuple[str, str | None]]:
    """(training run, its Dagster run) of those said to be running."""
    query = select(TrainingRun.id, TrainingRun.dagster_run_id).where(
        TrainingRun.status == "running"
    )
    return [(str(row[0]), row[1]) for row in connection.execute(query)]
