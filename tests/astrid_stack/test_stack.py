"""The whole embedded stack, real, once: it comes up, works, survives, goes down.

One stack serves the module; the tests run in the order written, the rough ones last.
"""

import datetime as dt
import http.client
import http.server
import json
import os
import pty
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
import psutil
import psycopg
import pytest
import requests
from botocore.config import Config
from dagster import AssetKey, DagsterInstance, MultiPartitionsDefinition, StaticPartitionsDefinition
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from astrid_core.errors import SchemaVersionError
from astrid_stack import cli, part, ports
from astrid_stack.care.audit import audit_installation
from astrid_stack.care.backup import back_up
from astrid_stack.care.gc import RUN_EVENTS, RUN_LOGS, Retention, collect_garbage
from astrid_stack.care.installation import Installation
from astrid_stack.care.orchestration import Patience, check_orchestration, read_orchestration
from astrid_stack.care.restore import embedded_place, restore
from astrid_stack.dagster_client import DagsterClient
from astrid_stack.errors import BackupError, DagsterRefusedError, StackError
from astrid_stack.state import (
    DEFAULT_PORTS,
    STATE_VARIABLE,
    State,
    port_variable,
    write_private,
)
from astrid_stack.supervisor import Stack
from dbschema.transactions import transaction_at
from tests.conftest import REPOSITORY

DEFINITIONS = "tiny_definitions"
NIGHTS_OF_DATED = MultiPartitionsDefinition(
    {
        "survey": StaticPartitionsDefinition(["a", "b"]),
        "night": StaticPartitionsDefinition(["2025-09-01", "2025-09-02"]),
    }
)
PARTS = ["postgres", "objectstore", "mlflow", "code", "dagster", "daemon", "api"]
ASTRID = [sys.executable, "-c", "from astrid_stack.cli import main; main()"]


@pytest.fixture(scope="module")
def stack(servers_folder: Path) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        folder = servers_folder / "state"
        patch.setenv(STATE_VARIABLE, str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(REPOSITORY)]))
        # Below the ephemeral range, all different; a taken one is passed over.
        sample = random.sample(range(20_000, 32_000), len(DEFAULT_PORTS))
        for name, port in zip(DEFAULT_PORTS, sample, strict=True):
            patch.setenv(port_variable(name), str(port))
        running = Stack(State.create(folder), DEFINITIONS)
        try:
            running.up()
            yield running
        finally:
            running.down()
        assert processes_of(folder) == []


def processes_of(folder: Path) -> list[psutil.Process]:
    """Whatever works for, or in, a state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(STATE_VARIABLE) == str(folder)
            in_it = any(str(folder) in argument for argument in process.cmdline())
            if (ours or in_it) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return [process for process in found if process.pid != os.getpid()]


def graphql(stack: Stack, query: str, **variables: object) -> dict:
    body = json.dumps({"query": query, "variables": variables})
    port = stack.state.ports()["dagster"]
    status, answer = part.post_json(port, "/graphql", body, bearer(stack))
    assert status == 200, answer
    return json.loads(answer)["data"]


def launch(stack: Stack, job: str) -> str:
    launched = graphql(
        stack,
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
             __typename ... on LaunchRunSuccess { run { runId } } } }""",
        params={
            "selector": {
                "repositoryLocationName": "astrid",
                "repositoryName": "__repository__",
                "jobName": job,
            },
            "mode": "default",
        },
    )["launchRun"]
    return launched["run"]["runId"]


def run_status(stack: Stack, run_id: str) -> str:
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
    return graphql(stack, query, id=run_id)["runOrError"]["status"]


def wait_for(condition, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.1)


def test_status_shows_every_part_ready(stack: Stack) -> None:
    shown = CliRunner().invoke(cli.app, ["status"])
    assert shown.exit_code == 0, shown.output
    found = stack.status()
    assert [entry.name for entry in found] == PARTS
    assert {entry.state for entry in found} == {"ready"}
    assert all(entry.name in shown.output for entry in found)


def test_a_second_up_is_harmless_and_two_at_once_do_not_race(stack: Stack) -> None:
    before = {entry.name: entry.pid for entry in stack.status()}
    ups = [subprocess.Popen([*ASTRID, "up"], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [up.wait(60) for up in ups] == [0, 0]
    assert {entry.name: entry.pid for entry in stack.status()} == before


def test_changed_settings_reach_the_code_location(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {entry.name: entry.pid for entry in stack.status()}
    monkeypatch.setenv("ASTRID_WORKERS", "0")
    stack.up()
    after = {entry.name: entry.pid for entry in stack.status()}
    assert {name for name in PARTS if after[name] != before[name]} == {"code", "api"}
    code = stack.process_of("code")
    assert code is not None
    assert code.environ()["ASTRID_WORKERS"] == "0"
    monkeypatch.undo()
    stack.up()


def test_no_secret_is_on_a_command_line_and_no_file_is_open(stack: Stack) -> None:
    words = [*vars(stack.state.secrets).values(), stack.state.token().get_secret_value()]
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        assert not any(word in line for word in words)
    logs = "".join(path.read_text() for path in (stack.state.folder / "logs").iterdir())
    assert not any(word in logs for word in words)
    assert stack.state.folder.stat().st_mode & stat.S_IRWXO == 0
    for path in stack.state.folder.iterdir():
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    ours = processes_of(stack.state.folder)
    listening = [
        connection.laddr.ip
        for process in ours
        if process.is_running()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert {address.removeprefix("::ffff:") for address in listening} == {ports.LOOPBACK}


def test_s3_and_mlflow_keep_what_they_are_given(stack: Stack) -> None:
    environment = stack.state.environment()
    client = boto3.client(
        "s3",
        endpoint_url=environment["ASTRID_S3_ENDPOINT"],
        aws_access_key_id=environment["ASTRID_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["ASTRID_S3_SECRET_ACCESS_KEY"],
        region_name="auto",
        config=Config(request_checksum_calculation="when_required"),
    )
    client.put_object(Bucket=environment["ASTRID_S3_BUCKET"], Key="a/b", Body=b"1")
    bucket = stack.state.objects / "astrid"
    assert (bucket / "a" / "b").read_bytes() == b"1"
    port = stack.state.ports()["mlflow"]
    created = part.post_json(port, "/api/2.0/mlflow/experiments/create", '{"name": "kept"}')
    assert created[0] == 200, created
    experiment = json.loads(created[1])["experiment_id"]
    upload = json.dumps({"experiment_id": experiment, "start_time": 0})
    status, answer = part.post_json(port, "/api/2.0/mlflow/runs/create", upload)
    assert status == 200
    assert json.loads(answer)["run"]["info"]["artifact_uri"].startswith("mlflow-artifacts:/")


def test_up_prints_a_link_that_signs_in_once_to_a_terminal_only(stack: Stack) -> None:
    address = stack.state.address("api")
    assert address in (piped := subprocess.check_output([*ASTRID, "up"], text=True))
    assert "?link=" not in piped
    assert "astrid users link local" in piped
    shown = said_to_a_terminal([*ASTRID, "up"])
    link = shown.partition("24 hours: ")[2].partition("\n")[0].strip()
    assert link.startswith(f"{address}/sign-in?link=")
    secret = {"link": link.rpartition("=")[2]}
    browser = requests.Session()
    assert browser.get(link).status_code == 200
    assert browser.post(f"{address}/sign-in", secret, allow_redirects=False).status_code == 303
    known = browser.get(f"{address}/session").json()
    assert (known["name"], known["role"], known["is_expert"]) == ("local", "operator", True)
    assert requests.post(f"{address}/sign-in", secret).status_code == 401


def said_to_a_terminal(command: list[str]) -> str:
    ours, its = pty.openpty()
    process = subprocess.Popen(command, stdout=its, env=os.environ | {"TERM": "xterm"})
    os.close(its)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return said.decode()


def test_users_link_names_the_port_that_the_api_has(stack: Stack) -> None:
    made = subprocess.check_output([*ASTRID, "users", "link", "local"], text=True)
    assert made.startswith(f"{stack.state.address('api')}/sign-in?link=")


def test_the_token_is_private_works_and_is_made_anew_when_it_does_not(stack: Stack) -> None:
    first = stack.state.token()
    assert stat.S_IMODE(stack.state.token_file.stat().st_mode) == 0o600
    assert session_of(stack, first).json()["role"] == "operator"
    stack.up()
    assert stack.state.token() == first
    stack.state.token_file.unlink()
    stack.up()
    second = stack.state.token()
    assert stat.S_IMODE(stack.state.token_file.stat().st_mode) == 0o600
    assert session_of(stack, second).status_code == 200
    assert session_of(stack, first).status_code == 401  # it may be in other hands
    write_private(stack.state.token_file, "x" * 43)
    stack.up()
    assert stack.state.token() not in (first, second)
    assert session_of(stack, stack.state.token()).json()["name"] == "local"


def test_the_local_operator_is_one_again_after_up(stack: Stack) -> None:
    subprocess.check_call(
        [*ASTRID, "users", "change", "local", "--role", "viewer", "--no-active", "--no-expert"]
    )
    token = stack.state.token()
    assert session_of(stack, token).status_code == 401
    stack.up()
    known = session_of(stack, token).json()
    assert (known["role"], known["is_expert"]) == ("operator", False)


def test_health_asks_every_part_of_the_running_stack(stack: Stack) -> None:
    answer = requests.get(f"{stack.state.address('api')}/health", headers=bearer(stack), timeout=30)
    told = answer.json()
    assert (answer.status_code, told["status"]) == (200, "ok")
    assert [part["name"] for part in told["parts"]] == ["database", "store", "dagster", "mlflow"]
    assert all(part["latency_ms"] > 0 for part in told["parts"])


def bearer(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.state.token().get_secret_value()}"}


def session_of(stack: Stack, token: SecretStr) -> requests.Response:
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
    return requests.get(f"{stack.state.address('api')}/session", headers=headers, timeout=30)


def test_a_run_goes_through_queue_code_location_and_instance(stack: Stack) -> None:
    run_id = launch(stack, "quick_job")
    wait_for(lambda: run_status(stack, run_id) in {"SUCCESS", "FAILURE"})
    assert run_status(stack, run_id) == "SUCCESS"


def test_a_job_is_launched_for_survey_nights_and_followed(stack: Stack) -> None:
    client = DagsterClient.of(stack.state)
    nights = [{"survey": "a", "night": night} for night in ("2025-09-01", "2025-09-02")]
    looks: list[int] = []
    runs = client.follow(
        client.launch("dated_job", nights), lambda seen: looks.append(len(seen)), timeout_s=60
    )
    assert sorted(run.partition for run in runs) == ["2025-09-01|a", "2025-09-02|a"]
    assert {run.status for run in runs} == {"SUCCESS"}
    assert looks
    assert client.follow(client.launch("dated_job", []), looks.append, timeout_s=1) == []
    with pytest.raises(StackError, match="no_such_job"):
        client.launch("no_such_job", nights)


def test_runs_are_asked_for_at_the_api_and_run(stack: Stack) -> None:
    nights = {"survey": "simulated", "first_night": "2025-09-01", "last_night": "2025-09-02"}
    api = stack.state.address("api")
    launched = requests.post(
        f"{api}/runs", json=nights | {"what": "ingest"}, headers=bearer(stack), timeout=60
    )
    assert launched.status_code == 202, launched.text
    told = launched.json()
    assert told["n_nights"] == 2
    assert told["dagster"] == f"{stack.state.address('dagster')}/runs/b/{told['backfill_id']}"
    assert launched.headers["location"] == f"/runs/{told['backfill_id']}"

    def progress() -> dict:
        where = f"{api}{launched.headers['location']}"
        return requests.get(where, headers=bearer(stack), timeout=60).json()

    wait_for(lambda: progress()["status"].startswith("COMPLETED"))
    done = progress()
    assert (done["n_nights"], done["n_by_status"]) == (2, {"SUCCESS": 2})
    assert done["error"] is None
    filter_ = {"tags": [{"key": "astrid/asked_by", "value": "local"}]}
    tagged = graphql(
        stack,
        "query($f: RunsFilter!) { runsOrError(filter: $f) { ... on Runs { results { id } } } }",
        f=filter_,
    )
    assert len(tagged["runsOrError"]["results"]) == 2


def test_what_dagster_refuses_or_does_not_know_is_said(stack: Stack) -> None:
    api = stack.state.address("api")
    unknown = requests.get(f"{api}/runs/abcdefgh", headers=bearer(stack), timeout=60)
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:astrid:problem:no-such-item")
    nights = {"survey": "simulated", "first_night": "2025-09-01", "last_night": "2025-09-02"}
    # These definitions have only the assets of 'ingest'.
    refused = requests.post(
        f"{api}/runs", json=nights | {"what": "process"}, headers=bearer(stack), timeout=60
    )
    assert refused.status_code == 502, refused.text
    assert "Dagster refused the backfill" in stack.state.log("api").read_text()


LAUNCH = """mutation($run: ExecutionParams!) { launchRun(executionParams: $run) { __typename } }"""
RUN = {
    "selector": {
        "repositoryLocationName": "astrid",
        "repositoryName": "__repository__",
        "jobName": "quick_job",
    },
    "mode": "default",
}


def ask_dagster(stack: Stack, headers: dict[str, str], query: str, **variables: object) -> dict:
    """Answer of Dagster's GraphQL to somebody."""
    answer = requests.post(
        f"{stack.state.address('dagster')}/graphql",
        json={"query": query, "variables": variables},
        headers=headers,
        timeout=60,
    )
    assert answer.headers["content-type"] == "application/json", answer.text
    return answer.json()["data"]


def key_of(role: str) -> dict[str, str]:
    """Headers of a new user."""
    name = f"{role}-{random.randrange(10**9)}"
    subprocess.check_call([*ASTRID, "users", "add", name, "--role", role])
    key = subprocess.check_output([*ASTRID, "users", "key", name, "--for", "tests"], text=True)
    return {"Authorization": f"Bearer {key.strip()}"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/graphql?query={version}", {}),
        ("GET", "/graphql?query=mutation{reloadWorkspace{__typename}}", {}),
        ("POST", "/graphql", {"Host": "evil.example"}),
        ("POST", "/graphql", {"Origin": "https://evil.example"}),
        ("POST", "/graphql", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}),
        ("POST", "/graphql", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}),
        ("POST", "/report_asset_materialization/quick", {"Content-Type": "text/plain"}),
    ],
)
def test_dagster_refuses_other_sites_and_disguises_even_with_a_key(
    stack: Stack, method: str, path: str, headers: dict[str, str]
) -> None:
    url = f"{stack.state.address('dagster')}{path}"
    body = json.dumps({"query": "{version}"}) if method == "POST" else None
    given = {"Content-Type": "application/json"} | bearer(stack) | headers
    answer = requests.request(method, url, data=body, headers=given, timeout=30)
    assert answer.status_code == 403


def test_dagster_lets_nobody_in_who_has_not_signed_in(stack: Stack) -> None:
    dagster, api = stack.state.address("dagster"), stack.state.address("api")
    page = requests.get(dagster, headers={"Accept": "text/html"}, allow_redirects=False, timeout=30)
    assert (page.status_code, page.headers["location"]) == (303, f"{api}/sign-in")
    sent = {"query": LAUNCH, "variables": {"run": RUN}}
    refused = requests.post(f"{dagster}/graphql", json=sent, timeout=30)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert f"{api}/sign-in" in refused.text
    for path in ("materialization", "observation", "check"):
        forged = requests.post(f"{dagster}/report_asset_{path}/quick", json={}, timeout=30)
        assert forged.status_code == 401
    assert opening_a_websocket(stack, {}) == 401
    # What is the same for everybody, anybody may have.
    assert requests.get(f"{dagster}/server_info", timeout=30).status_code == 200
    html = requests.get(dagster, headers=bearer(stack), timeout=30).text
    script = re.search(r'src="(/_next/static/[^"]+\.js)"', html)
    assert script is not None
    assert requests.get(f"{dagster}{script[1]}", timeout=30).status_code == 200


def opening_a_websocket(stack: Stack, headers: dict[str, str]) -> int:
    """Status that the webserver answers an opening with; 101 opens it."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "graphql-ws",
    }
    connection = http.client.HTTPConnection(ports.LOOPBACK, stack.state.ports()["dagster"])
    try:
        connection.request("GET", "/graphql", headers=upgrade | headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("role", ["viewer", "reviewer"])
def test_who_is_no_operator_reads_dagster_and_changes_nothing(stack: Stack, role: str) -> None:
    headers = key_of(role)
    operator = {"Authorization": f"Bearer {stack.state.token().get_secret_value()}"}
    launched = ask_dagster(stack, operator, LAUNCH, run=RUN)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess"  # there is something to read
    count = "{ runsOrError { ... on Runs { results { id } } } }"
    before = ask_dagster(stack, headers, count)["runsOrError"]["results"]
    assert before
    # What the UI goes by when it hides its buttons.
    told = ask_dagster(stack, headers, "{ permissions { permission value } }")["permissions"]
    assert {permission["value"] for permission in told} == {False}
    launched = ask_dagster(stack, headers, LAUNCH, run=RUN)["launchRun"]
    assert launched["__typename"] == "UnauthorizedError"
    many = """mutation($runs: [ExecutionParams!]!) {
        launchMultipleRuns(executionParamsList: $runs) {
            ... on LaunchMultipleRunsResult { launchMultipleRunsResult { __typename } } } }"""
    (one,) = ask_dagster(stack, headers, many, runs=[RUN])["launchMultipleRuns"].values()
    assert one == [{"__typename": "UnauthorizedError"}]
    with pytest.raises(DagsterRefusedError):
        DagsterClient(stack.state.address("dagster"), headers).backfill(
            ["raw_frames", "observations"], ["2025-09-01|simulated"], "not theirs"
        )
    reload = 'mutation { reloadRepositoryLocation(repositoryLocationName: "astrid") {__typename} }'
    answer = ask_dagster(stack, headers, reload)["reloadRepositoryLocation"]
    assert answer["__typename"] == "UnauthorizedError"
    for path in ("materialization", "observation", "check"):
        url = f"{stack.state.address('dagster')}/report_asset_{path}/quick"
        assert requests.post(url, json={}, headers=headers, timeout=30).status_code == 403
    assert opening_a_websocket(stack, headers) == 101
    assert ask_dagster(stack, headers, count)["runsOrError"]["results"] == before


def test_a_browser_signed_in_at_the_api_is_signed_in_at_dagster(stack: Stack) -> None:
    dagster, api = stack.state.address("dagster"), stack.state.address("api")
    made = subprocess.check_output([*ASTRID, "users", "link", "local"], text=True)
    browser = requests.Session()
    secret = made.strip().rpartition("=")[2]
    browser.post(f"{api}/sign-in", {"link": secret}, allow_redirects=False, timeout=30)
    page = browser.get(dagster, headers={"Accept": "text/html"}, timeout=30)
    assert (page.status_code, page.url) == (200, f"{dagster}/")
    same_page = {"Origin": dagster, "Sec-Fetch-Site": "same-origin"}
    body = {"query": LAUNCH, "variables": {"run": RUN}}
    launched = browser.post(f"{dagster}/graphql", json=body, headers=same_page, timeout=60)
    assert launched.json()["data"]["launchRun"]["__typename"] == "LaunchRunSuccess"
    # And the API asks Dagster in the browser's name.
    token = {"X-CSRF-Token": browser.get(f"{api}/session", timeout=30).json()["csrf_token"]}
    night = {"survey": "simulated", "first_night": "2025-09-05", "last_night": "2025-09-05"}
    asked = browser.post(f"{api}/runs", json=night | {"what": "ingest"}, headers=token, timeout=60)
    assert asked.status_code == 202, asked.text


def test_without_users_the_webserver_does_not_start(stack: Stack) -> None:
    environment = os.environ | stack.state.environment()
    del environment["ASTRID_DATABASE_URL"]
    port = ports.any_free_port()
    command = [sys.executable, "-m", "astrid_stack.webserver", "--port", str(port)]
    ended = subprocess.run(
        [*command, "--empty-workspace"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "ASTRID_DATABASE_URL" in ended.stderr
    assert not ports.answers(port)


def test_the_gpu_pool_takes_one_at_a_time(stack: Stack) -> None:
    with stack.postgres().connect("dagster") as connection:
        row = connection.execute(
            'SELECT "limit" FROM concurrency_limits WHERE concurrency_key = %s', ("gpu",)
        ).fetchone()
    assert row == (1,)


def test_run_gives_a_command_the_environment(stack: Stack) -> None:
    script = "import os; print(os.environ['DAGSTER_HOME'])"
    command = [*ASTRID, "run", "--", sys.executable, "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(stack.state.dagster_home)


def test_a_running_stack_is_sound_and_comes_back_on_another_machine(
    stack: Stack, servers_folder: Path, tmp_path: Path
) -> None:
    """Its three databases and MLflow's artifacts, under secrets of the new machine's own."""
    installation = Installation.of_state(stack.state)
    found = audit_installation(installation)
    assert [check.to_json() for check in found.problems] == []
    assert found["no_stuck_run"].holds
    diagnosed = CliRunner().invoke(cli.app, ["doctor", "--json"])
    findings = json.loads(diagnosed.output)
    assert diagnosed.exit_code == 0, [one for one in findings if one["state"] == "wrong"]
    well = {one["what"] for one in findings if one["state"] == "ok"}
    looked_at = {"database", "tables", "store", "clock", "MLflow", "champion", "daemon", "pools"}
    assert well >= looked_at | {"Dagster", "code location astrid", "secrets' files", "runs"}
    assert well >= {f"part {name}" for name in PARTS}
    back_up(installation, tmp_path / "backup", lambda _: None)
    with pytest.raises(BackupError, match="AstrID is up"), embedded_place(stack.state):
        pass
    state = State.create(servers_folder / "elsewhere")
    with embedded_place(state) as place:
        restored = restore(place, tmp_path / "backup", lambda _: None)
        assert set(restored.manifest.databases) == {"astrid", "dagster", "mlflow"}
        assert restored.manifest.databases["dagster"].rows["runs"] > 0
        for database, query in (
            ("astrid", "SELECT name, role FROM users ORDER BY name"),
            ("dagster", "SELECT run_id, pipeline_name FROM runs ORDER BY run_id"),
            ("mlflow", "SELECT run_uuid, artifact_uri FROM runs ORDER BY run_uuid"),
        ):
            got = rows_of(place, database, query)
            # The stack goes on: a sensor may have asked for another run since.
            assert got == [row for row in rows_of(installation, database, query) if row in got]
        runs = rows_of(place, "dagster", "SELECT run_id FROM runs")
        assert len(runs) == restored.manifest.databases["dagster"].rows["runs"]
        artifacts = list(installation.store.iterate("mlflow/"))
        assert artifacts
        assert list(place.store.iterate("mlflow/")) == artifacts
        assert state.secrets != stack.state.secrets
    assert processes_of(state.folder) == []


def test_what_runs_told_is_forgotten_and_what_they_did_is_not(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster itself says the same of partitions, runs and steps before and after."""
    for name, value in stack.state.environment().items():
        monkeypatch.setenv(name, value)
    installation = Installation.of_state(stack.state)
    at_once = Retention(logs=dt.timedelta(0))

    def remembered() -> dict[str, object]:
        with DagsterInstance.get() as instance:
            dated = AssetKey("dated")
            runs = instance.get_runs()
            materialized = instance.fetch_materializations(dated, limit=100).records
            return {
                "partitions": instance.get_materialized_partitions(dated),
                "status": instance.get_status_by_partition(
                    dated, sorted(instance.get_materialized_partitions(dated)), NIGHTS_OF_DATED
                ),
                "tags": [
                    record.asset_materialization and record.asset_materialization.tags
                    for record in materialized
                ],
                "latest": instance.get_latest_materialization_event(AssetKey("quick")),
                "runs": {run.run_id: run.status for run in runs},
                "steps": {
                    run.run_id: [
                        (step.step_key, step.status)
                        for step in instance.get_run_step_stats(run.run_id)
                    ]
                    for run in runs
                    if run.is_finished
                },
            }

    asked_for = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    with DagsterInstance.get() as instance:  # nights asked for before may not have begun yet
        wait_for(lambda: not instance.get_backfills(filters=asked_for))
        wait_for(lambda: all(run.is_finished for run in instance.get_runs()))
    before = remembered()
    assert before["partitions"]
    counted = collect_garbage(installation, at_once, lambda _: None, dry_run=True)
    swept = collect_garbage(installation, at_once, lambda _: None, dry_run=False)
    assert swept.n_objects[RUN_EVENTS] == counted.n_objects[RUN_EVENTS] > 10
    assert swept.n_objects[RUN_LOGS] > 0
    again = collect_garbage(installation, at_once, lambda _: None, dry_run=False)
    assert again.n_objects.total() == 0
    assert remembered() == before
    run_id = launch(stack, "quick_job")
    wait_for(lambda: run_status(stack, run_id) == "SUCCESS")


def rows_of(place: Installation, database: str, query: str) -> list[tuple]:
    engine = create_engine(place.address(database).replace("psycopg2", "psycopg"))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    assert found, query
    return found


def test_a_crash_of_parts_and_of_a_run_is_mended_by_the_next_up(stack: Stack) -> None:
    run_id = launch(stack, "slow_job")
    wait_for(lambda: sleepers(stack) != [])
    assert slots_taken(stack) == 1
    assert run_status(stack, run_id) == "STARTED"
    (sleeper,) = sleepers(stack)
    runner = sleeper.parent()
    assert runner is not None
    # All at once, as when the machine's memory ends: nobody is left to clean up after anybody.
    victims = [stack.process_of(name) for name in ("postgres", "code", "daemon")]
    for victim in [*victims, runner]:
        assert victim is not None
        victim.send_signal(signal.SIGKILL)
    assert sleeper.is_running()
    assert CliRunner().invoke(cli.app, ["status"]).exit_code == 1
    diagnosed = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert diagnosed.exit_code == 1
    ill = {one["what"] for one in json.loads(diagnosed.output) if one["state"] == "wrong"}
    assert ill >= {"part postgres", "part code", "part daemon", "database", "Dagster"}
    with stack.postgres() as server, transaction_at(server.url_of("dagster")) as connection:
        found = read_orchestration(connection)
    stuck = {c.statement.name: c for c in check_orchestration(found, [("t", run_id)], Patience())}
    assert [run.run_id for run in found.runs if run.processes] == [run_id]
    assert run_id in stuck["no_stuck_run"].examples[0]
    assert stuck["no_stuck_slot"].holds, "its run is still said to go on"
    assert stuck["no_stuck_training"].holds
    stack.up()
    assert {entry.state for entry in stack.status()} == {"ready"}
    assert not sleeper.is_running()
    assert run_status(stack, run_id) == "FAILURE"
    assert slots_taken(stack) == 0
    with transaction_at(stack.postgres().url_of("dagster")) as connection:
        found = read_orchestration(connection)
    lost = check_orchestration(found, [("of a run that ended", run_id)], Patience())
    assert [check.holds for check in lost] == [True, True, False]


def test_a_stranger_at_a_parts_port_is_not_taken_for_the_part(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stack's same part took the port after it was chosen, and answers as ours would."""
    port = stack.state.ports()["mlflow"]
    stack.stop(["mlflow"])
    with monkeypatch.context() as patched, stranger(port):
        patched.setattr(ports, "next_free_port", lambda asked, _: asked)
        with pytest.raises(StackError, match="mlflow ended while starting"):
            stack.up()
    stack.up()
    assert {entry.state for entry in stack.status()} == {"ready"}
    assert stack.state.ports()["mlflow"] == port


@contextmanager
def stranger(port: int) -> Iterator[None]:
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_a_daemon_whose_clock_was_set_back_starts_afresh(stack: Stack) -> None:
    misled = stack.process_of("daemon")
    assert misled is not None
    misled.suspend()  # it would say in between that it lives now
    with stack.postgres().connect("dagster") as connection:
        connection.execute("UPDATE daemon_heartbeats SET timestamp = timestamp + interval '2 days'")
    diagnosed = CliRunner().invoke(cli.app, ["doctor", "--json"])
    (wrong,) = (one for one in json.loads(diagnosed.output) if one["what"] == "daemon")
    assert "the clock was set back" in str(wrong)
    stack.up()
    assert stack.process_of("daemon") not in (None, misled)
    assert {entry.state for entry in stack.status()} == {"ready"}


def sleepers(stack: Stack) -> list[psutil.Process]:
    """Worker processes of the slow asset."""
    found = []
    for process in processes_of(stack.state.folder):
        with suppress(psutil.NoSuchProcess):  # others come and go
            if "time.sleep(600)" in " ".join(process.cmdline()):
                found.append(process)
    return found


def slots_taken(stack: Stack) -> int:
    with stack.postgres().connect("dagster") as connection:
        row = connection.execute(
            "SELECT count(*) FROM concurrency_slots WHERE run_id IS NOT NULL AND NOT deleted"
        ).fetchone()
    assert row is not None
    return row[0]


def test_ctrl_c_during_up_leaves_nothing_running(servers_folder: Path) -> None:
    folder = servers_folder / "interrupted"
    environment = os.environ | {STATE_VARIABLE: str(folder)}
    up = subprocess.Popen(
        [*ASTRID, "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A suite started in the background of a script ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert up.stdout is not None
    while b"postgres is ready" not in (line := up.stdout.readline()):
        assert line, "ended before postgres was ready"
    up.send_signal(signal.SIGINT)
    output = up.stdout.read().decode()
    assert up.wait(60) == 130, output
    assert processes_of(folder) == []


def test_newer_state_is_refused_and_what_was_started_stops(stack: Stack) -> None:
    """Also: data outlives a restart, and a port taken meanwhile is reported."""
    server = stack.postgres()
    with server.connect("dagster") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fromthefuture'")
    server.note("dagster", "dagster 99.0")
    stack.down()
    assert processes_of(stack.state.folder) == []
    with pytest.raises(psycopg.OperationalError), server.connect("dagster"):
        pass
    taken = stack.state.ports()["mlflow"]
    said: list[str] = []
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((ports.LOOPBACK, taken))
        squatter.listen()
        with pytest.raises(SchemaVersionError, match="dagster database"):
            stack.up(said.append)
    assert any(str(taken) in line and "mlflow uses" in line for line in said)
    assert stack.state.ports()["mlflow"] != taken
    assert processes_of(stack.state.folder) == []
