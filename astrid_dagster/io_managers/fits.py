"""Imaging assets: a stream of files into the object store, committed rows out of it."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import dagster as dg
from sqlalchemy import Connection

from astrid_core.errors import ConfigurationError
from astrid_core.storage import ObjectStore
from astrid_dagster.io_managers.partitions import partitions_of
from astrid_dagster.io_managers.selects import Rows, objects_query
from astrid_dagster.io_managers.values import StoredFile, StoredObject, StoredObjects
from astrid_dagster.resources import DatabaseResource, StoreResource


class FitsIOManager(dg.ConfigurableIOManager):
    """Stores files one at a time; loads what committed rows name, never what a bucket lists.

    A run that dies leaves objects that no row names. They do no harm: keys are
    content-addressed, so that the next run finds them equal or writes them again.
    """

    store: dg.ResourceDependency[StoreResource]
    database: dg.ResourceDependency[DatabaseResource]

    def handle_output(self, context: dg.OutputContext, obj: Iterable[StoredFile]) -> None:
        """Upload each file as it comes; at most one is in hand.

        An equal object that is there already is not uploaded again. The stream is closed
        in every case, and a scratch file is deleted when its turn is over.

        Raises
        ------
        ConfigurationError
            If the run covers several partitions.
        StoreError, ObjectCorruptError
            If a file could not be stored.
        """
        try:
            _require_one_partition(context)
            metadata = _store_all(self.store.open(), obj)
        finally:
            close = getattr(obj, "close", None)
            if close is not None:
                close()
        context.add_output_metadata(metadata)

    def load_input(self, context: dg.InputContext) -> StoredObjects:
        """Objects of the input's partitions that committed rows name, by the rows' ids.

        ``raw_frames`` are keyed by observation, ``cutouts`` by difference run, all others
        by the run that made them. Failed runs have none.

        Raises
        ------
        DatabaseError
            If the database failed.
        """
        query = objects_query(context.asset_key.path[-1], partitions_of(context))
        return StoredObjects(self.database.run(lambda connection: _objects(connection, query)))


def _store_all(store: ObjectStore, files: Iterable[StoredFile]) -> dict[str, Any]:
    """Store files in turn and say what was stored."""
    n_objects = n_uploaded = n_bytes = 0
    prefixes: set[str] = set()
    for file in files:
        try:
            n_bytes += file.path.stat().st_size
            n_uploaded += store.ensure_file(file.key, file.path, file.sha256)
        finally:
            if file.is_scratch:
                file.path.unlink(missing_ok=True)
        n_objects += 1
        prefixes.add(file.key.rpartition("/")[0])
    return {
        "n_objects": n_objects,
        "n_uploaded": n_uploaded,
        "bytes": n_bytes,
        "store_prefix": ", ".join(f"s3://{store.bucket}/{prefix}/" for prefix in sorted(prefixes)),
    }


def _objects(connection: Connection, query: Rows) -> list[tuple[UUID, StoredObject]]:
    return [(row.id, StoredObject(row.key, row.sha256)) for row in connection.execute(query)]


def _require_one_partition(context: dg.OutputContext) -> None:
    keys = context.asset_partition_keys if context.has_asset_partitions else ()
    if len(keys) > 1:
        raise ConfigurationError(
            f"{context.asset_key.to_user_string()} is an imaging asset: one partition a run, "
            f"not {len(keys)}.",
            remedy="Launch the backfill without single-run; Dagster then starts a run each.",
        )
