"""What is run for a night, by the names that Dagster knows it by.

What belongs here: names of assets and partitions, and which nights may be asked for. What
does not: a definition; importing one takes seconds and the whole of the science.
"""

import datetime as dt
from typing import Literal, get_args

from astrid_core.surveys.config import SurveysFile
from astrid_stack.errors import NightsError

Work = Literal["ingest", "process"]
"""What can be asked for: take a night in, or take it from files to light curves."""

INGEST_ASSETS = ("raw_frames", "observations")
NIGHT_ASSETS = (
    *INGEST_ASSETS,
    "processed_frames",
    "preprocess_runs",
    "difference_images",
    "difference_runs",
    "cutouts",
    "candidates",
    "detections",
    "objects",
    "forced_photometry",
)
"""Everything of a night, as the job ``nightly`` makes it."""

ASSETS_OF: dict[Work, tuple[str, ...]] = dict(
    zip(get_args(Work), (INGEST_ASSETS, NIGHT_ASSETS), strict=True)
)
MAX_NIGHTS = 366
"""Nights of one backfill; each is a run."""


def night_key(survey: str, night: dt.date) -> str:
    """Dagster's key of a survey's night."""
    return f"{night.isoformat()}|{survey}"


def keys_between(
    surveys: SurveysFile, survey: str, first: dt.date, last: dt.date, today: dt.date
) -> list[str]:
    """Dagster's keys of a survey's nights from first to last, both included.

    Parameters
    ----------
    today
        Date in UTC: the last night that is a partition.

    Raises
    ------
    NightsError
        If there is no such survey, or no partition of some of the nights, or too many.
    """
    if survey not in surveys.surveys:
        raise NightsError(
            f"There is no survey {survey!r}.",
            remedy=f"Take one of {', '.join(sorted(surveys.surveys))}, or add it to surveys.yaml.",
        )
    if last < first:
        raise NightsError(
            f"The nights end ({last}) before they begin ({first}).",
            remedy="Give the earlier night as the first.",
        )
    if first < surveys.partitions_start:
        raise NightsError(
            f"The night {first} is before the first partition, {surveys.partitions_start}.",
            remedy=f"Begin with {surveys.partitions_start}, or set an earlier partitions_start in "
            "surveys.yaml.",
        )
    if last > today:
        raise NightsError(
            f"The night {last} has not come yet.", remedy=f"End with {today} (UTC) at the latest."
        )
    n_nights = (last - first).days + 1
    if n_nights > MAX_NIGHTS:
        raise NightsError(
            f"{n_nights} nights are more than the {MAX_NIGHTS} that may be asked for at once.",
            remedy="Ask several times.",
        )
    return [night_key(survey, first + dt.timedelta(days=day)) for day in range(n_nights)]
