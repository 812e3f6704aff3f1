"""Which rows name which objects, and by what hash: the one list of it.

A column that names an object and is not here would have its objects taken for orphans. So
every column that looks like one (:func:`undeclared`) must be declared here, as one or as
none; a test says so.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    Connection,
    Text,
    any_,
    literal,
    select,
)

from astrid_core.care.reading import streamed, table_of
from dbschema.models import (
    Base,
    Candidate,
    Detection,
    DifferenceRun,
    ExtractionRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    TrainingDataset,
    TrainingSample,
)

PREFIXES = (
    "raw_frames/",
    "processed_frames/",
    "reference_frames/",
    "difference_images/",
    "cutouts/",
    "component_cutouts/",
    "models/",
    "training_samples/",
)
"""Where objects that rows name lie. What lies elsewhere is another's (:data:`FOREIGN`)."""

SCRATCH = "scratch/"
"""Where the steps of one run leave values for each other; no row names them."""

FOREIGN = "mlflow/"
"""MLflow's artifacts, which its own database names."""


@dataclass(frozen=True)
class Naming:
    """Columns of a table that name an object and its SHA-256.

    Attributes
    ----------
    sha256
        None where another table's row has the hash of the same object.
    """

    table: type[Base]
    path: str
    sha256: str | None

    @property
    def name(self) -> str:
        """The column, as people read it."""
        return f"{self.table.__tablename__}.{self.path}"


NAMINGS = (
    Naming(Observation, "raw_fits_path", "raw_sha256"),
    Naming(PreprocessRun, "processed_fits_path", "sha256"),
    Naming(ReferenceFrame, "reference_fits_path", "sha256"),
    Naming(DifferenceRun, "difference_fits_path", "sha256"),
    Naming(ExtractionRun, "cutout_path", "sha256"),
    Naming(ModelRun, "cutout_path", "sha256"),
    Naming(Model, "weights_path", "sha256"),
    Naming(Candidate, "cutout_path", None),
    Naming(Detection, "cutout_path", None),
    Naming(TrainingSample, "image_path", None),
    Naming(TrainingSample, "mask_path", None),
)

SHARDS = "training_datasets.shards"
"""The one column that names objects inside JSON: a dataset's shards, with their hashes."""

NO_OBJECT = frozenset(
    {
        "candidates.cutout_sha256",  # of a plane's pixels, as detections' is
        "detections.cutout_sha256",
        "validation_events.cutout_sha256",  # of what the reviewer saw
        "training_samples.sha256",  # of a sample's pixels
        "ingest_runs.sha256",  # of the file as it came, whatever became of it
        "catalogue_answers.sha256",  # of an answer whose sources are in the row
        "api_keys.secret_sha256",
        "sign_in_links.secret_sha256",
        "sign_in_sessions.secret_sha256",
    }
)
"""Columns that look as if they named an object or had its hash, and do not."""

_LOOKS_LIKE = re.compile(r"(_|\b)(path|uri|url|sha256|object_key|objects)$")
_SAYS = re.compile(r"object key|its objects|SHA-256 of the object")
_ADDRESSES = frozenset({"catalogue_answers.url"})


@dataclass(frozen=True)
class NamedObject:
    """An object as a row names it."""

    key: str
    sha256: str
    by: str


def undeclared() -> list[str]:
    """Columns that seem to name objects, or to hold their hashes, and are not declared here."""
    declared = {SHARDS, *NO_OBJECT, *_ADDRESSES}
    for naming in NAMINGS:
        declared |= {
            f"{naming.table.__tablename__}.{column}"
            for column in (naming.path, naming.sha256)
            if column is not None
        }
    return sorted(
        name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if (name := f"{table.name}.{column.name}") not in declared and _seems_to_name(column)
    )


def _seems_to_name(column: Column[Any]) -> bool:
    return bool(_LOOKS_LIKE.search(column.name) or _SAYS.search(column.comment or ""))


def named_objects(connection: Connection) -> Iterator[NamedObject]:
    """Every object that rows name with a hash; one that several rows name, several times."""
    for naming in NAMINGS:
        if naming.sha256 is None:
            continue
        path, sha256 = _columns(naming)
        query = select(path, sha256).where(path.is_not(None), sha256.is_not(None)).distinct()
        for row in streamed(connection, query):
            yield NamedObject(row[0], row[1], naming.name)
    for row in streamed(connection, select(TrainingDataset.shards)):
        for shard in row[0]:
            yield NamedObject(shard["image_path"], shard["image_sha256"], SHARDS)
            yield NamedObject(shard["mask_path"], shard["mask_sha256"], SHARDS)


def unhashed_keys(connection: Connection) -> Iterator[tuple[str, str]]:
    """(key, column) of objects that rows name and no row has the hash of."""
    hashed = set(
        connection.scalars(
            select(ExtractionRun.cutout_path).where(ExtractionRun.cutout_path.is_not(None))
        )
    )
    hashed |= set(
        connection.scalars(select(ModelRun.cutout_path).where(ModelRun.cutout_path.is_not(None)))
    )
    for shards in connection.scalars(select(TrainingDataset.shards)):
        hashed |= {shard[name] for shard in shards for name in ("image_path", "mask_path")}
    for naming in NAMINGS:
        if naming.sha256 is None:
            path = table_of(naming.table).columns[naming.path]
            query = select(path).where(path.is_not(None)).distinct()
            for row in streamed(connection, query):
                if row[0] not in hashed:
                    yield row[0], naming.name


def named_among(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of some keys that rows name now: asked again before something is removed."""
    found: set[str] = set()
    for naming in NAMINGS:
        if naming.sha256 is not None:
            path, _ = _columns(naming)
            wanted = path == any_(literal(list(keys), ARRAY(Text)))
            found.update(key for key in connection.scalars(select(path).where(wanted)) if key)
    for row in streamed(connection, select(TrainingDataset.shards)):
        found.update(shard[name] for shard in row[0] for name in ("image_path", "mask_path"))
    return found & set(keys)


def _columns(naming: Naming) -> tuple[Column[str | None], Column[str | None]]:
    table = table_of(naming.table)
    assert naming.sha256 is not None  # noqa: S101  asked of hashed ones only
    return table.columns[naming.path], table.columns[naming.sha256]
