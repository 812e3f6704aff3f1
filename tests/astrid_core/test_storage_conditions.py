"""The object store on a server that enforces conditions, as R2 does and rclone's does not."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from astrid_core.fingerprint import Fingerprint
from astrid_core.storage import ObjectStore
from tests.conftest import some_file

MIB = 1 << 20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(endpoint: str, request: pytest.FixtureRequest) -> ObjectStore:
    bucket = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    keys = (SecretStr("key"), SecretStr("secret"))
    # moto is Amazon's, and knows no region 'auto'.
    store = ObjectStore(
        endpoint,
        bucket,
        *keys,
        region="us-east-1",
        multipart_bytes=8 * MIB,
        part_bytes=5 * MIB,
        longest_wait_s=0.1,
    )
    store.ensure_bucket()
    return store


def test_the_server_enforces_what_we_rely_on(store: ObjectStore) -> None:
    put: dict[str, Any] = {"Bucket": store.bucket, "Key": "k", "IfNoneMatch": "*"}
    store._client.put_object(Body=b"first", **put)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        store._client.put_object(Body=b"second", **put)


@pytest.mark.parametrize("n_bytes", [0, 1, 3 * MIB, 17 * MIB])
def test_whole_and_in_parts_files_come_back_equal(
    store: ObjectStore, tmp_path: Path, n_bytes: int
) -> None:
    path, sha256 = some_file(tmp_path / "a", n_bytes)
    assert store.ensure_file("k/ü", path, sha256)
    assert not store.ensure_file("k/ü", path, sha256), "an equal object is not sent again"
    store.get_file("k/ü", tmp_path / "b", sha256)
    assert list(store.iterate("k/")) == ["k/ü"]
    assert store.size("k/ü") == n_bytes


def test_a_different_object_is_replaced(store: ObjectStore, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path / "a", 100)
    other, sha256 = some_file(tmp_path / "b", 100)
    assert store.ensure_file("k", path)
    assert store.ensure_file("k", other)
    store.get_file("k", tmp_path / "c", sha256)


def test_of_many_who_write_the_same_one_does(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = some_file(tmp_path / "a", 1000)
    everyone_saw_nothing = Barrier(8)
    create = ObjectStore._create

    def together(self: ObjectStore, key: str, path: Path, fingerprint: Fingerprint) -> bool:
        everyone_saw_nothing.wait(10)
        return create(self, key, path, fingerprint)

    monkeypatch.setattr(ObjectStore, "_create", together)
    with ThreadPoolExecutor(8) as pool:
        wrote = list(pool.map(lambda _: store.ensure_file("k", path, sha256), range(8)))
    assert wrote.count(True) == 1
    store.get_file("k", tmp_path / "b", sha256)


def test_what_came_to_be_meanwhile_is_compared_and_replaced_if_it_differs(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = some_file(tmp_path / "a", 1000)
    other, _ = some_file(tmp_path / "b", 1000)
    create = ObjectStore._create

    def late(self: ObjectStore, key: str, path: Path, fingerprint: Fingerprint) -> bool:
        store.put_file(key, other)
        return create(self, key, path, fingerprint)

    monkeypatch.setattr(ObjectStore, "_create", late)
    assert store.ensure_file("k", path, sha256)
    store.get_file("k", tmp_path / "c", sha256)
