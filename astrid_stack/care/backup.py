"""A copy of everything that cannot be made again: databases, objects, surveys.

**Consistent without stopping anything.** Every stage stores its objects before it commits
the rows that name them, objects are never changed, and what rows name is never removed. So
the databases are dumped *first* and the objects copied *after*: whatever the dump names was
stored before it, and is there still. The other way round, a run that ended in between would
leave rows without their objects. The list of objects is read from the very state that is
dumped, so that the copy holds all that its rows name, and no more.

Of the three databases, that which speaks of another is dumped before what it speaks of:

1. Dagster's, which says of rows that they were written: never more than AstrID's holds;
2. AstrID's, which names runs and models of MLflow;
3. MLflow's, then its artifacts, which exist before its models name them.

**What is in it**: names of users and hashes of their keys (which remain valid after a
restore), their verdicts, all images. **What is not**: secrets of the installation (passwords
of its database and store, the local operator's key), which every installation makes for
itself; settings in the environment; logs of runs.
"""

import datetime as dt
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection

from astrid_core.care.naming import FOREIGN
from astrid_core.care.objects import NamedBy
from astrid_core.errors import ObjectCorruptError, ObjectMissingError
from astrid_core.identity import sha256_file
from astrid_core.storage import ObjectEntry, ObjectStore
from astrid_stack.care import dumps
from astrid_stack.care.installation import Installation
from astrid_stack.care.manifest import (
    BackedUpObject,
    BackupFolder,
    Dumped,
    Manifest,
    read_objects,
    write_manifest,
    write_objects,
)
from astrid_stack.errors import BackupError
from astrid_stack.state import write_private
from dbschema.migrate import check, head

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

_THREADS = 4
_AHEAD = 64


@dataclass(frozen=True)
class Copied:
    """What became of the objects.

    Attributes
    ----------
    n_fetched, n_bytes_fetched
        Of these, not in the folder before.
    damaged
        Keys that rows name and the store has lost or changed.
    """

    objects: tuple[BackedUpObject, ...]
    n_fetched: int
    n_bytes_fetched: int
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """A backup that was made."""

    folder: Path
    manifest: Manifest
    copied: Copied


def back_up(
    installation: Installation,
    path: Path,
    say: Say,
    progress: Progress = lambda _, __: None,
    *,
    verify: bool = False,
) -> Made:
    """Make a backup beside those that a folder holds; objects it has already are not fetched.

    Parameters
    ----------
    verify
        Whether bytes that the folder has from before are read and proven again.

    Raises
    ------
    BackupError
        If the folder holds something else, lies in the state folder, or is too small.
    SchemaVersionError
        If the database has another schema than this code's.
    DatabaseError, StoreError
        If a database or the store failed; earlier backups are as they were.
    """
    check(installation.address("astrid"))
    _refuse_own_state(installation, path)
    folder = BackupFolder.make(path)
    with _alone(folder):
        known = {one.key: one for last in folder.complete()[-1:] for one in read_objects(last)}
        _forget_incomplete(folder)
        now = dt.datetime.now(dt.UTC)
        target = folder.begin(now)
        (folder.path / "objects").mkdir(mode=0o700, exist_ok=True)
        databases, named = _dump_all(installation, target, say)
        copying = _Copying(installation.store, folder, known, verify, progress)
        copied = copying.copy(named)
        _keep_surveys(installation, target)
        manifest = Manifest(
            id=str(uuid4()),
            made_at=now.isoformat(),
            astrid=version("astrid"),
            schema_revision=head(),
            databases=databases,
            objects_sha256=write_objects(target, copied.objects),
            n_objects=len(copied.objects),
            n_bytes=sum(one.n_bytes for one in copied.objects),
            damaged=list(copied.damaged),
        )
        write_manifest(target, manifest)
    return Made(target, manifest, copied)


def forget_old(path: Path, keep: int) -> int:
    """Remove all but the newest backups of a folder, and objects that none of them names.

    Returns
    -------
    Number of backups removed.
    """
    folder = BackupFolder.open(path)
    with _alone(folder):
        old = folder.complete()[:-keep]
        for backup in old:
            shutil.rmtree(backup)
        wanted = {one.sha256 for backup in folder.complete() for one in read_objects(backup)}
        for file in (folder.path / "objects").glob("*/*"):
            if file.name not in wanted:
                file.unlink()
    return len(old)


# --- databases ----------------------------------------------------------------------------


def _dump_all(
    installation: Installation, target: Path, say: Say
) -> tuple[dict[str, Dumped], NamedBy]:
    dumped: dict[str, Dumped] = {}
    named = None
    for name in ("dagster", "astrid", "mlflow"):
        if name not in installation.databases:
            say(f"{name}'s database is NOT in this backup: the environment does not name it")
            continue
        say(f"Dumping {name}'s database")
        with dumps.state_of(installation.address(name)) as (connection, state):
            _refuse_half_restored(connection, name)
            dumped[name] = _dump(installation.address(name), connection, state, target, name)
            if name == "astrid":
                named = NamedBy.read(connection)
    assert named is not None  # noqa: S101  an installation always has AstrID's own
    return dumped, named


def _dump(address: str, connection: Connection, state: str, target: Path, name: str) -> Dumped:
    path = target / f"{name}.dump"
    dumps.dump(address, state, path)
    return Dumped(
        file=path.name,
        sha256=sha256_file(path),
        n_bytes=path.stat().st_size,
        server=dumps.server_version(connection),
        rows=dumps.count_rows(connection),
    )


def _refuse_half_restored(connection: Connection, name: str) -> None:
    if dumps.marked_by(connection) is not None:
        raise BackupError(
            f"{name}'s database is half restored.", remedy="Run 'astrid restore' again first."
        )


# --- objects ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """An object to have.

    Attributes
    ----------
    entry
        What the store has under the key; None where it lost it.
    sha256
        Recorded hash; None where no row has one.
    """

    key: str
    entry: ObjectEntry | None
    sha256: str | None


@dataclass(frozen=True)
class _Had:
    """What became of it: None in place of what cannot be had."""

    described: BackedUpObject | None
    n_fetched_bytes: int | None
    is_damaged: bool


@dataclass(frozen=True)
class _Copying:
    """Objects on their way into the folder.

    Attributes
    ----------
    known
        Key → what the backup before has of it.
    """

    store: ObjectStore
    folder: BackupFolder
    known: Mapping[str, BackedUpObject]
    verify: bool
    progress: Progress

    def copy(self, named: NamedBy) -> Copied:
        """Have everything that rows name, and MLflow's artifacts."""
        entries = {entry.key: entry for entry in self.store.entries()}
        wanted = [_Wanted(key, entries.get(key), sha256) for key, sha256 in named.sha256.items()]
        wanted += [
            _Wanted(key, entry, None) for key, entry in entries.items() if key.startswith(FOREIGN)
        ]
        self._require_space(wanted)
        had: list[tuple[str, _Had]] = []
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="backup") as pool:
            for start in range(0, len(wanted), _AHEAD):
                batch = wanted[start : start + _AHEAD]
                had += zip((one.key for one in batch), pool.map(self._have, batch), strict=True)
                self.progress(len(had), len(wanted))
        fetched = [one.n_fetched_bytes for _, one in had if one.n_fetched_bytes is not None]
        return Copied(
            objects=tuple(one.described for _, one in had if one.described is not None),
            n_fetched=len(fetched),
            n_bytes_fetched=sum(fetched),
            damaged=tuple(sorted(key for key, one in had if one.is_damaged)),
        )

    def _have(self, wanted: _Wanted) -> _Had:
        sha256 = wanted.sha256 or self._known_hash(wanted.entry)
        is_lost = wanted.entry is None
        if sha256 is not None and self._is_here(sha256):
            # A copy from before serves though the store may have lost its own since.
            return _Had(self._described(wanted, sha256), None, is_lost)
        scratch = self.folder.path / "objects" / f".{uuid4()}"
        try:
            self.store.get_file(wanted.key, scratch, wanted.sha256)
            found = wanted.sha256 or sha256_file(scratch)
            n_bytes = scratch.stat().st_size
            path = self.folder.object_file(found)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.replace(path)
        except (ObjectMissingError, ObjectCorruptError):
            # MLflow may have removed an artifact meanwhile; of rows' objects nobody may.
            return _Had(None, None, wanted.sha256 is not None)
        finally:
            scratch.unlink(missing_ok=True)
        return _Had(self._described(wanted, found), n_bytes, False)

    def _known_hash(self, entry: ObjectEntry | None) -> str | None:
        """Hash of an artifact that has not changed since the backup before."""
        before = None if entry is None else self.known.get(entry.key)
        if entry is None or before is None:
            return None
        same = (before.n_bytes, before.tag, before.modified_at)
        is_same = same == (entry.n_bytes, entry.tag, entry.modified_at.isoformat())
        return before.sha256 if is_same else None

    def _is_here(self, sha256: str) -> bool:
        path = self.folder.object_file(sha256)
        return path.is_file() and (not self.verify or sha256_file(path) == sha256)

    def _described(self, wanted: _Wanted, sha256: str) -> BackedUpObject:
        n_bytes = self.folder.object_file(sha256).stat().st_size
        entry = wanted.entry
        if entry is None:
            return BackedUpObject(wanted.key, sha256, n_bytes, "", "")
        return BackedUpObject(wanted.key, sha256, n_bytes, entry.tag, entry.modified_at.isoformat())

    def _require_space(self, wanted: Sequence[_Wanted]) -> None:
        lacking = sum(
            one.entry.n_bytes
            for one in wanted
            if one.entry is not None
            and (one.sha256 is None or not self.folder.object_file(one.sha256).is_file())
        )
        free = shutil.disk_usage(self.folder.path).free
        if lacking > free:
            raise BackupError(
                f"{self.folder.path} has no room for the objects.",
                remedy="Name a folder on a larger disk, or keep fewer backups (--keep).",
                n_bytes=lacking,
                n_bytes_free=free,
            )


# --- the folder ---------------------------------------------------------------------------


def _refuse_own_state(installation: Installation, path: Path) -> None:
    state = installation.state
    if state is not None and path.expanduser().resolve().is_relative_to(state.folder):
        raise BackupError(
            f"{path} lies in the state folder, and would be lost with it.",
            remedy="Name a folder elsewhere, best on another disk.",
        )


def _forget_incomplete(folder: BackupFolder) -> None:
    """Remove what interrupted backups left, but for their objects, which serve the next."""
    complete = set(folder.complete())
    for left in folder.path.glob("*Z"):
        if left.is_dir() and left not in complete:
            shutil.rmtree(left)
    for scratch in (folder.path / "objects").glob(".*"):
        scratch.unlink()


def _keep_surveys(installation: Installation, target: Path) -> None:
    named = installation.environment.get("ASTRID_SURVEYS_FILE")
    if named and Path(named).is_file():
        write_private(target / "surveys.yaml", Path(named).read_text())


@contextmanager
def _alone(folder: BackupFolder) -> Iterator[None]:
    """Let one backup at a time write to a folder; the lock dies with us."""
    descriptor = os.open(folder.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(
                f"Another backup is being made in {folder.path}.", remedy="Wait for its end."
            ) from None
        yield
