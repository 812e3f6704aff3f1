"""How reviewers are measured: gold items and repeats are declared here.

What belongs here: saying what is gold and what is to be judged again. What does not:
serving them (``curation.queue``) and what they tell (``curation.reviewers``).
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from astrid_core.curation.access import KnownUser
from astrid_core.curation.taxonomy import CURRENT, taxonomy_of
from astrid_core.errors import NoSuchItemError, NotAllowedError, VerdictError
from dbschema.models import Detection, GoldItem, ReviewRepeat, ValidationEvent


def declare_gold(
    connection: Connection,
    by: KnownUser,
    detection_id: UUID,
    verdict: str,
    subtype: str | None = None,
    taxonomy_version: str = CURRENT.version,
) -> None:
    """Say that a detection's label is known, so that reviewers can be measured on it.

    Said again, the new label holds.

    Raises
    ------
    NotAllowedError
        If the user is neither an expert who may judge nor an operator.
    VerdictError
        If the verdict is not real or bogus of its taxonomy.
    NoSuchItemError
        If there is no such detection.
    """
    by.require("reviewer")
    if not by.is_expert and by.role != "operator":
        raise NotAllowedError(
            f"{by.name} is no expert.", remedy="Ask an expert or an operator to declare it."
        )
    taxonomy_of(taxonomy_version).check(verdict, subtype)
    if verdict == "unsure":
        raise VerdictError("A gold item's label is known.", remedy="Say real or bogus.")
    _require_detection(connection, detection_id)
    row = {
        "verdict": verdict,
        "subtype": subtype,
        "taxonomy_version": taxonomy_version,
        "declared_by": by.id,
        "retired_at": None,
    }
    connection.execute(
        insert_or(GoldItem)
        .values(detection_id=detection_id, **row)
        .on_conflict_do_update(index_elements=[GoldItem.detection_id], set_=row)
    )


def retire_gold(connection: Connection, by: KnownUser, detection_id: UUID) -> None:
    """Put a gold item before nobody any more; what it told stays.

    Raises
    ------
    NotAllowedError
        If the user is no operator.
    NoSuchItemError
        If it is no gold item.
    """
    by.require("operator")
    retired = connection.execute(
        update(GoldItem)
        .where(GoldItem.detection_id == detection_id)
        .values(retired_at=func.coalesce(GoldItem.retired_at, func.now()))
    )
    if not retired.rowcount:
        raise NoSuchItemError(
            f"Detection {detection_id} is no gold item.", remedy="List the gold items."
        )


def declare_repeat(
    connection: Connection,
    by: KnownUser,
    detection_id: UUID,
    reviewer_id: UUID,
    after: dt.timedelta = dt.timedelta(0),
) -> UUID:
    """Have a reviewer judge a detection again that they have judged.

    Parameters
    ----------
    after
        How long from now not to put it before them.

    Returns
    -------
    Id of the repeat.

    Raises
    ------
    NotAllowedError
        If the user is no operator.
    NoSuchItemError
        If the reviewer has not judged it: then it would be no repeat.
    """
    by.require("operator")
    has_judged = select(ValidationEvent.id).where(
        ValidationEvent.detection_id == detection_id,
        ValidationEvent.reviewer_id == reviewer_id,
        ValidationEvent.verdict != "withdrawn",
    )
    if connection.scalar(has_judged.limit(1)) is None:
        raise NoSuchItemError(
            f"Reviewer {reviewer_id} has not judged detection {detection_id}.",
            remedy="Declare repeats of what they have judged.",
        )
    return connection.execute(
        insert(ReviewRepeat)
        .values(
            detection_id=detection_id,
            reviewer_id=reviewer_id,
            declared_by=by.id,
            due_at=func.now() + after,
        )
        .returning(ReviewRepeat.id)
    ).scalar_one()


def _require_detection(connection: Connection, detection_id: UUID) -> None:
    if connection.scalar(select(Detection.id).where(Detection.id == detection_id)) is None:
        raise NoSuchItemError(
            f"There is no detection {detection_id}.", remedy="Name one that there is."
        )
