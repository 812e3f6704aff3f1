"""Dagster's instance in production: the embedded one's, with the output of steps on S3."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.compute_log_manager import ComputeIOType

from tests.conftest import REPOSITORY, S3Store

PRODUCTION = REPOSITORY / "docker" / "dagster.yaml"


@dg.op
def talkative() -> None:
    """Says something."""
    print("seen through the store")


@dg.job
def talk() -> None:
    """One step."""
    talkative()


@pytest.fixture
def instance(
    database_url: str, s3_empty: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(PRODUCTION.read_text())
    variables = {
        "ASTRID_DAGSTER_DATABASE_URL": database_url.replace("+psycopg:", "+psycopg2:"),
        "ASTRID_CONCURRENT_RUNS": "1",
        "ASTRID_S3_BUCKET": s3_empty.bucket,
        "ASTRID_S3_ENDPOINT": s3_empty.endpoint,
        "ASTRID_S3_REGION": s3_empty.region,
        "AWS_ACCESS_KEY_ID": s3_empty.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_empty.secret_access_key,
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "DAGSTER_HOME": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


def test_it_differs_from_the_embedded_one_in_where_logs_go() -> None:
    embedded = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    production = yaml.safe_load(PRODUCTION.read_text())
    logs = production.pop("compute_logs")
    assert production == embedded
    assert logs["class"] == "S3ComputeLogManager"
    secrets = ("access_key", "secret", "password")
    assert not any(word in str(logs).lower() for word in secrets)


def test_what_a_step_prints_is_read_back_from_the_store(
    instance: dg.DagsterInstance, s3_empty: S3Store, tmp_path: Path
) -> None:
    result = talk.execute_in_process(instance=instance)
    manager = instance.compute_log_manager
    (capture,) = [
        entry.dagster_event.event_specific_data
        for entry in instance.all_logs(result.run_id, dg.DagsterEventType.LOGS_CAPTURED)
        if entry.dagster_event
    ]
    log_key = manager.build_log_key_for_run(result.run_id, capture.file_key)
    kept = list(s3_empty.open().iterate("compute-logs/"))
    assert any(key.endswith(".out") for key in map(str, kept)), kept
    # As another machine would, which has no files of its own.
    manager.local_manager.delete_logs(log_key=log_key)
    assert manager.cloud_storage_has_logs(log_key, ComputeIOType.STDOUT)
    assert "seen through the store" in manager.get_log_data(log_key).stdout.decode()
