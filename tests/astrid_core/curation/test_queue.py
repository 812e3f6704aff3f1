"""The review queue on a real server: who is shown what, how often, and never twice."""

import datetime as dt
import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binom
from sqlalchemy import Connection, Engine, func, select, update

from astrid_core.curation.access import KnownUser
from astrid_core.curation.events import undo_verdict
from astrid_core.curation.measuring import declare_gold, declare_repeat, retire_gold
from astrid_core.curation.queue import LeasedItem, give_back, next_items
from astrid_core.curation.strata import QueueConfig
from astrid_core.errors import NoSuchItemError, NotAllowedError, VerdictError
from dbschema.models import Detection, DetectionConsensus, ModelRun, ReviewLease
from tests import review

CONFIG = QueueConfig()


def only(stratum: str, **changes: Any) -> QueueConfig:
    """A queue of one stratum."""
    shares = dict.fromkeys(("uncertain", "random", "gold", "suspect"), 0.0) | {stratum: 1.0}
    return QueueConfig(**shares, **changes)


def shown(items: list[LeasedItem]) -> list[UUID]:
    return [item.detection_id for item in items]


def ask(
    connection: Connection, by: KnownUser, n: int = 1, config: QueueConfig = CONFIG
) -> list[UUID]:
    return shown(next_items(connection, by, n, config))


def review_all(
    connection: Connection, by: KnownUser, config: QueueConfig = CONFIG, verdict: str = "unsure"
) -> list[UUID]:
    """Judge whatever the queue has, one at a time; what was shown, in that order."""
    seen = []
    while items := next_items(connection, by, 1, config):
        (item,) = items
        review.judge(connection, by, item.detection_id, verdict, lease_id=item.lease_id)
        seen.append(item.detection_id)
        assert len(seen) < 1000
    return seen


def strata(connection: Connection) -> Counter[str]:
    return Counter(connection.scalars(select(ReviewLease.stratum)))


def run_out(connection: Connection) -> None:
    """Let every lease run out."""
    connection.execute(update(ReviewLease).values(expires_at=func.now() - dt.timedelta(seconds=1)))


# --- what is shown ------------------------------------------------------------------------


def test_the_least_certain_come_first(connection: Connection) -> None:
    scores = [0.9, 0.1, 0.52, 0.45, 0.99, 0.7]
    ids = review.store_detections(connection, scores)
    by = review.reviewer(connection)
    expected = [ids[i] for i in sorted(range(6), key=lambda i: abs(scores[i] - 0.5))]
    assert review_all(connection, by, only("uncertain")) == expected


def test_only_what_is_active_current_and_good_is_shown(connection: Connection) -> None:
    review.store_detections(connection, [0.5], number=0, status="degraded")
    old = review.store_detections(connection, [0.5], number=1)
    new = review.store_detections(connection, [0.5], number=1, version="2")
    connection.execute(
        update(ModelRun)
        .where(ModelRun.run_id == select(Detection.model_run_id).where(Detection.id == new[0])
               .scalar_subquery())
        .values(selected_at=func.now() + dt.timedelta(hours=1))
    )  # fmt: skip
    superseded, active, decided = review.store_detections(connection, [0.5] * 3, number=2)
    connection.execute(
        update(Detection).where(Detection.id == superseded).values(status="superseded")
    )
    review.judge(connection, review.expert(connection), decided)
    review.store_detections(connection, [0.5], number=3, is_injected=True)
    for config in (CONFIG, only("random")):
        by = review.reviewer(connection)
        assert set(ask(connection, by, 50, config)) == {new[0], active}
        run_out(connection)
    assert old[0] not in ask(connection, by, 50)


def test_degraded_frames_are_shown_where_asked_for(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.5], status="degraded")
    by = review.reviewer(connection)
    assert ask(connection, by) == []
    assert ask(connection, by, config=QueueConfig(include_degraded=True)) == ids


def test_nothing_is_shown_twice_to_a_reviewer(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.3 + i / 50 for i in range(20)])
    one = review.reviewer(connection)
    seen = review_all(connection, one, verdict="real")
    assert sorted(seen) == sorted(ids)
    # Another reviewer agrees with the first on all, and then everything is decided.
    other = review.reviewer(connection)
    assert sorted(review_all(connection, other, verdict="real")) == sorted(ids)
    assert ask(connection, review.reviewer(connection), 50) == []


def test_what_was_withdrawn_was_shown_nevertheless(connection: Connection) -> None:
    review.store_detections(connection, [0.5])
    by = review.reviewer(connection)
    (item,) = next_items(connection, by, 1, CONFIG)
    recorded = review.judge(connection, by, item.detection_id, lease_id=item.lease_id)
    undo_verdict(connection, by, recorded.event_id, "undo")
    assert ask(connection, by) == []
    assert ask(connection, review.reviewer(connection)) == [item.detection_id]


def test_second_opinions_come_first_and_ties_go_to_experts(connection: Connection) -> None:
    waiting, tied, _ = review.store_detections(connection, [0.9, 0.9, 0.5])
    one, two, three = (review.reviewer(connection) for _ in range(3))
    review.judge(connection, one, waiting, "real")
    review.judge(connection, one, tied, "real")
    review.judge(connection, two, tied, "bogus")
    assert ask(connection, three, 1, only("uncertain")) == [waiting]
    assert tied not in ask(connection, three, 10)
    assert waiting not in ask(connection, one, 10)
    run_out(connection)
    expert = review.expert(connection)
    assert review_all(connection, expert, only("uncertain"))[:2] == [tied, waiting]


def test_what_nobody_is_sure_of_is_left_to_experts(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    for _ in range(CONFIG.max_verdicts):
        assert review_all(connection, review.reviewer(connection)) == [detection]
    assert review_all(connection, review.reviewer(connection)) == []
    assert review_all(connection, review.expert(connection)) == [detection]


def test_the_random_stratum_is_a_sample_whatever_the_confidence(connection: Connection) -> None:
    """One fixed order from a point that the seed names, the same for every reviewer."""
    ids = review.store_detections(connection, [i / 200 for i in range(200)])
    by_id = sorted(ids)
    samples = []
    for seed in range(3):
        for _ in range(2):
            by = review.reviewer(connection)
            samples.append(ask(connection, by, 50, only("random", seed=seed)))
            run_out(connection)
        assert set(samples[-1]) == set(samples[-2])
        # Neighbours in the order of ids, which is cyclic: one gap at most.
        places = sorted(by_id.index(one) for one in samples[-1])
        gaps = sum(right - left > 1 for left, right in itertools.pairwise(places))
        assert gaps == 0 or (gaps == 1 and (places[0], places[-1]) == (0, 199))
        # Ranks in confidence: 50 of 200 drawn at random have mean 99.5 with σ 7.1.
        assert abs(np.mean([ids.index(one) for one in samples[-1]]) - 99.5) < 4 * 7.1
    assert len({frozenset(sample) for sample in samples}) == 3


def test_gold_is_shown_to_each_but_to_who_declared_it(connection: Connection) -> None:
    gold = review.store_detections(connection, [0.99] * 8)
    review.store_detections(connection, [0.5] * 5, number=1)
    expert, operator = review.expert(connection), review.reviewer(connection, "operator")
    for detection in gold:
        declare_gold(connection, expert, detection, "real")
    retire_gold(connection, operator, gold[0])
    config = only("gold")
    for by in (review.reviewer(connection), review.reviewer(connection)):
        held = next_items(connection, by, 7, config)
        assert set(shown(held)) == set(gold[1:])
        for item in held:
            review.judge(connection, by, item.detection_id, lease_id=item.lease_id)
    query = select(Detection.n_verdicts, Detection.is_validated).where(Detection.id.in_(gold))
    assert {tuple(row) for row in connection.execute(query)} == {(0, False)}
    assert not set(ask(connection, expert, 1, config)) & set(gold)


def test_suspects_are_labels_that_the_model_contradicts(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.05, 0.95, 0.02, 0.97, 0.4])
    expert = review.expert(connection)
    for detection, verdict in zip(ids, ("real", "bogus", "bogus", "real", "real"), strict=True):
        review.judge(connection, expert, detection, verdict)
    config = only("suspect")
    assert ask(connection, expert, 10, config) == []
    # What an expert decided nobody but an expert can change.
    assert ask(connection, review.reviewer(connection), 10, config) == []
    assert set(ask(connection, review.expert(connection), 10, config)) == set(ids[:2])
    assert strata(connection) == {"suspect": 2}


def test_suspects_by_agreement_are_shown_to_reviewers(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.95])
    for _ in range(2):
        review.judge(connection, review.reviewer(connection), detection, "bogus")
    assert review_all(connection, review.reviewer(connection), only("suspect")) == [detection]


def test_declared_repeats_are_shown_again_when_due(connection: Connection) -> None:
    now, later = review.store_detections(connection, [0.5, 0.6])
    by, operator = review.reviewer(connection), review.reviewer(connection, "operator")
    with pytest.raises(NoSuchItemError, match="has not judged"):
        declare_repeat(connection, operator, now, by.id)
    review_all(connection, by, verdict="real")
    declare_repeat(connection, operator, now, by.id)
    declare_repeat(connection, operator, later, by.id, dt.timedelta(days=1))
    assert review_all(connection, by, verdict="bogus") == [now]
    assert ask(connection, by, 10) == []
    query = select(Detection.n_verdicts).where(Detection.id == now)
    assert connection.scalar(query) == 1
    # Within this one transaction both have waited equally long: which is first would be chance.
    connection.execute(
        update(DetectionConsensus)
        .where(DetectionConsensus.detection_id == later)
        .values(updated_at=func.now() + dt.timedelta(seconds=1))
    )
    # It did not correct the first verdict, which waits for another's.
    assert review_all(connection, review.reviewer(connection), verdict="real") == [now, later]
    assert connection.scalar(select(Detection.is_validated).where(Detection.id == now))


def test_who_may_declare_what(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    by, expert = review.reviewer(connection), review.expert(connection)
    with pytest.raises(NotAllowedError):
        declare_gold(connection, by, detection, "real")
    with pytest.raises(NotAllowedError):
        declare_repeat(connection, expert, detection, by.id)
    with pytest.raises(NotAllowedError):
        retire_gold(connection, expert, detection)
    with pytest.raises(VerdictError, match="known"):
        declare_gold(connection, expert, detection, "unsure")
    with pytest.raises(NoSuchItemError):
        declare_gold(connection, expert, uuid4(), "real")
    with pytest.raises(NoSuchItemError):
        retire_gold(connection, review.reviewer(connection, "operator"), detection)
    with pytest.raises(NotAllowedError):
        next_items(connection, review.reviewer(connection, "viewer"), 1, CONFIG)


# --- shares -------------------------------------------------------------------------------


@given(
    weights=st.tuples(*[st.integers(0, 20)] * 4).filter(any),
    seed=st.integers(0, 2**63),
    reviewer=st.uuids(),
)
def test_strata_are_drawn_by_their_shares(
    weights: tuple[int, ...], seed: int, reviewer: UUID
) -> None:
    names = ("uncertain", "random", "gold", "suspect")
    shares = {name: w / sum(weights) for name, w in zip(names, weights, strict=True)}
    config = QueueConfig(**shares, seed=seed)
    n = 400
    drawn = Counter(config.draw(reviewer, ordinal) for ordinal in range(n))
    assert drawn == Counter(config.draw(reviewer, ordinal) for ordinal in range(n))
    for name, share in shares.items():
        low, high = binom.ppf([1e-9, 1 - 1e-9], n, share)
        assert low <= drawn[name] <= high


def test_shares_of_what_is_shown(connection: Connection) -> None:
    ids = review.store_detections(connection, [i / 400 for i in range(400)])
    expert = review.expert(connection)
    for detection in ids[:60]:
        declare_gold(connection, expert, detection, "real")
    for detection in ids[350:]:
        review.judge(connection, expert, detection, "bogus")
    for _ in range(2):
        next_items(connection, review.expert(connection), 100, CONFIG)
    found = strata(connection)
    assert found.total() == 200
    for name, share in {"uncertain": 0.6, "random": 0.2, "gold": 0.1, "suspect": 0.1}.items():
        low, high = binom.ppf([1e-6, 1 - 1e-6], 200, share)
        assert low <= found[name] <= high, name


def test_where_a_stratum_is_empty_others_fill_in(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.5] * 5)
    by = review.reviewer(connection)
    assert set(ask(connection, by, 5, only("gold"))) == set(ids)
    assert strata(connection) == {"uncertain": 5}


@pytest.mark.parametrize(
    "wrong",
    [{"uncertain": 0.7}, {"gold": -0.1, "uncertain": 0.8}, {"lease_s": 0}, {"colour": 1}],
)
def test_a_wrong_configuration_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QueueConfig(**wrong)


# --- leases -------------------------------------------------------------------------------


def test_asking_again_gives_the_same_and_fills_up(connection: Connection) -> None:
    review.store_detections(connection, [0.5] * 10)
    by = review.reviewer(connection)
    first = next_items(connection, by, 3, CONFIG)
    assert {i.lease_id for i in next_items(connection, by, 3, CONFIG)} == {
        i.lease_id for i in first
    }
    review.judge(connection, by, first[0].detection_id, lease_id=first[0].lease_id)
    more = next_items(connection, by, 4, CONFIG)
    assert len(more) == 4
    assert {i.lease_id for i in more} > {i.lease_id for i in first[1:]}
    with pytest.raises(ValueError, match="from 1 to 100"):
        next_items(connection, by, 101, CONFIG)


def test_a_lease_runs_out_and_others_get_the_item(engine: Engine) -> None:
    with engine.begin() as connection:
        ids = review.store_detections(connection, [0.5])
        one, other = review.reviewer(connection), review.reviewer(connection)
        (item,) = next_items(connection, one, 1, QueueConfig(lease_s=1))
    with engine.begin() as connection:
        assert ask(connection, other) == []
        connection.execute(select(func.pg_sleep(1.1)))
    with engine.begin() as connection:
        assert ask(connection, other) == ids
        assert ask(connection, one) == []
        # Who answers late has judged nevertheless, for the reason it was shown for.
        recorded = review.judge(connection, one, item.detection_id, lease_id=item.lease_id)
        assert recorded.is_new
        assert ask(connection, other) == ids


def test_a_lease_that_ran_out_keeps_its_reason(connection: Connection) -> None:
    (detection,) = review.store_detections(connection, [0.5])
    declare_gold(connection, review.expert(connection), detection, "real")
    one, other = review.reviewer(connection), review.reviewer(connection)
    (item,) = next_items(connection, one, 1, only("gold"))
    run_out(connection)
    assert ask(connection, other, 1, only("uncertain")) == [detection]
    assert strata(connection) == {"gold": 1, "uncertain": 1}
    review.judge(connection, one, detection, lease_id=item.lease_id)
    assert connection.scalar(select(Detection.n_verdicts)) == 0


def test_what_is_given_back_others_get_at_once(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.5])
    one, other = review.reviewer(connection), review.reviewer(connection)
    (item,) = next_items(connection, one, 1, CONFIG)
    assert give_back(connection, other, [item.lease_id]) == 0
    assert give_back(connection, one, [item.lease_id]) == 1
    assert give_back(connection, one, [item.lease_id]) == 0
    assert ask(connection, other) == ids


@pytest.mark.parametrize("config", [only("uncertain"), only("random"), only("gold"), CONFIG])
def test_two_at_once_never_get_one_item(engine: Engine, config: QueueConfig) -> None:
    """Eight reviewers ask at the same moment, again and again, until nothing is left."""
    with engine.begin() as connection:
        ids = review.store_detections(connection, [i / 120 for i in range(120)])
        expert = review.expert(connection)
        for detection in ids[:60]:
            declare_gold(connection, expert, detection, "real")
        people = [review.reviewer(connection) for _ in range(8)]
    barrier = threading.Barrier(len(people))

    def take(by: KnownUser) -> list[UUID]:
        taken: list[UUID] = []
        for n in range(3, 30, 3):
            barrier.wait(timeout=60)
            with engine.begin() as connection:
                taken = ask(connection, by, n, config)
        return taken

    with ThreadPoolExecutor(len(people)) as pool:
        taken = [one for found in pool.map(take, people) for one in found]
    assert len(taken) == len(set(taken)) == 120


def test_a_reviewer_asking_twice_at_once_holds_no_more_than_asked(engine: Engine) -> None:
    with engine.begin() as connection:
        review.store_detections(connection, [0.5] * 40)
        by = review.reviewer(connection)
    barrier = threading.Barrier(4)

    def take(_: int) -> frozenset[UUID]:
        barrier.wait(timeout=60)
        with engine.begin() as connection:
            return frozenset(ask(connection, by, 5))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(take, range(4)))) == 1


def test_an_item_being_judged_is_passed_over(engine: Engine) -> None:
    with engine.begin() as connection:
        first, second = review.store_detections(connection, [0.5, 0.6])
        one, other = review.reviewer(connection), review.reviewer(connection)
    with engine.begin() as judging:
        review.judge(judging, one, first)
        with engine.begin() as connection:
            assert ask(connection, other) == [second]
