"""Resources on the real servers, configured as a deployment is: by the environment."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from astrid_core.settings import get_settings
from astrid_core.storage import ObjectStore
from astrid_dagster.resources import DatabaseResource, StoreResource
from tests.conftest import S3Store
from tests.deployment import server_variables


@pytest.fixture
def environment(
    migrated_url: str, s3_empty: S3Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The settings of a deployment on the test servers."""
    values = server_variables(migrated_url, s3_empty) | {
        "ASTRID_MLFLOW_URI": "http://127.0.0.1:1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield
    DatabaseResource().engine().dispose()
    get_settings.cache_clear()


@pytest.fixture
def database(environment: None) -> DatabaseResource:
    return DatabaseResource()


@pytest.fixture
def engine(database: DatabaseResource) -> Engine:
    return database.engine()


@pytest.fixture
def store(environment: None) -> ObjectStore:
    return StoreResource().open()
