"""Engines and sessions on AstrID's database."""

from typing import Any

import psycopg
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session, sessionmaker

from astrid_core.errors import ConfigurationError

CONNECT_TIMEOUT_S = 10


def database_url(url: str | URL) -> URL:
    """Address of a PostgreSQL database, to be spoken to by psycopg 3.

    Accepts what providers hand out: ``postgresql://``, ``postgres://`` and SQLAlchemy's
    ``postgresql+driver://``.

    Raises
    ------
    ConfigurationError
        If it is not the address of a PostgreSQL database. The message does not show it:
        an address carries a password.
    """
    text = url if isinstance(url, URL) else make_url(_with_known_scheme(url))
    if text.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"The database is {text.get_backend_name()}; AstrID needs PostgreSQL 14 or newer.",
            remedy="Set ASTRID_DATABASE_URL to postgresql+psycopg://user:password@host/database.",
        )
    return text.set(drivername="postgresql+psycopg")


def make_engine(url: str | URL) -> Engine:
    """Engine with connections that are checked before use and die with their host.

    Raises
    ------
    ConfigurationError
        If ``url`` is not the address of a PostgreSQL database.
    """
    engine = create_engine(
        database_url(url),
        pool_size=4,
        max_overflow=8,
        pool_pre_ping=True,
        hide_parameters=True,  # rows have no business in logs and error messages
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "astrid",
            "prepare_threshold": None,  # transaction poolers (Supabase) lose prepared statements
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )
    event.listen(engine, "connect", _speak_utc)
    return engine


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Factory of sessions whose objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def _speak_utc(connection: psycopg.Connection[Any], _record: object) -> None:
    """Have times told in UTC: by a statement, for poolers refuse ``options`` at the door."""
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _with_known_scheme(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigurationError(
            "The database address has no scheme.",
            remedy="Set ASTRID_DATABASE_URL to postgresql+psycopg://user:password@host/database.",
        )
    return f"postgresql://{rest}" if scheme == "postgres" else url
