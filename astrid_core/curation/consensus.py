"""What verdicts on one detection add up to: a pure function of its events.

Of each reviewer the last standing verdict counts. One expert decides; without one, two who
agree decide, against fewer who do not; a tie is left to an expert. Who is unsure has not
voted, so that no number of unsure ones makes a negative. Verdicts on gold items and
repeats measure the reviewer and are not counted.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from astrid_core.curation.taxonomy import Verdict

Label = Literal["real", "bogus", "unsure", "pending", "disputed"]
Rule = Literal["expert", "agreement"]

AGREEMENT = 2
"""Verdicts alike that decide where no expert has spoken."""

MEASURING = frozenset({"gold", "repeat"})
"""Strata whose verdicts tell of the reviewer, not of the detection."""


@dataclass(frozen=True)
class VerdictEvent:
    """An event as far as the consensus is concerned.

    Attributes
    ----------
    number
        Order among the events of the detection.
    is_expert
        Whether the reviewer was an expert when they judged.
    verdict
        ``withdrawn`` takes the event ``supersedes`` back.
    stratum
        Why the queue put the detection before the reviewer; None where it did not.
    supersedes
        Event corrected or withdrawn.
    """

    id: UUID
    number: int
    reviewer_id: UUID
    is_expert: bool
    verdict: Verdict | Literal["withdrawn"]
    subtype: str | None = None
    stratum: str | None = None
    supersedes: UUID | None = None


@dataclass(frozen=True)
class Consensus:
    """What the verdicts add up to.

    Attributes
    ----------
    label
        ``real`` or ``bogus`` where it is decided; else ``unsure`` (nobody says either),
        ``pending`` (one verdict, which does not decide) or ``disputed`` (a tie).
    subtype
        Named by most of those who decided; None where they named none or are split.
    n_events
        Verdicts counted, unsure ones among them.
    decided_by
        Rule that decided; None while undecided.
    sole_reviewer_id
        Whose verdict it is where one alone counts.
    """

    label: Label
    subtype: str | None
    n_events: int
    decided_by: Rule | None
    sole_reviewer_id: UUID | None


def standing(events: Iterable[VerdictEvent]) -> list[VerdictEvent]:
    """Verdicts that were not withdrawn, in the order they were given."""
    events = list(events)
    withdrawn = {event.supersedes for event in events if event.verdict == "withdrawn"}
    return sorted(
        (e for e in events if e.verdict != "withdrawn" and e.id not in withdrawn),
        key=lambda event: event.number,
    )


def consensus_of(events: Iterable[VerdictEvent]) -> Consensus | None:
    """Consensus of the events of one detection, given in any order; None where none counts."""
    last = {e.reviewer_id: e for e in standing(events) if e.stratum not in MEASURING}
    counted = list(last.values())
    if not counted:
        return None
    decided_by, deciding = _decided(counted)
    return Consensus(
        label=_decided_label(deciding) if deciding else _undecided_label(counted),
        subtype=_most_named(deciding),
        n_events=len(counted),
        decided_by=decided_by,
        sole_reviewer_id=counted[0].reviewer_id if len(counted) == 1 else None,
    )


def _decided(counted: Sequence[VerdictEvent]) -> tuple[Rule | None, list[VerdictEvent]]:
    """The rule that decides and the verdicts that do; neither where nothing is decided."""
    experts = [event for event in counted if event.is_expert and event.verdict != "unsure"]
    rules: tuple[tuple[Rule, Sequence[VerdictEvent], int], ...] = (
        ("expert", experts, 1),
        ("agreement", [] if experts else counted, AGREEMENT),
    )
    for rule, voters, needed in rules:
        real = [event for event in voters if event.verdict == "real"]
        bogus = [event for event in voters if event.verdict == "bogus"]
        more = max(real, bogus, key=len)
        if len(real) != len(bogus) and len(more) >= needed:
            return rule, more
    return None, []


def _decided_label(deciding: Sequence[VerdictEvent]) -> Label:
    return "real" if deciding[0].verdict == "real" else "bogus"


def _undecided_label(counted: Sequence[VerdictEvent]) -> Label:
    votes = {event.verdict for event in counted} - {"unsure"}
    if not votes:
        return "unsure"
    return "pending" if len(votes) == 1 else "disputed"


def _most_named(deciding: Sequence[VerdictEvent]) -> str | None:
    named = Counter(event.subtype for event in deciding if event.subtype is not None)
    most = [name for name, count in named.items() if count == max(named.values())]
    return most[0] if len(most) == 1 else None
