"""Bulk upsert of machine-owned columns: COPY to a temporary table, then INSERT … ON CONFLICT.

What belongs here: the statements of one table's upsert within a transaction that the
caller holds. Which rows, and which transaction, is the caller's business.

Who owns a column decides what happens to it when the row is there already:

- people (``info=HUMAN``): never written;
- ``created_at``: kept from the first insert; ``selected_at``: now, at every materialization;
- a clock without a default (``wall_s``, ``device``): taken when given, else kept;
- every other column: taken from the row, its default where the row leaves it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from psycopg import Connection as PsycopgConnection
from psycopg import sql
from sqlalchemy import Column, Connection, Table

from astrid_core.errors import ConfigurationError
from astrid_dagster.io_managers.columns import converter
from astrid_dagster.io_managers.values import TableRows
from dbschema.models import Base

_REMEDY = "Correct the stage that made the rows."


@dataclass(frozen=True)
class Upserted:
    """What an upsert did: rows written, rows that became superseded."""

    table: str
    n_rows: int
    n_superseded: int


def upsert(connection: Connection, values: TableRows) -> Upserted:
    """Write rows of one table inside the caller's transaction.

    Rows are merged in the order of their keys, so that two writers of the same rows
    cannot deadlock.

    Raises
    ------
    ConfigurationError
        If a row has an unknown column, lacks one, or holds a value the column cannot take.
    """
    table = _table(values.table)
    given = _given_columns(table, values.rows)
    batches = _batches(given, values.rows)
    _check_keys(table, values.rows)
    _check_parents(table, values)
    driver = _driver(connection)
    staging = _staging(table)
    target = sql.Identifier(table.name)
    with driver.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE {} (LIKE {} INCLUDING DEFAULTS)").format(staging, target)
        )
        for columns, rows in batches:
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(staging, _names(columns))
            records = _records(table, columns, rows)
            with cursor.copy(into) as copy:
                for record in records:
                    copy.write_row(record)
        cursor.execute(_merge(table, {column.name for column in given}))
        n_superseded = 0
        if values.parent_column is not None:
            cursor.execute(_supersede(table, values.parent_column), [list(values.parent_ids)])
            n_superseded = cursor.rowcount
        cursor.execute(sql.SQL("DROP TABLE {}").format(staging))
    return Upserted(table.name, len(values.rows), n_superseded)


# --- columns ------------------------------------------------------------------------------


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101  every model of ours maps a table
    return table


def _is_human(column: Column[Any]) -> bool:
    return column.info.get("owner") == "human"


def _is_clock(column: Column[Any]) -> bool:
    return bool(column.info.get("clock"))


def _is_stamp(column: Column[Any]) -> bool:
    """Whether the database itself sets the column."""
    return _is_clock(column) and column.server_default is not None


def _is_measured_clock(column: Column[Any]) -> bool:
    """Whether a stage measures the column, differently each time."""
    return _is_clock(column) and column.server_default is None


def _given_columns(table: Table, rows: Sequence[Mapping[str, object]]) -> list[Column[Any]]:
    """Columns to copy: those any row gives, in the table's order, without stamps.

    Stamps that a row carries (because it was read from the table) are the database's and
    are left out.
    """
    if not rows:
        return list(table.primary_key.columns)
    names: set[str] = set().union(*rows)
    unknown = sorted(names - set(table.columns.keys()))
    if unknown:
        raise ConfigurationError(
            f"Table {table.name} has no column {', '.join(unknown)}.", remedy=_REMEDY
        )
    human = sorted(name for name in names if _is_human(table.columns[name]))
    if human:
        raise ConfigurationError(
            f"{table.name}: {', '.join(human)} is for people to decide, not for a stage.",
            remedy=_REMEDY,
        )
    missing = [
        column.name
        for column in table.columns
        if column.name not in names and not column.nullable and column.server_default is None
    ]
    if missing:
        raise ConfigurationError(f"Rows of {table.name} lack {', '.join(missing)}.", remedy=_REMEDY)
    return [c for c in table.columns if c.name in names and not _is_stamp(c)]


def _batches(
    given: Sequence[Column[Any]], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[list[Column[Any]], list[Mapping[str, Any]]]]:
    """Rows with the columns to copy of them, alike within a batch.

    A row that leaves out a column with a default gets the default, whatever the others
    give: a failed frame's row says less than a completed one's.
    """
    defaulted = {column.name for column in given if column.server_default is not None}
    batches: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for row in rows:
        batches.setdefault(frozenset(defaulted - row.keys()), []).append(row)
    return [
        ([column for column in given if column.name not in left_out], alike)
        for left_out, alike in batches.items()
    ]


def _records(
    table: Table, columns: Sequence[Column[Any]], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[object, ...]]:
    """Rows as tuples of converted values; null where a row leaves out what may be null."""
    converters = [(c.name, converter(c), not c.nullable) for c in columns]
    try:
        return [
            tuple(
                convert(row[name] if is_required else row.get(name))
                for name, convert, is_required in converters
            )
            for row in rows
        ]
    except KeyError as error:
        raise ConfigurationError(
            f"Some rows of {table.name} lack {error.args[0]}, others have it.", remedy=_REMEDY
        ) from error


def _check_keys(table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """No two rows may be the same one."""
    names = [column.name for column in table.primary_key.columns]
    keys = sorted(tuple(str(row.get(name)) for name in names) for row in rows)
    for one, other in pairwise(keys):
        if one == other:
            raise ConfigurationError(
                f"Two rows of {table.name} have the key {', '.join(one)}.", remedy=_REMEDY
            )


def _check_parents(table: Table, values: TableRows) -> None:
    """Children are listed completely for the parents named, so none may be of another."""
    if values.parent_column is None:
        return
    named = set(map(str, values.parent_ids))
    found = {str(row.get(values.parent_column)) for row in values.rows}
    if strangers := sorted(found - named):
        raise ConfigurationError(
            f"Rows of {table.name} belong to {values.parent_column} {', '.join(strangers)}, "
            "which parent_ids does not name.",
            remedy=_REMEDY,
        )


# --- statements ---------------------------------------------------------------------------


def _merge(table: Table, given: set[str]) -> sql.Composed:
    """INSERT … ON CONFLICT from the staging table; a row that would not change stays as it is."""
    machine = [column for column in table.columns if not _is_human(column)]
    updates = [
        (sql.Identifier(column.name), _new_value(table, column))
        for column in machine
        if not column.primary_key
        and column.name != "created_at"
        and not (_is_measured_clock(column) and column.name not in given)
    ]
    keys = list(table.primary_key.columns)
    return sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {names} FROM {staging} ORDER BY {keys} "
        "ON CONFLICT ({keys}) DO UPDATE SET {assignments} "
        "WHERE ({old}) IS DISTINCT FROM ({new})"
    ).format(
        table=sql.Identifier(table.name),
        names=_names(machine),
        staging=_staging(table),
        keys=_names(keys),
        assignments=sql.SQL(", ").join(sql.SQL("{} = {}").format(*update) for update in updates),
        old=sql.SQL(", ").join(
            sql.SQL("{}.{}").format(sql.Identifier(table.name), name) for name, _ in updates
        ),
        new=sql.SQL(", ").join(value for _, value in updates),
    )


def _new_value(table: Table, column: Column[Any]) -> sql.Composed:
    name = sql.Identifier(column.name)
    if _is_measured_clock(column):
        return sql.SQL("COALESCE(EXCLUDED.{}, {}.{})").format(
            name, sql.Identifier(table.name), name
        )
    return sql.SQL("EXCLUDED.{}").format(name)


def _supersede(table: Table, parent_column: str) -> sql.Composed:
    (key,) = table.primary_key.columns
    return sql.SQL(
        "UPDATE {} SET status = 'superseded' WHERE {} = ANY(%s) AND status <> 'superseded' "
        "AND {} NOT IN (SELECT {} FROM {})"
    ).format(
        sql.Identifier(table.name),
        sql.Identifier(parent_column),
        sql.Identifier(key.name),
        sql.Identifier(key.name),
        _staging(table),
    )


def _staging(table: Table) -> sql.Identifier:
    return sql.Identifier(f"staging_{table.name}")


def _names(columns: Sequence[Column[Any]]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)


def _driver(connection: Connection) -> PsycopgConnection[Any]:
    """The psycopg connection under SQLAlchemy's, in the same transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, PsycopgConnection)  # noqa: S101  dbschema.session makes no other
    return driver
