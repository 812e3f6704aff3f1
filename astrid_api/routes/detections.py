"""Detections: lists, one with its lineage, its cutout, and verdicts on it."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from astrid_api.access import Reviewer, Viewer
from astrid_api.paging import Page, from_token, to_token
from astrid_api.problems import responses
from astrid_api.services import Services, TheServices
from astrid_core.curation.browse import (
    MAX_PAGE,
    MAX_RADIUS_DEG,
    ConeCursor,
    DetectionFilter,
    ListedDetection,
    PageCursor,
    cone_search,
    list_detections,
)
from astrid_core.curation.details import DetectionDetails, cutout_place, detection_details
from astrid_core.curation.events import Judgement, Recorded, record_verdict, undo_verdict
from astrid_core.curation.taxonomy import CURRENT, Verdict
from astrid_core.extraction.cutouts import F32, PLANES, cutout_fits, read_one_cutout
from astrid_core.preview import difference_limit, difference_panels, zscale_limits

router = APIRouter(tags=["detections"], responses=responses(401, 403, 422, 429, 503))

Format = Literal["float32", "png", "fits"]
_MEDIA_TYPES: dict[Format, str] = {
    "float32": "application/octet-stream",
    "png": "image/png",
    "fits": "application/fits",
}
IdempotencyKey = Annotated[
    str,
    Header(
        min_length=8,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Made by the client for this verdict; sent again with it, it is the same one.",
    ),
]


# --- looking ------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoundDetection(ListedDetection):
    """A detection as lists show it.

    Attributes
    ----------
    separation_deg
        From the centre of the cone; None where none was asked for.
    """

    separation_deg: float | None = None


class DetectionQuery(DetectionFilter):
    """Which detections, in which order, and which page of them."""

    ra: float | None = Field(
        default=None, ge=0, lt=360, description="Of a cone's centre, degrees ICRS."
    )
    dec: float | None = Field(
        default=None, ge=-90, le=90, description="Of a cone's centre, degrees ICRS."
    )
    radius_deg: float | None = Field(
        default=None, gt=0, le=MAX_RADIUS_DEG, description="Of a cone, degrees."
    )
    sort: Literal["-confidence", "confidence"] | None = Field(
        default=None,
        description="The most confident first (as if left out), or the least. A cone's "
        "detections come nearest first.",
    )
    limit: int = Field(default=50, ge=1, le=MAX_PAGE, description="Most items of the page.")
    after: str | None = Field(
        default=None,
        max_length=300,
        description="`next` of the page before; leave it out for the first.",
    )

    @model_validator(mode="after")
    def _whole_cone(self) -> Self:
        given = [value is not None for value in (self.ra, self.dec, self.radius_deg)]
        if any(given) and not all(given):
            raise ValueError("a cone is ra, dec and radius_deg together")
        if all(given) and self.sort is not None:
            raise ValueError("a cone's detections come nearest first: leave sort out")
        return self


@router.get("/detections")
def detections(
    _: Viewer, services: TheServices, query: Annotated[DetectionQuery, Query()]
) -> Page[FoundDetection]:
    """Active detections of current runs, all of them or those within a cone."""
    if query.ra is None or query.dec is None or query.radius_deg is None:
        return _listed(services, query)
    return _in_cone(services, query, (query.ra, query.dec, query.radius_deg))


def _listed(services: Services, query: DetectionQuery) -> Page[FoundDetection]:
    last = None if query.after is None else PageCursor(*from_token(query.after, float, UUID))
    ascending = query.sort == "confidence"
    found, following = services.ask(
        lambda c: list_detections(c, query, last, query.limit, ascending=ascending)
    )
    token = following and to_token(following.confidence_score, following.detection_id)
    return Page(items=[FoundDetection(**vars(one)) for one in found], next=token)


def _in_cone(
    services: Services, query: DetectionQuery, cone: tuple[float, float, float]
) -> Page[FoundDetection]:
    last = None if query.after is None else ConeCursor(*from_token(query.after, float, UUID))
    found = services.ask(
        lambda c: cone_search(c, *cone, limit=query.limit, wanted=query, after=last)
    )
    items = [FoundDetection(**vars(one), separation_deg=apart) for one, apart in found]
    is_full = len(items) == query.limit
    return Page(
        items=items,
        next=to_token(items[-1].separation_deg, items[-1].id) if is_full else None,
    )


@router.get("/detections/{detection_id}", responses=responses(404))
def detection(_: Viewer, services: TheServices, detection_id: UUID) -> DetectionDetails:
    """A detection with its whole lineage: the objects it was made from, candidate, model, verdicts.

    Superseded ones and those of earlier runs too.
    """
    return services.ask(lambda connection: detection_details(connection, detection_id))


@router.get(
    "/detections/{detection_id}/cutout",
    response_class=Response,
    responses=responses(404, 500)
    | {200: {"description": "The cutout", "content": {kind: {} for kind in _MEDIA_TYPES.values()}}},
)
def cutout(
    _: Viewer,
    services: TheServices,
    detection_id: UUID,
    format: Annotated[Format, Query(description="What it is to come as.")] = "float32",
) -> Response:
    """The cutout of a detection: science, reference, difference and S_corr.

    Every detection has one, but for U-Net components found before components were cut out.

    `float32`: the pixels alone, little-endian, planes by rows by columns (their numbers are
    in X-Cutout-Shape), y upwards, NaN where there is no data. Their SHA-256, which a verdict
    names, is in X-Cutout-SHA256; X-Cutout-Limits has four values: black and white of
    science and reference by zscale, the brightest of both, and where the difference's colours
    are full. `png`:
    to look at. `fits`: an image of four planes.
    """
    place = services.ask(lambda connection: cutout_place(connection, detection_id))
    read = partial(services.store.get_range, place.key)
    pixels = read_one_cutout(read, place.index, place.sha256)
    science, reference, difference, _ = pixels
    limits = (*zscale_limits(science, reference), difference_limit(difference))
    return Response(
        _as_bytes(pixels, format, detection_id),
        media_type=_MEDIA_TYPES[format],
        headers={
            "X-Cutout-SHA256": place.sha256,
            "X-Cutout-Shape": ",".join(map(str, pixels.shape)),
            "X-Cutout-Planes": ",".join(PLANES),
            "X-Cutout-Limits": ",".join(map(repr, limits)),
            "ETag": f'"{place.sha256}-{format}"',
            "Cache-Control": "private, max-age=300",
        },
    )


def _as_bytes(pixels: F32, format: Format, detection_id: UUID) -> bytes:
    match format:
        case "float32":
            return pixels.astype("<f4").tobytes()
        case "png":
            science, reference, difference, scorr = pixels
            return difference_panels(science, reference, difference, scorr, marks=())
        case "fits":
            return cutout_fits(pixels, detection_id)


# --- judging ------------------------------------------------------------------------------


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a text cannot hold the character NUL")
    return text


class GivenJudgement(BaseModel):
    """What a reviewer says of a detection, and what they saw."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    cutout_sha256: str | None = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Hash of the cutout shown; null where the detection has none.",
    )
    subtype: str | None = Field(default=None, max_length=64, description="Which kind of it.")
    taxonomy_version: str = Field(default=CURRENT.version, max_length=16)
    note: Annotated[str, AfterValidator(_without_nul)] | None = Field(default=None, max_length=2000)
    time_taken_s: float | None = Field(
        default=None, ge=0, le=86_400, description="Seconds from showing to verdict."
    )
    lease_id: UUID | None = Field(
        default=None, description="By which the queue gave it; null where opened otherwise."
    )


@router.post(
    "/detections/{detection_id}/validations",
    status_code=201,
    responses=responses(400, 404, 409, 413)
    | {200: {"description": "The same verdict was recorded before", "model": Recorded}},
)
def validate(
    reviewer: Reviewer,
    services: TheServices,
    detection_id: UUID,
    given: GivenJudgement,
    idempotency_key: IdempotencyKey,
    response: Response,
) -> Recorded:
    """Record a verdict on a detection; a second one of a reviewer corrects their first."""
    judgement = Judgement(
        detection_id=detection_id, idempotency_key=idempotency_key, **given.model_dump()
    )
    recorded = services.ask(lambda c: record_verdict(c, reviewer, judgement))
    response.status_code = 201 if recorded.is_new else 200
    return recorded


@router.post(
    "/validations/{event_id}/undo",
    status_code=201,
    responses=responses(404, 409, 413)
    | {200: {"description": "It was taken back with this key before", "model": Recorded}},
)
def undo(
    reviewer: Reviewer,
    services: TheServices,
    event_id: UUID,
    idempotency_key: IdempotencyKey,
    response: Response,
) -> Recorded:
    """Take a verdict back: one's own, or as an operator anybody's."""
    recorded = services.ask(lambda c: undo_verdict(c, reviewer, event_id, idempotency_key))
    response.status_code = 201 if recorded.is_new else 200
    return recorded
