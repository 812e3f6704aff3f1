"""A plan of a folder survey: what would be processed, before anything is.

What belongs here: counting and suggesting, from file summaries. What does not: files.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astrid_core.surveys.config import SurveyConfig

if TYPE_CHECKING:
    from astrid_core.surveys.folder import FileSummary

_MAX_LISTED = 20


@dataclass(frozen=True)
class NightPlan:
    """Files of a night: counts by kind and, for science frames, by filter."""

    night: dt.date
    is_dated: bool
    kinds: Mapping[str, int]
    filters: Mapping[str, int]
    n_reference: int


@dataclass(frozen=True)
class ExcludedFile:
    """A file that will not become an observation, and why."""

    name: str
    why: str

    def describe(self) -> str:
        """Name and reason; most reasons begin with the name already."""
        base = self.name.rsplit("/", 1)[-1]
        return self.why if self.why.startswith(base) else f"{self.name}: {self.why}"


@dataclass(frozen=True)
class FolderPlan:
    """What a folder survey holds and which nights could be references.

    Attributes
    ----------
    reference_nights
        Suggested reference nights: for each field and filter with several nights, the one
        with most frames, the earliest of equals. Empty where the configuration or a
        reference folder decides, or where no night is separate.
    n_reference
        Science frames that the configuration already makes references.
    n_differenced
        Science frames that would find a reference of their field and filter.
    """

    survey: str
    root: str
    nights: tuple[NightPlan, ...]
    excluded: tuple[ExcludedFile, ...]
    reference_nights: tuple[dt.date, ...]
    n_reference: int
    n_differenced: int

    @property
    def has_reference(self) -> bool:
        """Whether any science frame would find a reference."""
        return self.n_differenced > 0

    def describe(self) -> str:
        """The plan as text for people."""
        lines = [f"Survey '{self.survey}': {self.root}"]
        for plan in self.nights:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(plan.kinds.items()))
            filters = ", ".join(f"{band}: {n}" for band, n in sorted(plan.filters.items()))
            undated = "" if plan.is_dated else "  (files without a usable date)"
            references = f"  {plan.n_reference} reference" if plan.n_reference else ""
            lines.append(f"  {plan.night}  {kinds}  [{filters}]{references}{undated}")
        if self.excluded:
            lines.append(f"  Excluded: {len(self.excluded)}")
            lines += [f"    {item.describe()}" for item in self.excluded[:_MAX_LISTED]]
            if len(self.excluded) > _MAX_LISTED:
                lines.append(f"    and {len(self.excluded) - _MAX_LISTED} more")
        return "\n".join([*lines, f"  {self._describe_references()}"])

    def _describe_references(self) -> str:
        if not self.has_reference:
            return (
                "No separate reference night: no field and filter has frames on two nights. "
                "Give a folder of reference frames with REFERENCE=<path>, or name frames of "
                "this folder in ASTRID_FOLDER_REFERENCE_FRAMES."
            )
        if self.n_reference:
            return f"References: {self.n_reference} configured; {self.n_differenced} to difference."
        nights = ", ".join(map(str, self.reference_nights))
        return f"Suggested reference nights: {nights}; {self.n_differenced} frames to difference."


def make_plan(
    config: SurveyConfig,
    summaries: Sequence["FileSummary"],
    fields: Mapping[str, str],
    partitions_start: dt.date | None,
) -> FolderPlan:
    """Plan of a folder survey from the summaries of its files.

    Parameters
    ----------
    fields
        Fields of pointings without a name, by file name.
    partitions_start
        First night that can be processed; None for no limit.
    """
    excluded = [
        ExcludedFile(summary.name, why)
        for summary in summaries
        if (why := _why_excluded(summary, partitions_start)) is not None
    ]
    names = {item.name for item in excluded}
    planned = [summary for summary in summaries if summary.name not in names]
    configured = {s.name for s in planned if config.is_reference(s.night, s.name)}
    suggested = () if configured else _suggest(planned, fields)
    folder = config.folder
    science = [summary for summary in planned if summary.kind == "science"]
    references = {s.name for s in science if s.name in configured or s.night in suggested}
    covered = {_group(s, fields) for s in science if s.name in references}
    return FolderPlan(
        survey=config.name,
        root=folder.root if folder else "",
        nights=tuple(
            _night_plan(night, planned, configured)
            for night in sorted({summary.night for summary in planned})
        ),
        excluded=tuple(excluded),
        reference_nights=suggested,
        n_reference=sum(summary.name in configured for summary in science),
        n_differenced=sum(
            s.name not in references and _group(s, fields) in covered for s in science
        ),
    )


def _why_excluded(summary: "FileSummary", partitions_start: dt.date | None) -> str | None:
    if summary.why_not is not None:
        return summary.why_not
    if partitions_start is not None and summary.night < partitions_start:
        return (
            f"its night {summary.night} is before partitions_start {partitions_start}; "
            "set ASTRID_PARTITIONS_START to an earlier date"
        )
    return None


def _night_plan(
    night: dt.date, planned: Sequence["FileSummary"], references: set[str]
) -> NightPlan:
    files = [summary for summary in planned if summary.night == night]
    science = [summary for summary in files if summary.kind == "science"]
    return NightPlan(
        night=night,
        is_dated=any(summary.is_dated for summary in files),
        kinds=Counter(summary.kind for summary in files),
        filters=Counter(summary.filter_band for summary in science),
        n_reference=sum(summary.name in references for summary in science),
    )


def _suggest(planned: Sequence["FileSummary"], fields: Mapping[str, str]) -> tuple[dt.date, ...]:
    """Night with most frames (the earliest of equals) of each group with several nights."""
    counts: dict[tuple[str, str], Counter[dt.date]] = {}
    for summary in planned:
        if summary.kind == "science":
            counts.setdefault(_group(summary, fields), Counter())[summary.night] += 1
    best = {
        min(nights, key=lambda night, n=nights: (-n[night], night))  # type: ignore[misc]
        for nights in counts.values()
        if len(nights) > 1
    }
    return tuple(sorted(best))


def _group(summary: "FileSummary", fields: Mapping[str, str]) -> tuple[str, str]:
    """Field and filter: what a reference belongs to."""
    field = summary.field or fields.get(summary.name) or "unknown"
    return field, summary.filter_band
