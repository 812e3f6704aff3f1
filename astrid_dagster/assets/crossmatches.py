"""crossmatches: what Gaia, VSX and SkyBoT know of the places where objects were detected."""

import datetime as dt
import html
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from astrid_core.crossmatch.night import (
    CROSSMATCH_VERSION,
    NightMatches,
    exposures,
    match_night,
    plan_queries,
)
from astrid_dagster import tags
from astrid_dagster.assets.night import table_out
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.partitions import survey_night, survey_nights
from astrid_dagster.resources import RunLedger
from dbschema.models import CatalogueAnswer, Crossmatch, CrossmatchRun

CHECK = "every_catalogue_answered"


@dg.multi_asset(
    name="crossmatch",
    deps=["objects"],
    outs={
        "crossmatches": table_out(
            "Sources of the catalogues that the survey's configuration names (Gaia DR3, VSX, "
            "SkyBoT; none by default) near the night's detections of objects, both at "
            "mid-exposure, with the probability of a chance coincidence.",
            tags.DETECTION,
            CROSSMATCH_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="crossmatches",
            description="No catalogue failed. One that did is asked again by the next run; what "
            "it said before stays.",
        )
    ],
)
def crossmatch(
    context: dg.AssetExecutionContext, ledger: RunLedger
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Match the night's detections of objects with the catalogues the survey names."""
    part = survey_night(context)
    config = part.survey.crossmatch
    if not config.catalogues:
        yield dg.Output([], "crossmatches", metadata={"catalogues": "no catalogue configured"})
        yield _check(NightMatches())
        return
    rows = ledger.sightings(part.survey.name, part.night)
    night, n_unplaced = exposures(rows)
    queries = plan_queries(night, config)
    cached = ledger.answers([query.id for query in queries])
    found = match_night(night, queries, cached, config, dt.datetime.now(dt.UTC))
    names = {row["observation_id"]: row["archive_id"] for row in rows}
    counts: dict[str, Any] = {
        "catalogues": ", ".join(config.catalogues),
        "n_exposures": len(night),
        "n_exposures_without_place_or_time": n_unplaced,
        "n_sightings": sum(len(exposure.sightings) for exposure in night),
    }
    yield dg.Output(
        [
            TableRows(CatalogueAnswer, found.answers),
            TableRows(CrossmatchRun, found.runs),
            TableRows(Crossmatch, found.matches, "crossmatch_run_id", found.completed_run_ids),
        ],
        "crossmatches",
        metadata=counts | _describe(found, names),
    )
    yield _check(found)


def _describe(found: NightMatches, names: dict[object, str]) -> dict[str, Any]:
    """Counts by catalogue, the cache's share, and a table of failures."""
    counts = Counter(row["catalogue"] for row in found.matches)
    metadata: dict[str, Any] = {
        f"matches with {name}": counts[name]
        for name in dict.fromkeys(run["catalogue"] for run in found.runs)
    }
    metadata |= {"n_questions_cached": found.n_cached, "n_questions_asked": found.n_asked}
    if assumed := sorted({text for run in found.runs for text in run["assumed"]}):
        metadata["assumed"] = ", ".join(assumed)
    failed = [run for run in found.runs if run["status"] == "failed"]
    if failed:
        metadata["failures"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "catalogue": run["catalogue"],
                        "frame": html.escape(names[run["observation_id"]]),
                        "error": run["error_type"],
                        "message": html.escape(run["error_message"]),
                    }
                )
                for run in failed
            ]
        )
    return metadata


def _check(found: NightMatches) -> dg.AssetCheckResult:
    failed = Counter(run["catalogue"] for run in found.runs if run["status"] == "failed")
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key="crossmatches",
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{name} failed for {n} frames" for name, n in failed.items())
        or f"{found.n_asked} asked, {found.n_cached} known",
        metadata={"n_failed": failed.total()},
    )
