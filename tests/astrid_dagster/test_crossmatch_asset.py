"""crossmatches through the engine: rows, the cache, failures, and nothing when nobody is named."""

import datetime as dt
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from astropy.time import Time
from sqlalchemy import Engine, select, update

from astrid_core.settings import get_settings
from astrid_dagster.assets.crossmatches import CHECK, crossmatch
from astrid_dagster.assets.objects import associate_objects
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.resources import DatabaseResource
from dbschema.models import (
    Base,
    Candidate,
    CatalogueAnswer,
    Crossmatch,
    CrossmatchRun,
    Detection,
    DifferenceRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    Survey,
)
from tests import rows
from tests.astrid_dagster.conftest import SURVEYS, key
from tests.astrid_dagster.test_pipeline import materialize
from tests.catalogue_services import Asteroid, CatalogueServices, Star, Variable, send
from tests.conftest import S3Store
from tests.deployment import server_variables

SURVEY = "simulated"
NIGHT = dt.date(2025, 9, 10)
STAR, ROCK = (10.2, -20.3), (10.7, -20.6)
TABLES = (CatalogueAnswer, CrossmatchRun, Crossmatch)
ALL = ("gaia", "vsx", "skybot")

Configure = Callable[..., None]


@pytest.fixture
def services() -> Iterator[CatalogueServices]:
    """A sky with a star that varies, and with an asteroid, caught on the first frame."""
    mid = rows.observation_row(0, SURVEY, NIGHT)["observation_time"]
    with CatalogueServices(
        stars=[Star(42, *STAR, pm_ra=0.0, pm_dec=0.0)],
        variables=[Variable(7, "V7 Cet", *STAR)],
        asteroids=[Asteroid(1, "Ceres", *ROCK, mid, 3000.0, 0.0)],
    ) as services:
        yield services


@pytest.fixture
def configure(
    migrated_url: str, s3: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Configure]:
    """Write the surveys file; by default no catalogue is named."""

    def write(crossmatch: dict[str, Any] | None = None) -> None:
        survey: dict[str, Any] = {**SURVEYS["surveys"][SURVEY]}
        if crossmatch is not None:
            survey["crossmatch"] = crossmatch
        file = {**SURVEYS, "surveys": {SURVEY: survey}}
        (tmp_path / "surveys.yaml").write_text(yaml.safe_dump(file))

    write()
    values = server_variables(migrated_url, s3) | {
        "ASTRID_MLFLOW_URI": "http://127.0.0.1:1",
        "ASTRID_SURVEYS_FILE": str(tmp_path / "surveys.yaml"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield write
    DatabaseResource().engine().dispose()
    get_settings.cache_clear()


@pytest.fixture
def engine(configure: Configure) -> Engine:
    """A night of two frames of one field: the star on both, the asteroid on the first."""
    model = rows.model_row()
    tables: dict[type[Base], list[rows.Row]] = {
        Survey: [rows.survey_row(SURVEY)],
        Model: [model],
    }

    def put(table: type[Base], *values: rows.Row) -> None:
        tables.setdefault(table, []).extend(values)

    for number, places in enumerate(((STAR, ROCK), (STAR,))):
        observation = rows.observation_row(number, SURVEY, NIGHT, field="F0")
        processed = rows.preprocess_row(observation)
        difference = rows.difference_row(processed)
        model_run = rows.model_run_row(difference, model)
        put(Observation, observation)
        put(PreprocessRun, processed)
        put(DifferenceRun, difference)
        put(ModelRun, model_run)
        for index, (ra, dec) in enumerate(places):
            candidate = rows.candidate_row(difference, 100.0 + 50 * index, 100.0)
            put(Candidate, candidate)
            put(Detection, rows.detection_row(model_run, candidate, ra=ra, dec=dec))
    database = DatabaseResource()
    order = (Survey, Observation, PreprocessRun, DifferenceRun, Candidate, Model, ModelRun)
    database.run(
        lambda connection: [
            upsert(connection, TableRows(table, tables[table])) for table in (*order, Detection)
        ]
    )
    assert materialize([associate_objects], key(NIGHT.isoformat())).success
    return database.engine()


def run() -> dg.ExecuteInProcessResult:
    result = materialize([crossmatch], key(NIGHT.isoformat()))
    assert result.success
    return result


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("crossmatch")
    return {name: value.value for name, value in event.metadata.items()}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = (e for e in result.get_asset_check_evaluations() if e.check_name == CHECK)
    return found


def read(engine: Engine, table: type[Base]) -> list[dict]:
    query = select(table.__table__).order_by(*table.__table__.primary_key.columns)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def stable(engine: Engine) -> list[list[dict]]:
    """All rows without the columns that tell when they were written."""
    clocks = {c.name for t in TABLES for c in t.__table__.columns if c.info.get("clock")}
    return [
        [{k: v for k, v in row.items() if k not in clocks} for row in read(engine, table)]
        for table in TABLES
    ]


def test_who_names_no_catalogue_opens_no_connection_and_writes_no_row(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    # The database is spoken to by libpq, which opens its own.
    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = run()
    assert metadata(result)["catalogues"] == "no catalogue configured"
    assert check(result).passed
    assert stable(engine) == [[], [], []]


def test_a_night_is_matched_once_and_a_second_run_asks_nothing(
    engine: Engine, configure: Configure, services: CatalogueServices
) -> None:
    configure(services.config(*ALL))
    result = run()
    assert check(result).passed
    told = metadata(result)
    assert (told["matches with gaia"], told["matches with vsx"]) == (2, 2)
    assert told["matches with skybot"] == 1, "on the second frame it is 50 arcsec on"
    assert (told["n_questions_asked"], told["n_questions_cached"]) == (4, 0)
    assert told["assumed"] == "observatory_code 500"
    found = read(engine, Crossmatch)
    (rock,) = [row for row in found if row["catalogue"] == "skybot"]
    assert (rock["name"], rock["rate_ra_arcsec_per_h"]) == ("Ceres", 3000.0)
    star_objects = {row["object_id"] for row in found if row["source_id"] == "42"}
    assert len(star_objects) == 1
    assert rock["object_id"] not in star_objects
    before, n_requests = stable(engine), len(services.requests)
    told = metadata(run())
    assert (told["n_questions_asked"], told["n_questions_cached"]) == (0, 4)
    assert len(services.requests) == n_requests
    assert stable(engine) == before


def test_a_failing_catalogue_costs_its_own_rows_only_and_is_asked_again(
    engine: Engine, configure: Configure, services: CatalogueServices
) -> None:
    configure(services.config(*ALL))
    services.faults["skybot"].extend([send(b"", 503)] * 3)
    result = run()
    evaluation = check(result)
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    failures = metadata(result)["failures"]
    assert [record.data["catalogue"] for record in failures.records] == ["skybot", "skybot"]
    assert {row["catalogue"] for row in read(engine, Crossmatch)} == {"gaia", "vsx"}
    told = metadata(run())
    assert (told["n_questions_asked"], told["n_questions_cached"]) == (2, 2)
    assert {row["status"] for row in read(engine, CrossmatchRun)} == {"completed"}
    assert {row["catalogue"] for row in read(engine, Crossmatch)} == set(ALL)


def test_an_expired_answer_is_asked_for_again_and_a_failure_keeps_what_was_known(
    engine: Engine, configure: Configure, services: CatalogueServices
) -> None:
    configure(services.config("vsx"))
    run()
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    with engine.begin() as connection:
        connection.execute(update(CatalogueAnswer).values(expires_at=long_ago))
    services.faults["tap"].append(send(b"<html>closed</html>"))
    assert not check(run()).passed
    assert {row["status"] for row in read(engine, CrossmatchRun)} == {"failed"}
    assert {row["status"] for row in read(engine, Crossmatch)} == {"active"}
    services.variables = []
    assert check(run()).passed
    (answer,) = read(engine, CatalogueAnswer)
    assert answer["n_sources"] == 0
    assert answer["expires_at"] - answer["fetched_at"] == dt.timedelta(days=30)
    assert {row["status"] for row in read(engine, Crossmatch)} == {"superseded"}


def test_a_match_ends_with_its_detection(
    engine: Engine, configure: Configure, services: CatalogueServices
) -> None:
    configure(services.config("gaia"))
    run()
    with engine.begin() as connection:
        connection.execute(update(Detection).values(confidence_score=0.01))
    assert materialize([associate_objects], key(NIGHT.isoformat())).success
    services.requests.clear()
    run()
    assert services.requests == [], "a night without objects asks nobody"
    assert {row["status"] for row in read(engine, Crossmatch)} == {"superseded"}
    assert [row["n_sightings"] for row in read(engine, CrossmatchRun)] == [0, 0]


def test_the_times_asked_for_are_the_exposures_own(
    engine: Engine, configure: Configure, services: CatalogueServices
) -> None:
    configure(services.config("skybot", observatory_code="809"))
    run()
    asked = sorted(float(request["-ep"]) for request in services.requests)
    times = sorted(Time(row["observation_time"]).jd for row in read(engine, Observation))
    assert asked == pytest.approx(times, abs=1e-7)
    assert {row["observatory_code"] for row in read(engine, CrossmatchRun)} == {"809"}
