"""What containers need once: on an empty database, a second time, and again by a newer one."""

from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from astrid_core.curation.access import add_user, change_user, list_users, user_named
from astrid_stack.postgres import EmbeddedPostgres
from astrid_stack.setup import SetupSettings, ensure_operator, prepare
from dbschema.migrate import check
from dbschema.transactions import transaction_at
from tests.conftest import REPOSITORY


def test_an_empty_database_is_prepared_and_a_second_time_changes_nothing(
    postgres_server: EmbeddedPostgres,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("ASTRID_CONCURRENT_RUNS", "1")
    postgres_server.ensure_database("dagster_of_setup")
    dagster_url = postgres_server.url_of("dagster_of_setup")
    monkeypatch.setenv(
        "ASTRID_DAGSTER_DATABASE_URL", dagster_url.replace("+psycopg:", "+psycopg2:")
    )
    settings = SetupSettings(
        database_url=SecretStr(database_url), first_operator="ada", gpu_slots=3
    )
    prepare(settings)
    prepare(settings)
    check(database_url)
    with dg.DagsterInstance.get() as instance:
        assert instance.event_log_storage.get_concurrency_info("gpu").slot_count == 3
    with transaction_at(database_url) as connection:
        (user,) = list_users(connection)
    assert (user.name, user.role, user.is_expert) == ("ada", "operator", True)


def test_whoever_is_there_keeps_the_role_they_have(migrated_url: str) -> None:
    with transaction_at(migrated_url) as connection:
        user = add_user(connection, "ada", "operator")
        change_user(connection, user.id, role="viewer", is_expert=False, is_active=True)
        assert ensure_operator(connection, "ada") == "user ada: there, as viewer"
        assert user_named(connection, "ada").role == "viewer"
