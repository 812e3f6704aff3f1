"""Table assets: rows into PostgreSQL in one transaction, committed rows out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dagster as dg
from sqlalchemy import Column, Connection, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql

from astrid_core.curation.inherit import inherit_verdicts
from astrid_dagster.io_managers.partitions import partitions_of
from astrid_dagster.io_managers.selects import rows_query
from astrid_dagster.io_managers.upsert import Upserted, upsert
from astrid_dagster.io_managers.values import Derived, DerivedRows, TableRows
from astrid_dagster.resources import DatabaseResource
from dbschema.models import Base, Detection

_POSTGRES = postgresql.dialect()
_MAIN_TABLE = {"reference_runs": "reference_frames", "labels": "label_snapshots"}
"""Assets whose main table has another name than they."""


class PostgresIOManager(dg.ConfigurableIOManager):
    """Upserts the rows of a partition in one transaction; loads a partition's rows."""

    database: dg.ResourceDependency[DatabaseResource]

    def handle_output(
        self, context: dg.OutputContext, obj: Sequence[TableRows] | DerivedRows
    ) -> None:
        """Write all rows or none.

        Detections inherit the verdicts of their like in the same transaction.

        Parameters
        ----------
        obj
            Rows by table, referenced tables before those that refer to them; or how to
            derive them from what is committed, in the same transaction.

        Raises
        ------
        ConfigurationError
            If a row does not fit its table.
        DatabaseError
            If the database failed repeatedly, or (DatabaseRefusedError) refused the rows.
        """
        written = self.database.run(lambda connection: _write(connection, obj))
        context.add_output_metadata(_metadata(context, written))

    def load_input(self, context: dg.InputContext) -> list[dict[str, Any]]:
        """Rows of the input's partitions, in the order of their keys.

        Runs are the current ones and carry what identifies their observation; candidates
        and detections are the active ones of current runs.

        Raises
        ------
        DatabaseError
            If the database failed.
        """
        query = rows_query(context.asset_key.path[-1], partitions_of(context))
        return self.database.run(
            lambda connection: [dict(row) for row in connection.execute(query).mappings()]
        )


@dataclass(frozen=True)
class _Written:
    """What a transaction wrote."""

    given: Derived
    tables: Sequence[Upserted]
    n_inherited: int


def _write(connection: Connection, values: Sequence[TableRows] | DerivedRows) -> _Written:
    given = values.derive(connection) if isinstance(values, DerivedRows) else Derived(values, {})
    tables = [upsert(connection, rows) for rows in given.rows]
    runs = {
        UUID(str(row["model_run_id"]))
        for rows in given.rows
        if rows.table is Detection
        for row in rows.rows
    }
    return _Written(given, tables, inherit_verdicts(connection, runs) if runs else 0)


# --- what a person reads in the UI --------------------------------------------------------


def _metadata(context: dg.OutputContext, written: _Written) -> dict[str, Any]:
    metadata: dict[str, Any] = {"tables": ", ".join(table.table for table in written.tables)}
    metadata |= written.given.metadata
    for table in written.tables:
        metadata[f"rows of {table.table}"] = table.n_rows
        if table.n_superseded:
            metadata[f"superseded {table.table}"] = table.n_superseded
    if written.n_inherited:
        metadata["inherited verdicts"] = written.n_inherited
    asset = context.asset_key.path[-1] if context.has_asset_key else ""
    main = _MAIN_TABLE.get(asset, asset)
    for rows, table in zip(written.given.rows, written.tables, strict=True):
        if table.table == main:
            metadata["dagster/table_name"] = main
            metadata["dagster/partition_row_count"] = table.n_rows
            metadata["dagster/column_schema"] = column_schema(rows.table)
    return metadata


def column_schema(model: type[Base]) -> dg.TableSchema:
    """Columns of a table as Dagster shows them, described by their comments."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101  every model of ours maps a table
    unique = {
        next(iter(constraint.columns)).name
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint) and len(constraint.columns) == 1
    }
    return dg.TableSchema([_table_column(column, unique) for column in table.columns])


def _table_column(column: Column[Any], unique: set[str]) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        column.type.compile(_POSTGRES).lower(),
        description=column.comment,
        constraints=dg.TableColumnConstraints(
            nullable=bool(column.nullable), unique=column.primary_key or column.name in unique
        ),
    )
