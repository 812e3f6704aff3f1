"""Fixtures every test may use: a real PostgreSQL, a real S3 server, real telescope images.

Servers are started at first use, once per pytest process (each xdist worker has its own),
on free ports and in a temporary folder, and end with the process even when it is killed.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from astrid_core.storage import ObjectStore
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema import migrate

REAL_DATA_VARIABLE = "ASTRID_REAL_DATA"
REPOSITORY = Path(__file__).resolve().parents[1]
_LONG_FILES = (
    "astrid_stack/test_stack.py",
    "astrid_stack/test_collecting.py",
    "e2e/test_real_sky.py",
    "astrid_dagster/test_pipeline.py",
    "astrid_dagster/test_training_data.py",
    "astrid_dagster/distributed/test_workers.py",
    "astrid_api/test_review_page.py",
    "astrid_api/test_description.py",
    "astrid_dagster/test_depth_asset.py",
    "astrid_core/training/test_training_runs.py",
    "astrid_dagster/test_archive_ingest.py",
    "astrid_api/training/test_notebooks.py",
)


# How long an example takes says how busy the machine is.
settings.register_profile("astrid", deadline=None)
settings.load_profile("astrid")


@dataclass(frozen=True)
class S3Store:
    """Where a test's objects go: address, bucket and keys of a real S3 server."""

    endpoint: str
    bucket: str
    access_key_id: str
    secret_access_key: str
    region: str = "auto"

    def open(self) -> ObjectStore:
        """A client of it."""
        keys = (SecretStr(self.access_key_id), SecretStr(self.secret_access_key))
        return ObjectStore(self.endpoint, self.bucket, *keys)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """A folder for the servers' files; not pytest's own, whose mode pytest keeps resetting."""
    folder = Path(tempfile.mkdtemp(prefix="astrid-tests-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL server itself."""
    password = secrets.token_urlsafe(24)
    with EmbeddedPostgres(servers_folder / "postgres", password, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: EmbeddedPostgres) -> str:
    """SQLAlchemy address (psycopg 3) of a real server's maintenance database."""
    return postgres_server.url


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """SQLAlchemy address (psycopg 3) of a database that is new, empty and this test's own."""
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.ensure_database(name)
    yield postgres_server.url_of(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """Name of a database with the schema, to copy: quicker than migrating for each test."""
    name = "test_template"
    postgres_server.ensure_database(name)
    migrate.upgrade(postgres_server.url_of(name))
    return name


@pytest.fixture
def migrated_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """SQLAlchemy address of a database of this test's own, with AstrID's schema, no rows."""
    with copy_of(postgres_server, migrated_template) as url:
        yield url


@contextmanager
def copy_of(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """SQLAlchemy address of a database that is a copy of another, for as long as it is used."""
    name = f"test_{secrets.token_hex(6)}"
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()
    yield server.url_of(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def empty_mlflow(servers_folder: Path) -> Path:
    """An MLflow database without rows, to copy: its tables take seconds to make."""
    from mlflow import MlflowClient

    path = servers_folder / "empty-mlflow.db"
    uri = f"sqlite:///{path}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(servers_folder)  # where the default experiment's artifacts would go
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_registered_models()
    return path


@pytest.fixture(scope="session")
def s3_server(servers_folder: Path) -> Iterator[EmbeddedObjectStore]:
    """The embedded S3 server itself."""
    secret = secrets.token_urlsafe(24)
    with EmbeddedObjectStore(servers_folder / "objects", "astrid-tests", secret) as server:
        yield server


@pytest.fixture(scope="session")
def s3(s3_server: EmbeddedObjectStore) -> S3Store:
    """A bucket on a real S3 server, shared by the session's tests."""
    return make_bucket(s3_server, "astrid")


def make_bucket(server: EmbeddedObjectStore, name: str) -> S3Store:
    """A bucket made through the server: one made behind its back it may not see for a second."""
    bucket = S3Store(server.endpoint, name, server.access_key_id, server.secret_access_key)
    bucket.open().ensure_bucket()
    return bucket


@pytest.fixture
def s3_empty(s3: S3Store) -> S3Store:
    """A bucket that is new, empty and this test's own."""
    bucket = replace(s3, bucket=f"test-{secrets.token_hex(6)}")
    bucket.open().ensure_bucket()
    return bucket


def some_file(path: Path, n_bytes: int) -> tuple[Path, str]:
    """File of incompressible bytes and its SHA-256."""
    data = os.urandom(n_bytes)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def real_data_folder() -> Path:
    """Where the real telescope images are expected."""
    default = REPOSITORY.parent / "shared" / "data"
    return Path(os.environ.get(REAL_DATA_VARIABLE, default)).resolve()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real telescope images; the test is skipped where there is none."""
    folder = real_data_folder()
    if not folder.is_dir():
        pytest.skip(
            f"NO REAL TELESCOPE IMAGES in {folder}: this test proves nothing here. "
            f"Point {REAL_DATA_VARIABLE} at them."
        )
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: no worker waits for another's last one."""
    long = [REPOSITORY / "tests" / name for name in _LONG_FILES]
    rank = {path: number for number, path in enumerate(long)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests on real images ran, so that a green run without them shows."""
    counts = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    for outcome in counts:
        for report in terminalreporter.stats.get(outcome, []):
            if "real_data" in getattr(report, "keywords", {}):
                counts[outcome] += 1
    if not any(counts.values()):
        return
    ran = counts["passed"] + counts["failed"]
    line = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    loud = {"yellow": True, "bold": True} if counts["skipped"] else {"green": True}
    terminalreporter.write_sep("=", f"REAL DATA: {ran} tests ran on real images ({line})", **loud)
