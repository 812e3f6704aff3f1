"""Files of training data on this machine: fetched once, whole or not at all, checked.

A file's name is its SHA-256, so what lies there is right for every dataset that names it.
Nothing here needs a database, Dagster or torch.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import requests
from pydantic import SecretStr

from astrid_core.errors import ApiRefusedError, ApiUnavailableError, ObjectCorruptError
from astrid_core.training.manifest import Manifest, read_manifest

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = (10.0, 120.0)
_GONE = 500
_verified: set[tuple[Path, int, int]] = set()
"""Files that this process has read and found right: path, size and time of change."""


@dataclass(frozen=True)
class Api:
    """Where AstrID's API is, and the key that it is asked with. Holds no connection.

    Attributes
    ----------
    url
        Address, such as http://127.0.0.1:8000.
    """

    url: str
    key: SecretStr

    def manifest(self, dataset_id: UUID) -> Manifest:
        """A dataset's manifest.

        Raises
        ------
        ApiRefusedError
            If there is no such dataset, or the key does not do.
        ApiUnavailableError
            If the API does not answer.
        ObjectCorruptError
            If what comes is no manifest.
        """
        with self._get(f"/training/datasets/{dataset_id}/manifest") as answer:
            return read_manifest(answer.iter_lines(_CHUNK_BYTES))

    def download(self, dataset_id: UUID, sha256: str, path: Path) -> None:
        """Fetch a file of a dataset; it is at ``path`` when it is whole and right.

        Raises
        ------
        ApiRefusedError, ApiUnavailableError
            As :meth:`manifest` does.
        ObjectCorruptError
            If other bytes come than were asked for.
        """
        digest = hashlib.sha256()
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        scratch = Path(name)
        try:
            with (
                os.fdopen(handle, "wb") as stream,
                self._get(f"/training/datasets/{dataset_id}/files/{sha256}") as answer,
            ):
                for chunk in answer.iter_content(_CHUNK_BYTES):
                    digest.update(chunk)
                    stream.write(chunk)
            if digest.hexdigest() != sha256:
                raise ObjectCorruptError(
                    f"{self.url} sent something else than file {sha256} of dataset {dataset_id}.",
                    remedy="Try again; if it persists, ask an operator to look at the store.",
                )
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    @contextmanager
    def _get(self, path: str) -> Iterator[requests.Response]:
        headers = {"Authorization": f"Bearer {self.key.get_secret_value()}"}
        with requests.Session() as session:
            session.trust_env = False  # a ~/.netrc would be sent in place of our own header
            try:
                with session.get(
                    self.url.rstrip("/") + path,
                    headers=headers,
                    stream=True,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,  # nobody else is shown the key
                ) as answer:
                    self._raise_refused(answer, path)
                    yield answer
            except requests.RequestException as error:
                raise ApiUnavailableError(
                    f"AstrID's API at {self.url} did not answer {path}: {error}",
                    remedy="Check ASTRID_API_URL, and that the API is up: 'astrid status' there.",
                ) from error

    def _raise_refused(self, answer: requests.Response, path: str) -> None:
        if answer.status_code == requests.codes.ok:
            return
        said, remedy = answer.text[:200], "Check ASTRID_API_URL."
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            problem = answer.json()
            said, remedy = problem["detail"], problem["remedy"]
        if answer.status_code == requests.codes.unauthorized:
            remedy = "Set ASTRID_API_KEY to a key of yours; an operator can issue one."
        kind = ApiUnavailableError if answer.status_code >= _GONE else ApiRefusedError
        raise kind(
            f"AstrID's API at {self.url} answered {path} with {answer.status_code}: {said}",
            remedy=remedy,
        )


@dataclass(frozen=True)
class DatasetFiles:
    """A dataset's files, fetched into a folder when they are first asked for.

    Safe to use from several processes at once, and to pickle.
    """

    api: Api
    dataset_id: UUID
    folder: Path

    def path(self, sha256: str) -> Path:
        """A file that is there and right.

        Raises
        ------
        ApiRefusedError, ApiUnavailableError, ObjectCorruptError
            If it has to be fetched and cannot be.
        """
        path = self.folder / f"{sha256}.npy"
        if _is_verified(path):
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        # Of several workers that want it one fetches it.
        with (self.folder / f".{sha256}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_right(path, sha256):
                self.api.download(self.dataset_id, sha256, path)
        _verified.add(_mark(path))
        return path

    @contextmanager
    def lend(self, sha256: str) -> Iterator[Path]:
        """A file, as exports ask for it."""
        yield self.path(sha256)


def _is_right(path: Path, sha256: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sha256


def _is_verified(path: Path) -> bool:
    return path.exists() and _mark(path) in _verified


def _mark(path: Path) -> tuple[Path, int, int]:
    state = path.stat()
    return path, state.st_size, state.st_mtime_ns
