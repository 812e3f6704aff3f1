"""Fetched files on disk: whole ones with their facts, unfinished ones that can be resumed.

What belongs here: where a file lies and whether it is still the one that came. What does
not: the network.

A product's folder is named by a digest of its address and of what the archive states of it
(size, checksum): another version is another folder. In it lie ``<name>`` with ``facts.json``
beside it, or ``<name>.part`` with ``part.json``; a file without its facts is none.
"""

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from astrid_core.identity import sha256_file
from astrid_core.remote.config import made_folder
from astrid_core.surveys.archive.product import Product

_LOCK_POLL_S = 0.05


@dataclass(frozen=True)
class Version:
    """Which bytes an address had when they were sent: what resuming depends on.

    Attributes
    ----------
    etag
        Strong entity tag; '' without one.
    modified
        Last-Modified as sent; '' without it.
    """

    etag: str = ""
    modified: str = ""

    @property
    def condition(self) -> str | None:
        """Value of If-Range; None where nothing tells versions apart."""
        return self.etag or self.modified or None


@dataclass(frozen=True)
class Entry:
    """A product's place in the cache."""

    folder: Path
    name: str

    @classmethod
    def of(cls, product: Product, survey: str, cache_dir: Path) -> Self:
        """Place of a product; nothing of what the archive calls it becomes a folder."""
        stated = [product.url, product.size_bytes, product.checksum and asdict(product.checksum)]
        digest = hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:32]
        return cls(cache_dir.expanduser() / survey / digest, product.file_name)

    @property
    def path(self) -> Path:
        """The whole file."""
        return self.folder / self.name

    @property
    def part(self) -> Path:
        """The unfinished file."""
        return self.folder / f"{self.name}.part"

    def seems_whole(self) -> str | None:
        """SHA-256 noted of the file if it is here with its size; its bytes are not read."""
        facts = _read(self.folder / "facts.json")
        try:
            is_same_size = self.path.stat().st_size == facts.get("size_bytes")
        except OSError:
            return None
        noted = facts.get("sha256")
        return noted if is_same_size and isinstance(noted, str) else None

    def whole(self) -> str | None:
        """SHA-256 of the file if it is here, whole and as it came; else None."""
        noted = self.seems_whole()
        return noted if noted is not None and sha256_file(self.path) == noted else None

    def begun(self) -> tuple[int, Version]:
        """Bytes of the unfinished file and the version they belong to; 0 if not resumable."""
        facts = _read(self.folder / "part.json")
        version = Version(str(facts.get("etag", "")), str(facts.get("modified", "")))
        try:
            size = self.part.stat().st_size
        except OSError:
            return 0, Version()
        return (size, version) if version.condition else (0, Version())

    def begin(self, version: Version) -> None:
        """Note which version the unfinished file will hold."""
        self.part.unlink(missing_ok=True)
        _write(self.folder / "part.json", asdict(version))

    def discard(self) -> None:
        """Forget the unfinished file."""
        self.part.unlink(missing_ok=True)
        (self.folder / "part.json").unlink(missing_ok=True)

    def finish(self) -> str:
        """The unfinished file is whole: keep it under its name. Returns its SHA-256."""
        sha256 = sha256_file(self.part)
        size = self.part.stat().st_size
        os.replace(self.part, self.path)
        (self.folder / "part.json").unlink(missing_ok=True)
        _write(self.folder / "facts.json", {"size_bytes": size, "sha256": sha256})
        return sha256

    def remove(self) -> None:
        """Drop the file and all that is known of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def held(self, stop: threading.Event) -> Iterator[None]:
        """The place to oneself, waiting for any other process that fetches the same file.

        Raises
        ------
        ConfigurationError
            If the cache cannot be written to.
        """
        locks = made_folder(self.folder.parent / "locks")
        made_folder(self.folder)
        with (locks / self.folder.name).open("w") as lock:
            while not _try_lock(lock.fileno()) and not stop.wait(_LOCK_POLL_S):
                pass
            yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    """Facts as written; none where there are none or they were cut off."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(path: Path, facts: dict[str, Any]) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(facts), encoding="utf-8")
    os.replace(scratch, path)
