"""A whole deployment for tests: database with our tables, bucket, registered champion."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from astrid_core.detection.registry import ensure_bootstrap, upsert_model
from astrid_core.settings import Settings, get_settings
from astrid_core.storage import ObjectStore
from dbschema.migrate import upgrade
from dbschema.models import Base
from dbschema.session import make_engine
from tests.conftest import S3Store


@dataclass(frozen=True)
class Deployment:
    """Where the tests' AstrID keeps things.

    Attributes
    ----------
    environment
        Variables that lead another process to it.
    """

    settings: Settings
    store: ObjectStore
    surveys_file: Path
    environment: dict[str, str]

    @property
    def engine(self) -> Engine:
        return make_engine(self.settings.database_url.get_secret_value())

    def rows(self, table: type[Base]) -> list[dict]:
        """All rows of a table without the columns that tell when they were written."""
        columns = [c for c in table.__table__.columns if not c.info.get("clock")]
        query = select(*columns).order_by(*table.__table__.primary_key.columns)
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def server_variables(database_url: str, bucket: S3Store) -> dict[str, str]:
    """Variables that lead a process to the test servers."""
    return {
        "ASTRID_DATABASE_URL": database_url,
        "ASTRID_S3_ENDPOINT": bucket.endpoint,
        "ASTRID_S3_BUCKET": bucket.bucket,
        "ASTRID_S3_ACCESS_KEY_ID": bucket.access_key_id,
        "ASTRID_S3_SECRET_ACCESS_KEY": bucket.secret_access_key,
    }


@contextmanager
def deploy(
    database_url: str, bucket: S3Store, folder: Path, surveys_file: Path, empty_mlflow: Path
) -> Iterator[Deployment]:
    """Set the environment, make the tables, register the shipped champion."""
    shutil.copyfile(empty_mlflow, folder / "mlflow.db")
    with configure(database_url, bucket, folder, surveys_file) as deployed:
        upgrade(database_url)
        mlflow_uri = deployed.settings.mlflow_uri
        upsert_model(make_engine(database_url), ensure_bootstrap(mlflow_uri, deployed.store))
        yield deployed


@contextmanager
def configure(
    database_url: str, bucket: S3Store, folder: Path, surveys_file: Path
) -> Iterator[Deployment]:
    """Set the environment alone, for a database that has our tables: no champion."""
    environment = server_variables(database_url, bucket) | {
        "ASTRID_MLFLOW_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "ASTRID_CACHE_DIR": str(folder / "cache"),
        "ASTRID_SURVEYS_FILE": str(surveys_file),
        "ASTRID_WORKERS": "2",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        settings = get_settings()
        yield Deployment(settings, ObjectStore.from_settings(settings), surveys_file, environment)
    get_settings.cache_clear()
