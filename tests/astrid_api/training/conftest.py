"""The API over a database that holds a training dataset, made once and copied for each test."""

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from astrid_stack.postgres import EmbeddedPostgres
from dbschema.transactions import transaction_at
from tests.conftest import S3Store, copy_of
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
def migrated_url(
    postgres_server: EmbeddedPostgres, frozen_template: tuple[str, Frozen]
) -> Iterator[str]:
    """A database of this test's own with the dataset in it."""
    with copy_of(postgres_server, frozen_template[0]) as url:
        yield url


@pytest.fixture
def frozen(frozen_template: tuple[str, Frozen]) -> Frozen:
    """The dataset."""
    return frozen_template[1]
