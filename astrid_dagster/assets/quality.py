"""A night's quality in the UI: checks that warn of what is out of range, and the page.

What belongs here: what the imaging assets say about quality beside their run rows. What
does not: ranges and drawing, which are the core's.
"""

import html
from collections.abc import Sequence

import dagster as dg

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.monitoring.quality import (
    Bands,
    Excursion,
    FrameRecord,
    NightQualityConfig,
    acceptable_bands,
    excursions,
)
from astrid_core.monitoring.quality_plot import quality_png
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_dagster.assets.night import inline_picture
from astrid_dagster.partitions import SurveyNight

_TABLE_ROWS_MOST = 50


def quality_spec(name: str, asset: str, description: str) -> dg.AssetCheckSpec:
    """The check :func:`quality_check` reports; it never blocks."""
    return dg.AssetCheckSpec(name, asset=asset, description=description)


def quality_check(
    name: str,
    asset: str,
    part: SurveyNight,
    records: Sequence[FrameRecord],
    measures: Sequence[str],
) -> dg.AssetCheckResult:
    """Warn of every value of some measures that is out of its range."""
    found = excursions(records, _bands(part, records), measures)
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=asset,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=_summary(found),
        metadata={"n_out_of_range": len(found)}
        | ({"out of range": _table(found)} if found else {}),
    )


def quality_page(part: SurveyNight, records: Sequence[FrameRecord]) -> dict[str, object]:
    """The page as metadata; nothing for a night without frames."""
    if not records:
        return {}
    title = f"Night quality · {part.survey.name} · {part.night}"
    drawn = quality_png(title, records, _bands(part, records))
    return {"night quality": inline_picture("quality over the night", drawn)}


def _summary(found: Sequence[Excursion]) -> str:
    if not found:
        return "every value in range"
    worst = ", ".join(f"{one.name}: {one.measure} {one.value:.4g}" for one in found[:3])
    return f"{len(found)} out of range: {worst}" + (" …" if len(found) > 3 else "")


def _table(found: Sequence[Excursion]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "frame": html.escape(one.name),
                    "measure": one.measure,
                    "value": f"{one.value:.4g}",
                    "at least": _text(one.band.low),
                    "at most": _text(one.band.high),
                }
            )
            for one in found[:_TABLE_ROWS_MOST]
        ]
    )


def _bands(part: SurveyNight, records: Sequence[FrameRecord]) -> Bands:
    survey = part.survey
    return acceptable_bands(
        records,
        PreprocessConfig(**survey.preprocessing).quality,
        DifferenceConfig(**survey.differencing).limits,
        NightQualityConfig(**survey.quality),
    )


def _text(end: float | None) -> str:
    return "" if end is None else f"{end:.4g}"
