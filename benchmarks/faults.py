"""Nights in flight while things break: what is lost, what is there twice, what got stuck.

Run ``python -m benchmarks.faults --flights 100 --seed 1``. Two embedded stacks process the same
nights of a simulated survey. One is left in peace. In the other, each night is disturbed by
``--at-once`` kinds of faults (``--list`` names them), seeded like their moments: processes are
killed with SIGKILL or frozen, the line to the store misbehaves, disks are full, the clock jumps,
the same night is launched three times at once. Meanwhile a person judges detections, retrying
under idempotency keys, and training datasets are collected. After each fault comes recovery,
which is what an operator does: ``astrid up``, and the night again. Then the audit
(``astrid audit``) looks at every row, object, verdict, dataset, run and slot; in the end it
reads every object, and the two stacks' nights are compared row by row and hash by hash.

A fault that the machine does not allow (small disks need root, the clock a C compiler) is said
to be skipped. Flight n of a seed is the same in every campaign.
"""

import argparse
import datetime as dt
import os
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from astrid_core.care.objects import Grace
from astrid_stack.care.audit import audit_installation
from astrid_stack.care.installation import Installation
from astrid_stack.dagster_client import DagsterClient, Launch
from astrid_stack.errors import StackError
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.faults_kinds import KINDS, Made
from benchmarks.faults_people import COLLECTED, People, Verdicts
from benchmarks.faults_stack import (
    FIRST_NIGHT,
    FLOWN,
    JUDGED,
    JUDGED_NIGHTS,
    REFERENCE_NIGHT,
    DisturbedStack,
    disturbed_stack,
    write_both_surveys,
)
from benchmarks.running import own_stack, runners, say_nothing, wait
from benchmarks.snapshots import differing, rows_of
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    ExtractionRun,
    IngestRun,
    ModelRun,
    Observation,
    PreprocessRun,
    Survey,
)
from dbschema.session import make_engine
from dbschema.views import observation_status

DUPLICATES = "launched thrice"
_RUN_S = 400.0
_ATTEMPTS = 5
_SETTLE_S = 2.0
_LATEST_S = 12.0
_LONGEST_FAULT_S = 30.0
_FLIGHTS_PER_DATASET = 3
_LAST_STAGE = "model"
_GOOD = frozenset({"completed", "degraded"})
_COMPARED = (
    (Observation, Observation.id),
    (PreprocessRun, PreprocessRun.observation_id),
    (DifferenceRun, DifferenceRun.observation_id),
)
"""Tables of a night and their column with the observation."""


@dataclass
class Flight:
    """One night, what befell it, and how it was brought home.

    Attributes
    ----------
    faults
        How many things broke, by kind; 0 where nothing could be broken.
    n_interrupted
        Runs of it that failed.
    n_attempts
        Launches until the night was whole.
    recovery_s
        From the fault until then.
    problems
        What the audit found, and what never became whole.
    """

    number: int
    night: dt.date
    kinds: Sequence[str]
    faults: Counter[str] = field(default_factory=Counter)
    n_interrupted: int = 0
    n_attempts: int = 0
    recovery_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def main() -> None:
    """Fly, break, recover, audit, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--flights", type=int, default=2 * (len(KINDS) + 1), help="disturbed nights"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides every fault and its moment")
    parser.add_argument("--fields", type=int, default=2, help="frames of a night")
    parser.add_argument("--side", type=int, default=256, help="pixels along a frame's side")
    parser.add_argument(
        "--only", nargs="*", choices=[*KINDS, DUPLICATES], help="these faults alone"
    )
    parser.add_argument("--at-once", type=int, default=2, help="kinds of faults of a night")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    asked = parser.parse_args()
    if asked.list:
        for name, fault in KINDS.items():
            print(f"{name:20} {fault.__doc__}")
        return
    nights = [FIRST_NIGHT + dt.timedelta(days=number) for number in range(asked.flights)]
    with tempfile.TemporaryDirectory(prefix="astrid-faults-") as name:
        folder = Path(name)
        os.environ["ASTRID_COLLECT_WAIT_S"] = "1"
        write_both_surveys(folder, nights, asked.fields, asked.side)
        with disturbed_stack(folder / "disturbed") as stack:
            kinds = asked.only or [*KINDS, DUPLICATES]
            planned = plan(asked.flights, asked.at_once, asked.seed, kinds)
            flights, verdicts, datasets = fly(stack, nights, planned, asked.seed)
            problems = look_at_all(stack)
            got = rows_and_hashes(stack.state)
        with own_stack(folder / "quiet", say_nothing) as state:
            prepare(state)
            complete_or_exit(state, FLOWN, nights)
            wanted = rows_and_hashes(state)
    unlike = differing(wanted, got)
    tell(flights, asked.seed)
    print(f"verdicts acknowledged: {verdicts.n_acknowledged}, lost: {verdicts.n_lost}, ", end="")
    print(f"twice: {verdicts.n_twice}; datasets asked for: {datasets}")
    print(f"compared with the undisturbed stack: {len(wanted)} rows and objects, ", end="")
    print(f"{len(unlike)} differ {unlike[:5]}")
    print(f"last audit, every object read: {problems or 'sound'}")
    if unlike or problems or verdicts.n_lost or verdicts.n_twice or not datasets[COLLECTED]:
        raise SystemExit(1)
    if any(flight.problems for flight in flights):
        raise SystemExit(1)


def plan(n_flights: int, at_once: int, seed: int, kinds: Sequence[str]) -> list[Sequence[str]]:
    """Kinds of faults of each flight; fewer than asked for where the dice fell alike."""
    chosen = [_in_turn(n_flights, random.Random(f"{seed}-{n}"), kinds) for n in range(at_once)]
    return [tuple(dict.fromkeys(together)) for together in zip(*chosen, strict=True)]


def _in_turn(n_flights: int, rng: random.Random, kinds: Sequence[str]) -> list[str]:
    """All kinds in turn, in another order every time round."""
    planned: list[str] = []
    while len(planned) < n_flights:
        planned += rng.sample(list(kinds), len(kinds))
    return planned[:n_flights]


def fly(
    stack: DisturbedStack,
    nights: Sequence[dt.date],
    planned: Sequence[Sequence[str]],
    seed: int,
) -> tuple[list[Flight], Verdicts, Counter[str]]:
    """All flights, one after another, while people judge and collect."""
    prepare(stack.state)
    flights = []
    with People(stack.state) as people:
        for number, (night, kinds) in enumerate(zip(nights, planned, strict=True)):
            rng = random.Random(f"{seed}-{number}")
            if number % _FLIGHTS_PER_DATASET == 0:
                people.ask_for_dataset(f"flight {number}")
            flight = Flight(number, night, kinds)
            disturb(stack, flight, rng)
            people.wait_for_datasets()
            flight.problems += look(stack)
            flights.append(flight)
            broken = ", ".join(f"{kind} {flight.faults[kind]}" for kind in kinds)
            print(
                f"{number:4d} {night} {broken:40} interrupted {flight.n_interrupted}, attempts "
                f"{flight.n_attempts}, whole after {flight.recovery_s:5.1f} s "
                f"{flight.problems or ''}",
                flush=True,
            )
        people.ask_for_dataset("in peace")
        people.wait_for_datasets()
    return flights, people.count(), people.datasets


def prepare(state: State) -> None:
    """References of both surveys, and nights whose detections are judged."""
    client = DagsterClient.of(state)
    for survey in (FLOWN, JUDGED):
        night = {"survey": survey, "night": REFERENCE_NIGHT.isoformat()}
        _follow(client, client.launch("reference_nights", [night]))
        _follow(client, client.launch("references", [survey]))
    complete_or_exit(state, JUDGED, JUDGED_NIGHTS)


def disturb(stack: DisturbedStack, flight: Flight, rng: random.Random) -> None:
    """Launch a night, break things in the middle, bring it home."""
    client = DagsterClient.of(stack.state)
    night = {"survey": FLOWN, "night": flight.night.isoformat()}
    is_thrice = DUPLICATES in flight.kinds
    launched = client.launch("nightly", [night] * (3 if is_thrice else 1))
    made = {DUPLICATES: Made(2)} if is_thrice else {}
    wait(lambda: runners(stack), 60.0)
    for kind in flight.kinds:
        if kind != DUPLICATES:
            time.sleep(rng.uniform(0.0, _LATEST_S / (1 + len(made))))
            made[kind] = KINDS[kind](stack, rng)
    time.sleep(rng.uniform(2.0, 6.0))
    wait(lambda: all(m.is_over() for m in made.values()) or not runners(stack), _LONGEST_FAULT_S)
    begun = time.monotonic()
    for one in made.values():
        one.lift()
    flight.faults.update({kind: one.n_faults for kind, one in made.items()})
    time.sleep(_SETTLE_S)
    stack.up(say_nothing)
    flight.n_interrupted = sum(
        run.status != "SUCCESS" for run in _follow(DagsterClient.of(stack.state), launched)
    )
    n_again = complete(stack.state, FLOWN, [flight.night], lambda: stack.up(say_nothing))
    if n_again is None:
        flight.problems.append("never became whole")
    flight.n_attempts = 1 + (_ATTEMPTS if n_again is None else n_again)
    flight.recovery_s = time.monotonic() - begun


def complete(
    state: State, survey: str, nights: Sequence[dt.date], mend: Callable[[], None] = lambda: None
) -> int | None:
    """Run nights until they are whole, as an operator would; how often. None: they never were.

    Parameters
    ----------
    mend
        What is done before each try.
    """
    client = DagsterClient.of(state)
    for n_launched in range(_ATTEMPTS + 1):
        wanting = [night for night in nights if not is_whole(state, survey, night)]
        if not wanting:
            return n_launched
        if n_launched < _ATTEMPTS:
            mend()
            asked = [{"survey": survey, "night": night.isoformat()} for night in wanting]
            _follow(client, client.launch("nightly", asked), _RUN_S * len(wanting))
    return None


def complete_or_exit(state: State, survey: str, nights: Sequence[dt.date]) -> None:
    """Run nights that nobody disturbs until they are whole."""
    if complete(state, survey, nights) is None:
        raise SystemExit(f"{survey} never became whole, undisturbed")


def is_whole(state: State, survey: str, night: dt.date) -> bool:
    """Whether every observation of a night has gone through every stage."""
    engine = make_engine(state.database_url("astrid"))
    query = (
        select(observation_status.c.stage, observation_status.c.status)
        .join(Observation, Observation.id == observation_status.c.observation_id)
        .join(Survey, Survey.id == Observation.survey_id)
        .where(Survey.name == survey, Observation.night == night)
    )
    with engine.connect() as connection:
        found = connection.execute(query).all()
    engine.dispose()
    return bool(found) and all(row.stage == _LAST_STAGE and row.status in _GOOD for row in found)


def _follow(client: DagsterClient, launch: Launch, timeout_s: float = _RUN_S) -> list[Any]:
    """Runs to their end, however often Dagster does not answer on the way."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(StackError):
            runs = client.runs(launch)
            if runs and all(run.is_finished for run in runs):
                return list(runs)
        time.sleep(0.5)
    raise SystemExit(f"{launch} did not end in {timeout_s:.0f} s")


# --- looking ------------------------------------------------------------------------------


def look(stack: Stack) -> list[str]:
    """What the audit finds, objects looked for and not read."""
    report = audit_installation(Installation.of_state(stack.state), read_all=False)
    return [_told(problem) for problem in report.problems]


def look_at_all(stack: Stack) -> list[str]:
    """What the audit finds when every object is read, and none is young."""
    report = audit_installation(
        Installation.of_state(stack.state), grace=Grace(age=dt.timedelta(0))
    )
    for check in report.checks:
        print(f"{check.n_found:6d} of {check.n_seen:6d} against: {check.statement.holds}")
    return [_told(problem) for problem in report.problems]


def _told(problem: Any) -> str:
    return f"{problem.statement.name}: {problem.n_found} {list(problem.examples[:3])}"


def rows_and_hashes(state: State) -> dict[str, Any]:
    """Rows of the flown nights by table and key, clocks aside.

    Hashes of objects are columns of the rows; that objects have them is the audit's to say.
    """
    found: dict[str, Any] = {}
    engine = make_engine(state.database_url("astrid"))
    flown = select(Survey.id).where(Survey.name == FLOWN).scalar_subquery()
    of_flown = select(Observation.id).where(
        Observation.survey_id == flown, Observation.night >= FIRST_NIGHT
    )
    differences = select(DifferenceRun.run_id).where(DifferenceRun.observation_id.in_(of_flown))
    where: list[tuple[Any, Any]] = [
        *((table, column.in_(of_flown)) for table, column in _COMPARED),
        (IngestRun, IngestRun.night >= FIRST_NIGHT),
        (ExtractionRun, ExtractionRun.difference_run_id.in_(differences)),
        (ModelRun, ModelRun.difference_run_id.in_(differences)),
        (Candidate, Candidate.difference_run_id.in_(differences)),
        (Detection, Detection.difference_run_id.in_(differences)),
    ]
    with engine.connect() as connection:
        for table, condition in where:
            keys = [column.name for column in table.__table__.primary_key.columns]
            for row in rows_of(connection, table.__table__, condition):
                name = "/".join(str(row[key]) for key in keys)
                found[f"{table.__tablename__}/{name}"] = row
    engine.dispose()
    return found


def tell(flights: Sequence[Flight], seed: int) -> None:
    """The table, by kind of fault; a night is in the line of each of its kinds."""
    by_kind: dict[str, list[Flight]] = defaultdict(list)
    for flight in flights:
        for kind in flight.kinds:
            by_kind[kind].append(flight)
    print(f"\nseed {seed}")
    print(
        f"{'fault':18} {'nights':>6} {'faults':>6} {'failed':>6} {'again':>5} {'s':>6} {'wrong':>5}"
    )
    for kind, group in sorted(by_kind.items()):
        _tell_line(kind, group, sum(flight.faults[kind] for flight in group))
    _tell_line("all", flights, sum(flight.faults.total() for flight in flights))


def _tell_line(name: str, group: Sequence[Flight], n_faults: int) -> None:
    print(
        f"{name:18} {len(group):6d} {n_faults or 'SKIP':>6} "
        f"{sum(flight.n_interrupted for flight in group):6d} "
        f"{sum(flight.n_attempts - 1 for flight in group):5d} "
        f"{statistics.median(flight.recovery_s for flight in group):6.1f} "
        f"{sum(bool(flight.problems) for flight in group):5d}"
    )


if __name__ == "__main__":
    main()
