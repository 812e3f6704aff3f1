"""The doctor: what is wrong is found, with what helps, though other parts are down."""

import datetime as dt
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from moto.server import ThreadedMotoServer
from pydantic import SecretStr
from sqlalchemy import create_engine, insert, text
from typer.testing import CliRunner

from astrid_core.storage import ObjectStore
from astrid_stack import cli
from astrid_stack.care import dumps
from astrid_stack.care.doctor import configuration, data, machine, services
from astrid_stack.care.doctor.examine import examine
from astrid_stack.care.doctor.finding import Finding, examine_all, ok
from astrid_stack.care.installation import Installation
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.ports import any_free_port
from astrid_stack.state import State
from dbschema import migrate
from dbschema.models import Alert, PreprocessRun
from dbschema.transactions import transaction_at
from tests import rows
from tests.care import put


def states(found: Iterator[Finding] | list[Finding]) -> dict[str, str]:
    return {finding.what: finding.state for finding in found}


def the(found: Iterator[Finding] | list[Finding], what: str) -> Finding:
    (finding,) = [one for one in found if one.what == what]
    return finding


@pytest.fixture
def named(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The installation that the environment names; its MLflow is down."""
    for name in [name for name in os.environ if name.startswith("ASTRID_")]:
        monkeypatch.delenv(name)
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASTRID_MLFLOW_URI", f"http://127.0.0.1:{any_free_port()}")
    return Installation.here()


# --- as a whole ---------------------------------------------------------------------------


def test_what_is_up_is_well_though_something_is_down(named: Installation) -> None:
    found = examine()
    said = states(found)
    assert [what for what, state in said.items() if state == "wrong"] == ["MLflow"]
    for what in ("database", "tables", "store", "clock", "bucket rules", "objects", "surveys"):
        assert said[what] == "ok", what
    assert said["Dagster"] == said["code location"] == "unknown"
    assert all(finding.remedy for finding in found if finding.state in ("wrong", "warning"))


def test_everything_may_be_down_and_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = any_free_port()
    for name, value in {
        "ASTRID_DATABASE_URL": f"postgresql://me:hunter2@127.0.0.1:{nowhere}/astrid",
        "ASTRID_DAGSTER_DATABASE_URL": f"postgresql://me:hunter2@127.0.0.1:{nowhere}/dagster",
        "ASTRID_DAGSTER_URL": f"http://127.0.0.1:{nowhere}",
        "ASTRID_S3_ENDPOINT": f"http://127.0.0.1:{nowhere}",
        "ASTRID_S3_ACCESS_KEY_ID": "hunter2",
        "ASTRID_S3_SECRET_ACCESS_KEY": "hunter2",
        "ASTRID_MLFLOW_URI": f"http://127.0.0.1:{nowhere}",
    }.items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert shown.exit_code == 1
    assert "hunter2" not in shown.output
    found = {one["what"]: one["state"] for one in json.loads(shown.output)}
    for what in ("database", "store", "MLflow", "Dagster"):
        assert found[what] == "wrong", what


def test_an_incomplete_environment_is_told_once(
    named: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASTRID_S3_SECRET_ACCESS_KEY")
    monkeypatch.setenv("ASTRID_WORKERS", "many")
    found = examine()
    (finding,) = [one for one in found if "ASTRID_S3_SECRET_ACCESS_KEY" in one.said]
    assert finding.state == "wrong"
    assert "ASTRID_WORKERS" in finding.said
    assert states(found)["database"] == "ok"


def test_without_an_installation_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ASTRID_DATABASE_URL", raising=False)
    monkeypatch.setenv("ASTRID_STATE", str(tmp_path / "nothing"))
    (finding,) = examine()
    assert finding.state == "wrong"
    assert "astrid up" in finding.remedy


def test_an_examination_that_fails_or_hangs_is_a_finding() -> None:
    over = threading.Event()

    def hangs() -> Iterator[Finding]:
        over.wait(20)
        yield ok("hangs", "")

    def breaks() -> Iterator[Finding]:
        yield ok("first", "well")
        raise ZeroDivisionError("nothing to divide")

    try:
        found = examine_all({"hangs": hangs, "breaks": breaks}, timeout_s=0.5)
    finally:
        over.set()
    assert [(one.what, one.state) for one in found] == [
        ("hangs", "wrong"),
        ("first", "ok"),
        ("breaks", "wrong"),
    ]
    assert "nothing to divide" in found[2].said


# --- machine ------------------------------------------------------------------------------


def test_files_that_others_may_read_are_named(tmp_path: Path) -> None:
    state = State.create(tmp_path / "state")
    assert states(machine.examine_files(state)) == {"secrets' files": "ok"}
    (state.folder / "secrets.json").chmod(0o640)
    (state.folder / "dagster").chmod(0o755)
    found = list(machine.examine_files(state))
    assert {one.remedy.split(";")[0] for one in found} == {
        f"chmod 600 {state.folder / 'secrets.json'}",
        f"chmod 700 {state.folder / 'dagster'}",
    }


def test_a_full_disk_is_told(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((0.5e9, "wrong"), (3e9, "warning"), (50e9, "ok")):
        usage = shutil._ntuple_diskusage(100_000_000_000, 0, int(free))
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert states(machine.examine_disks(installation))["disk of scratch"] == state


def test_parts_that_are_down_or_displaced_are_named(tmp_path: Path) -> None:
    state = State.create(tmp_path / "state")
    free = {name: any_free_port() for name in state.ports()}
    state.remember_ports(free)
    found = states(machine.examine_parts(state))
    assert set(found.values()) == {"wrong"}
    assert "part daemon" in found
    with socket.create_server(("127.0.0.1", free["api"])):
        displaced = the(machine.examine_parts(state), "part api")
    assert displaced.state == "warning"
    assert str(free["api"]) in displaced.said


# --- configuration ------------------------------------------------------------------------


def test_a_broken_surveys_file_is_told(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "surveys.yaml").write_text("surveys: {a: {adapter: telepathy}}")
    environment = {
        **installation.environment,
        "ASTRID_SURVEYS_FILE": str(tmp_path / "surveys.yaml"),
    }
    broken = Installation(installation.databases, environment, None)
    (finding,) = examine_all({"surveys": lambda: configuration.examine_surveys(broken)}, 20)
    assert finding.state == "wrong"
    assert "surveys.yaml" in finding.said


def test_plain_http_to_another_machine_is_warned_of(installation: Installation) -> None:
    for url, state in (
        ("http://store.example.org", "warning"),
        ("http://minio", None),
        ("http://10.1.2.3:9000", None),
        ("https://store.example.org", None),
    ):
        environment = {**installation.environment, "ASTRID_S3_ENDPOINT": url}
        found = configuration.examine_settings(
            Installation(installation.databases, environment, None)
        )
        said = [one.state for one in found if "without encryption" in one.said]
        assert said == ([state] if state else []), url


# --- data ---------------------------------------------------------------------------------


def test_tables_of_another_revision_are_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = installation.address("astrid")
    with transaction_at(address) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
    tables = the(data.examine_database(installation), "tables")
    assert (tables.state, "0009" in tables.said) == ("wrong", True)
    assert states(data.examine_nights(installation))["nights"] == "unknown"
    with transaction_at(address) as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{migrate.head()}'"))
        connection.execute(text(f"CREATE SCHEMA {dumps.RESTORING}"))
    found = list(data.examine_database(installation))
    assert any("restore was interrupted" in one.said for one in found)
    monkeypatch.setattr(dumps, "server_version", lambda _: 13)
    assert the(data.examine_database(installation), "database").state == "wrong"


def test_an_old_open_transaction_is_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_LONG_TRANSACTION", dt.timedelta(0))
    engine = create_engine(installation.address("astrid"))
    with engine.connect() as forgotten:
        forgotten.execute(text("SELECT pg_current_xact_id()"))
        found = [
            one
            for one in data.examine_database(installation)
            if one.what == "database transactions"
        ]
    engine.dispose()
    assert found
    assert "pg_terminate_backend" in found[0].remedy


def test_lost_and_left_behind_objects_are_counted(
    installation: Installation, s3_server: EmbeddedObjectStore, tmp_path: Path
) -> None:
    store = installation.store
    assert states(data.examine_left_behind(installation)) == {
        "objects": "ok",
        "left behind": "ok",
    }
    put(store, "cutouts/sim/nobody.fits", b"old", tmp_path)
    file = s3_server.folder / store.bucket / "cutouts/sim/nobody.fits"
    os.utime(file, (0, 0))
    store.delete(next(iter(store.iterate("raw_frames/"))))
    said = wait_for_age(installation)
    assert said == {"objects": "wrong", "left behind": "warning"}


def wait_for_age(installation: Installation) -> dict[str, str]:
    """The server looks at its folder again after a second."""
    for _ in range(40):
        said = states(data.examine_left_behind(installation))
        if said["left behind"] == "warning":
            break
        threading.Event().wait(0.1)
    return said


def test_a_bucket_that_deletes_by_itself_is_wrong(tmp_path: Path) -> None:
    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        key = SecretStr("testing")
        store = ObjectStore(f"http://{host}:{port}", "astrid", key, key, region="us-east-1")
        store.ensure_bucket()
        assert data._bucket_rules(store).state == "ok"
        client = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="us-east-1",
        )
        for prefix, state in (("scratch/", "ok"), ("raw_frames/", "wrong"), ("", "wrong")):
            rule = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 30}}
            rules = [{**rule, "Filter": {"Prefix": prefix}}]
            client.put_bucket_lifecycle_configuration(
                Bucket="astrid", LifecycleConfiguration={"Rules": rules}
            )
            assert data._bucket_rules(store).state == state, prefix
    finally:
        server.stop()


@pytest.mark.parametrize(("seconds", "state"), [(1, "ok"), (60, "warning"), (600, "wrong")])
def test_a_clock_that_differs_is_told(seconds: float, state: str) -> None:
    assert data._skew(seconds).state == state


def test_failed_frames_and_open_alerts_are_told(installation: Installation) -> None:
    observation = rows.observation_row(1)
    failed = rows.preprocess_row(observation, "9", status="failed")
    alert = {
        "kind": "k",
        "severity": "error",
        "fingerprint": "f",
        "message": "The data drift.",
        "details": {},
        "n_seen": 1,
        "deliveries": [],
    }
    with transaction_at(installation.address("astrid")) as connection:
        connection.execute(insert(PreprocessRun).values(**failed))
        connection.execute(insert(Alert).values(**alert))
    found = list(data.examine_nights(installation))
    assert "1 frames of 1 nights failed: BadFitsError" in the(found, "preprocess lately").said
    assert the(found, "alert (error)").said == "The data drift."


# --- Dagster ------------------------------------------------------------------------------


def test_daemons_pools_and_stuck_runs_are_told(
    installation: Installation, database_url: str
) -> None:
    engine = create_engine(database_url)
    RunStorageSqlMetadata.create_all(engine)
    SqlEventLogStorageMetadata.create_all(engine)
    tables = {**RunStorageSqlMetadata.tables, **SqlEventLogStorageMetadata.tables}
    place = Installation(
        {**installation.databases, "dagster": SecretStr(database_url)},
        installation.environment,
        None,
    )
    assert states(services.examine_dagster(place)) == {
        "daemon": "wrong",
        "pools": "warning",
        "runs": "ok",
    }
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    with engine.begin() as connection:
        for name in services._DAEMONS:
            connection.execute(
                tables["daemon_heartbeats"].insert().values(daemon_type=name, timestamp=now)
            )
        connection.execute(
            tables["concurrency_limits"].insert().values(concurrency_key="gpu", limit=1)
        )
        for run_id, status, hours in (
            ("lost", "STARTED", 13),
            ("slow", "STARTED", 1),
            ("over", "FAILURE", 1),
        ):
            moment = now - dt.timedelta(hours=hours)
            connection.execute(
                tables["runs"]
                .insert()
                .values(
                    run_id=run_id,
                    pipeline_name="nightly",
                    status=status,
                    update_timestamp=moment,
                    end_time=moment.replace(tzinfo=dt.UTC).timestamp(),
                )
            )
        connection.execute(
            tables["concurrency_slots"]
            .insert()
            .values(concurrency_key="gpu", run_id="over", step_key="s", deleted=False)
        )
    found = list(services.examine_dagster(place))
    engine.dispose()
    assert the(found, "daemon").state == the(found, "pools").state == "ok"
    stuck = [one.said for one in found if one.what == "stuck"]
    assert any("(lost): silent for 13.0 h" in said for said in stuck)
    assert any("pool gpu: held by run over, FAILURE" in said for said in stuck)
    assert len(stuck) == 2
    assert "1 of nightly failed" in the(found, "runs").said
