"""validation_events and labels: what people say of detections, and what it adds up to."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from astrid_core.curation.backlog import count_waiting
from astrid_core.curation.batches import format_cursor
from astrid_core.curation.reviewers import Fraction
from astrid_core.curation.snapshot import LABELS_VERSION, Labels, read_labels
from astrid_core.curation.taxonomy import CURRENT
from astrid_core.settings import get_settings
from astrid_dagster import tags
from astrid_dagster.assets.night import schema_of, table_out
from astrid_dagster.io_managers.values import Derived, DerivedRows, TableRows
from astrid_dagster.resources import DatabaseResource
from dbschema.models import LabelSnapshot, SnapshotLabel

validation_events = dg.AssetSpec(
    "validation_events",
    deps=["detections"],
    description="Verdicts that people give on the review page or by the API, append-only. No "
    "run makes them; the sensor refresh_labels tells of each batch, its counts and how far "
    "reviewers agree.",
    group_name=tags.CURATION,
    owners=[tags.OWNER],
    kinds={"postgres"},
    # What may be said is the taxonomy's to decide.
    code_version=CURRENT.version,
    metadata={"dagster/table_name": "validation_events"},
)

_NOBODY_JUDGES = dg.FreshnessPolicy.time_window(
    warn_window=dt.timedelta(days=3), fail_window=dt.timedelta(days=14)
)
"""Labels are made whenever there are new verdicts: old ones mean that nobody judges."""


@dg.multi_asset(
    name="snapshot_labels",
    deps=[validation_events],
    outs={
        "labels": table_out(
            "What the verdicts on every judged detection add up to, decided or not: an "
            "immutable snapshot whose id is its content's, for training datasets to name.",
            tags.CURATION,
            LABELS_VERSION,
            freshness_policy=_NOBODY_JUDGES,
        ),
    },
)
def snapshot_labels() -> Iterator[dg.Output[Any]]:
    """Snapshot all labels; they are read in the transaction that stores them."""
    yield dg.Output(DerivedRows(_derive), "labels")


@dg.asset_check(
    asset="labels",
    description="No more detections await a verdict than ASTRID_MAX_WAITING_DETECTIONS.",
)
def queue_depth(database: DatabaseResource) -> dg.AssetCheckResult:
    """Warn when more detections await a verdict than people are willing to let wait."""
    most = get_settings().max_waiting_detections
    n_waiting = database.run(count_waiting)
    return dg.AssetCheckResult(
        passed=n_waiting <= most,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{n_waiting} detections of current runs await a verdict, at most {most} should"
        + ("" if n_waiting <= most else ": have more people judge, or raise the limit"),
        metadata={"n_waiting": n_waiting, "n_waiting_most": most},
    )


def show_fraction(fraction: Fraction) -> str:
    """So many of so many, for people to read."""
    if not fraction.n_total:
        return "none to compare"
    share = fraction.n_right / fraction.n_total
    return f"{share:.3f} ({fraction.n_right} of {fraction.n_total})"


def _derive(connection: Connection) -> Derived:
    labels = read_labels(connection)
    return Derived(
        rows=[
            TableRows(LabelSnapshot, [labels.row()]),
            TableRows(SnapshotLabel, labels.label_rows()),
        ],
        metadata=_describe(labels),
    )


def _describe(labels: Labels) -> dict[str, Any]:
    row = labels.row()
    return {
        "snapshot": str(labels.id),
        "digest": labels.digest,
        "n_real": row["n_real"],
        "n_bogus": row["n_bogus"],
        "n_undecided": row["n_undecided"],
        "agreement": show_fraction(labels.agreement),
        "cursor": format_cursor(labels.cursor),
        "labels": _table_of_labels(labels),
        "subtypes": _table_of_subtypes(labels),
        "reviewers": _table_of_roles(labels),
    }


def _table_of_labels(labels: Labels) -> dg.TableMetadataValue:
    """A row per survey and label."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"survey": survey, "label": label, "detections": count})
            for survey, counts in sorted(labels.by_survey.items())
            for label, count in sorted(counts.items())
        ],
        schema=schema_of(survey="string", label="string", detections="int"),
    )


def _table_of_subtypes(labels: Labels) -> dg.TableMetadataValue:
    """A row per label and subtype that was named."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"label": label, "subtype": subtype, "detections": count})
            for label, counts in sorted(labels.by_subtype.items())
            for subtype, count in sorted(counts.items())
        ],
        schema=schema_of(label="string", subtype="string", detections="int"),
    )


def _table_of_roles(labels: Labels) -> dg.TableMetadataValue:
    """A row per role of reviewers."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "role": role,
                    "reviewers": done.n_reviewers,
                    "real": done.n_real,
                    "bogus": done.n_bogus,
                    "unsure": done.n_unsure,
                    "withdrawn": done.n_withdrawn,
                    "as the label": show_fraction(done.agreement),
                    "gold right": show_fraction(done.gold),
                    "repeats alike": show_fraction(done.repeats),
                }
            )
            for role, done in sorted(labels.by_role.items())
        ],
        schema=schema_of(
            role="string",
            reviewers="int",
            **dict.fromkeys(("real", "bogus", "unsure", "withdrawn"), "int"),
            **dict.fromkeys(("as the label", "gold right", "repeats alike"), "string"),
        ),
    )
