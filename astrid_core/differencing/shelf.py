"""The shelf of a survey's references: which can be meant for a science frame at all.

What belongs here: finding the few that are near among very many. What does not: which of
those serves, and why (``select``).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from astrid_core.differencing.select import F64, Corners, ReferenceInfo, ScienceInfo, directions


@dataclass(frozen=True)
class Shelf:
    """References by filter, with where they are on the sky.

    Looking for one frame's takes no look at each reference, and what is told of the others is
    how many they are: with a reference a frame, words on each would be frames squared.
    """

    references: Sequence[ReferenceInfo]

    def near(self, science: ScienceInfo) -> list[ReferenceInfo]:
        """Those of the frame's filter that are of its field, or may touch it."""
        own = self._compartments.get(science.filter_band)
        return [] if own is None else own.near(science)

    def told_of_others(self, science: ScienceInfo, n_near: int) -> list[dict[str, Any]]:
        """Why the others are not considered one by one, in the words of a choice."""
        own = self._compartments.get(science.filter_band)
        n_filter = 0 if own is None else len(own.references)
        counts = {
            "of another filter": len(self.references) - n_filter,
            "of other fields, not known to touch it": n_filter - n_near,
        }
        return [
            {"id": None, "verdict": "rejected", "reason": f"{n} {what}"}
            for what, n in counts.items()
            if n
        ]

    @cached_property
    def _compartments(self) -> Mapping[str, "_Compartment"]:
        by_filter: dict[str, list[ReferenceInfo]] = defaultdict(list)
        for reference in self.references:
            by_filter[reference.filter_band].append(reference)
        return {band: _Compartment(found) for band, found in by_filter.items()}


@dataclass(frozen=True)
class _Compartment:
    """References of one filter."""

    references: Sequence[ReferenceInfo]

    def near(self, science: ScienceInfo) -> list[ReferenceInfo]:
        numbers = set(self._of_field.get(science.field, ()))
        if science.footprint is not None:
            centre, reach = _circle(science.footprint)
            # Chords obey the triangle inequality: what touches is not farther than this.
            apart = np.linalg.norm(self._centres - centre, axis=1)
            numbers.update(np.flatnonzero(apart <= self._reaches + reach).tolist())
        return [self.references[number] for number in sorted(numbers)]

    @cached_property
    def _of_field(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for number, reference in enumerate(self.references):
            found[reference.field].append(number)
        return found

    @cached_property
    def _circles(self) -> Sequence[tuple[F64, float]]:
        return [
            (np.zeros(3), -np.inf) if one.footprint is None else _circle(one.footprint)
            for one in self.references
        ]

    @cached_property
    def _centres(self) -> F64:
        return np.array([centre for centre, _ in self._circles])

    @cached_property
    def _reaches(self) -> F64:
        return np.array([reach for _, reach in self._circles])


def _circle(corners: Corners) -> tuple[F64, float]:
    """Unit vector of a footprint's middle, and the chord from there to its farthest corner."""
    vectors = directions(corners)
    middle = vectors.mean(axis=0)
    middle /= max(float(np.linalg.norm(middle)), np.finfo(np.float64).tiny)
    return middle, float(np.linalg.norm(vectors - middle, axis=1).max())
