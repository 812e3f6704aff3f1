"""An installation with a small world in it, as the environment would name it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from astrid_stack.care.installation import Installation
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.migrate import upgrade
from dbschema.transactions import transaction_at
from tests.care import make_world
from tests.conftest import copy_of, make_bucket
from tests.deployment import server_variables


@pytest.fixture(scope="session")
def world(
    postgres_server: EmbeddedPostgres,
    s3_server: EmbeddedObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, dict[str, Path]]]:
    """A database with the world's rows, to copy, and its objects by key."""
    folder = tmp_path_factory.mktemp("world")
    name = f"test_{uuid4().hex[:12]}"
    postgres_server.ensure_database(name)
    url = postgres_server.url_of(name)
    upgrade(url)
    store = make_bucket(s3_server, f"test-{uuid4().hex[:12]}").open()
    with transaction_at(url) as connection:
        make_world(connection, store, folder)
    objects = {key: folder / str(number) for number, key in enumerate(store.iterate())}
    for key, path in objects.items():
        store.get_file(key, path)
    yield name, objects
    postgres_server.drop_database(name)


@pytest.fixture
def installation(
    postgres_server: EmbeddedPostgres,
    s3_server: EmbeddedObjectStore,
    world: tuple[str, dict[str, Path]],
) -> Iterator[Installation]:
    """An installation of this test's own, with everything in its place."""
    template, objects = world
    with copy_of(postgres_server, template) as url:
        made = place_at(url, s3_server)
        for key, path in objects.items():
            made.store.put_file(key, path)
        yield made


@pytest.fixture
def empty_place(database_url: str, s3_server: EmbeddedObjectStore) -> Installation:
    """A database without tables and a bucket without objects."""
    return place_at(database_url, s3_server)


def place_at(url: str, server: EmbeddedObjectStore) -> Installation:
    """An installation whose only database is AstrID's, and a new bucket."""
    bucket = make_bucket(server, f"test-{uuid4().hex[:12]}")
    environment = server_variables(url, bucket) | {"ASTRID_MLFLOW_URI": "http://127.0.0.1:9"}
    return Installation({"astrid": SecretStr(url)}, environment, None)
