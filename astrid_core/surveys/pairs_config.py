"""Which two observations of a transient make a pair.

What belongs here: options of the key ``pairs`` of a survey. What does not: the search
(``pairs``).
"""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PairsConfig(BaseModel):
    """Dates and places of the observations before and after a transient's discovery."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before_days: tuple[float, float] = Field(
        default=(30.0, 1500.0),
        description="How long before its discovery, least and most: what is discovered today may "
        "have been there yesterday.",
    )
    after_days: tuple[float, float] = Field(
        default=(0.0, 30.0), description="How long after its discovery, least and most."
    )
    min_overlap: float = Field(
        default=0.5, gt=0, le=1, description="Share of the later image that the earlier covers."
    )
    margin_arcsec: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Sky around the transient that both images must hold.",
    )
    per_transient: int = Field(
        default=1, ge=1, le=50, description="Best pairs of a transient that are taken."
    )

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> Self:
        for name in ("before_days", "after_days"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"'{name}' is [least, most], both 0 or more")
        return self
