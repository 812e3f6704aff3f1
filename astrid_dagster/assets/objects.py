"""objects: detections of one place over epochs, associated field by field."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from astrid_core.curation.objects import OBJECTS_VERSION, ObjectConfig
from astrid_core.curation.sightings import FieldObjects, associate_night
from astrid_dagster import tags
from astrid_dagster.assets.night import table_out
from astrid_dagster.io_managers.values import Derived, DerivedRows, TableRows
from astrid_dagster.partitions import SurveyNight, survey_night, survey_nights
from dbschema.models import ObjectDetection, SkyObject

CHECK = "every_detection_placed"


@dg.multi_asset(
    name="associate",
    deps=["detections"],
    outs={
        "objects": table_out(
            "Detections at one position over epochs, as one thing: every field of the night, "
            "associated with all its nights in hand.",
            tags.DETECTION,
            OBJECTS_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="objects",
            description="Every detection worth an object has a position that epochs share: on "
            "the sky, or on the reference it was subtracted with.",
        )
    ],
)
def associate_objects(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Associate the night's fields; whole fields, so that no night's order matters.

    Rows are derived where they are written, under a lock: two nights of a field at once
    would otherwise each write what they know without the other.
    """
    association = _NightAssociation(survey_night(context))
    yield dg.Output(DerivedRows(association.derive), "objects")
    yield _check(association.found)


class _NightAssociation:
    """The association of a night's fields, and what it found when it was last derived."""

    def __init__(self, part: SurveyNight) -> None:
        self._part = part
        self._config = ObjectConfig(**part.survey.objects)
        self.found: FieldObjects | None = None

    def derive(self, connection: Connection) -> Derived:
        """Rows of every object of the night's fields."""
        part = self._part
        found = associate_night(connection, part.survey.name, part.night, self._config)
        self.found = found
        repeated = sum(row["n_detections"] > 1 for row in found.objects)
        return Derived(
            rows=[
                TableRows(SkyObject, found.objects, "field_id", found.field_ids),
                TableRows(ObjectDetection, found.links, "field_id", found.field_ids),
            ],
            metadata={
                "n_fields": len(found.field_ids),
                "n_objects": len(found.objects),
                "n_seen_more_than_once": repeated,
                "n_ambiguous_detections": found.n_ambiguous,
                "n_unplaced_detections": found.n_unplaced,
            },
        )


def _check(found: FieldObjects | None) -> dg.AssetCheckResult:
    n_unplaced = 0 if found is None else found.n_unplaced
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key="objects",
        passed=n_unplaced == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{n_unplaced} detections have no position that epochs share: subtract "
        "their night again"
        if n_unplaced
        else "all placed",
        metadata={"n_unplaced": n_unplaced},
    )
