"""The workbench of a stage: where objects come from and where results are staged."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astrid_core.differencing.difference import DifferenceImage, read_difference
from astrid_core.frame import Frame, read_frame
from astrid_core.identity import sha256_file
from astrid_core.stages.outcome import StagedObject
from astrid_core.storage import ObjectStore


@dataclass(frozen=True)
class Bench:
    """What every frame of a step shares; small, and safe to send to a worker.

    Attributes
    ----------
    store
        The object store inputs are fetched from.
    scratch
        Directory of this step, removed when the step ends.
    max_frame_mpix
        Largest frame accepted, 10^6 pixels.
    """

    store: ObjectStore
    scratch: Path
    max_frame_mpix: float

    @contextmanager
    def fetched(self, key: str, sha256: str) -> Iterator[Path]:
        """A verified local copy of an object, removed afterwards."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            path = Path(folder) / Path(key).name
            self.store.get_file(key, path, sha256)
            yield path

    def frame(self, key: str, sha256: str) -> Frame:
        """The frame that an object is; verified once, by its SHA-256."""
        with self.fetched(key, sha256) as path:
            return read_frame(path, is_verified=True)

    def difference(self, key: str, sha256: str) -> DifferenceImage:
        """The difference image that an object is; verified once, by its SHA-256."""
        with self.fetched(key, sha256) as path:
            return read_difference(path, is_verified=True)

    def staging_path(self, key: str) -> Path:
        """Where to write the file that will become the object ``key``."""
        path = self.scratch / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def stage(key: str, path: Path) -> StagedObject:
    """A written file as an object to store, with its checksum."""
    return StagedObject(key, path, sha256_file(path))
