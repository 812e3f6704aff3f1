"""The review queue, and how reviewers do."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from astrid_api.access import Reviewer
from astrid_api.paging import UtcTime
from astrid_api.problems import responses
from astrid_api.services import Services, TheServices
from astrid_core.curation.access import Role, user_of_id
from astrid_core.curation.backlog import count_waiting
from astrid_core.curation.item import ReviewItem, review_item
from astrid_core.curation.queue import MAX_ITEMS, LeasedItem, give_back, next_items
from astrid_core.curation.reviewers import ReviewerStatistics, reviewer_statistics

router = APIRouter(tags=["review"], responses=responses(401, 403, 422, 429, 503))

Since = Annotated[
    UtcTime | None, Query(description="Only verdicts given then or later; UTC unless it says.")
]


class QueueItems(BaseModel):
    """Items that are the reviewer's to judge."""

    items: list[LeasedItem]


class Progress(BaseModel):
    """How much there is to do."""

    n_waiting: int = Field(description="Detections that nothing is decided about.")


class EndedLeases(BaseModel):
    """How many leases were ended."""

    n_ended: int


class ReviewerInfo(BaseModel):
    """A user, and what they did as a reviewer."""

    id: UUID
    name: str
    role: Role
    is_expert: bool = Field(description="Whether one verdict of theirs decides.")
    statistics: ReviewerStatistics | None = Field(description="Null where they gave no verdict.")


@router.get("/review/queue")
def queue(
    reviewer: Reviewer,
    services: TheServices,
    n: Annotated[int, Query(ge=1, le=MAX_ITEMS, description="Items to hold in all.")] = 10,
) -> QueueItems:
    """What to judge next: the items the reviewer holds, renewed, and new ones up to `n`.

    They are nobody else's until `expires_at`. Fewer come where there are no more.
    """
    config = services.settings.review_queue
    return QueueItems(items=services.ask(lambda c: next_items(c, reviewer, n, config)))


@router.get("/review/items/{detection_id}", responses=responses(404))
def item(_: Reviewer, services: TheServices, detection_id: UUID) -> ReviewItem:
    """A detection to judge: nothing tells what the model or anybody else makes of it."""
    return services.ask(lambda connection: review_item(connection, detection_id))


@router.get("/review/progress")
def progress(_: Reviewer, services: TheServices) -> Progress:
    """How much is left to judge, by whomever."""
    return Progress(n_waiting=services.ask(count_waiting))


@router.delete("/review/leases", responses=responses(413))
def end_leases(
    reviewer: Reviewer,
    services: TheServices,
    lease_id: Annotated[
        list[UUID], Query(min_length=1, max_length=MAX_ITEMS, description="Leases to end.")
    ],
) -> EndedLeases:
    """Give items back, so that others may have them; leases that are not open do not count."""
    return EndedLeases(n_ended=services.ask(lambda c: give_back(c, reviewer, lease_id)))


@router.get("/reviewers/me")
def myself(reviewer: Reviewer, services: TheServices, since: Since = None) -> ReviewerInfo:
    """What one did oneself, and how often one was right."""
    return _info(services, reviewer.id, since)


@router.get("/reviewers/{reviewer_id}", responses=responses(404))
def one_reviewer(
    asking: Reviewer, services: TheServices, reviewer_id: UUID, since: Since = None
) -> ReviewerInfo:
    """What a reviewer did: oneself, or as an operator anybody."""
    if reviewer_id != asking.id:
        asking.require("operator")
    return _info(services, reviewer_id, since)


def _info(services: Services, reviewer_id: UUID, since: dt.datetime | None) -> ReviewerInfo:
    user = services.ask(lambda c: user_of_id(c, reviewer_id))
    statistics = services.ask(lambda c: reviewer_statistics(c, since, reviewer_id))
    return ReviewerInfo(
        id=user.id,
        name=user.name,
        role=user.role,
        is_expert=user.is_expert,
        statistics=statistics[0] if statistics else None,
    )
