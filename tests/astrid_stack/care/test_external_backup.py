"""Backup from and restore to a database that is not ours: older, over TLS, behind a pooler."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from astrid_stack.care.backup import back_up
from astrid_stack.care.doctor.data import examine_database
from astrid_stack.care.installation import Installation
from astrid_stack.care.restore import restore
from astrid_stack.objectstore import EmbeddedObjectStore
from tests.astrid_stack.care.conftest import place_at
from tests.astrid_stack.care.test_backup import is_sound, objects_of, quiet, rows_of
from tests.external_postgres import ExternalPostgres, external_postgres, pooled


@pytest.fixture(scope="module")
def server() -> Iterator[ExternalPostgres]:
    with external_postgres() as server:
        yield server


@pytest.fixture
def elsewhere(server: ExternalPostgres, s3_server: EmbeddedObjectStore) -> Iterator[Installation]:
    """An empty place on that server."""
    with server.connect() as connection:
        connection.execute("CREATE DATABASE astrid")
    yield place_at(server.url("astrid"), s3_server)
    with server.connect() as connection:
        connection.execute("DROP DATABASE astrid WITH (FORCE)")


def test_it_moves_to_an_older_server_and_back_through_a_pooler(
    installation: Installation,
    elsewhere: Installation,
    empty_place: Installation,
    server: ExternalPostgres,
    tmp_path: Path,
) -> None:
    back_up(installation, tmp_path / "ours", quiet)
    restore(elsewhere, tmp_path / "ours", quiet)
    assert rows_of(elsewhere) == rows_of(installation)
    assert objects_of(elsewhere.store) == objects_of(installation.store)
    assert is_sound(elsewhere)
    assert {finding.state for finding in examine_database(elsewhere)} == {"ok"}
    with pooled(server) as port:
        through = SecretStr(server.url("astrid", port=port))
        place = Installation({"astrid": through}, elsewhere.environment, None)
        made = back_up(place, tmp_path / "theirs", quiet)
    assert made.manifest.databases["astrid"].server < 18
    restore(empty_place, tmp_path / "theirs", quiet)
    assert rows_of(empty_place) == rows_of(installation)
    assert is_sound(empty_place)
