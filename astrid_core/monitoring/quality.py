"""Quality of a night, frame by frame: what is measured, what is in range, what is not."""

import datetime as dt
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from astrid_core.differencing.config import DifferenceLimits
from astrid_core.preprocessing.config import QualityLimits

Row = Mapping[str, Any]

IDENTIFYING = ("archive_id", "filter_band", "observation_time")
"""Columns of the observation that a record tells."""
FRAME_MEASURES = ("fwhm_pix", "ellipticity", "sky", "zero_point_mag", "depth_mag", "depth_flux")
"""Columns of ``preprocess_runs``."""
DIFFERENCE_MEASURES = ("registration_rms_pix", "scorr_sigma_blank", "scorr_sigma_sources")
"""Columns of ``difference_runs``."""
SEARCH_MEASURES = ("candidates_per_mpix",)
"""Columns of ``extraction_runs``."""


class NightQualityConfig(BaseModel):
    """Ranges of quality that the stages' own limits do not give.

    Sky, zero point and depth have no range of their own: they are compared with the night's
    median in the same filter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_sky_factor: float = Field(
        default=3.0, gt=1, le=100, description="Sky over or under its median by this: moon, cloud."
    )
    max_zero_point_shift_mag: float = Field(
        default=0.3, gt=0, le=5, description="Zero point off its median by this: cloud, dew."
    )
    max_depth_loss_mag: float = Field(
        default=0.5, gt=0, le=5, description="Depth worse than its median by this."
    )
    scorr_sigma_sources: tuple[float, float] = Field(
        default=(0.7, 1.6), description="Range of σ(S_corr) on sources, harder than blank sky."
    )
    max_candidates_per_mpix: float = Field(
        default=500.0, gt=0, le=1e6, description="More is a storm of artefacts, not a night."
    )


@dataclass(frozen=True)
class FrameRecord:
    """What is known about the quality of one frame.

    Attributes
    ----------
    time
        UTC of mid-exposure; None where the archive does not say.
    status
        ``completed``, ``degraded`` or the first that is worse of its stages.
    values
        Measure → value; a measure that was not made is missing.
    """

    name: str
    filter_band: str
    time: dt.datetime | None
    status: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Band:
    """Acceptable range; None is no limit on that side."""

    low: float | None = None
    high: float | None = None

    def contains(self, value: float) -> bool:
        """Whether a value is acceptable."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Excursion:
    """A value out of its range."""

    name: str
    measure: str
    value: float
    band: Band


Bands = Mapping[tuple[str, str], Band]
"""(measure, filter) → acceptable range."""

_WORST_FIRST = ("failed", "no_reference", "degraded", "completed")


def frame_records(
    preprocess_runs: Sequence[Row],
    difference_runs: Sequence[Row] = (),
    extraction_runs: Sequence[Row] = (),
) -> list[FrameRecord]:
    """A record per frame of a night, in order of time.

    Parameters
    ----------
    preprocess_runs
        Rows with their observation's columns, failed ones among them.
    difference_runs, extraction_runs
        Rows of the later stages as far as they got.
    """
    differences = {run["observation_id"]: run for run in difference_runs}
    searches = {run["difference_run_id"]: run for run in extraction_runs}
    records = []
    for run in preprocess_runs:
        stages: list[tuple[Row, tuple[str, ...]]] = [(run, FRAME_MEASURES)]
        difference = differences.get(run["observation_id"])
        if difference is not None:
            stages.append((difference, DIFFERENCE_MEASURES))
            search = searches.get(difference["run_id"])
            stages += [] if search is None else [(search, SEARCH_MEASURES)]
        statuses = {row["status"] for row, _ in stages}
        records.append(
            FrameRecord(
                name=run["archive_id"],
                filter_band=run["filter_band"],
                time=run["observation_time"],
                status=next(status for status in _WORST_FIRST if status in statuses),
                values={
                    name: float(row[name])
                    for row, names in stages
                    for name in names
                    if row.get(name) is not None and math.isfinite(row[name])
                },
            )
        )
    return sorted(records, key=lambda one: ("" if one.time is None else str(one.time), one.name))


def acceptable_bands(
    records: Sequence[FrameRecord],
    frame_limits: QualityLimits,
    difference_limits: DifferenceLimits,
    config: NightQualityConfig,
) -> dict[tuple[str, str], Band]:
    """Acceptable range of each measure in each filter of a night."""
    fixed = {
        "fwhm_pix": Band(frame_limits.min_fwhm_pix, frame_limits.max_fwhm_pix),
        "ellipticity": Band(None, frame_limits.max_ellipticity),
        "registration_rms_pix": Band(None, difference_limits.max_registration_rms_pix),
        "scorr_sigma_blank": Band(*difference_limits.scorr_sigma),
        "scorr_sigma_sources": Band(*config.scorr_sigma_sources),
        "candidates_per_mpix": Band(None, config.max_candidates_per_mpix),
    }
    by_filter: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        for measure, value in record.values.items():
            by_filter[measure, record.filter_band].append(value)
    bands = {}
    for (measure, filter_band), values in by_filter.items():
        band = fixed.get(measure) or _around(measure, statistics.median(values), config)
        if band is not None:
            bands[measure, filter_band] = band
    return bands


def excursions(
    records: Sequence[FrameRecord], bands: Bands, measures: Sequence[str]
) -> list[Excursion]:
    """Values of some measures that are out of their range, in order of time."""
    found = []
    for record in records:
        for measure in measures:
            value, band = record.values.get(measure), bands.get((measure, record.filter_band))
            if value is not None and band is not None and not band.contains(value):
                found.append(Excursion(record.name, measure, value, band))
    return found


def _around(measure: str, median: float, config: NightQualityConfig) -> Band | None:
    """Range about a night's median; None for a measure that has none."""
    if measure == "sky" and median > 0:
        return Band(median / config.max_sky_factor, median * config.max_sky_factor)
    if measure == "zero_point_mag":
        shift = config.max_zero_point_shift_mag
        return Band(median - shift, median + shift)
    if measure == "depth_mag":
        return Band(median - config.max_depth_loss_mag, None)
    if measure == "depth_flux":
        return Band(None, median * 10 ** (0.4 * config.max_depth_loss_mag))
    return None
