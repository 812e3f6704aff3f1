"""Ranges of nights, as people write them.

What belongs here: the type. What does not: which night a file belongs to (``times``).
"""

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

_RANGE = re.compile(r"(\S+?)\s*\.\.\s*(\S+)")


class NightRange(BaseModel):
    """Nights from first to last, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: dt.date
    last: dt.date

    @model_validator(mode="after")
    def _is_ordered(self) -> "NightRange":
        if self.last < self.first:
            raise ValueError(f"nights end ({self.last}) before they begin ({self.first})")
        return self

    def holds(self, night: dt.date) -> bool:
        """Whether a night is among them."""
        return self.first <= night <= self.last


def _parse(given: Any) -> Any:
    """``2025-09-01`` and ``'2025-09-01..2025-09-03'`` are ranges too."""
    if isinstance(given, dt.date):
        return {"first": given, "last": given}
    if isinstance(given, str):
        match = _RANGE.fullmatch(given.strip())
        first, last = match.groups() if match else (given, given)
        return {"first": first.strip(), "last": last.strip()}
    return given


Nights = Annotated[NightRange, BeforeValidator(_parse)]
"""A range given as such, as a date or as 'first..last'."""
