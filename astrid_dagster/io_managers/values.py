"""What assets hand to the IO managers, and what they get back from them.

What belongs here: value types only. How they are stored is the managers' business.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from astrid_core.storage import ObjectStore
from dbschema.models import Base


@dataclass(frozen=True)
class StoredFile:
    """One item of an imaging asset's stream: a finished file and where it shall lie.

    Attributes
    ----------
    key
        Object key; content-addressed, so that an equal object may already be there.
    path
        The local file, complete and closed.
    sha256
        Hex digest of its bytes.
    is_scratch
        True where the file is temporary: it is deleted once its turn is over, whether or
        not the upload succeeded.
    """

    key: str
    path: Path
    sha256: str
    is_scratch: bool


@dataclass(frozen=True)
class TableRows:
    """Rows for a bulk upsert into one table.

    A row is the whole truth about the machine-owned columns of its table: a column it
    leaves out takes its default, null where it has none. Columns owned by people and the
    database's own clock columns are not the row's to set.

    Attributes
    ----------
    table
        Model of the table.
    rows
        Mappings from column name to value, in any order; primary keys are distinct.
    parent_column
        Column that names the run a row is a child of (``difference_run_id``). Given, rows
        of ``parent_ids`` that the table holds and ``rows`` does not become ``superseded``
        in the same transaction. They are never deleted.
    parent_ids
        Every parent whose children ``rows`` lists completely, including parents that no
        longer have any.
    """

    table: type[Base]
    rows: Sequence[Mapping[str, object]]
    parent_column: str | None = None
    parent_ids: Sequence[UUID] = ()


@dataclass(frozen=True)
class Derived:
    """What a derivation gave: rows by table, and what a person should read about them."""

    rows: Sequence[TableRows]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class DerivedRows:
    """Rows that follow from other committed rows, not from this run alone.

    Attributes
    ----------
    derive
        Computes them in the transaction that writes them, where it may take a lock: rows
        loaded before could be of the past by the time theirs are written. It is called
        again when the transaction is tried again.
    """

    derive: Callable[[Connection], Derived]


@dataclass(frozen=True)
class StoredObject:
    """An object that a committed row names.

    Attributes
    ----------
    key
        Object key.
    sha256
        Hex digest recorded when the object was written.
    """

    key: str
    sha256: str

    def fetch(self, store: ObjectStore, directory: Path) -> Path:
        """Download the object into ``directory``, verified, and return its path.

        The file keeps the key's name, with ``_`` for ``/``.

        Raises
        ------
        ObjectMissingError, ObjectCorruptError, StoreError
            As :meth:`~astrid_core.storage.ObjectStore.get_file` does.
        """
        path = directory / self.key.replace("/", "_")
        store.get_file(self.key, path, self.sha256)
        return path


class StoredObjects(Mapping[UUID, StoredObject]):
    """The objects of an asset's partition by the id of the row that names each.

    Read-only, and lazy: it holds names, no bytes; an object is downloaded when its
    ``fetch`` is called.
    """

    def __init__(self, objects: Iterable[tuple[UUID, StoredObject]] = ()) -> None:
        self._objects = dict(objects)

    def __getitem__(self, row_id: UUID) -> StoredObject:
        return self._objects[row_id]

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __repr__(self) -> str:
        return f"StoredObjects({len(self)} objects)"
