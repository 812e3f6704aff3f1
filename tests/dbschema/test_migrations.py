"""Migrations on a real server: up from empty, down to empty, equal to the models."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from astrid_core.curation.access import add_user
from astrid_core.curation.events import Judgement, record_verdict, undo_verdict
from astrid_core.errors import ConfigurationError, SchemaVersionError
from dbschema import migrate
from dbschema.models import Base
from dbschema.session import database_url as normalised
from dbschema.session import make_engine
from dbschema.views import views
from tests import rows

# Everything a schema consists of, by kind; names only as far as they mean something.
CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraints": """
        SELECT c.relname, k.conname, k.contype, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid""",
    "indexes": """
        SELECT c.relname, i.relname, pg_get_indexdef(i.oid)
        FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i
        ON i.oid = x.indexrelid""",
}


def catalogue(connection: Connection) -> dict[str, set[tuple[object, ...]]]:
    """What the public schema consists of, but for Alembic's own table."""
    found = {}
    for kind, query in CATALOGUE.items():
        where = " AND " if "WHERE" in query else " WHERE "
        rows = connection.execute(
            text(
                f"{query}{where} c.relnamespace = 'public'::regnamespace "
                "AND c.relname <> 'alembic_version'"
            )
        )
        found[kind] = {tuple(row) for row in rows}
    return found


def test_upgrade_from_empty_equals_the_models(database_url: str) -> None:
    engine = make_engine(database_url)
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        by_models = catalogue(connection)
    Base.metadata.drop_all(engine)
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        by_migrations = catalogue(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()
    assert len(by_models["columns"]) > 200
    for kind, found in by_models.items():
        assert by_migrations[kind] == found, kind


def test_every_column_has_a_comment() -> None:
    uncommented = [
        f"{table.name}.{column.name}"
        for table in (*Base.metadata.sorted_tables, *views.sorted_tables)
        for column in table.columns
        if not column.comment
    ]
    assert uncommented == []


def test_views_have_the_columns_their_tables_declare(database_url: str) -> None:
    migrate.upgrade(database_url)
    engine = make_engine(database_url)
    inspector = inspect(engine)
    assert set(inspector.get_view_names()) == {view.name for view in views.sorted_tables}
    for view in views.sorted_tables:
        found = {
            c["name"]: c["type"].compile(engine.dialect) for c in inspector.get_columns(view.name)
        }
        declared = {c.name: c.type.compile(engine.dialect) for c in view.columns}
        assert found == declared, view.name
    engine.dispose()


def test_downgrade_leaves_nothing(database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.downgrade(database_url)
    engine = make_engine(database_url)
    inspector = inspect(engine)
    assert inspector.get_table_names() == ["alembic_version"]
    assert inspector.get_view_names() == []
    migrate.upgrade(database_url)
    migrate.check(database_url)
    engine.dispose()


def store_night(connection: Connection) -> tuple[rows.Row, list[rows.Row], list[rows.Row]]:
    """Rows up to candidates, as every schema since the first takes them.

    Returns
    -------
    The model, the candidates, and a detection of each as schemas before 0008 take them.
    """
    model, observation = rows.model_row(), rows.observation_row(0)
    processed = rows.preprocess_row(observation)
    difference = rows.difference_row(processed)
    run = rows.model_run_row(difference, model)
    candidates = [rows.candidate_row(difference, 20.0 * i, 30.0) for i in range(3)]
    for table, *values in (
        ("surveys", rows.survey_row()),
        ("models", model),
        ("observations", observation),
        ("preprocess_runs", processed),
        ("difference_runs", difference),
        ("model_runs", run),
        ("candidates", *candidates),
    ):
        connection.execute(Base.metadata.tables[table].insert(), values)
    detections = [
        {
            name: value
            for name, value in rows.detection_row(run, candidate).items()
            if not name.startswith("cutout_")
        }
        for candidate in candidates
    ]
    return model, candidates, detections


def test_verdicts_survive_the_schema_that_gave_reviewers_rows(database_url: str) -> None:
    """What the older schema held is there after the newer one, and back again."""
    migrate.upgrade(database_url, "0004")
    engine = make_engine(database_url)
    labelled = {"real": True, "unsure": True, None: False}
    tables = Base.metadata.tables
    with engine.begin() as connection:
        model, candidates, detections = store_night(connection)
        for detection, (label, is_validated) in zip(detections, labelled.items(), strict=True):
            connection.execute(
                tables["detections"].insert(), detection | {"is_validated": is_validated}
            )
            if label is not None:
                values = {"id": detection["id"], "label": label}
                connection.execute(
                    text(
                        "INSERT INTO validation_events"
                        " (detection_id, reviewer, verdict, taxonomy_version)"
                        " VALUES (:id, 'ada', :label, '1')"
                    ),
                    values,
                )
                connection.execute(
                    text(
                        "INSERT INTO detection_consensus"
                        " (detection_id, label, n_events, decided_by)"
                        " VALUES (:id, :label, 1, 'one')"
                    ),
                    values,
                )
    migrate.upgrade(database_url)
    with engine.begin() as connection:
        found = connection.execute(
            text(
                "SELECT d.id, d.is_validated, d.n_verdicts, u.name, e.model_id, c.decided_by,"
                " c.disagreement FROM detections d"
                " LEFT JOIN validation_events e ON e.detection_id = d.id"
                " LEFT JOIN users u ON u.id = e.reviewer_id"
                " LEFT JOIN detection_consensus c ON c.detection_id = d.id"
            )
        )
        assert {row[0]: tuple(row[1:]) for row in found} == {
            detections[0]["id"]: (True, 1, "ada", model["id"], "agreement", 0.25),
            detections[1]["id"]: (False, 1, "ada", model["id"], None, None),
            detections[2]["id"]: (False, 0, None, None, None, None),
        }
        expert = add_user(connection, "an expert", is_expert=True)
        shown = candidates[2]["cutout_sha256"]
        said = Judgement(detections[2]["id"], "bogus", "key", shown)
        undo_verdict(connection, expert, record_verdict(connection, expert, said).event_id, "undo")
    migrate.downgrade(database_url, "0004")
    with engine.begin() as connection:
        events = connection.execute(text("SELECT reviewer, verdict FROM validation_events"))
        assert {tuple(row) for row in events} == {("ada", "real"), ("ada", "unsure")}
    engine.dispose()


def test_detections_get_the_cutouts_of_their_candidates(database_url: str) -> None:
    """And old components none; the views over model runs come and go with the columns."""
    migrate.upgrade(database_url, "0007")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        _, candidates, (one, other, component) = store_night(connection)
        component |= {"candidate_id": None, "detection_type": "component"}
        for detection in (one, other, component):
            connection.execute(Base.metadata.tables["detections"].insert(), detection)
    migrate.upgrade(database_url)
    columns = ("cutout_path", "cutout_index", "cutout_sha256")
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT id, {', '.join(columns)} FROM detections"))
        assert {row[0]: tuple(row[1:]) for row in found} == {
            one["id"]: tuple(candidates[0][name] for name in columns),
            other["id"]: tuple(candidates[1][name] for name in columns),
            component["id"]: (None, None, None),
        }
    migrate.downgrade(database_url, "0007")
    with engine.connect() as connection:
        stage = connection.execute(text("SELECT stage, status FROM observation_status"))
        assert stage.one() == ("model", "completed")
        view = text("SELECT obj_description('current_model_runs'::regclass)")
        assert connection.scalar(view).startswith("the newest selected good judgement")
    migrate.upgrade(database_url)
    migrate.check(database_url)
    engine.dispose()


def test_second_upgrade_is_harmless(database_url: str) -> None:
    migrate.upgrade(database_url)
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO surveys VALUES (gen_random_uuid(), 'a', 'folder', '{}', now())")
        )
    migrate.upgrade(database_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM surveys")) == 1
    engine.dispose()


def test_concurrent_upgrades_are_safe(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate.upgrade, database_url) for _ in range(4)]:
            done.result()
    migrate.check(database_url)


@pytest.mark.parametrize("act", [migrate.upgrade, migrate.downgrade, migrate.check])
def test_newer_database_is_refused_untouched(database_url: str, act: object) -> None:
    migrate.upgrade(database_url)
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaVersionError, match=r"9999.*newer AstrID"):
        act(database_url)  # type: ignore[operator]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
        assert inspect(connection).has_table("detections")
    engine.dispose()


def test_check_refuses_an_empty_or_older_database(database_url: str) -> None:
    with pytest.raises(SchemaVersionError, match="revision none"):
        migrate.check(database_url)
    migrate.upgrade(database_url, "0001")
    with pytest.raises(SchemaVersionError, match="revision 0001"):
        migrate.check(database_url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_addresses_as_providers_write_them(scheme: str) -> None:
    url = normalised(f"{scheme}://me:secret@db.example/astrid?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.host, url.query["sslmode"]) == ("db.example", "require")


@pytest.mark.parametrize("url", ["sqlite:///x:hunter2.db", "mysql://me:hunter2@host/db", "hunter2"])
def test_other_databases_are_refused_without_showing_the_address(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_engine(url)
    assert "hunter2" not in str(caught.value)
