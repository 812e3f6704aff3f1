"""The audit: rows against rows, rows against objects, verdicts against what follows from them.

::

    with snapshot(engine) as connection:
        report = audit(connection, store)
    assert report.is_sound, report.problems

It changes nothing and may run while the pipeline does: the connection shows one state of the
database, and the store is listed after that.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from astrid_core.care.datasets import check_datasets
from astrid_core.care.nights import check_nights
from astrid_core.care.objects import Grace, NamedBy, check_objects
from astrid_core.care.report import AuditReport
from astrid_core.care.verdicts import check_verdicts
from astrid_core.storage import ObjectStore


def audit(
    connection: Connection,
    store: ObjectStore,
    *,
    read_all: bool = True,
    grace: Grace | None = None,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> AuditReport:
    """Look whether everything is in its place.

    Parameters
    ----------
    connection
        One state of the database (:func:`dbschema.transactions.snapshot`).
    store
        The store whose objects the rows name.
    read_all
        Whether every object is read and its hash compared; else it is only looked for.
    grace
        How old an object without a row must be to be called left behind.
    report
        Told how many of how many objects were read.

    Raises
    ------
    DatabaseError, StoreError
        If database or store failed.
    """
    checks = [*check_nights(connection), *check_verdicts(connection), *check_datasets(connection)]
    named = NamedBy.read(connection)
    checks += check_objects(named, store, grace or Grace(), read_all=read_all, report=report)
    return AuditReport(tuple(checks))
