"""Steps on two real workers over a real Redis, and a worker that is killed."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import dagster as dg
import psutil
import pytest

from astrid_core.settings import get_settings
from astrid_dagster.distributed.broker import connect
from astrid_stack import processes
from astrid_stack.processes import Program
from tests.astrid_dagster.distributed.tiny_job import never_ending, shared
from tests.conftest import REPOSITORY, S3Store
from tests.deployment import server_variables
from tests.redis_server import redis_server

WORKERS = ("cpu", "gpu")
_WAIT_S = 60.0


@pytest.fixture
def instance(
    database_url: str, s3: S3Store, servers_folder: Path, tmp_path: Path
) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of a deployment with a broker, as its dagster.yaml has it."""
    (tmp_path / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    with redis_server(servers_folder / "redis") as broker, pytest.MonkeyPatch.context() as patch:
        variables = server_variables(database_url, s3) | {
            "ASTRID_DAGSTER_DATABASE_URL": database_url.replace("+psycopg:", "+psycopg2:"),
            "ASTRID_CONCURRENT_RUNS": "1",
            "ASTRID_MLFLOW_URI": "http://127.0.0.1:9",
            "ASTRID_BROKER_URL": broker,
            "ASTRID_CLAIM_S": "3",
            "DAGSTER_HOME": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        with dg.DagsterInstance.get() as instance:
            instance.event_log_storage.set_concurrency_slots("gpu", 1)
            yield instance
    get_settings.cache_clear()


@pytest.fixture
def workers(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[dict[str, int]]:
    """A worker for each queue; their processes."""
    with ExitStack() as running:
        programs = {}
        for queue in WORKERS:
            program = Program(
                name=f"worker-{queue}",
                argv=(sys.executable, "-m", "astrid_dagster.distributed", "--queue", queue),
                environment=dict(os.environ),
                log=tmp_path / f"{queue}.log",
            )
            leash = processes.start_leashed(program)
            running.callback(processes.let_go, leash, 10.0)
            programs[queue] = (program, leash)
        for program, leash in programs.values():
            ready = partial(_is_ready, program.log)
            processes.wait_until_ready(program, leash, ready, _WAIT_S, "Read its log.")
        yield {queue: _child_of(leash.pid) for queue, (_, leash) in programs.items()}


def test_steps_go_to_their_queues_and_a_killed_worker_s_is_lost(
    instance: dg.DagsterInstance, workers: dict[str, int]
) -> None:
    with dg.execute_job(dg.reconstructable(shared), instance) as result:
        assert result.success
        in_cpu, *in_pool, in_gpu = result.output_for_node("on_gpu")
    assert {"cpu": in_cpu, "gpu": in_gpu} == workers
    assert len(in_pool) == 2
    assert not {in_cpu, in_gpu, os.getpid()} & set(in_pool), "a worker has processes of its own"

    killed = threading.Thread(target=_kill_once_at_work, args=(instance, workers["cpu"]))
    killed.start()
    begun = time.monotonic()
    with dg.execute_job(dg.reconstructable(never_ending), instance) as result:
        assert not result.success
        (failure,) = [
            event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"
        ]
    killed.join()
    assert time.monotonic() - begun < _WAIT_S
    assert "on_cpu_too_long is lost" in str(failure.event_specific_data)
    assert connect().keys("astrid:step:*") == [], "nobody stands behind anything any more"


def _kill_once_at_work(instance: dg.DagsterInstance, pid: int) -> None:
    def is_at_work() -> bool:
        runs = instance.get_runs(dg.RunsFilter(job_name=never_ending.name))
        logs = (instance.all_logs(run.run_id, dg.DagsterEventType.STEP_START) for run in runs)
        return any(entry.step_key == "on_cpu_too_long" for log in logs for entry in log)

    _wait(is_at_work)
    os.kill(pid, 9)


def _is_ready(log: Path) -> bool:
    return b"ready." in log.read_bytes()


def _child_of(leash: int) -> int:
    (worker, *_) = psutil.Process(leash).children()
    return worker.pid


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.1)
