"""Objects and forced photometry through the engine: two epochs of one simulated field.

Detections are put in place of the U-Net's, so that every step under test is quick.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import yaml
from sqlalchemy import Engine, select, update

from astrid_core.curation.lightcurve import assemble_light_curve
from astrid_core.curation.measurements import measurements_of
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage, write_difference
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.frame import Frame, write_frame
from astrid_core.identity import sha256_file
from astrid_core.settings import get_settings
from astrid_core.simulation.injection import inject_sources
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair
from astrid_dagster.assets.forced import force_photometry
from astrid_dagster.assets.objects import associate_objects
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.resources import DatabaseResource, StoreResource
from dbschema.models import (
    Base,
    Candidate,
    Detection,
    DifferenceRun,
    ForcedPhotometry,
    ForcedRun,
    Model,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    SkyObject,
    Survey,
)
from tests import rows
from tests.astrid_dagster.conftest import SURVEYS, key
from tests.astrid_dagster.test_pipeline import materialize
from tests.deployment import server_variables

SURVEY = "simulated"
NIGHTS = (dt.date(2025, 9, 10), dt.date(2025, 9, 11))
FADER, NEWCOMER = (60.3, 120.8), (140.6, 70.2)
BRIGHT, FAINT = 6000.0, 500.0
MODEL = rows.model_row()
REFERENCE = rows.reference_row("F0", SURVEY)
ASSETS = [associate_objects, force_photometry]
TABLES = (SkyObject, ObjectDetection, ForcedRun, ForcedPhotometry)


@dataclass(frozen=True)
class Sky:
    """The field's reference and its two epochs' difference images."""

    reference: Frame
    epochs: tuple[DifferenceImage, DifferenceImage]


@pytest.fixture(scope="module")
def sky() -> Sky:
    """One source fades from the first night to the second, another one appears."""
    pair: SimulatedPair = simulate_pair(
        PairConfig(
            seed=2, shape=(200, 200), n_stars=90, n_transients=0, with_wcs=False, shift_pix=(6, -4)
        )
    )
    x, y = np.array([FADER, NEWCOMER]).T
    epochs = []
    for night, fluxes in enumerate(((BRIGHT, 0.0), (FAINT, BRIGHT))):
        rng = np.random.default_rng(night)
        science = inject_sources(pair.science, x, y, np.array(fluxes), rng)
        epochs.append(subtract_frames(science, pair.reference, DifferenceConfig()))
    return Sky(pair.reference, (epochs[0], epochs[1]))


@pytest.fixture
def engine(
    migrated_url: str, s3_empty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A database and a store, with the surveys that are packaged."""
    values = server_variables(migrated_url, s3_empty) | {
        "ASTRID_MLFLOW_URI": "http://127.0.0.1:1",
        "ASTRID_WORKERS": "0",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield DatabaseResource().engine()
    DatabaseResource().engine().dispose()
    get_settings.cache_clear()


def put(path: Path, object_key: str) -> dict[str, str]:
    """Store a file; its key and checksum."""
    sha256 = sha256_file(path)
    StoreResource().open().put_file(object_key, path, sha256)
    return {"sha256": sha256}


def store_epoch(sky: Sky, number: int, found: tuple[float, float], folder: Path) -> rows.Row:
    """Everything up to the detection of one source on one epoch; its difference run."""
    observation = rows.observation_row(0, SURVEY, NIGHTS[number], footprint=None)
    processed = rows.preprocess_row(observation)
    reference_path = REFERENCE["reference_fits_path"]
    write_frame(sky.reference, folder / "reference.fits")
    reference = REFERENCE | put(folder / "reference.fits", reference_path)
    image = sky.epochs[number]
    write_difference(image, folder / "difference.fits")
    difference = rows.difference_row(
        processed,
        reference_id=reference["run_id"],
        flux_ratio=image.quality.flux_ratio,
        registration_rms_pix=image.quality.registration_rms_pix,
    )
    difference |= put(folder / "difference.fits", difference["difference_fits_path"])
    model_run = rows.model_run_row(difference, MODEL)
    candidate = rows.candidate_row(difference, *found, snr=50.0 + number)
    x, y = image.reference_position(*found)
    detection = rows.detection_row(model_run, candidate, x_reference_pix=x, y_reference_pix=y)
    bogus = rows.candidate_row(difference, 30.0, 30.0)
    doubtful = rows.detection_row(model_run, bogus, confidence_score=0.1, x_reference_pix=x)
    tables = [
        TableRows(Survey, [rows.survey_row(SURVEY)]),
        TableRows(Observation, [observation]),
        TableRows(PreprocessRun, [processed]),
        TableRows(ReferenceFrame, [reference]),
        TableRows(DifferenceRun, [difference]),
        TableRows(Candidate, [candidate, bogus]),
        TableRows(Model, [MODEL]),
        TableRows(ModelRun, [model_run]),
        TableRows(Detection, [detection, doubtful]),
    ]
    DatabaseResource().run(lambda connection: [upsert(connection, values) for values in tables])
    return difference


def read(engine: Engine, table: type[Base]) -> list[dict]:
    columns = [c for c in table.__table__.columns if not c.info.get("clock")]
    query = select(*columns).order_by(*table.__table__.primary_key.columns)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def run(number: int, **options: object) -> dg.ExecuteInProcessResult:
    return materialize(ASSETS, key(NIGHTS[number].isoformat()), **options)


def test_every_object_has_every_epoch_whichever_night_found_it(
    engine: Engine, sky: Sky, tmp_path: Path
) -> None:
    first = store_epoch(sky, 0, FADER, tmp_path)
    assert run(0).success
    (fader,) = read(engine, SkyObject)
    assert len(read(engine, ForcedPhotometry)) == 1
    second = store_epoch(sky, 1, NEWCOMER, tmp_path)
    assert run(1).success
    objects = {row["id"] for row in read(engine, SkyObject)}
    assert fader["id"] in objects, "an object keeps its name"
    (newcomer,) = objects - {fader["id"]}
    flux = {(r["object_id"], r["difference_run_id"]): r for r in read(engine, ForcedPhotometry)}
    planted = {
        (fader["id"], first["run_id"]): BRIGHT,
        (fader["id"], second["run_id"]): FAINT,
        (newcomer, first["run_id"]): 0.0,
        (newcomer, second["run_id"]): BRIGHT,
    }
    assert flux.keys() == planted.keys()
    for pair, expected in planted.items():
        row = flux[pair]
        assert row["flux"] == pytest.approx(expected, abs=4 * row["flux_err"])
        assert (row["flux_unit"], row["flag_names"]) == ("instrumental", [])
        assert row["snr"] == pytest.approx(row["flux"] / row["flux_err"])
    assert np.hypot(row["x_pix"] - NEWCOMER[0], row["y_pix"] - NEWCOMER[1]) < 0.01
    with engine.connect() as connection:
        curve = assemble_light_curve(measurements_of(connection, fader["id"]))
    assert [point.observation_time.date() for point in curve] == list(NIGHTS)
    for point, image, brightness in zip(curve, sky.epochs, (BRIGHT, FAINT), strict=True):
        expected = brightness / image.quality.flux_ratio
        assert point.flux == pytest.approx(expected, abs=4 * point.flux_err)


def test_any_order_and_any_number_of_runs_give_the_same_rows(
    engine: Engine, sky: Sky, tmp_path: Path
) -> None:
    store_epoch(sky, 1, NEWCOMER, tmp_path)
    assert run(1).success
    store_epoch(sky, 0, FADER, tmp_path)
    assert run(0).success
    before = {table: read(engine, table) for table in TABLES}
    assert len(before[ForcedPhotometry]) == 4
    forced = {"ops": {"force_photometry": {"config": {"force": True}}}}
    for number, options in ((1, {}), (0, {}), (0, {"run_config": forced})):
        result = run(number, **options)
        assert result.success
        assert {table: read(engine, table) for table in TABLES} == before
        (event,) = result.asset_materializations_for_node("force_photometry")
        assert event.metadata["n_already_completed"].value == (0 if options else 2)


def test_an_object_is_measured_no_longer_before_its_first_detection_than_asked(
    engine: Engine, sky: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store_epoch(sky, 0, FADER, tmp_path)
    second = store_epoch(sky, 1, NEWCOMER, tmp_path)
    for precovery_days, expected in ((0.9, 3), (1.1, 4), (0.9, 4)):
        configure(monkeypatch, tmp_path, objects={"precovery_days": precovery_days})
        assert run(1).success
        measured = read(engine, ForcedPhotometry)
        assert len(measured) == expected, "found a day later; nothing is deleted"
        if expected == 3:
            (fader,) = (row for row in measured if row["difference_run_id"] == first["run_id"])
            objects = {row["object_id"] for row in measured}
            assert {row["object_id"] for row in measured if row is not fader} == objects
            assert second["run_id"] in {row["difference_run_id"] for row in measured}


def test_a_configuration_taken_back_has_its_measurements_again(
    engine: Engine, sky: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_epoch(sky, 0, FADER, tmp_path)
    measured_by = []
    for max_masked_weight in (0.5, 0.4, 0.5):
        configure(monkeypatch, tmp_path, extraction={"max_masked_weight": max_masked_weight})
        assert run(0).success
        (row,) = read(engine, ForcedPhotometry)
        measured_by.append(row["forced_run_id"])
    assert measured_by[0] == measured_by[2] != measured_by[1]
    stamps = clocks(engine)
    result = run(0)
    (event,) = result.asset_materializations_for_node("force_photometry")
    assert event.metadata["n_already_completed"].value == 1
    assert clocks(engine) == stamps, "what is current is not written again"


def clocks(engine: Engine) -> list[dt.datetime]:
    with engine.connect() as connection:
        return list(connection.scalars(select(ForcedRun.selected_at).order_by(ForcedRun.run_id)))


def configure(monkeypatch: pytest.MonkeyPatch, folder: Path, **stages: dict[str, float]) -> None:
    """Have the survey's stages configured so from now on."""
    entry = SURVEYS["surveys"][SURVEY] | stages
    path = folder / "surveys.yaml"
    path.write_text(yaml.safe_dump(SURVEYS | {"surveys": {SURVEY: entry}}))
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", str(path))
    get_settings.cache_clear()


def test_what_a_person_reads(engine: Engine, sky: Sky, tmp_path: Path) -> None:
    store_epoch(sky, 0, FADER, tmp_path)
    result = run(0)
    (found,) = result.asset_materializations_for_node("associate")
    (measured,) = result.asset_materializations_for_node("force_photometry")
    assert found.metadata["n_objects"].value == 1
    assert found.metadata["dagster/partition_row_count"].value == 1
    assert "data:image/png;base64," in measured.metadata["light curve"].value
    assert measured.metadata["n_measured"].value == 1
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks == {"every_detection_placed": True, "every_image_measured": True}


def test_detections_that_are_gone_leave_no_active_object(
    engine: Engine, sky: Sky, tmp_path: Path
) -> None:
    store_epoch(sky, 0, FADER, tmp_path)
    assert run(0).success
    with engine.begin() as connection:
        connection.execute(update(Detection).values(status="superseded"))
    assert run(0).success
    assert [row["status"] for row in read(engine, SkyObject)] == ["superseded"]
    assert [row["status"] for row in read(engine, ObjectDetection)] == ["superseded"]
    assert len(read(engine, ForcedPhotometry)) == 1, "nothing is deleted"
    with engine.begin() as connection:
        connection.execute(update(Detection).values(status="active"))
    assert run(0).success
    assert [row["status"] for row in read(engine, SkyObject)] == ["active"]


def test_one_lost_image_does_not_cost_the_others(engine: Engine, sky: Sky, tmp_path: Path) -> None:
    store_epoch(sky, 0, FADER, tmp_path)
    lost = store_epoch(sky, 1, NEWCOMER, tmp_path)
    with engine.begin() as connection:
        connection.execute(
            update(DifferenceRun)
            .where(DifferenceRun.run_id == lost["run_id"])
            .values(difference_fits_path="difference_images/nowhere.fits")
        )
    result = run(1)
    assert result.success
    runs = {row["difference_run_id"]: row for row in read(engine, ForcedRun)}
    assert runs.pop(lost["run_id"])["error_type"] == "ObjectMissingError"
    (kept,) = runs.values()
    assert (kept["status"], kept["n_measured"]) == ("completed", 2)
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["every_image_measured"] is False


def test_unplaced_detections_are_warned_of(engine: Engine, sky: Sky, tmp_path: Path) -> None:
    blind = replace(sky, epochs=(replace(sky.epochs[0], to_reference=None), sky.epochs[1]))
    store_epoch(blind, 0, FADER, tmp_path)
    result = run(0)
    assert result.success
    assert read(engine, SkyObject) == []
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["every_detection_placed"] is False
