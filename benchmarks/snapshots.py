"""What a stack holds, so that two can be compared: rows without their clocks, objects' hashes."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, select

from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from dbschema.models import Base
from dbschema.session import make_engine

Row = dict[str, Any]
Snapshot = dict[str, Any]
OF_PEOPLE = frozenset({"users", "api_keys", "sign_in_links", "sign_in_sessions"})
"""Tables in which every stack has its own: random ids, hashes of secrets."""
_NOT_OURS = frozenset({"scratch", "mlflow"})


def snapshot(state: State) -> Snapshot:
    """Every row and every object, by table and by key; who may use the stack aside."""
    engine = make_engine(state.database_url("astrid"))
    with engine.connect() as connection:
        found: Snapshot = {
            table.name: rows_of(connection, table)
            for table in Base.metadata.sorted_tables
            if table.name not in OF_PEOPLE
        }
    engine.dispose()
    return found | objects(state)


def rows_of(
    connection: Connection,
    table: Table,
    *where: ColumnElement[bool],
    without: Collection[str] = (),
) -> list[Row]:
    """Rows in the order of their keys, without the columns that tell the time.

    Parameters
    ----------
    without
        Names of further columns to leave out.
    """
    kept: list[Column[Any]] = [
        one for one in table.columns if not one.info.get("clock") and one.name not in without
    ]
    query = select(*kept).where(*where).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(query).mappings()]


def objects(state: State, prefix: str = "") -> dict[str, str]:
    """SHA-256 of each object of ours below a prefix; ops' scratch and MLflow's files aside."""
    root = Stack(state).object_store().folder / "astrid"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and str(path.relative_to(root)).startswith(prefix)
        and path.relative_to(root).parts[0] not in _NOT_OURS
    }


def differing(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
    """Names of what is not the same in both, or in one alone."""
    return sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
