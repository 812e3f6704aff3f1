"""Training datasets: ask for one, look at it and its samples, take it home.

Dagster collects; it is asked in the name of whoever asks here.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.encoders import jsonable_encoder
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field, field_validator
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from astrid_api.access import Operator, Viewer
from astrid_api.paging import After, Limit, Page, from_token, time_of, to_token
from astrid_api.problems import Problem, ProblemAnswer, problem_of, responses
from astrid_api.routes.runs import ASKED_BY_TAG, dagster_of
from astrid_api.services import Services, TheServices
from astrid_core.curation.browse import MAX_PAGE, as_written
from astrid_core.errors import EmptyDatasetError, NoSuchItemError, TooFewGroupsError
from astrid_core.preview import difference_panels
from astrid_core.training import browse
from astrid_core.training.browse import (
    DatasetCursor,
    DatasetDetails,
    DatasetFilter,
    DatasetQuality,
    ListedDataset,
    ListedSample,
    SampleFilter,
    SampleLineage,
)
from astrid_core.training.export import Format, export
from astrid_core.training.manifest import DatasetHead, Manifest, PlacedSample, to_line
from astrid_core.training.pixels import read_pixels
from astrid_core.training.request import (
    COLLECTION_JOB,
    COLLECTION_OP,
    DATASET_PARTITIONS,
    CollectionRequest,
)
from astrid_stack.dagster_client import DagsterClient, RunError, RunState

router = APIRouter(
    prefix="/training", tags=["training"], responses=responses(401, 403, 422, 429, 503)
)

_POLL_S = 0.5
_CHUNK_BYTES = 4 << 20
_ABOUT_THE_REQUEST = {kind.__name__: kind for kind in (EmptyDatasetError, TooFewGroupsError)}
"""Errors of a run that another request would not have."""

Sha256 = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$")]
Position = Annotated[int, InPath(ge=0, lt=2**31)]
_OCTETS = "application/octet-stream"


def _bytes_of(*kinds: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The bytes", "content": {kind: {} for kind in kinds}}}


# --- asking for one -----------------------------------------------------------------------


class AskedDataset(CollectionRequest):
    """What a dataset is to be made of."""

    @field_validator("start", "end", mode="before")
    @classmethod
    def _written(cls, given: object) -> object:
        return as_written(given)


class Collecting(BaseModel):
    """A dataset that is being collected, or what became of it."""

    id: UUID = Field(description="Of the dataset, reserved.")
    status: Literal["queued", "running", "failed", "done"]
    error: str | None = Field(description="Why it failed, and what can be done.")
    status_url: str = Field(description="Where to ask again.")
    dataset_url: str | None = Field(description="Where it is, once it is there.")
    dagster_run_id: str | None
    dagster: str | None = Field(description="Where Dagster's UI shows the run.")


@router.post(
    "/datasets/collect",
    status_code=201,
    response_model=ListedDataset,
    responses=responses(400, 413, 502)
    | {202: {"description": "It is still being collected", "model": Collecting}},
)
async def collect(
    operator: Operator, request: Request, services: TheServices, asked: AskedDataset
) -> Response:
    """Collect validated detections as a dataset, frozen with its pixels.

    Waits for it (`ASTRID_COLLECT_WAIT_S`, 60 s unless set otherwise); where it takes longer,
    the answer is where to ask how it goes. Asked for again, it is the next version of its name.
    """
    await run_in_threadpool(services.ask, lambda c: browse.require_surveys(c, asked.survey_ids))
    dagster = dagster_of(services, request)
    dataset_id = uuid4()
    await run_in_threadpool(_launch, dagster, dataset_id, asked, operator.name)
    deadline = time.monotonic() + services.settings.collect_wait_s
    while True:
        run = await run_in_threadpool(_run_of, dagster, dataset_id)
        if run is not None and run.is_finished:
            return await run_in_threadpool(_outcome, services, dagster, dataset_id, run)
        if time.monotonic() + _POLL_S > deadline:
            return _later(_collecting(dagster, dataset_id, run))
        await asyncio.sleep(_POLL_S)


@router.get("/collections/{dataset_id}", responses=responses(404, 502))
def collection(_: Viewer, request: Request, services: TheServices, dataset_id: UUID) -> Collecting:
    """How a collection goes that was asked for."""
    if _is_there(services, dataset_id):
        return Collecting(
            id=dataset_id,
            status="done",
            error=None,
            status_url=_status_url(dataset_id),
            dataset_url=_url(dataset_id),
            dagster_run_id=None,
            dagster=None,
        )
    dagster = dagster_of(services, request)
    run = _run_of(dagster, dataset_id)
    if run is None:
        raise NoSuchItemError(
            f"No collection {dataset_id} was asked for.",
            remedy="Take its id as it was given; datasets are listed at /training/datasets.",
        )
    return _collecting(dagster, dataset_id, run)


def _launch(dagster: DagsterClient, dataset_id: UUID, asked: AskedDataset, by: str) -> None:
    # Dagster takes no null in a configuration.
    request = asked.model_dump(mode="json", exclude_none=True)
    config = {"request": request, "requested_by": by}
    run_config = {"ops": {COLLECTION_OP: {"config": config}}}
    dagster.add_partition(DATASET_PARTITIONS, str(dataset_id))
    dagster.launch(COLLECTION_JOB, [str(dataset_id)], run_config, {ASKED_BY_TAG: by})


def _run_of(dagster: DagsterClient, dataset_id: UUID) -> RunState | None:
    """Its latest run."""
    return next(iter(dagster.runs_of_partition(COLLECTION_JOB, str(dataset_id))), None)


def _outcome(
    services: Services, dagster: DagsterClient, dataset_id: UUID, run: RunState
) -> Response:
    """A dataset that is there now, or why it is not."""
    if _is_there(services, dataset_id):
        found = services.ask(lambda c: browse.dataset_details(c, dataset_id))
        listed = ListedDataset(**{name: getattr(found, name) for name in _LISTED})
        location = {"Location": _url(dataset_id)}
        return JSONResponse(jsonable_encoder(listed), 201, headers=location)
    error = _error_of(dagster, run)
    remedy = f"Its run is at {dagster.address_of_run(run.run_id)}."
    if kind := _ABOUT_THE_REQUEST.get(error.kind):
        return problem_of(kind(error.message, remedy=remedy))
    return ProblemAnswer(
        Problem(
            type="urn:astrid:problem:collection-failed",
            title="The run that collects a dataset failed.",
            status=502,
            detail=error.message,
            remedy=remedy,
        )
    )


_LISTED = tuple(ListedDataset.__dataclass_fields__)


def _collecting(dagster: DagsterClient, dataset_id: UUID, run: RunState | None) -> Collecting:
    is_over = run is not None and run.is_finished
    is_begun = run is not None and run.start_s is not None
    return Collecting(
        id=dataset_id,
        status="failed" if is_over else "running" if is_begun else "queued",
        error=_error_of(dagster, run).message if run is not None and is_over else None,
        status_url=_status_url(dataset_id),
        dataset_url=None,
        dagster_run_id=run and run.run_id,
        dagster=run and dagster.address_of_run(run.run_id),
    )


def _error_of(dagster: DagsterClient, run: RunState) -> RunError:
    said = f"Its run ended with status {run.status} and no dataset; its log says no more."
    return dagster.error_of(run.run_id) or RunError("", said)


def _later(collecting: Collecting) -> Response:
    location = {"Location": collecting.status_url, "Retry-After": "5"}
    return JSONResponse(jsonable_encoder(collecting), 202, headers=location)


def _is_there(services: Services, dataset_id: UUID) -> bool:
    try:
        services.ask(lambda c: browse.dataset_head(c, dataset_id))
    except NoSuchItemError:
        return False
    return True


def _url(dataset_id: UUID) -> str:
    return f"/training/datasets/{dataset_id}"


def _status_url(dataset_id: UUID) -> str:
    return f"/training/collections/{dataset_id}"


# --- looking ------------------------------------------------------------------------------


class DatasetQuery(DatasetFilter):
    """Which datasets, and which page of them."""

    limit: Limit = 50
    after: After = None


class SampleQuery(SampleFilter):
    """Which samples, and which page of them."""

    limit: Limit = 50
    after: After = None


@dataclass(frozen=True)
class ShownSample(ListedSample):
    """A sample, and where its pixels and its origin are.

    Attributes
    ----------
    image_url, mask_url
        Its pixels.
    lineage_url
        All that it was made from.
    detection_url
        Of the detection that it shows; None for an injection.
    """

    image_url: str
    mask_url: str
    lineage_url: str
    detection_url: str | None


@dataclass(frozen=True)
class LinkedLineage(SampleLineage):
    """A sample with its whole lineage, and its partition of each asset in Dagster's UI.

    Attributes
    ----------
    dagster
        Asset → address; empty where no Dagster is configured.
    """

    dagster: dict[str, str]


@router.get("/datasets")
def datasets(
    _: Viewer, services: TheServices, query: Annotated[DatasetQuery, Query()]
) -> Page[ListedDataset]:
    """Training datasets, the latest first."""
    after = query.after and DatasetCursor(*from_token(query.after, time_of, UUID))
    found, following = services.ask(
        lambda c: browse.list_datasets(c, query, after or None, query.limit)
    )
    token = following and to_token(following.created_at.isoformat(), following.dataset_id)
    return Page(items=found, next=token)


# Only of an id: /datasets/collect is no dataset, and takes no GET.
@router.get("/datasets/{dataset_id:uuid}", responses=responses(404))
def dataset(_: Viewer, services: TheServices, dataset_id: UUID) -> DatasetDetails:
    """A training dataset: what was asked for, counts by split, what was left out, leak audit."""
    return services.ask(lambda c: browse.dataset_details(c, dataset_id))


@router.get("/datasets/{dataset_id}/quality", responses=responses(404))
def quality(_: Viewer, services: TheServices, dataset_id: UUID) -> DatasetQuality:
    """The quality report of a training dataset, by which training takes it or not."""
    return services.ask(lambda c: browse.dataset_quality(c, dataset_id))


@router.get("/datasets/{dataset_id}/samples", responses=responses(404))
def samples(
    _: Viewer, services: TheServices, dataset_id: UUID, query: Annotated[SampleQuery, Query()]
) -> Page[ShownSample]:
    """Samples of a training dataset, by position."""
    after = None if query.after is None else from_token(query.after, _position)[0]
    found, following = services.ask(
        lambda c: browse.list_samples(c, dataset_id, query, after, query.limit)
    )
    token = None if following is None else to_token(following)
    return Page(items=[_shown(dataset_id, one) for one in found], next=token)


@router.get("/samples/{sample_id}", responses=responses(404))
def sample(_: Viewer, services: TheServices, sample_id: UUID) -> LinkedLineage:
    """A sample and all that it was made from: raw file to verdicts, with keys and hashes."""
    return linked_lineage(services, sample_id)


def linked_lineage(services: Services, sample_id: UUID) -> LinkedLineage:
    """A sample with its whole lineage and addresses in Dagster's UI."""
    found = services.ask(lambda c: browse.sample_lineage(c, sample_id))
    address = services.settings.dagster_for_people
    assets = {
        "raw_frames": found.partition,
        "processed_frames": found.partition,
        "difference_images": found.partition,
        "candidates": found.partition,
        "detections": found.partition,
        "training_samples": str(found.dataset.id),
        "training_datasets": str(found.dataset.id),
    }
    links = {
        asset: f"{address.rstrip('/')}/assets/{asset}?partition={partition}"
        for asset, partition in assets.items()
        if address
    }
    return LinkedLineage(**vars(found), dagster=links)


def _shown(dataset_id: UUID, one: ListedSample) -> ShownSample:
    here = f"{_url(dataset_id)}/samples/{one.position}"
    return ShownSample(
        **vars(one),
        image_url=f"{here}/image",
        mask_url=f"{here}/mask",
        lineage_url=f"/training/samples/{one.id}",
        detection_url=None if one.detection_id is None else f"/detections/{one.detection_id}",
    )


def _position(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**31:
        raise ValueError("no position")
    return value


# --- pixels -------------------------------------------------------------------------------


@router.get(
    "/datasets/{dataset_id}/samples/{position}/{kind}",
    response_class=Response,
    responses=responses(404, 500) | _bytes_of(_OCTETS, "image/png"),
)
def pixels(
    _: Viewer,
    services: TheServices,
    dataset_id: UUID,
    position: Position,
    kind: Literal["image", "mask"],
    format: Annotated[Literal["raw", "png"], Query(description="What to come as.")] = "raw",
) -> Response:
    """Pixels of a sample, compared with the SHA-256 that they were frozen with.

    `raw`: the pixels alone, little-endian, rows upwards; `image` is float32 (planes science,
    reference, difference, S_corr, validity), `mask` uint8 (1 real, 0 not, 255 ignored). Their
    shape is in X-Shape. `png`: science, reference, difference and S_corr to
    look at, for `mask` without what it ignores.
    """
    place = services.ask(lambda c: browse.sample_place(c, dataset_id, position))
    image, mask = read_pixels(services.store.get_range, place)
    headers = {
        "ETag": f'"{place.sha256}-{kind}-{format}"',
        "Cache-Control": "private, max-age=86400",
    }
    if format == "png":
        shown = image[:4] if kind == "image" else image[:4] * (mask != 255)
        science, reference, difference, scorr = shown
        picture = difference_panels(science, reference, difference, scorr, marks=())
        return Response(picture, 200, headers, "image/png")
    wanted = image.astype("<f4") if kind == "image" else mask
    headers["X-Shape"] = ",".join(map(str, wanted.shape))
    return Response(wanted.tobytes(), 200, headers, _OCTETS)


@router.get(
    "/datasets/{dataset_id}/files/{sha256}",
    response_class=StreamingResponse,
    responses=responses(404, 500) | _bytes_of(_OCTETS),
)
def file(_: Viewer, services: TheServices, dataset_id: UUID, sha256: Sha256) -> StreamingResponse:
    """A file of a dataset: an `.npy` of images (n, 5, s, s) or masks (n, s, s)."""
    key = services.ask(lambda c: browse.shard_key(c, dataset_id, sha256))
    n_bytes = services.store.size(key)

    def chunks() -> Iterator[bytes]:
        for start in range(0, n_bytes, _CHUNK_BYTES):
            yield services.store.get_range(key, start, min(_CHUNK_BYTES, n_bytes - start))

    headers = {"Content-Length": str(n_bytes), "ETag": f'"{sha256}"'}
    return StreamingResponse(chunks(), 200, headers, _OCTETS)


@router.get(
    "/datasets/{dataset_id}/manifest",
    response_class=StreamingResponse,
    responses=responses(404) | _bytes_of("application/jsonl"),
)
def manifest(_: Viewer, services: TheServices, dataset_id: UUID) -> StreamingResponse:
    """All that a client needs, as JSON lines: the dataset and its files, then each sample.

    What `load_training_data` reads. Files are at `/training/datasets/{id}/files/{sha256}`.
    """
    head = services.ask(lambda c: browse.dataset_head(c, dataset_id))

    def lines() -> Iterator[str]:
        yield to_line(head)
        yield from map(to_line, _all_samples(services, head))

    return StreamingResponse(lines(), media_type="application/jsonl")


@router.get(
    "/datasets/{dataset_id}/download",
    response_class=FileResponse,
    responses=responses(404, 500) | _bytes_of(_OCTETS),
)
def download(
    _: Viewer,
    services: TheServices,
    dataset_id: UUID,
    format: Annotated[Format, Query(description="npz for NumPy, parquet for tables.")] = "npz",
) -> FileResponse:
    """A whole dataset as one file, equal to the pixel.

    `npz` holds arrays without pickles; `parquet` is loaded by Hugging Face's
    `datasets.load_dataset("parquet", data_files=…)` without a script.
    """
    head = services.ask(lambda c: browse.dataset_head(c, dataset_id))
    folder = tempfile.TemporaryDirectory(
        prefix="astrid-download-", dir=services.settings.scratch_dir
    )
    path = Path(folder.name) / f"{dataset_id}.{format}"
    try:
        whole = Manifest(head, tuple(_all_samples(services, head)))
        export(whole, lambda sha: _fetched(services, dataset_id, sha, path.parent), path, format)
    except BaseException:
        folder.cleanup()
        raise
    done = BackgroundTask(folder.cleanup)
    return FileResponse(path, media_type=_OCTETS, filename=path.name, background=done)


@contextmanager
def _fetched(services: Services, dataset_id: UUID, sha256: str, folder: Path) -> Iterator[Path]:
    """A file of a dataset for as long as it is used."""
    key = services.ask(lambda c: browse.shard_key(c, dataset_id, sha256))
    path = folder / f"{sha256}.npy"
    services.store.get_file(key, path, sha256)
    try:
        yield path
    finally:
        path.unlink()


def _all_samples(services: Services, head: DatasetHead) -> Iterator[PlacedSample]:
    """A dataset's samples, a page at a time: no connection is held meanwhile."""
    after = -1
    while True:
        page = services.ask(
            partial(browse.placed_samples, dataset=head, after=after, limit=MAX_PAGE)
        )
        yield from page
        if len(page) < MAX_PAGE:
            return
        after = page[-1].record.position
