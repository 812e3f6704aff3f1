"""A backup made an installation again, on a machine that has none.

Whoever restores over what is there loses one of the two; so only an empty place is taken:
databases without tables, a bucket without objects. The databases are marked first
(:data:`astrid_stack.state.RESTORING`); an interrupted restore is repeated by the same command,
which begins again with what the mark says is its own, and 'astrid up' refuses until then.

**Secrets** are the new place's own. The embedded stack makes new random ones, as on every
first start; elsewhere they are in the environment. None is in the backup, and none is needed:
users' keys are known by their hashes, which are rows.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection, inspect, text

from astrid_core.care.objects import changed_objects
from astrid_core.care.transplant import cursors_now, outrun, recount_transactions
from astrid_core.curation.batches import format_cursor
from astrid_core.errors import SchemaVersionError
from astrid_core.storage import ObjectStore
from astrid_stack.care import dumps
from astrid_stack.care.installation import Installation
from astrid_stack.care.manifest import (
    BackedUpObject,
    BackupFolder,
    Manifest,
    read_manifest,
    read_objects,
)
from astrid_stack.errors import BackupError
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from astrid_stack.state import BUCKET, DATABASES, State
from astrid_stack.supervisor import Stack
from dbschema.migrate import knows
from dbschema.session import make_engine
from dbschema.transactions import transaction_at

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]

_THREADS = 4
_AHEAD = 64
_CURSORS = text(
    "SELECT id, (regexp_match(instigator_body, :pattern))[1] AS cursor FROM instigators"
    " WHERE instigator_body ~ :pattern"
)
_CURSOR = r'"cursor": "(\d+/[0-9a-f-]{36})"'


@dataclass(frozen=True)
class Restored:
    """What was restored."""

    folder: Path
    manifest: Manifest
    n_recounted: int


@contextmanager
def embedded_place(state: State) -> Iterator[Installation]:
    """The embedded stack's database and store alone, running for as long as it is needed.

    Raises
    ------
    BackupError
        If the stack is up.
    """
    running = [part.name for part in Stack(state).status() if part.pid is not None]
    if running:
        raise BackupError(
            f"AstrID is up in {state.folder} ({', '.join(running)} run).",
            remedy="Restore into another ASTRID_STATE, or take this one down and away first.",
        )
    words = state.secrets
    database = EmbeddedPostgres(state.postgres, words.postgres_password, log=state.log("postgres"))
    store = EmbeddedObjectStore(
        state.objects,
        words.s3_access_key_id,
        words.s3_secret_access_key,
        log=state.log("objectstore"),
    )
    with database, store:
        for name in DATABASES:
            database.ensure_database(name)
        store.ensure_bucket(BUCKET)
        addresses = {name: SecretStr(database.url_of(name)) for name in DATABASES}
        environment = state.environment() | {"ASTRID_S3_ENDPOINT": store.endpoint}
        yield replace(Installation.of_state(state), databases=addresses, environment=environment)


def restore(
    place: Installation,
    path: Path,
    say: Say,
    progress: Progress = lambda _, __, ___: None,
    *,
    name: str | None = None,
) -> Restored:
    """Make an empty place what the backup was made of, and prove that it is.

    Parameters
    ----------
    name
        Which backup of the folder; default the newest.

    Raises
    ------
    BackupError
        If the place is not empty, or the backup is not whole.
    SchemaVersionError
        If the backup was made by a newer release.
    DatabaseError, StoreError
        If a database or the store failed; the same command goes on.
    """
    folder = BackupFolder.open(path)
    backup = folder.choose(name)
    say(f"Restoring {backup}")
    manifest = read_manifest(backup)
    objects = list(read_objects(backup))
    _require_known(manifest)
    _require_whole(folder, objects)
    for database in manifest.databases:
        place.address(database)  # all are named, or nothing is begun
    _require_empty(place, manifest, objects)
    for database in manifest.databases:
        dumps.mark(place.address(database), manifest.id)
    _put_all(folder, place.store, objects, lambda n, of: progress("objects stored", n, of))
    for database, dumped in manifest.databases.items():
        say(f"Loading {database}'s database")
        dumps.load(place.address(database), backup / dumped.file)
        _require_same_rows(place.address(database), dumped.rows, database)
    n_recounted = _recount(place)
    _prove(place.store, objects, lambda n, of: progress("objects proven", n, of))
    for database in manifest.databases:
        dumps.unmark(place.address(database))
    return Restored(backup, manifest, n_recounted)


# --- before -------------------------------------------------------------------------------


def _require_known(manifest: Manifest) -> None:
    if not knows(manifest.schema_revision):
        raise SchemaVersionError(
            f"The backup is of schema revision {manifest.schema_revision} (AstrID "
            f"{manifest.astrid}), which this code does not know.",
            remedy="Install that release, or a newer one, and restore with it.",
        )


def _require_whole(folder: BackupFolder, objects: list[BackedUpObject]) -> None:
    lacking = [
        one.key
        for one in objects
        if not (file := folder.object_file(one.sha256)).is_file()
        or file.stat().st_size != one.n_bytes
    ]
    if lacking:
        raise BackupError(
            f"{folder.path} lacks the bytes of {lacking[0]}"
            + (f" and {len(lacking) - 1} other objects." if len(lacking) > 1 else "."),
            remedy="Restore from another copy of the folder, or another backup of it.",
            n_lacking=len(lacking),
        )


def _require_empty(place: Installation, manifest: Manifest, objects: list[BackedUpObject]) -> None:
    for name in manifest.databases:
        with transaction_at(place.address(name)) as connection:
            by = dumps.marked_by(connection)
            if by is None and inspect(connection).get_table_names():
                raise BackupError(
                    f"{name}'s database is not empty.",
                    remedy="Restore into an empty one: for the embedded stack another "
                    "ASTRID_STATE.",
                )
            if by is not None and by != manifest.id:
                raise BackupError(
                    f"{name}'s database is half restored from another backup ({by}).",
                    remedy="Go on with that one, or restore into an empty database.",
                )
    ours = {one.key for one in objects}
    stranger = next((key for key in place.store.iterate() if key not in ours), None)
    if stranger is not None:
        raise BackupError(
            f"Bucket {place.store.bucket} is not empty: it has {stranger}.",
            remedy="Restore into an empty bucket: for the embedded stack another ASTRID_STATE.",
        )


# --- and then -----------------------------------------------------------------------------


def _put_all(
    folder: BackupFolder,
    store: ObjectStore,
    objects: list[BackedUpObject],
    progress: Callable[[int, int], None],
) -> None:
    def put(one: BackedUpObject) -> None:
        store.ensure_file(one.key, folder.object_file(one.sha256), one.sha256)

    store.ensure_bucket()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="restore") as pool:
        for start in range(0, len(objects), _AHEAD):
            batch = objects[start : start + _AHEAD]
            for _ in pool.map(put, batch):
                continue
            progress(start + len(batch), len(objects))


def _require_same_rows(address: str, wanted: dict[str, int], name: str) -> None:
    with transaction_at(address) as connection:
        found = dumps.count_rows(connection)
    if found != wanted:
        differing = sorted(
            table for table in found | wanted if found.get(table) != wanted.get(table)
        )
        raise BackupError(
            f"{name}'s database has other rows than were backed up: {', '.join(differing)}.",
            remedy="Restore again; is something else writing to it?",
        )


def _prove(
    store: ObjectStore, objects: list[BackedUpObject], progress: Callable[[int, int], None]
) -> None:
    wanted = {one.key: one.sha256 for one in objects}
    changed = list(changed_objects(wanted, store, progress))
    if changed:
        raise BackupError(
            f"The store does not give back what was put: {changed[0]}.",
            remedy="Look into the store's disk and log, and restore again.",
            n_changed=len(changed),
        )


def _recount(place: Installation) -> int:
    """Have this cluster's transactions come after those of the verdicts; how many there were."""
    engine = make_engine(place.address("astrid"))
    try:
        with engine.begin() as connection:
            recounted = recount_transactions(connection)
        if not recounted.is_done:
            return 0
        with engine.connect() as connection:
            outrun(
                connection.execution_options(isolation_level="AUTOCOMMIT"),
                recounted.n_transactions,
            )
        if "dagster" in place.databases:
            dagster = transaction_at(place.address("dagster"))
            with engine.connect() as connection, dagster as other:
                _move_cursors(connection, other)
    finally:
        engine.dispose()
    return recounted.n_transactions


def _move_cursors(verdicts: Connection, dagster: Connection) -> None:
    """Cursors of sensors that follow verdicts, in the transaction ids that now hold."""
    if not inspect(dagster).has_table("instigators"):
        return
    found = dagster.execute(_CURSORS, {"pattern": _CURSOR}).all()
    for row in found:
        now = cursors_now(verdicts, [UUID(row.cursor.partition("/")[2])])
        if not now:
            continue
        (cursor,) = now.values()
        dagster.execute(
            text(
                "UPDATE instigators SET instigator_body ="
                " replace(instigator_body, :before, :after) WHERE id = :id"
            ),
            {
                "id": row.id,
                "before": f'"cursor": "{row.cursor}"',
                "after": f'"cursor": "{format_cursor(cursor)}"',
            },
        )
