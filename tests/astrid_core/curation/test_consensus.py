"""The consensus as a function of events: cases, and properties of any history."""

import random
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.curation.consensus import (
    MEASURING,
    Consensus,
    VerdictEvent,
    consensus_of,
    standing,
)
from astrid_core.curation.taxonomy import CURRENT

EXPERTS = {UUID(int=n) for n in (1, 2)}
NOVICES = {UUID(int=n) for n in (3, 4, 5, 6)}


def events_of(*said: str) -> list[VerdictEvent]:
    """Events by "3 real" and the like; reviewers 1 and 2 are experts, "3 real/moving" has a
    subtype, "3 real@gold" a stratum, "undo 0" withdraws event 0."""
    events: list[VerdictEvent] = []
    for number, text in enumerate(said):
        who, _, what = text.partition(" ")
        if who == "undo":
            events.append(undo_of(events[int(what)], number))
            continue
        what, _, stratum = what.partition("@")
        verdict, _, subtype = what.partition("/")
        reviewer = UUID(int=int(who))
        events.append(
            VerdictEvent(
                id=UUID(int=1000 + number),
                number=number,
                reviewer_id=reviewer,
                is_expert=reviewer in EXPERTS,
                verdict=verdict,  # type: ignore[arg-type]
                subtype=subtype or None,
                stratum=stratum or None,
            )
        )
    return events


def undo_of(event: VerdictEvent, number: int) -> VerdictEvent:
    return replace(
        event,
        id=UUID(int=1000 + number),
        number=number,
        verdict="withdrawn",
        subtype=None,
        supersedes=event.id,
    )


@pytest.mark.parametrize(
    ("said", "label", "decided_by", "subtype"),
    [
        (["1 real"], "real", "expert", None),
        (["3 bogus", "4 bogus", "1 real/moving"], "real", "expert", "moving"),
        (["1 real", "2 bogus"], "disputed", None, None),
        (["1 real", "2 bogus", "3 real", "4 real"], "disputed", None, None),
        (["1 unsure", "3 real", "4 real"], "real", "agreement", None),
        (["3 real"], "pending", None, None),
        (["3 real", "4 unsure"], "pending", None, None),
        (["3 real", "4 bogus"], "disputed", None, None),
        (["3 real", "4 bogus", "5 bogus"], "bogus", "agreement", None),
        (["3 real", "4 bogus", "5 bogus", "6 real"], "disputed", None, None),
        (["3 real", "4 bogus", "1 bogus/noise"], "bogus", "expert", "noise"),
        (["3 unsure", "4 unsure", "1 unsure"], "unsure", None, None),
        (["3 real/moving", "4 real/variable"], "real", "agreement", None),
        (["3 real/moving", "4 real"], "real", "agreement", "moving"),
        (["3 real/moving", "4 real/moving", "5 bogus/noise"], "real", "agreement", "moving"),
        (["3 real", "3 bogus", "4 bogus"], "bogus", "agreement", None),
        (["3 real", "3 real"], "pending", None, None),
        (["3 real", "3 bogus", "undo 1", "4 real"], "real", "agreement", None),
        (["3 real", "4 real@gold"], "pending", None, None),
        (["3 real", "3 bogus@repeat", "4 real"], "real", "agreement", None),
    ],
)
def test_cases(said: list[str], label: str, decided_by: str | None, subtype: str | None) -> None:
    found = consensus_of(events_of(*said))
    assert found is not None
    assert (found.label, found.decided_by, found.subtype) == (label, decided_by, subtype)


@pytest.mark.parametrize("said", [[], ["3 real", "undo 0"], ["1 bogus@gold"]])
def test_without_a_verdict_that_counts_there_is_none(said: list[str]) -> None:
    assert consensus_of(events_of(*said)) is None


def test_whose_verdict_it_is_where_one_counts() -> None:
    events = events_of("3 real", "4 bogus", "undo 1", "5 bogus@repeat")
    assert consensus_of(events) == Consensus("pending", None, 1, None, UUID(int=3))
    assert consensus_of(events_of("3 real", "4 bogus")).sole_reviewer_id is None  # type: ignore[union-attr]


VERDICTS = st.sampled_from(
    [(v, s) for v, kinds in CURRENT.subtypes.items() for s in (None, *kinds)]
)


@st.composite
def histories(draw: st.DrawFn, reviewers: frozenset[UUID] = frozenset(EXPERTS | NOVICES)) -> list:
    """Verdicts and undos as they may follow each other: only what stands is withdrawn."""
    events: list[VerdictEvent] = []
    for number in range(draw(st.integers(0, 12))):
        if (stands := standing(events)) and draw(st.integers(0, 3)) == 0:
            events.append(undo_of(draw(st.sampled_from(stands)), number))
            continue
        reviewer = draw(st.sampled_from(sorted(reviewers)))
        verdict, subtype = draw(VERDICTS)
        stratum = draw(st.sampled_from([None, "uncertain", "random", "suspect", *MEASURING]))
        events.append(
            VerdictEvent(
                UUID(int=1000 + number), number, reviewer, reviewer in EXPERTS, verdict, subtype,
                stratum,
            )
        )  # fmt: skip
    return events


@given(events=histories(), seed=st.integers(0, 2**32))
def test_the_order_events_come_in_does_not_matter(events: list[VerdictEvent], seed: int) -> None:
    shuffled = random.Random(seed).sample(events, len(events))
    assert consensus_of(shuffled) == consensus_of(events)


@given(before=histories(), verdict=VERDICTS, reviewer=st.sampled_from(sorted(EXPERTS | NOVICES)))
def test_undo_restores_the_state_before_exactly(
    before: list[VerdictEvent], verdict: tuple, reviewer: UUID
) -> None:
    number = len(before)
    event = VerdictEvent(
        UUID(int=1000 + number), number, reviewer, reviewer in EXPERTS, *verdict
    )  # fmt: skip
    assert consensus_of([*before, event, undo_of(event, number + 1)]) == consensus_of(before)


@given(events=histories())
def test_unsure_is_never_a_vote(events: list[VerdictEvent]) -> None:
    """With every unsure reviewer left out, what is decided is decided the same."""
    counted = [e for e in standing(events) if e.stratum not in MEASURING]
    last = {event.reviewer_id: event for event in counted}
    voters = [event for event in last.values() if event.verdict != "unsure"]
    found, without = consensus_of(events), consensus_of(voters)
    if not voters:
        assert found is None or (found.label, found.decided_by) == ("unsure", None)
        return
    assert found is not None
    assert without is not None
    assert (found.label, found.subtype, found.decided_by) == (
        without.label,
        without.subtype,
        without.decided_by,
    )


@given(
    novices=histories(reviewers=frozenset(NOVICES)),
    verdict=st.sampled_from(["real", "bogus"]),
    position=st.integers(0, 12),
)
def test_one_expert_decides_whatever_others_say(
    novices: list[VerdictEvent], verdict: str, position: int
) -> None:
    expert = VerdictEvent(UUID(int=1), position, UUID(int=1), True, verdict)  # type: ignore[arg-type]
    found = consensus_of([*novices, expert])
    assert found is not None
    assert (found.label, found.decided_by) == (verdict, "expert")


@given(events=histories(reviewers=frozenset(NOVICES)))
def test_without_experts_two_must_agree_and_be_more(events: list[VerdictEvent]) -> None:
    last = {e.reviewer_id: e.verdict for e in standing(events) if e.stratum not in MEASURING}
    n_real, n_bogus = (list(last.values()).count(verdict) for verdict in ("real", "bogus"))
    found = consensus_of(events)
    is_decided = found is not None and found.decided_by == "agreement"
    assert is_decided == (max(n_real, n_bogus) >= 2 and n_real != n_bogus)
    if is_decided and found is not None:
        assert found.label == ("real" if n_real > n_bogus else "bogus")
