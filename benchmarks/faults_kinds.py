"""The faults themselves: each does its damage at once and says what it did.

What belongs here: one way for things to break, and how it is lifted again where it does not
pass by itself. What does not: recovery, which is the stack's.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from astrid_stack.processes import family_of
from benchmarks.faults_stack import DisturbedStack, is_small_disk
from benchmarks.faulty_store import StoreFault
from benchmarks.running import descendants, kill, runners, wait
from dbschema.session import make_engine

_FREEZE_S = 6.0
_STARTING_S = 20.0
_BALLAST_CHUNK = 1 << 20


@dataclass
class Made:
    """What a fault did.

    Attributes
    ----------
    n_faults
        How many things broke.
    lift
        What ends it.
    is_over
        Whether it has done all it was to do.
    """

    n_faults: int
    lift: Callable[[], None] = field(default=lambda: None)
    is_over: Callable[[], bool] = field(default=lambda: True)


Fault = Callable[[DisturbedStack, random.Random], Made]


def kill_run(stack: DisturbedStack, rng: random.Random) -> Made:
    """SIGKILL for the processes of one run."""
    return _kill([rng.choice(found)] if (found := runners(stack)) else [])


def kill_all_runs(stack: DisturbedStack, rng: random.Random) -> Made:
    """SIGKILL for the processes of all runs at once."""
    return _kill(runners(stack))


def kill_worker(stack: DisturbedStack, rng: random.Random) -> Made:
    """SIGKILL for a worker process of a run."""
    wait(lambda: workers(stack) != [], _STARTING_S)
    found = workers(stack)
    return _kill([rng.choice(found)] if found else [])


def kill_code(stack: DisturbedStack, rng: random.Random) -> Made:
    """SIGKILL for the code server and all that it started."""
    code = stack.process_of("code")
    return _kill([] if code is None else family_of(code))


def _kill_part(name: str) -> Fault:
    def kill_it(stack: DisturbedStack, rng: random.Random) -> Made:
        process = stack.process_of(name)
        return _kill([] if process is None else [process])

    kill_it.__doc__ = f"SIGKILL for {name}."
    return kill_it


def freeze_postgres(stack: DisturbedStack, rng: random.Random) -> Made:
    """Postgres and its backends stand still for some seconds."""
    return _freeze(stack, "postgres")


def freeze_store(stack: DisturbedStack, rng: random.Random) -> Made:
    """The store stands still for some seconds."""
    return _freeze(stack, "objectstore")


def cut_connections(stack: DisturbedStack, rng: random.Random) -> Made:
    """Every connection to Postgres is ended by the server."""
    engine = make_engine(stack.state.database_url("postgres"))
    try:
        with engine.begin() as connection:
            ended = connection.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
            ).scalar_one()
    except OperationalError:
        return Made(0)  # another fault has ended it
    finally:
        engine.dispose()
    return Made(int(ended))


def _store(kind: StoreFault, most: int, chance: float) -> Fault:
    def disturb(stack: DisturbedStack, rng: random.Random) -> Made:
        before = stack.proxy.done[kind]
        made = Made(0)

        def lift() -> None:
            stack.proxy.disarm()
            made.n_faults = stack.proxy.done[kind] - before

        n_wanted = rng.randint(1, most)
        made.lift = lift
        made.is_over = lambda: stack.proxy.done[kind] - before >= n_wanted
        stack.proxy.arm([kind] * n_wanted, chance, str(rng.random()))
        return made

    disturb.__doc__ = f"Requests to the store: {kind}."
    return disturb


def fill_scratch(stack: DisturbedStack, rng: random.Random) -> Made:
    """The disk that runs stage files on is full."""
    return _fill(Path(os.environ["ASTRID_SCRATCH_DIR"]))


def fill_store(stack: DisturbedStack, rng: random.Random) -> Made:
    """The disk that the store keeps objects on is full."""
    return _fill(stack.state.objects)


def jump_clock(stack: DisturbedStack, rng: random.Random) -> Made:
    """The clock of code server, runs, daemon and API goes back or forth, and back again."""
    if stack.clock is None:
        return Made(0)
    clock = stack.clock
    clock.shift(rng.choice([-86_400, -3600, 600, 7200, 172_800]))
    return Made(1, lambda: clock.shift(0))


KINDS: dict[str, Fault] = {
    "kill run": kill_run,
    "kill all runs": kill_all_runs,
    "kill worker": kill_worker,
    "kill code server": kill_code,
    "kill daemon": _kill_part("daemon"),
    "kill webserver": _kill_part("dagster"),
    "kill API": _kill_part("api"),
    "kill MLflow": _kill_part("mlflow"),
    "kill Postgres": _kill_part("postgres"),
    "kill store": _kill_part("objectstore"),
    "freeze Postgres": freeze_postgres,
    "freeze store": freeze_store,
    "cut connections": cut_connections,
    "store 503": _store("busy", 12, 0.4),
    "store resets": _store("reset", 12, 0.4),
    "store truncates": _store("truncated", 12, 0.4),
    "store silent": _store("silent", 1, 0.3),
    "scratch full": fill_scratch,
    "store full": fill_store,
    "clock jump": jump_clock,
}


def workers(stack: DisturbedStack) -> list[psutil.Process]:
    """Worker processes of all runs."""
    return [child for runner in runners(stack) for child in descendants(runner)]


def _kill(victims: list[psutil.Process]) -> Made:
    n_killed = sum([kill(victim) for victim in victims])
    return Made(min(n_killed, 1))


def _freeze(stack: DisturbedStack, name: str) -> Made:
    process = stack.process_of(name)
    if process is None:
        return Made(0)
    everyone = family_of(process)
    for frozen in everyone:
        with suppress(psutil.NoSuchProcess):
            frozen.send_signal(signal.SIGSTOP)
    time.sleep(_FREEZE_S)
    for frozen in everyone:
        with suppress(psutil.NoSuchProcess):
            frozen.send_signal(signal.SIGCONT)
    return Made(1)


def _fill(folder: Path) -> Made:
    if not is_small_disk(folder):
        return Made(0)  # never a disk that others use
    ballast = folder / ".ballast"
    with ballast.open("wb") as stream, suppress(OSError):
        while shutil.disk_usage(folder).free:
            stream.write(b"\0" * _BALLAST_CHUNK)
            stream.flush()
    return Made(1, lambda: ballast.unlink(missing_ok=True))
