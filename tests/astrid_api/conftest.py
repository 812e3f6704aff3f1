"""The API over a real database and a real store, and people who may use it."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine, make_url
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import ROLES, Role, issue_sign_in_link
from astrid_core.storage import ObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.transactions import transaction_at
from tests.callers import HERE, Person, person
from tests.conftest import S3Store, copy_of
from tests.serving import served
from tests.training import Frozen, freeze_dataset


@pytest.fixture(scope="session")
def frozen_template(
    postgres_server: EmbeddedPostgres, migrated_template: str, s3: S3Store
) -> Iterator[tuple[str, Frozen]]:
    """Name of a database with a training dataset, to copy, and the dataset."""
    with copy_of(postgres_server, migrated_template) as url:
        with transaction_at(url) as connection:
            frozen = freeze_dataset(connection, s3.open())
        yield str(make_url(url).database), frozen


@pytest.fixture
def frozen_url(
    postgres_server: EmbeddedPostgres, frozen_template: tuple[str, Frozen]
) -> Iterator[str]:
    """A database of this test's own with the dataset in it."""
    with copy_of(postgres_server, frozen_template[0]) as url:
        yield url


@pytest.fixture
def frozen(frozen_template: tuple[str, Frozen]) -> Frozen:
    """The dataset."""
    return frozen_template[1]


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
