"""Resources on the real servers, configured as a deployment is: by the environment."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from astrid_core.settings import get_settings
from astrid_core.storage import ObjectStore
from astrid_dagster.resources import DatabaseResource, StoreResource
from tests.conftest import S3Store


@pytest.fixture
def environment(
    migrated_url: str, s3_empty: S3Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The settings of a deployment on the test servers."""
    values = {
        "DATABASE_URL": migrated_url,
        "S3_ENDPOINT": s3_empty.endpoint,
        "S3_BUCKET": s3_empty.bucket,
        "S3_ACCESS_KEY_ID": s3_empty.access_key_id,
        "S3_SECRET_ACCESS_KEY": s3_empty.secret_access_key,
        "MLFLOW_URI": "http://127.0.0.1:1",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"ASTRID_{name}", value)
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
