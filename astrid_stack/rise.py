"""One ``astrid up`` under way.

The parts and their order::

    postgres ─┬─ our tables ─┬─ local operator
              │              ├─────────────┬─ api
              │              │             ├─ champion
              │  objectstore ┴─────────────┤
              ├─ mlflow ───────────────────┘
              ├─ Dagster's storage ────────┬─ dagster (webserver), daemon
              └─ code ─────────────────────┘

Branches run beside each other, each in a thread that mostly waits for its processes.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import psutil

from astrid_core.errors import SchemaVersionError
from astrid_stack import dagster, local_operator, mlflow, ports, processes, tasks
from astrid_stack.errors import StackError
from astrid_stack.part import PART_VARIABLE, PARTS, USERS_OF_POSTGRES, Part
from astrid_stack.postgres import EmbeddedPostgres
from astrid_stack.processes import Program
from astrid_stack.state import (
    BUCKET,
    DATABASES,
    RESTORING,
    STATE_VARIABLE,
    port_variable,
    wanted_ports,
)

if TYPE_CHECKING:
    from astrid_stack.supervisor import Stack

Report = Callable[[str], None]

_TASK_TIMEOUT_S = 300.0
_STOP_GRACE_S = 15.0
_BEREFT_GRACE_S = 2.0


class Rise:
    """One ``up`` under way: what it started, and the branches that run beside each other."""

    def __init__(self, stack: "Stack", report: Report) -> None:
        self.stack = stack
        self.state = stack.state
        self.report = report
        self.started: set[str] = set()
        self.cancelled = threading.Event()
        self.parts: dict[str, Part] = {}

    def run(self) -> None:
        """Do it, to the moment when everything is ready."""
        dagster.write_home(self.state)
        self._clear_leftovers()
        self._choose_ports()
        self._retire_old_settings()
        self.parts = self.stack.parts()
        server = self.stack.postgres()
        if self.stack.process_of("postgres") is None:
            server.prepare()
        self._start("postgres")
        self._retire_misled_daemon(server)
        for name in DATABASES:
            server.ensure_database(name)
            self._refuse_half_restored(server, name)
        self.stack.object_store().ensure_bucket(BUCKET)
        with ThreadPoolExecutor(max_workers=10) as pool:
            try:
                self._branch(pool, server)
            except BaseException:
                self.cancelled.set()
                raise
        if "code" in self.started and "dagster" not in self.started:
            dagster.reload_location(self.state)
        dagster.wait_for_location(self.state)

    def _branch(self, pool: ThreadPoolExecutor, server: EmbeddedPostgres) -> None:
        code = pool.submit(self._start, "code")
        objects = pool.submit(self._start, "objectstore")
        tables = pool.submit(self._migrate_tables)
        tracking = pool.submit(self._start_mlflow, server)
        token = pool.submit(self._after, partial(local_operator.ensure_token, self.state), tables)
        api = pool.submit(self._after, partial(self._start, "api"), objects, tables)
        champion = pool.submit(self._after, self._ensure_champion, objects, tables, tracking)
        storage = pool.submit(self._prepare_dagster, server)
        faces = [
            # They would take a code location that does not answer yet for a broken one.
            pool.submit(self._after, partial(self._start, name), storage, code)
            for name in ("dagster", "daemon")
        ]
        ours = [tables, token, api, champion]
        for done in as_completed([code, objects, tracking, storage, *faces, *ours]):
            done.result()

    @staticmethod
    def _refuse_half_restored(server: EmbeddedPostgres, name: str) -> None:
        with server.connect(name) as connection:
            known = connection.execute("SELECT to_regnamespace(%s)", (RESTORING,)).fetchone()
        if known is not None and known[0] is not None:
            raise StackError(
                f"The restore of {name}'s database was interrupted.",
                remedy="Run the same 'astrid restore' again: it goes on.",
            )

    @staticmethod
    def _after(action: Callable[[], None], *first: "Future[None]") -> None:
        for future in first:
            future.result()
        action()

    def _clear_leftovers(self) -> None:
        """End what crashed parts left running, before their successors start."""
        if self.stack.process_of("postgres") is None:
            # Their connections died with it and would fail the first who uses them; what
            # they might still want to write has nowhere to go.
            self.stack.stop(USERS_OF_POSTGRES, self.report, _BEREFT_GRACE_S)
        dead = [name for name in PARTS if self.stack.process_of(name) is None]
        self.stack.sweep(dead)

    def _retire_old_settings(self) -> None:
        """Stop API and code location if started with other settings, the latter unless at work."""
        if self._has_old_settings("api"):
            self.report("Settings have changed: the API starts afresh")
            self.stack.stop(["api"], self.report)
        if not self._has_old_settings("code"):
            return
        if dagster.unfinished_runs(self.stack.postgres()):
            self.report(
                "Settings have changed, but runs are going on: the code location keeps the old "
                "ones until the next 'astrid up' without runs"
            )
        else:
            self.report("Settings have changed: the code location starts afresh")
            self.stack.stop(["code"], self.report)

    def _retire_misled_daemon(self, server: EmbeddedPostgres) -> None:
        """Stop a daemon that has seen the future: it waits until its clock is there again."""
        if self.stack.process_of("daemon") is not None and dagster.has_seen_future(server):
            self.report("The clock was set back: the daemon starts afresh")
            self.stack.stop(["daemon"], self.report)

    def _has_old_settings(self, name: str) -> bool:
        service = self.state.services().get(name)
        if service is None or self.stack.process_of(name) is None:
            return False
        return bool(service["settings"] != self.state.settings_digest())

    def _choose_ports(self) -> None:
        """Keep the ports of running parts, give the others theirs or the next free ones."""
        remembered = self.state.ports()
        wanted = wanted_ports()
        running = {
            "postgres" if name == "postgres" else "s3" if name == "objectstore" else name
            for name in PARTS
            if self.stack.process_of(name) is not None
        }
        chosen = {name: port for name, port in remembered.items() if name in running}
        for name in remembered.keys() - running:
            asked = wanted[name] if port_variable(name) in os.environ else remembered[name]
            chosen[name] = ports.next_free_port(asked, chosen.values())
            if chosen[name] != asked:
                self.report(f"Port {asked} is taken: {name} uses {chosen[name]}")
        self.state.remember_ports(chosen)
        if chosen["api"] != remembered["api"]:
            self.stack.stop(["dagster"], self.report)  # it sends people there to sign in
        if chosen["s3"] != remembered["s3"]:
            self.stack.stop(["mlflow"], self.report)  # it knows the store by its old address

    def _start(self, name: str) -> None:
        part = self.parts[name]
        process = self.stack.process_of(name)
        begun = time.monotonic()
        if process is None:
            self._raise_if_cancelled()
            marks = {STATE_VARIABLE: str(self.state.folder), PART_VARIABLE: name}
            environment = dict(part.program.environment) | marks
            popen = processes.start(replace(part.program, environment=environment))
            process = psutil.Process(popen.pid)
            self.started.add(name)
            self.stack.remember(name, process)
            waiting: psutil.Process | subprocess.Popen[bytes] = popen
        else:
            waiting = process
        ready = partial(self._is_ready, part, process)
        processes.wait_until_ready(
            part.program, waiting, ready, part.timeout_s, part.remedy, self.cancelled
        )
        if name in self.started:
            took = time.monotonic() - begun
            self.report(f"{name} is ready ({took:.1f} s) {part.address}".rstrip())

    def _is_ready(self, part: Part, process: psutil.Process) -> bool:
        """Whether a part answers, and it is itself who does: its port may have been taken by
        another program, another stack's same part even, since it was chosen.
        """
        if not part.ready():
            return False
        if part.port_name is None:
            return True
        return processes.listens(process, self.state.ports()[part.port_name])

    def _migrate_tables(self) -> None:
        from dbschema.migrate import upgrade

        upgrade(self.state.database_url("astrid"))

    def _start_mlflow(self, server: EmbeddedPostgres) -> None:
        release = mlflow.mlflow_release()
        prepared = server.note_of("mlflow")
        if prepared not in (None, release):
            self._task("mlflow", mlflow.mlflow_environment(self.state))
        self._start("mlflow")  # on an empty database the server makes its tables itself
        server.note("mlflow", release)

    def _prepare_dagster(self, server: EmbeddedPostgres) -> None:
        release = dagster.dagster_release()
        if server.note_of("dagster") == release and not dagster.unfinished_runs(server):
            return
        since = self.state.services().get("code", {}).get("since", time.time())
        self._task("dagster", self.state.environment() | {"ASTRID_CODE_SINCE": str(since)})
        server.note("dagster", release)

    def _ensure_champion(self) -> None:
        server = self.stack.postgres()
        release = tasks.shipped_model()
        if release is None:
            self.report("No model is shipped with this installation: train one before detecting")
        elif server.note_of("astrid") != release:
            self._task("champion", self.state.environment())
            server.note("astrid", release)

    def _task(self, name: str, environment: dict[str, str]) -> None:
        """Run one of :mod:`astrid_stack.tasks` to its end."""
        self._raise_if_cancelled()
        program = Program(
            name=f"preparing {name}",
            argv=(sys.executable, "-P", "-m", "astrid_stack.tasks", name),
            environment=environment,
            log=self.state.log(f"prepare-{name}"),
        )
        popen = processes.start(program)
        deadline = time.monotonic() + _TASK_TIMEOUT_S
        while popen.poll() is None:
            if self.cancelled.is_set() or time.monotonic() > deadline:
                processes.stop({psutil.Process(popen.pid): signal.SIGTERM}, _STOP_GRACE_S)
                self._raise_if_cancelled()
            time.sleep(0.05)
        if popen.returncode == tasks.NEWER_SCHEMA:
            raise SchemaVersionError(
                f"The {name} database was written by a newer release than this installation's.",
                remedy="Install the release that wrote it, or use another ASTRID_STATE.",
            )
        if popen.returncode != 0:
            raise StackError.of_part(
                program.name,
                f"failed (exit status {popen.returncode})",
                log=program.log,
                remedy="Correct what the log names and run 'astrid up' again.",
            )

    def _raise_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise CancelledError("astrid up")
