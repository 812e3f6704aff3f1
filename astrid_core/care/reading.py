"""What all checks read by."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, func, select

from dbschema.models import Base

_BATCH = 5000

Query = Select[*tuple[Any, ...]]


def streamed(connection: Connection, query: Query) -> Iterator[Row[*tuple[Any, ...]]]:
    """Rows in batches, so that no table is in memory at once."""
    return iter(connection.execute(query.execution_options(yield_per=_BATCH)))


def count(connection: Connection, model: type[Base]) -> int:
    """Rows of a table."""
    return connection.scalar(select(func.count()).select_from(model)) or 0


def table_of(model: type[Base]) -> Table:
    """The table of a model."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101  every model of ours maps a table
    return table
