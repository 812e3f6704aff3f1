"""Verdicts on a real server: nothing lost, nothing twice, nothing half done."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from astrid_core.curation.consensus import Consensus
from astrid_core.curation.events import (
    EventCursor,
    Recorded,
    events_after,
    record_verdict,
    undo_verdict,
)
from astrid_core.errors import (
    NoSuchItemError,
    NotAllowedError,
    VerdictConflictError,
    VerdictError,
)
from dbschema.models import Base, Detection, DetectionConsensus, ValidationEvent
from tests import review


def state(connection: Connection, detection: UUID) -> tuple[Any, ...]:
    """What a detection's verdicts have come to, in all places that tell."""
    row = connection.execute(
        select(Detection.is_validated, Detection.n_verdicts).where(Detection.id == detection)
    ).one()
    columns = [c for c in DetectionConsensus.__table__.columns if c.name != "updated_at"]
    query = select(*columns).where(DetectionConsensus.detection_id == detection)
    return (*row, connection.execute(query).one_or_none())


def count(connection: Connection, table: type[Base]) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


# --- one writer ---------------------------------------------------------------------------


def test_one_expert_decides_and_all_that_follows_is_written(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.3])
    expert = review.expert(connection)
    recorded = review.judge(
        connection, expert, detection, subtype="variable", note="RR Lyrae", time_taken_s=2.5
    )
    assert recorded.consensus == Consensus("real", "variable", 1, "expert", expert.id)
    is_validated, n_verdicts, consensus = state(connection, detection)
    assert (is_validated, n_verdicts) == (True, 1)
    assert (consensus.label, consensus.subtype, consensus.decided_by) == (
        "real",
        "variable",
        "expert",
    )
    assert consensus.disagreement == pytest.approx(0.7)
    event = connection.execute(select(ValidationEvent.__table__)).one()
    shown = connection.scalar(select(Detection.cutout_sha256))
    assert (event.reviewer_id, event.is_expert, event.cutout_sha256) == (expert.id, True, shown)
    assert (event.note, event.time_taken_s, event.taxonomy_version) == ("RR Lyrae", 2.5, "1")
    assert event.model_id is not None


def test_two_who_agree_decide(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    one, other = review.reviewer(connection), review.reviewer(connection)
    review.judge(connection, one, detection, "bogus")
    assert state(connection, detection)[:2] == (False, 1)
    review.judge(connection, other, detection, "bogus", subtype="dipole")
    is_validated, n_verdicts, consensus = state(connection, detection)
    assert (is_validated, n_verdicts) == (True, 2)
    assert (consensus.label, consensus.subtype) == ("bogus", "dipole")


def test_unsure_validates_nothing(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    for by in (review.expert(connection), review.reviewer(connection), review.reviewer(connection)):
        review.judge(connection, by, detection, "unsure")
    is_validated, n_verdicts, consensus = state(connection, detection)
    assert (is_validated, n_verdicts, consensus.label) == (False, 3, "unsure")


@pytest.mark.parametrize("before", [[], ["real"], ["bogus", "bogus"], ["unsure"]])
@pytest.mark.parametrize("verdict", ["real", "bogus", "unsure"])
def test_undo_restores_every_row(connection: Connection, before: list[str], verdict: str) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    for said in before:
        review.judge(connection, review.reviewer(connection), detection, said)
    then = state(connection, detection)
    expert = review.expert(connection)
    recorded = review.judge(connection, expert, detection, verdict)
    assert state(connection, detection) != then
    undo_verdict(connection, expert, recorded.event_id, "undo")
    assert state(connection, detection) == then
    assert count(connection, ValidationEvent) == len(before) + 2


def test_a_second_verdict_corrects_and_its_undo_brings_the_first_back(
    connection: Connection,
) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    expert = review.expert(connection)
    first = review.judge(connection, expert, detection, "real")
    second = review.judge(connection, expert, detection, "bogus")
    assert second.consensus == Consensus("bogus", None, 1, "expert", expert.id)
    supersedes = select(ValidationEvent.supersedes).where(ValidationEvent.id == second.event_id)
    assert connection.scalar(supersedes) == first.event_id
    undone = undo_verdict(connection, expert, second.event_id, "undo")
    assert undone.consensus == first.consensus


def test_undo_is_ones_own_unless_one_is_an_operator(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    recorded = review.judge(connection, review.reviewer(connection), detection)
    with pytest.raises(NotAllowedError, match="another reviewer's"):
        undo_verdict(connection, review.expert(connection), recorded.event_id, "undo")
    operator = review.reviewer(connection, "operator")
    done = undo_verdict(connection, operator, recorded.event_id, "undo")
    assert done.consensus is None
    assert undo_verdict(connection, operator, recorded.event_id, "undo") == Recorded(
        done.event_id, False, None, 0.5
    )
    with pytest.raises(VerdictConflictError, match="taken back before"):
        undo_verdict(connection, operator, recorded.event_id, "undo it again")
    with pytest.raises(NoSuchItemError):
        undo_verdict(connection, operator, done.event_id, "undo the undo")


def test_a_verdict_on_a_component_names_its_cutout_unless_it_is_an_old_one(
    connection: Connection,
) -> None:
    cut, old = review.store_detections(connection, [0.5, 0.5])
    connection.execute(update(Detection).values(candidate_id=None, detection_type="component"))
    none: dict[str, None] = dict.fromkeys(("cutout_path", "cutout_index", "cutout_sha256"))
    connection.execute(update(Detection).where(Detection.id == old).values(**none))
    expert = review.expert(connection)
    shown = connection.scalar(select(Detection.cutout_sha256).where(Detection.id == cut))
    blind = replace(review.judgement(connection, cut), cutout_sha256=None)
    with pytest.raises(VerdictConflictError, match="not the one that was shown"):
        record_verdict(connection, expert, blind)
    given = {review.judge(connection, expert, one).event_id: one for one in (cut, old)}
    events = select(ValidationEvent.id, ValidationEvent.cutout_sha256)
    assert {given[event]: sha256 for event, sha256 in connection.execute(events)} == {
        cut: shown,
        old: None,
    }


def test_the_confidence_is_told_with_the_verdict(connection: Connection) -> None:
    detection, _ = review.store_detections(connection, [0.3, 0.7])
    expert = review.expert(connection)
    given = [review.judge(connection, expert, detection, idempotency_key="k") for _ in range(2)]
    undone = [undo_verdict(connection, expert, given[0].event_id, "undo") for _ in range(2)]
    assert [one.is_new for one in (*given, *undone)] == [True, False, True, False]
    assert {one.confidence_score for one in (*given, *undone)} == {0.3}


def test_what_does_not_fit_is_refused_and_leaves_nothing(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    by = review.reviewer(connection)
    with pytest.raises(NotAllowedError, match="is a viewer; this needs a reviewer"):
        review.judge(connection, review.reviewer(connection, "viewer"), detection)
    with pytest.raises(VerdictError):
        review.judge(connection, by, detection, "real", subtype="dipole")
    with pytest.raises(VerdictError):
        review.judge(connection, by, detection, taxonomy_version="0")
    with pytest.raises(NoSuchItemError, match="no detection"):
        review.judge(connection, by, uuid4())
    with pytest.raises(NoSuchItemError, match="no lease"):
        review.judge(connection, by, detection, lease_id=uuid4())
    said = review.judgement(connection, detection)
    connection.execute(update(Detection).values(cutout_sha256="another"))
    with pytest.raises(VerdictConflictError, match="not the one that was shown"):
        record_verdict(connection, by, said)
    assert count(connection, ValidationEvent) == 0
    assert state(connection, detection) == (False, 0, None)


# --- the key and the lock -----------------------------------------------------------------


def test_the_same_key_is_the_same_event(connection: Connection) -> None:
    (detection, other) = review.store_detections(connection, [0.5, 0.5])
    one, two = review.reviewer(connection), review.reviewer(connection)
    first = review.judge(connection, one, detection, idempotency_key="k")
    again = review.judge(connection, one, detection, idempotency_key="k")
    assert again == replace(first, is_new=False)
    assert count(connection, ValidationEvent) == 1
    for said in (("bogus", detection), ("real", other)):
        with pytest.raises(VerdictConflictError, match="for something else"):
            review.judge(connection, one, said[1], said[0], idempotency_key="k")
    assert review.judge(connection, two, detection, idempotency_key="k").is_new


def at_once(engine: Engine, work: list[Callable[[Connection], Any]]) -> list[Any]:
    """Each piece of work in a transaction of its own, all let go at the same moment."""
    barrier = threading.Barrier(len(work))

    def run(one: Callable[[Connection], Any]) -> Any:
        barrier.wait()
        with engine.begin() as connection:
            return one(connection)

    with ThreadPoolExecutor(len(work)) as pool:
        return [done.result() for done in [pool.submit(run, one) for one in work]]


def test_a_hundred_writers_lose_and_double_nothing(engine: Engine) -> None:
    """100 verdicts by 50 reviewers on two detections, each sent twice, 12 at a time."""
    with engine.begin() as connection:
        detections = review.store_detections(connection, [0.5, 0.5])
        people = [review.reviewer(connection) for _ in range(50)]
        said = [
            (by, review.judgement(connection, detection, "real" if i % 3 else "bogus"))
            for i, by in enumerate(people)
            for detection in detections
        ]
    work = [
        lambda connection, by=by, one=one: record_verdict(connection, by, one)
        for by, one in said
        for _ in range(2)
    ]

    def run(one: Callable[[Connection], Recorded]) -> Recorded:
        with engine.begin() as connection:
            return one(connection)

    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(run, work))
    assert sum(one.is_new for one in done) == len(said) == 100
    assert len({one.event_id for one in done}) == 100
    with engine.begin() as connection:
        assert count(connection, ValidationEvent) == 100
        for detection in detections:
            is_validated, n_verdicts, consensus = state(connection, detection)
            assert (is_validated, n_verdicts, consensus.label) == (True, 50, "real")
        numbers = list(connection.scalars(select(ValidationEvent.number)))
        assert len(set(numbers)) == 100


def test_the_same_key_sent_at_once_is_one_event(engine: Engine) -> None:
    with engine.begin() as connection:
        (detection,) = review.store_detections(connection, [0.5])
        by = review.reviewer(connection)
        said = review.judgement(connection, detection)
    done = at_once(engine, [lambda connection: record_verdict(connection, by, said)] * 8)
    assert sorted(one.is_new for one in done) == [False] * 7 + [True]
    assert len({one.event_id for one in done}) == 1


def test_one_key_on_two_detections_at_once_is_a_conflict(engine: Engine) -> None:
    with engine.begin() as connection:
        detections = review.store_detections(connection, [0.5] * 4)
        by = review.reviewer(connection)
        said = [review.judgement(connection, one, idempotency_key="k") for one in detections]

    def attempt(one: Any) -> Callable[[Connection], bool]:
        def run(connection: Connection) -> bool:
            try:
                return record_verdict(connection, by, one).is_new
            except VerdictConflictError:
                return False

        return run

    assert sorted(at_once(engine, [attempt(one) for one in said])) == [False] * 3 + [True]
    with engine.begin() as connection:
        assert count(connection, ValidationEvent) == count(connection, DetectionConsensus) == 1


@pytest.mark.parametrize("kill", [False, True])
def test_a_crash_leaves_nothing_half_done(engine: Engine, kill: bool) -> None:
    with engine.begin() as connection:
        (detection,) = review.store_detections(connection, [0.5])
        by = review.expert(connection)
        said = review.judgement(connection, detection)
    broken = engine.connect()
    record_verdict(broken, by, said)
    if kill:
        with engine.connect() as other:
            pid = broken.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(DBAPIError):
            broken.commit()
        broken.invalidate()
    else:
        broken.rollback()
    broken.close()
    with engine.begin() as connection:
        assert count(connection, ValidationEvent) == 0
        assert state(connection, detection) == (False, 0, None)
        assert record_verdict(connection, by, said).is_new
    with engine.begin() as connection:
        assert state(connection, detection)[:2] == (True, 1)


@pytest.mark.parametrize(
    "statement",
    [
        update(ValidationEvent).values(verdict="bogus"),
        delete(ValidationEvent),
        text("TRUNCATE validation_events CASCADE"),
    ],
)
def test_events_cannot_be_changed(connection: Connection, statement: Any) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    review.judge(connection, review.reviewer(connection), detection)
    with pytest.raises(DBAPIError, match="validation_events is append-only"):
        connection.execute(statement)
    connection.rollback()


# --- heirs --------------------------------------------------------------------------------


def validated(connection: Connection, *detections: UUID) -> list[bool | None]:
    return [
        connection.scalar(select(Detection.is_validated).where(Detection.id == one))
        for one in detections
    ]


def test_undoing_the_origin_undoes_the_heirs_and_a_new_verdict_redoes_them(
    connection: Connection,
) -> None:
    (origin,) = review.store_detections(connection, [0.5])
    expert = review.expert(connection)
    first = review.judge(connection, expert, origin)
    heirs = [
        *review.store_detections(connection, [0.1], version="2"),
        *review.store_detections(connection, [0.9], version="3"),
    ]
    assert review.inherit(connection, *heirs) == 2
    assert validated(connection, origin, *heirs) == [True] * 3
    undo_verdict(connection, expert, first.event_id, "undo")
    assert validated(connection, origin, *heirs) == [False] * 3
    review.judge(connection, expert, origin, "bogus")
    assert validated(connection, origin, *heirs) == [True] * 3


def test_what_people_say_of_the_heir_itself_holds_there(connection: Connection) -> None:
    (origin,) = review.store_detections(connection, [0.5])
    expert = review.expert(connection)
    on_origin = review.judge(connection, expert, origin)
    (heir,) = review.store_detections(connection, [0.5], version="2")
    review.inherit(connection, heir)
    on_heir = review.judge(connection, expert, heir, "bogus")
    undo_verdict(connection, expert, on_origin.event_id, "undo 1")
    assert validated(connection, origin, heir) == [False, True]
    undo_verdict(connection, expert, on_heir.event_id, "undo 2")
    assert validated(connection, origin, heir) == [False, False]
    review.judge(connection, expert, origin)
    assert validated(connection, origin, heir) == [True, True]


def test_undo_on_the_heir_gives_it_back_what_it_inherits(connection: Connection) -> None:
    (origin,) = review.store_detections(connection, [0.5])
    expert = review.expert(connection)
    review.judge(connection, expert, origin)
    (heir,) = review.store_detections(connection, [0.5], version="2")
    review.inherit(connection, heir)
    then = state(connection, heir)
    recorded = review.judge(connection, expert, heir, "bogus")
    undo_verdict(connection, expert, recorded.event_id, "undo")
    assert state(connection, heir) == then == (True, 0, None)


def test_a_verdict_reaches_runs_that_were_stored_before_it(connection: Connection) -> None:
    old = review.store_detections(connection, [0.5, 0.5])
    new = review.store_detections(connection, [0.9, 0.9], version="2")
    review.judge(connection, review.expert(connection), old[0], "bogus")
    assert validated(connection, *new) == [True, False]
    query = select(Detection.inherited_from).where(Detection.id == new[0])
    assert connection.scalar(query) == old[0]
    _, _, consensus = state(connection, old[0])
    # The newest judgement of the source, .9, contradicts "bogus" more than the old one.
    assert consensus.disagreement == pytest.approx(0.9)


def test_undecided_verdicts_are_not_inherited(connection: Connection) -> None:
    (origin,) = review.store_detections(connection, [0.5])
    review.judge(connection, review.reviewer(connection), origin)
    (heir,) = review.store_detections(connection, [0.5], version="2")
    assert review.inherit(connection, heir) == 0
    assert validated(connection, heir) == [False]


def test_an_undo_waits_for_the_run_that_is_inheriting(engine: Engine) -> None:
    """Whichever comes first, no heir is left validated by a verdict that was taken back."""
    with engine.begin() as connection:
        (origin,) = review.store_detections(connection, [0.5])
        expert = review.expert(connection)
        first = review.judge(connection, expert, origin)
    storing = engine.connect()
    (heir,) = review.store_detections(storing, [0.5], version="2")
    assert review.inherit(storing, heir) == 1

    def undo() -> None:
        with engine.begin() as connection:
            undo_verdict(connection, expert, first.event_id, "undo")

    with ThreadPoolExecutor(1) as pool:
        undone = pool.submit(undo)
        wait_for_lock(engine)
        assert not undone.done()
        storing.commit()
        undone.result(timeout=30)
    storing.close()
    with engine.begin() as connection:
        assert validated(connection, origin, heir) == [False, False]


def test_a_run_that_inherits_waits_for_the_undo(engine: Engine) -> None:
    with engine.begin() as connection:
        (origin,) = review.store_detections(connection, [0.5])
        expert = review.expert(connection)
        first = review.judge(connection, expert, origin)
    undoing = engine.connect()
    undo_verdict(undoing, expert, first.event_id, "undo")

    def store() -> tuple[UUID, int]:
        with engine.begin() as connection:
            (heir,) = review.store_detections(connection, [0.5], version="2")
            return heir, review.inherit(connection, heir)

    with ThreadPoolExecutor(1) as pool:
        stored = pool.submit(store)
        wait_for_lock(engine)
        undoing.commit()
        heir, n_inherited = stored.result(timeout=30)
    undoing.close()
    assert n_inherited == 0
    with engine.begin() as connection:
        assert validated(connection, origin, heir) == [False, False]


def wait_for_lock(engine: Engine) -> None:
    """Until somebody waits for a lock in the test's database."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
        for _ in range(500):
            if watching.scalar(query):
                return
            watching.execute(text("SELECT pg_sleep(0.01)"))
    pytest.fail("nobody waited for a lock")


# --- the cursor ---------------------------------------------------------------------------


def drain(
    connection: Connection, cursor: EventCursor | None, limit: int = 1000
) -> tuple[list[UUID], EventCursor | None]:
    found, cursor = events_after(connection, cursor, limit)
    return [row["id"] for row in found], cursor


def test_the_cursor_loses_no_event_that_commits_late(engine: Engine) -> None:
    with engine.begin() as connection:
        early, late, last = review.store_detections(connection, [0.5] * 3)
        by = review.reviewer(connection)
    slow = engine.connect()
    first = review.judge(slow, by, early).event_id
    with engine.begin() as connection:
        second = review.judge(connection, by, late).event_id
    with engine.connect() as reading:
        # The second is committed, but the first is older and may yet be.
        assert drain(reading, None) == ([], None)
    slow.commit()
    slow.close()
    with engine.connect() as reading:
        found, cursor = drain(reading, None)
        assert found == [first, second]
        assert drain(reading, cursor) == ([], cursor)
    with engine.begin() as connection:
        third = review.judge(connection, by, last).event_id
    with engine.connect() as reading:
        assert drain(reading, cursor)[0] == [third]


def test_events_are_read_a_page_at_a_time_each_once(engine: Engine) -> None:
    with engine.begin() as connection:
        by = review.reviewer(connection)
        for detection in review.store_detections(connection, [0.5] * 7):
            review.judge(connection, by, detection)
    with engine.connect() as reading:
        everything, _ = drain(reading, None)
        found, cursor = drain(reading, None, 3)
        while page := drain(reading, cursor, 3)[0]:
            found += page
            _, cursor = events_after(reading, cursor, 3)
    assert found == everything
    assert len(set(found)) == 7
