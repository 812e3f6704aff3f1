"""Bring the stack up, take it down, say how it is.

Every part is a process in a session of its own that outlives ``astrid up``. Which process
is which part stands in the state folder; whatever a part starts carries a mark in its
environment, by which leftovers of a crash are found.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from astrid_stack import api, dagster, mlflow, ports, processes
from astrid_stack.errors import StackError
from astrid_stack.interrupts import terminable, uninterrupted
from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.part import PART_VARIABLE, PARTS, STOP_ORDER, Part
from astrid_stack.postgres import EmbeddedPostgres
from astrid_stack.rise import Report, Rise
from astrid_stack.state import STATE_VARIABLE, State

_LOCK_TIMEOUT_S = 300.0
_STOP_GRACE_S = 15.0
_CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class PartStatus:
    """How a part is.

    Attributes
    ----------
    name, address
        The part and where it answers.
    state
        ``ready``, ``not answering`` or ``stopped``.
    pid
        Its process; None if it has none.
    latency_s
        Seconds it took to answer; None if it did not.
    """

    name: str
    state: str
    pid: int | None
    address: str
    latency_s: float | None


class Stack:
    """The embedded stack over one state folder.

    Parameters
    ----------
    state
        The folder.
    definitions
        Module of Dagster definitions that the code location serves.
    """

    def __init__(self, state: State, definitions: str = dagster.DEFINITIONS) -> None:
        self.state = state
        self.definitions = definitions
        self._remembering = threading.Lock()

    # --- what there is --------------------------------------------------------------------

    def postgres(self) -> EmbeddedPostgres:
        """The database server, running or not."""
        return EmbeddedPostgres(
            self.state.postgres,
            self.state.secrets.postgres_password,
            self.state.ports()["postgres"],
            log=self.state.log("postgres"),
        )

    def object_store(self) -> EmbeddedObjectStore:
        """The S3 server, running or not."""
        words = self.state.secrets
        return EmbeddedObjectStore(
            self.state.objects,
            words.s3_access_key_id,
            words.s3_secret_access_key,
            self.state.ports()["s3"],
            log=self.state.log("objectstore"),
        )

    def parts(self) -> dict[str, Part]:
        """Every part by its name, on the ports now remembered."""
        server, store = self.postgres(), self.object_store()
        postgres = Part(
            program=server.program(),
            ready=server.is_ready,
            address=f"{ports.LOOPBACK}:{server.port}",
            port_name="postgres",
            timeout_s=60.0,
            remedy="Read its log; the disk may be full or its folder damaged.",
        )
        objects = Part(
            program=store.program(),
            ready=store.is_ready,
            address=store.endpoint,
            port_name="s3",
            timeout_s=30.0,
            remedy="Read its log; 'astrid down' and 'astrid up' start it afresh.",
        )
        others = (
            mlflow.mlflow_part(self.state),
            dagster.code_part(self.state, self.definitions),
            dagster.webserver_part(self.state),
            dagster.daemon_part(self.state, server),
            api.api_part(self.state),
        )
        return {part.name: part for part in (postgres, objects, *others)}

    def process_of(self, name: str) -> psutil.Process | None:
        """The living process of a part."""
        if name == "postgres":
            return self.postgres().running()
        service = self.state.services().get(name)
        if service is None:
            return None
        try:
            process = psutil.Process(int(service["pid"]))
            same = abs(process.create_time() - service["since"]) < _CLOCK_SLACK_S
        except psutil.NoSuchProcess:
            return None
        return process if same and processes.is_alive(process) else None

    def status(self) -> list[PartStatus]:
        """How every part is."""
        return [self._status_of(part) for part in self.parts().values()]

    def _status_of(self, part: Part) -> PartStatus:
        process = self.process_of(part.name)
        if process is None:
            return PartStatus(part.name, "stopped", None, part.address, None)
        asked = time.monotonic()
        if not part.ready():
            return PartStatus(part.name, "not answering", process.pid, part.address, None)
        latency = time.monotonic() - asked
        return PartStatus(part.name, "ready", process.pid, part.address, latency)

    # --- up -------------------------------------------------------------------------------

    def up(self, report: Report = print) -> None:
        """Start what does not run, migrate what is old, and wait until all is ready.

        Harmless when all runs already. If it fails or is interrupted, what it started is
        stopped again.

        Raises
        ------
        StackError
            If a part does not come up; it names the part, its log and the remedy.
        SchemaVersionError
            If the data was written by a newer release.
        """
        with self._alone(), terminable():
            rise = Rise(self, report)
            try:
                rise.run()
            except BaseException:
                rise.cancelled.set()
                with uninterrupted():
                    report("Stopping what was started")
                    self.stop(rise.started, report)
                raise

    def down(self, report: Report = print) -> None:
        """Stop every part and whatever they left running. Data stays."""
        with self._alone():
            self.stop(PARTS, report)

    def stop(
        self, names: Collection[str], report: Report = print, grace_s: float = _STOP_GRACE_S
    ) -> None:
        """Stop some parts and whatever they left running; killed after ``grace_s``."""
        for together in STOP_ORDER:
            asked = {}
            for name in together:
                process = self.process_of(name) if name in names else None
                if process is not None:
                    report(f"Stopping {name}")
                    # PostgreSQL's SIGTERM waits for clients to leave; its SIGINT does not.
                    asked[process] = signal.SIGINT if name == "postgres" else signal.SIGTERM
            processes.stop(asked, grace_s)
            self.sweep([name for name in together if name in names])
        services = self.state.services()
        self.state.remember_services({n: s for n, s in services.items() if n not in names})

    def sweep(self, names: Collection[str]) -> None:
        """End whatever these parts started and left behind: runs, their worker processes."""
        left = {}
        for process in psutil.process_iter():
            try:
                environment = process.environ()
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
            ours = environment.get(STATE_VARIABLE) == str(self.state.folder)
            if ours and environment.get(PART_VARIABLE) in names and process.pid != os.getpid():
                left[process] = signal.SIGTERM
        processes.stop(left, _STOP_GRACE_S)

    def remember(self, name: str, process: psutil.Process) -> None:
        """Note which process a part is."""
        with self._remembering:
            service = {
                "pid": process.pid,
                "since": process.create_time(),
                "settings": self.state.settings_digest(),
            }
            self.state.remember_services(self.state.services() | {name: service})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one ``up`` or ``down`` at a time at the state folder; the lock dies with us."""
        lock = os.open(self.state.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(lock) as stream:
            deadline = time.monotonic() + _LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StackError(
                            f"Another astrid has been starting or stopping {self.state.folder} "
                            f"for {_LOCK_TIMEOUT_S:g} s.",
                            remedy="Wait for it, or end it and try again.",
                        ) from None
                    time.sleep(0.2)
            yield
