"""The API over a real database and a real store, and people who may use it."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import ROLES, Role, issue_sign_in_link
from astrid_core.storage import ObjectStore
from tests.callers import HERE, Person, person
from tests.conftest import S3Store
from tests.serving import served


@pytest.fixture
def settings(migrated_url: str, s3: S3Store) -> ApiSettings:
    return ApiSettings(
        database_url=SecretStr(migrated_url),
        s3_endpoint=s3.endpoint,
        s3_bucket=s3.bucket,
        s3_access_key_id=SecretStr(s3.access_key_id),
        s3_secret_access_key=SecretStr(s3.secret_access_key),
    )


@pytest.fixture
def app(settings: ApiSettings) -> Iterator[FastAPI]:
    app = create_app(settings)
    yield app
    app.state.services.engine.dispose()


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    """A client that shows what a real one would see of an error."""
    return TestClient(app, HERE, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The API served as it is to people."""
    with served(app) as address:
        yield address


@pytest.fixture
def engine(app: FastAPI) -> Engine:
    engine: Engine = app.state.services.engine
    return engine


@pytest.fixture
def store(app: FastAPI) -> ObjectStore:
    store: ObjectStore = app.state.services.store
    return store


@pytest.fixture
def people(engine: Engine) -> dict[Role, Person]:
    """One user of each role."""
    with engine.begin() as connection:
        return {role: person(connection, role) for role in ROLES}


@pytest.fixture
def browser(client: TestClient, engine: Engine, people: dict[Role, Person]) -> TestClient:
    """A browser that the reviewer signed in with, which shows its page's token."""
    with engine.begin() as connection:
        link = issue_sign_in_link(connection, people["reviewer"].user)
    answer = client.post("/sign-in", data={"link": link.secret.get_secret_value()})
    assert answer.status_code == 303
    client.headers["X-CSRF-Token"] = client.get("/session").json()["csrf_token"]
    return client
