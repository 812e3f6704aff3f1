"""What the API tells of training datasets, against the pixels and rows that were frozen."""

import hashlib
import io
import json
from pathlib import Path
from uuid import uuid4

import datasets as hugging_face
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core.curation.access import Role
from astrid_core.storage import ObjectStore
from astrid_core.training.manifest import read_manifest
from astrid_core.training.samples import pixels_sha256
from dbschema.models import TrainingDataset
from tests import rows
from tests.callers import HERE, Person
from tests.training import Frozen


@pytest.fixture
def viewer(client: TestClient, people: dict[Role, Person]) -> TestClient:
    client.headers.update(people["viewer"].headers)
    return client


def test_a_dataset_is_listed_with_its_counts(
    viewer: TestClient, engine: Engine, frozen: Frozen
) -> None:
    [listed] = viewer.get("/training/datasets").json()["items"]
    assert (listed["id"], listed["status"]) == (str(frozen.id), "active")
    assert listed["total_samples"] == len(frozen.records)
    found = viewer.get(f"/training/datasets/{frozen.id}").json()
    assert listed.items() <= found.items()
    assert found["collection_params"]["survey_ids"] == [rows.SURVEY]
    quality = viewer.get(f"/training/datasets/{frozen.id}/quality").json()
    with engine.connect() as connection:
        assert quality["quality"] == connection.scalar(select(TrainingDataset.quality))
    for wanted, n in (
        ({"name": "small"}, 1),
        ({"name": "large"}, 0),
        ({"status": "provisional"}, 0),
        ({"survey": rows.SURVEY}, 1),
        ({"survey": "another"}, 0),
    ):
        assert len(viewer.get("/training/datasets", params=wanted).json()["items"]) == n, wanted


def test_datasets_and_samples_come_page_by_page(viewer: TestClient, frozen: Frozen) -> None:
    first = viewer.get("/training/datasets", params={"limit": 1}).json()
    rest = viewer.get("/training/datasets", params={"limit": 1, "after": first["next"]}).json()
    assert (len(first["items"]), rest) == (1, {"items": [], "next": None})
    path, query, found = f"/training/datasets/{frozen.id}/samples", {"limit": 7}, []
    while True:
        page = viewer.get(path, params=query).json()
        found += page["items"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert [one["sha256"] for one in found] == [record.sha256 for record in frozen.records]
    tested = viewer.get(path, params={"split": "test", "label_source": "human"}).json()["items"]
    expected = [str(record.id) for record in frozen.records if record.split == "test"]
    assert expected
    assert [one["id"] for one in tested] == expected
    assert viewer.get(path, params={"label_source": "injection"}).json()["items"] == []
    assert viewer.get(path, params={"after": "nonsense"}).status_code == 422
    assert viewer.get(found[0]["detection_url"]).json()["id"] == found[0]["detection_id"]


def test_pixels_are_those_that_were_frozen(viewer: TestClient, frozen: Frozen) -> None:
    base = f"/training/datasets/{frozen.id}/samples"
    for position in (0, len(frozen.records) - 1):
        arrays = []
        for kind, dtype, expected in (
            ("image", "<f4", frozen.images),
            ("mask", "u1", frozen.masks),
        ):
            answer = viewer.get(f"{base}/{position}/{kind}")
            shape = tuple(map(int, answer.headers["X-Shape"].split(",")))
            arrays.append(np.frombuffer(answer.content, dtype).reshape(shape))
            assert np.array_equal(arrays[-1], expected[position])
            picture = viewer.get(f"{base}/{position}/{kind}", params={"format": "png"})
            assert Image.open(io.BytesIO(picture.content)).size[0] > 1000
        assert pixels_sha256(*arrays) == frozen.records[position].sha256
    assert viewer.get(f"{base}/{len(frozen.records)}/image").status_code == 404


def test_changed_pixels_are_not_shown(
    viewer: TestClient, store: ObjectStore, frozen: Frozen, tmp_path: Path
) -> None:
    shown = read_manifest(viewer.get(f"/training/datasets/{frozen.id}/manifest").iter_lines())
    key = f"training_samples/{shown.head.shards[0].image_sha256}.npy"
    np.save(tmp_path / "other.npy", frozen.images + 1)
    store.get_file(key, tmp_path / "own.npy")
    store.put_file(key, tmp_path / "other.npy")
    try:
        answer = viewer.get(f"/training/datasets/{frozen.id}/samples/0/image")
        assert answer.status_code == 500
        assert answer.json()["type"] == "urn:astrid:problem:object-corrupt"
        answer = viewer.get(f"/training/datasets/{frozen.id}/download")
        assert answer.status_code == 500
    finally:  # other tests have the same dataset
        store.put_file(key, tmp_path / "own.npy")


def test_manifest_and_files_are_the_dataset(viewer: TestClient, frozen: Frozen) -> None:
    answer = viewer.get(f"/training/datasets/{frozen.id}/manifest")
    manifest = read_manifest(answer.iter_lines())
    assert manifest.head.n_samples == len(frozen.records)
    for sample, record in zip(manifest.samples, frozen.records, strict=True):
        assert (sample.record.id, sample.record.sha256) == (record.id, record.sha256)
        assert dict(sample.record.labels) == dict(record.labels)
        assert sample.record.split == record.split
    [shard] = manifest.head.shards
    got = viewer.get(f"/training/datasets/{frozen.id}/files/{shard.image_sha256}").content
    assert hashlib.sha256(got).hexdigest() == shard.image_sha256
    assert np.array_equal(np.load(io.BytesIO(got), allow_pickle=False), frozen.images)
    other = hashlib.sha256(b"other").hexdigest()
    assert viewer.get(f"/training/datasets/{frozen.id}/files/{other}").status_code == 404


def test_both_formats_equal_the_dataset_to_the_pixel(
    viewer: TestClient, frozen: Frozen, tmp_path: Path
) -> None:
    npz = viewer.get(f"/training/datasets/{frozen.id}/download", params={"format": "npz"})
    arrays = np.load(io.BytesIO(npz.content), allow_pickle=False)
    assert np.array_equal(arrays["images"], frozen.images)
    assert np.array_equal(arrays["masks"], frozen.masks)
    assert arrays["split"].tolist() == [record.split for record in frozen.records]
    labels = [json.loads(text) for text in arrays["labels"]]
    assert labels == [dict(record.labels) for record in frozen.records]
    answer = viewer.get(f"/training/datasets/{frozen.id}/download", params={"format": "parquet"})
    path = tmp_path / "small.parquet"
    path.write_bytes(answer.content)
    loaded = hugging_face.load_dataset(
        "parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"), split="train"
    ).with_format("numpy")
    assert len(loaded) == len(frozen.records)
    # Its formatter gives every integer 64 bits.
    assert loaded.features["mask"].feature.feature.dtype == "uint8"
    for row, image, mask in zip(loaded, frozen.images, frozen.masks, strict=True):
        assert row["image"].dtype == np.float32
        assert np.array_equal(row["image"], image)
        assert np.array_equal(row["mask"], mask)
    assert loaded["is_anomaly"][:].tolist() == [record.is_real for record in frozen.records]


def test_a_sample_is_followed_back_to_its_raw_file(
    settings: ApiSettings, frozen: Frozen, people: dict[Role, Person]
) -> None:
    dagster = "http://127.0.0.1:3000"
    app = create_app(settings.model_copy(update={"dagster_url": dagster}))
    asked = TestClient(app, HERE, headers=people["viewer"].headers)
    record = frozen.records[0]
    found = asked.get(f"/training/samples/{record.id}").json()
    made_from = {one["stage"]: one for one in found["detection"]["made_from"]}
    for stage in ("raw", "processed", "difference"):
        assert found["frozen"][stage]["sha256"] == made_from[stage]["sha256"]
    assert found["detection"]["verdicts"][0]["verdict"] in ("real", "bogus")
    night = record.metadata["night"]
    link = f"{dagster}/assets/difference_images?partition={night}|{rows.SURVEY}"
    assert found["dagster"]["difference_images"] == link
    page = asked.get(f"/review/samples/{record.id}")
    assert page.headers["content-type"].startswith("text/html")
    for shown in (made_from["raw"]["key"], made_from["raw"]["sha256"][:12], link, record.split):
        assert shown in page.text
    app.state.services.engine.dispose()


def test_what_there_is_not_is_not_found(viewer: TestClient) -> None:
    for path in ("", "/quality", "/samples", "/samples/0/image", "/manifest", "/download"):
        answer = viewer.get(f"/training/datasets/{uuid4()}{path}")
        assert answer.status_code == 404, path
        assert answer.json()["remedy"]
    assert viewer.get(f"/training/samples/{uuid4()}").status_code == 404


def test_a_request_is_refused_before_dagster_is_asked(
    client: TestClient, people: dict[Role, Person], frozen: Frozen
) -> None:
    headers = people["operator"].headers
    asked = {"name": "mine", "survey_ids": [rows.SURVEY]}
    for wrong, said in (
        ({"survey_ids": ["nowhere"]}, f"There is no survey 'nowhere'; there are {rows.SURVEY}."),
        ({"start": "2026-09-02", "end": "2026-09-01"}, "start must be before end"),
        ({"end": 20260901}, "end"),
        ({"max_samples": 0}, "max_samples"),
    ):
        answer = client.post("/training/datasets/collect", json=asked | wrong, headers=headers)
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
    answer = client.post("/training/datasets/collect", json=asked, headers=headers)
    assert answer.json()["type"] == "urn:astrid:problem:dagster-unavailable"
    done = client.get(f"/training/collections/{frozen.id}", headers=headers).json()
    assert (done["status"], done["dataset_url"]) == ("done", f"/training/datasets/{frozen.id}")
