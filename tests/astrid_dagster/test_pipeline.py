"""The whole graph on a real engine, database and store: counts, re-runs, failures."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from astrid_core.care.audit import audit
from astrid_core.care.report import AuditReport
from astrid_core.errors import ModelUnavailableError
from astrid_core.extraction.cutouts import read_one_cutout
from astrid_dagster.assets import NIGHT_ASSETS
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_dagster.assets.references import build_references
from astrid_dagster.definitions import build_defs
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.models import (
    Candidate,
    Detection,
    DetectionConsensus,
    DifferenceRun,
    ForcedPhotometry,
    ForcedRun,
    IngestRun,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    SkyObject,
    ValidationEvent,
)
from dbschema.transactions import snapshot
from tests import review
from tests.astrid_dagster.conftest import REFERENCE_NIGHTS, SCIENCE_NIGHTS, deploy_tiny, key
from tests.conftest import copy_of, make_bucket
from tests.deployment import Deployment


def materialize(
    assets: Sequence[dg.AssetsDefinition], partition: str, **options: object
) -> dg.ExecuteInProcessResult:
    defs = build_defs()
    selection = dg.AssetSelection.assets(*assets)
    job = dg.define_asset_job("under_test", selection=selection)
    resolved = dg.Definitions(assets=defs.assets, jobs=[job], resources=defs.resources).get_job_def(
        "under_test"
    )
    return resolved.execute_in_process(partition_key=partition, **options)


def run_references() -> None:
    for night in REFERENCE_NIGHTS:
        assert materialize([ingest, processed], key(night)).success
    assert materialize([build_references], "simulated").success


@pytest.fixture(scope="module")
def processed_survey(
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    s3_server: EmbeddedObjectStore,
    empty_mlflow: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """One for the module: its tests look at what is there, or find it unchanged."""
    bucket = make_bucket(s3_server, "processed-survey")
    folder = tmp_path_factory.mktemp("processed_survey")
    with (
        copy_of(postgres_server, migrated_template) as url,
        deploy_tiny(url, bucket, empty_mlflow, folder) as deployed,
    ):
        run_references()
        assert materialize(NIGHT_ASSETS, key(SCIENCE_NIGHTS[0])).success
        yield deployed


def audited(deployed: Deployment) -> AuditReport:
    with snapshot(deployed.engine) as connection:
        return audit(connection, deployed.store)


def test_a_night_goes_from_files_to_detections(
    processed_survey: Deployment, tmp_path: Path
) -> None:
    found = audited(processed_survey)
    assert [check.to_json() for check in found.checks if not check.holds] == []
    assert found["unchanged"].n_seen > 10
    assert found["whole_object"].n_seen > 0
    assert len(processed_survey.rows(Observation)) == 8
    assert {row["status"] for row in processed_survey.rows(IngestRun)} == {"completed"}
    assert {row["status"] for row in processed_survey.rows(ReferenceFrame)} <= {
        "completed",
        "degraded",
    }
    differences = processed_survey.rows(DifferenceRun)
    assert len(differences) == 2
    assert {row["status"] for row in differences} <= {"completed", "degraded"}
    candidates = processed_survey.rows(Candidate)
    detections = processed_survey.rows(Detection)
    assert candidates
    assert {row["candidate_id"] for row in detections} >= {row["id"] for row in candidates}
    assert all(0 <= row["confidence_score"] <= 1 for row in detections)
    assert any(row["candidate_id"] is None for row in detections), "the U-Net found none besides"
    for row in detections:
        read = partial(processed_survey.store.get_range, row["cutout_path"])
        cutout = read_one_cutout(read, row["cutout_index"], row["cutout_sha256"])
        assert np.isfinite(cutout[0, 31, 31])
    judged = {row["run_id"]: row for row in processed_survey.rows(ModelRun)}
    for row in detections:
        if row["candidate_id"] is None:
            assert row["cutout_path"] == judged[row["model_run_id"]]["cutout_path"]
    for run in judged.values():
        if run["cutout_path"] is not None:
            processed_survey.store.get_file(run["cutout_path"], tmp_path / "c", run["sha256"])
    objects = {row["id"] for row in processed_survey.rows(SkyObject)}
    assert objects == {row["object_id"] for row in processed_survey.rows(ForcedPhotometry)}
    assert len(objects) == len(processed_survey.rows(ObjectDetection)) > 0


def test_a_re_run_gives_the_same_rows_and_bytes_and_keeps_verdicts(
    processed_survey: Deployment,
) -> None:
    # A confident one: it is of an object already, and the verdict changes no object.
    judged = max(processed_survey.rows(Detection), key=lambda row: row["confidence_score"])["id"]
    with processed_survey.engine.begin() as connection:
        review.judge(connection, review.expert(connection), judged)
    tables = (
        Observation,
        PreprocessRun,
        DifferenceRun,
        Candidate,
        ModelRun,
        Detection,
        SkyObject,
        ObjectDetection,
        ForcedRun,
        ForcedPhotometry,
        ValidationEvent,
        DetectionConsensus,
    )
    before = {table: processed_survey.rows(table) for table in tables}
    stored = digests(processed_survey)
    forced = {
        "ops": {
            "preprocess": {"config": {"force": True}},
            "subtract": {"config": {"force": True}},
            "detections": {"ops": {"plan_judgement": {"config": {"force": True}}}},
            "force_photometry": {"config": {"force": True}},
        }
    }
    for run_config in ({}, forced):
        result = materialize(NIGHT_ASSETS, key(SCIENCE_NIGHTS[0]), run_config=run_config)
        assert result.success
        assert picture_shown(result).width > 4 * 320
        assert {table: processed_survey.rows(table) for table in tables} == before
        assert digests(processed_survey) == stored
    assert next(row for row in before[Detection] if row["id"] == judged)["is_validated"]


def picture_shown(result: dg.ExecuteInProcessResult) -> Image.Image:
    """What the materialization of candidates shows."""
    [made] = result.asset_materializations_for_node("find_candidates")[-1:]
    [encoded] = re.findall(r"base64,([^)]+)\)", str(made.metadata["preview"].value))
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def digests(deployment: Deployment) -> dict[str, str]:
    """Key → ETag of every object but the ops' scratch."""
    import boto3

    settings = deployment.settings
    client = boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        aws_access_key_id=settings.s3_access_key_id.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        region_name="auto",
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=settings.s3_bucket)
    return {
        entry["Key"]: entry["ETag"]
        for page in pages
        for entry in page.get("Contents", [])
        if not entry["Key"].startswith("scratch/")
    }


def test_a_night_without_files_is_empty_not_an_error(deployment: Deployment) -> None:
    result = materialize(NIGHT_ASSETS, key("2025-09-20"))
    assert result.success
    assert deployment.rows(Observation) == []


def test_without_references_every_frame_says_so(deployment: Deployment) -> None:
    assert materialize(NIGHT_ASSETS, key(SCIENCE_NIGHTS[0])).success
    differences = deployment.rows(DifferenceRun)
    assert {row["status"] for row in differences} == {"no_reference"}
    assert deployment.rows(Candidate) == []
    assert deployment.rows(Detection) == []


def test_a_lost_champion_is_a_typed_error(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    from astrid_core.settings import get_settings

    monkeypatch.setenv("ASTRID_MLFLOW_URI", f"sqlite:///{tmp_path / 'empty.db'}")
    get_settings.cache_clear()
    result = materialize(NIGHT_ASSETS, key(SCIENCE_NIGHTS[0]), raise_on_error=False)
    assert not result.success
    failure = result.get_step_failure_events()[-1].event_specific_data.error
    assert ModelUnavailableError.__name__ in failure.to_string()
