"""What a backup consists of, and where in its folder.

::

    FOLDER/                        0700, every file 0600
      astrid-backup.json           says that this is a folder of backups
      objects/ab/ab12…             bytes of objects under their SHA-256, shared by all backups
      2026-09-01T04-00-00Z/        one backup
        dagster.dump astrid.dump mlflow.dump
        objects.jsonl              key, hash and size of every object of this backup
        surveys.yaml               where the installation had its own
        manifest.json              written last: without it the backup is not complete
"""

import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from astrid_core.identity import sha256_file
from astrid_stack.errors import BackupError
from astrid_stack.state import write_private

FORMAT = 1
_MARK = "astrid-backup.json"
_MANIFEST = "manifest.json"
_OBJECTS = "objects.jsonl"


@dataclass(frozen=True)
class BackedUpObject:
    """An object in a backup.

    Attributes
    ----------
    tag, modified_at
        What the store said of it, by which an artifact without a recorded hash is known to
        be the same at the next backup.
    """

    key: str
    sha256: str
    n_bytes: int
    tag: str
    modified_at: str


@dataclass(frozen=True)
class Dumped:
    """A database in a backup.

    Attributes
    ----------
    server
        Major version of the server it comes from.
    rows
        Table → rows, in the state that was dumped.
    """

    file: str
    sha256: str
    n_bytes: int
    server: int
    rows: dict[str, int]


@dataclass(frozen=True)
class Manifest:
    """One complete backup.

    Attributes
    ----------
    databases
        Name → dump.
    damaged
        Keys that rows name and the store had lost or changed before the backup.
    """

    id: str
    made_at: str
    astrid: str
    schema_revision: str
    databases: dict[str, Dumped]
    objects_sha256: str
    n_objects: int
    n_bytes: int
    damaged: list[str]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Read back what :meth:`to_json` gave."""
        databases = {name: Dumped(**one) for name, one in content["databases"].items()}
        names = cls.__dataclass_fields__.keys()
        return cls(**{name: content[name] for name in names} | {"databases": databases})

    def to_json(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class BackupFolder:
    """A folder of backups."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Self:
        """The folder, made or found.

        Raises
        ------
        BackupError
            If something else is in it.
        """
        path = path.expanduser().resolve()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (path / _MARK).exists():
            if any(path.iterdir()):
                raise BackupError(
                    f"{path} holds something else than backups.",
                    remedy="Name an empty folder, or one that does not exist yet.",
                )
            path.chmod(0o700)
            write_private(path / _MARK, json.dumps({"format": FORMAT}))
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder that is there.

        Raises
        ------
        BackupError
            If it is none, or of another format.
        """
        path = path.expanduser().resolve()
        try:
            found = json.loads((path / _MARK).read_text())["format"]
        except (OSError, ValueError, KeyError) as error:
            raise BackupError(
                f"{path} is no folder of backups.", remedy="Name one that 'astrid backup' made."
            ) from error
        if found != FORMAT:
            raise BackupError(
                f"{path} is of format {found}, this AstrID reads {FORMAT}.",
                remedy="Restore with the release that made it.",
            )
        return cls(path)

    def object_file(self, sha256: str) -> Path:
        """Where an object's bytes are."""
        return self.path / "objects" / sha256[:2] / sha256

    def begin(self, now: dt.datetime) -> Path:
        """Folder of a new backup, named by its second; the next free one where it has another."""
        folder = self.path / f"{now:%Y-%m-%dT%H-%M-%SZ}"
        if folder.exists():
            return self.begin(now + dt.timedelta(seconds=1))
        folder.mkdir(mode=0o700)
        return folder

    def complete(self) -> list[Path]:
        """Folders of complete backups, oldest first."""
        return sorted(found.parent for found in self.path.glob(f"*/{_MANIFEST}"))

    def choose(self, name: str | None) -> Path:
        """Folder of the backup of a name; the newest one without a name.

        Raises
        ------
        BackupError
            If there is none.
        """
        there = self.complete()
        if name is None and there:
            return there[-1]
        for folder in there:
            if folder.name == name:
                return folder
        names = ", ".join(folder.name for folder in there) or "none"
        raise BackupError(
            f"There is no complete backup {name or ''} in {self.path}.",
            remedy=f"Complete ones: {names}.",
        )


def write_objects(folder: Path, objects: Iterable[BackedUpObject]) -> str:
    """List the objects of a backup; the list's SHA-256."""
    path = folder / _OBJECTS
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        for one in objects:
            stream.write(json.dumps(asdict(one), separators=(",", ":")) + "\n")
    return sha256_file(path)


def read_objects(folder: Path) -> Iterator[BackedUpObject]:
    """The objects of a backup."""
    with (folder / _OBJECTS).open() as stream:
        for line in stream:
            yield BackedUpObject(**json.loads(line))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Declare a backup complete."""
    write_private(folder / _MANIFEST, json.dumps(manifest.to_json(), indent=1))


def read_manifest(folder: Path) -> Manifest:
    """What a backup consists of, its list and dumps proven.

    Raises
    ------
    BackupError
        If a file of it is not what was written.
    """
    manifest = Manifest.from_json(json.loads((folder / _MANIFEST).read_text()))
    wanted = {_OBJECTS: manifest.objects_sha256}
    wanted |= {one.file: one.sha256 for one in manifest.databases.values()}
    for name, sha256 in wanted.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise BackupError(
                f"{path} is not what was written: it is gone or its SHA-256 differs.",
                remedy="Restore another backup, or another copy of this one.",
            )
    return manifest
