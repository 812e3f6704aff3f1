"""A migrated database, and a transaction on it that is kept."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from dbschema.session import make_engine


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = make_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection
