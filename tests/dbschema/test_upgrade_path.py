"""Databases that older releases left, with rows in them, come to this release's schema whole."""

from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, Table, select, text

from astrid_core.care.nights import check_nights
from astrid_core.care.verdicts import check_verdicts
from astrid_core.curation.access import add_user
from dbschema import migrate
from dbschema.models import Base
from dbschema.session import make_engine
from dbschema.transactions import snapshot
from tests import review
from tests.dbschema.make_release import RELEASED
from tests.dbschema.test_migrations import store_night

Rows = dict[str, list[dict[str, Any]]]


def revisions() -> list[str]:
    """Every revision, oldest first."""
    scripts = ScriptDirectory.from_config(migrate._config()).walk_revisions()
    return [script.revision for script in scripts][::-1]


def all_rows(connection: Connection) -> Rows:
    """Every row of every table that is there, by its primary key."""
    found = MetaData()
    found.reflect(connection)
    return {
        table.name: rows_of(connection, table)
        for table in found.sorted_tables
        if table.name != "alembic_version"
    }


def rows_of(connection: Connection, table: Table) -> list[dict[str, Any]]:
    query = select(table).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(query).mappings()]


def assert_kept(before: Rows, after: Rows) -> None:
    """Every row is there still, with every value whose column is."""
    for name, rows in before.items():
        assert len(after[name]) == len(rows), name
        for old, new in zip(rows, after[name], strict=True):
            shared = old.keys() & new.keys()
            assert {column: new[column] for column in shared} == {
                column: old[column] for column in shared
            }, name


@pytest.fixture
def engine(database_url: str) -> Engine:
    return make_engine(database_url)


def test_rows_survive_every_step_from_the_first_schema(database_url: str, engine: Engine) -> None:
    first, *later = revisions()
    migrate.upgrade(database_url, first)
    with engine.begin() as connection:
        _, _, detections = store_night(connection)
        connection.execute(Base.metadata.tables["detections"].insert(), detections)
        known = all_rows(connection)
    assert sum(map(len, known.values())) >= 11
    for revision in later:
        migrate.upgrade(database_url, revision)
        with engine.begin() as connection:
            now = all_rows(connection)
        assert_kept(known, now)
        known = now
    migrate.check(database_url)
    engine.dispose()


@pytest.mark.parametrize("revision", sorted(path.stem for path in RELEASED.glob("*.sql")))
def test_what_a_release_left_is_whole_at_this_one(
    database_url: str, engine: Engine, revision: str
) -> None:
    """Rows kept, verdicts still add up, and people go on judging."""
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute((RELEASED / f"{revision}.sql").read_text())
        connection.execute(text("SET search_path TO DEFAULT"))
        before = all_rows(connection)
    assert len(before["validation_events"]) == 10
    migrate.upgrade(database_url)
    migrate.check(database_url)
    with snapshot(engine) as connection:
        assert_kept(before, all_rows(connection))
        checks = [*check_nights(connection), *check_verdicts(connection)]
        assert [check.to_json() for check in checks if not check.holds] == []
        assert sum(check.n_seen for check in checks) > 40
    with engine.begin() as connection:
        newcomer = add_user(connection, "somebody new", is_expert=True)
        detection = connection.scalar(
            text(
                "SELECT id FROM detections WHERE n_verdicts = 0 AND inherited_from IS NULL LIMIT 1"
            )
        )
        recorded = review.judge(connection, newcomer, detection, "bogus")
        assert recorded.consensus is not None
    engine.dispose()


def test_releases_are_kept_up_to_this_one() -> None:
    """Whoever adds a migration after a release keeps what that release left."""
    kept = sorted(path.stem for path in RELEASED.glob("*.sql"))
    assert kept, "there is no release to come from"
    assert set(kept) <= set(revisions())
    assert revisions().index(kept[-1]) >= len(revisions()) - 2
