"""Transactions that end well: committed whole, or typed and nothing written."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from astrid_core.errors import DatabaseError, DatabaseRefusedError
from astrid_core.retries import tried_again
from dbschema.session import make_engine

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed at the end; what the database raises is typed.

    Raises
    ------
    DatabaseError
        If the database failed or went away. Nothing was written, except where the
        connection broke during the commit itself: that is the one answer nobody has. All
        writes of ours are upserts or have a key that makes them the same again, so that
        writing again is right in both cases.
    DatabaseRefusedError
        If the database refused the rows.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, psycopg.Error) as error:
        raise _typed(engine, error) from error


@contextmanager
def transaction_at(url: str) -> Iterator[Connection]:
    """One transaction on a database that nothing else is wanted of.

    Raises
    ------
    DatabaseError, DatabaseRefusedError
        As :func:`transaction`.
    """
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """One state of the database, to read from as often as one likes; it writes nothing.

    Raises
    ------
    DatabaseError, DatabaseRefusedError
        As :func:`transaction`.
    """
    isolated = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with transaction(isolated) as connection:
        yield connection


@contextmanager
def snapshot_at(url: str) -> Iterator[Connection]:
    """One state of a database that nothing else is wanted of.

    Raises
    ------
    DatabaseError, DatabaseRefusedError
        As :func:`transaction`.
    """
    engine = make_engine(url)
    try:
        with snapshot(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def in_transaction(
    engine: Engine,
    work: Callable[[Connection], _Result],
    attempts: int = 5,
    longest_wait_s: float = 8.0,
) -> _Result:
    """Do work in a transaction, all of it again when the database failed for the moment.

    Parameters
    ----------
    work
        What to do; it must leave nothing behind outside the transaction.
    attempts
        Tries in all, with jittered exponential waits of at most ``longest_wait_s``
        seconds between them.

    Raises
    ------
    DatabaseError
        If the last attempt failed too.
    DatabaseRefusedError
        If the database refused the rows, at once.
    """

    def attempt() -> _Result:
        with transaction(engine) as connection:
            return work(connection)

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, DatabaseError) and error.transient

    def report(number: int, reason: BaseException | None) -> None:
        _log.warning("attempt %d failed, trying again: %s", number, reason)

    return tried_again(attempt, may_pass, attempts, longest_wait_s, report)


def _typed(engine: Engine, error: DBAPIError | psycopg.Error) -> DatabaseError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    where = engine.url.render_as_string(hide_password=True)
    said = str(cause).strip().replace("\n", " ")
    # Lost connections, shutdown, deadlock, too many clients: all are OperationalError.
    # InterfaceError is what psycopg says of a connection found closed.
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseError(
            f"The database at {where} failed: {said}.",
            remedy="Check that it is up and reachable, then do again what failed.",
        )
    return DatabaseRefusedError(
        f"The database at {where} refused: {said}.",
        remedy="Correct what made the rows; nothing of this transaction was written.",
        sqlstate=getattr(cause, "sqlstate", None),
    )
