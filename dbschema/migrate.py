"""Bring a database to this code's schema, or refuse where it is ahead.

What belongs here: running migrations. What does not: writing them
(``dbschema/migrations/versions``) and connecting (``dbschema.session``).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text

from astrid_core.errors import SchemaVersionError
from dbschema.session import make_engine

_LOCK = 0x4173747249440001
"""Key of the advisory lock that lets one migration run at a time ("AstrID", 1)."""


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Bring the database to a revision; harmless when it is there already.

    All of it happens in one transaction, and one at a time: a second call waits for the
    first and then finds nothing to do.

    Raises
    ------
    SchemaVersionError
        If the database is at a revision this code does not know.
    """
    with _locked(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str | URL, revision: str = "base") -> None:
    """Take the database back to a revision. **What newer tables hold is lost.**

    Raises
    ------
    SchemaVersionError
        If the database is at a revision this code does not know.
    """
    with _locked(url) as connection:
        command.downgrade(_config(connection), revision)


def check(url: str | URL) -> None:
    """Make sure that the database has exactly this code's schema.

    Raises
    ------
    SchemaVersionError
        If it is older, newer or empty.
    """
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            found = _known_revision(connection)
    finally:
        engine.dispose()
    if found != head():
        raise SchemaVersionError(
            f"The database is at schema revision {found or 'none'}, this code at {head()}.",
            remedy="Run `astrid up`, or dbschema.migrate.upgrade on the database.",
        )


def head() -> str:
    """Newest revision this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # noqa: S101  the packaged migrations are one line of descent
    return revision


def revision_of(connection: Connection) -> str | None:
    """Revision that a database is at, known or not; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Whether this code knows a revision."""
    return revision in _known_revisions()


def _known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "dbschema:migrations")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _locked(url: str | URL) -> Iterator[Connection]:
    """Transaction that holds the migration lock, on a database this code knows."""
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            # Held to the end of the transaction, so that poolers and crashes cannot keep it.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _known_revision(connection)
            yield connection
    finally:
        engine.dispose()


def _known_revision(connection: Connection) -> str | None:
    """Revision of the database, None when it is empty; refuse one from the future."""
    found = revision_of(connection)
    if found is not None and found not in _known_revisions():
        raise SchemaVersionError(
            f"The database is at schema revision {found}, which this code does not know; "
            f"its newest is {head()}.",
            remedy="Install the newer AstrID that wrote this database, or use another one.",
        )
    return found
