"""What statistics say of reviewers whose verdicts are known."""

import datetime as dt

import pytest
from sqlalchemy import Connection, func, select

from astrid_core.curation.access import KnownUser
from astrid_core.curation.events import undo_verdict
from astrid_core.curation.measuring import declare_gold, declare_repeat
from astrid_core.curation.queue import next_items
from astrid_core.curation.reviewers import Fraction, ReviewerStatistics, reviewer_statistics
from astrid_core.curation.strata import QueueConfig
from astrid_core.monitoring.intervals import wilson_interval
from tests import review

GOLD = QueueConfig(uncertain=0, random=0, gold=1, suspect=0)


def statistics(connection: Connection, by: KnownUser) -> ReviewerStatistics:
    return next(one for one in reviewer_statistics(connection) if one.reviewer_id == by.id)


def test_counts_speed_and_what_was_taken_back(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.5] * 5)
    by = review.reviewer(connection)
    for detection, verdict, seconds in zip(
        ids, ("real", "bogus", "bogus", "unsure", "real"), (1.0, 2.0, 9.0, 4.0, 3.0), strict=True
    ):
        last = review.judge(connection, by, detection, verdict, time_taken_s=seconds)
    review.judge(connection, by, ids[0], "bogus", time_taken_s=1.0)
    undo_verdict(connection, by, last.event_id, "undo")
    found = statistics(connection, by)
    assert (found.n_real, found.n_bogus, found.n_unsure, found.n_withdrawn) == (0, 3, 1, 1)
    assert found.median_time_s == pytest.approx(3.0)
    assert found.name == by.name
    later = connection.scalar(select(func.now())) + dt.timedelta(seconds=1)  # type: ignore[operator]
    assert reviewer_statistics(connection, since=later) == []
    other = review.reviewer(connection)
    review.judge(connection, other, ids[0], "real")
    assert reviewer_statistics(connection, reviewer_id=by.id) == [statistics(connection, by)]
    assert len(reviewer_statistics(connection)) == 2


def test_agreement_is_with_decided_labels_that_others_have_a_part_in(
    connection: Connection,
) -> None:
    ids = review.store_detections(connection, [0.5] * 5)
    by, other, expert = (
        review.reviewer(connection),
        review.reviewer(connection),
        review.expert(connection),
    )
    for detection, mine in zip(ids, ("real", "real", "bogus", "unsure", "real"), strict=True):
        review.judge(connection, by, detection, mine)
    review.judge(connection, other, ids[0], "real")
    review.judge(connection, other, ids[1], "bogus")
    review.judge(connection, expert, ids[1], "bogus")
    review.judge(connection, expert, ids[2], "bogus")
    review.judge(connection, expert, ids[3], "bogus")
    # ids[4] has one verdict: there is nothing to agree with.
    assert statistics(connection, by).agreement == Fraction(2, 3)
    assert statistics(connection, other).agreement == Fraction(2, 2)


def test_gold_is_counted_apart_with_its_interval(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.9] * 10)
    expert, by = review.expert(connection), review.reviewer(connection)
    for i, detection in enumerate(ids):
        declare_gold(connection, expert, detection, "real" if i % 2 else "bogus")
    wrong, unsure = set(ids[:3]), ids[3]
    for item in next_items(connection, by, 10, GOLD):
        truth = "real" if ids.index(item.detection_id) % 2 else "bogus"
        lie = "bogus" if truth == "real" else "real"
        verdict = lie if item.detection_id in wrong else truth
        verdict = "unsure" if item.detection_id == unsure else verdict
        review.judge(connection, by, item.detection_id, verdict, lease_id=item.lease_id)
    found = statistics(connection, by)
    assert found.gold == Fraction(6, 9)
    assert found.gold.interval == wilson_interval(6, 9)
    assert (found.n_real, found.n_bogus, found.n_unsure) == (0, 0, 0)
    assert found.agreement == Fraction(0, 0)


def test_repeats_are_compared_with_the_first_time(connection: Connection) -> None:
    ids = review.store_detections(connection, [0.5] * 4)
    by, operator = review.reviewer(connection), review.reviewer(connection, "operator")
    first = dict(zip(ids, ("real", "real", "bogus", "unsure"), strict=True))
    for detection, verdict in first.items():
        review.judge(connection, by, detection, verdict)
        declare_repeat(connection, operator, detection, by.id)
    items = next_items(connection, by, 10, QueueConfig())
    assert {item.detection_id for item in items} == set(ids)
    for item in items:
        again = "bogus" if item.detection_id == ids[0] else "real"
        again = "bogus" if item.detection_id == ids[2] else again
        review.judge(connection, by, item.detection_id, again, lease_id=item.lease_id)
    found = statistics(connection, by)
    assert found.repeats == Fraction(2, 3)
    assert (found.n_real, found.n_bogus, found.n_unsure) == (2, 1, 1)


def test_without_verdicts_there_is_nobody(connection: Connection) -> None:
    review.reviewer(connection)
    assert reviewer_statistics(connection) == []
