"""What an audit says: statements that should hold, and what contradicts each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EXAMPLES = 20
"""Findings of a statement that are told one by one; all are counted."""


@dataclass(frozen=True)
class Statement:
    """Something that should hold of all data.

    Attributes
    ----------
    name
        One word for it, for programs.
    holds
        The statement, as people read it.
    remedy
        What to do where it does not hold.
    is_note
        Where it does not hold, that is to be known and harms nothing.
    """

    name: str
    holds: str
    remedy: str
    is_note: bool = False


@dataclass(frozen=True)
class Checked:
    """A statement after a look.

    Attributes
    ----------
    n_seen
        Things looked at.
    n_found
        Things that contradict it.
    examples
        The first :data:`EXAMPLES` of them.
    n_bytes
        What they take up in the store, where that is known.
    """

    statement: Statement
    n_seen: int
    n_found: int
    examples: tuple[str, ...]
    n_bytes: int | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing contradicts it."""
        return self.n_found == 0

    @property
    def is_problem(self) -> bool:
        """Whether something is wrong."""
        return not self.holds and not self.statement.is_note

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.statement.name,
            "statement": self.statement.holds,
            "holds": self.holds,
            "is_problem": self.is_problem,
            "n_seen": self.n_seen,
            "n_found": self.n_found,
            "n_bytes": self.n_bytes,
            "examples": list(self.examples),
            "remedy": None if self.holds else self.statement.remedy,
        }


@dataclass(frozen=True)
class AuditReport:
    """Everything an audit looked at."""

    checks: tuple[Checked, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong; what is only to be known does not count."""
        return not self.problems

    @property
    def problems(self) -> tuple[Checked, ...]:
        """Statements that do not hold, notes aside."""
        return tuple(check for check in self.checks if check.is_problem)

    def __getitem__(self, name: str) -> Checked:
        """The statement of a name."""
        return self._by_name[name]

    @property
    def _by_name(self) -> Mapping[str, Checked]:
        return {check.statement.name: check for check in self.checks}

    def __add__(self, other: "AuditReport") -> "AuditReport":
        """Both together."""
        return AuditReport((*self.checks, *other.checks))

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"is_sound": self.is_sound, "checks": [check.to_json() for check in self.checks]}


def checked(
    statement: Statement, n_seen: int, contradictions: Iterable[str], n_bytes: int | None = None
) -> Checked:
    """Count what contradicts a statement, and keep the first of it."""
    examples: list[str] = []
    n_found = 0
    for contradiction in contradictions:
        n_found += 1
        if len(examples) < EXAMPLES:
            examples.append(contradiction)
    return Checked(statement, n_seen, n_found, tuple(examples), n_bytes)
