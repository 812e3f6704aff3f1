"""The object store on a real S3 server, and through a line that breaks."""

import hashlib
import logging
import multiprocessing
import pickle
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from astrid_core.errors import (
    ObjectCorruptError,
    ObjectMissingError,
    StoreError,
    StoreRefusedError,
)
from astrid_core.fingerprint import fingerprint_file
from astrid_core.settings import Settings
from astrid_core.storage import ObjectStore
from tests.conftest import S3Store, some_file
from tests.faults import CuttingProxy

MIB = 1 << 20


def store_on(s3: S3Store, **options: object) -> ObjectStore:
    """Client with short waits."""
    values: dict[str, object] = {
        "endpoint": s3.endpoint,
        "bucket": s3.bucket,
        "region": s3.region,
        "access_key_id": SecretStr(s3.access_key_id),
        "secret_access_key": SecretStr(s3.secret_access_key),
        "longest_wait_s": 0.1,
        "read_timeout_s": 5.0,
    }
    return ObjectStore(**(values | options))  # type: ignore[arg-type]


@pytest.fixture
def store(s3_empty: S3Store) -> ObjectStore:
    return store_on(s3_empty)


@pytest.fixture
def proxy(s3_empty: S3Store) -> Iterator[CuttingProxy]:
    with CuttingProxy(s3_empty.endpoint) as proxy:
        yield proxy


# --- round trips --------------------------------------------------------------------------


@pytest.mark.parametrize("n_bytes", [0, 1, 3 * MIB, 17 * MIB])
def test_file_comes_back_equal(store: ObjectStore, tmp_path: Path, n_bytes: int) -> None:
    in_parts = store_on(
        S3Store(
            store.endpoint,
            store.bucket,
            store.access_key_id.get_secret_value(),
            store.secret_access_key.get_secret_value(),
        ),
        multipart_bytes=8 * MIB,
        part_bytes=5 * MIB,
    )
    path, sha256 = some_file(tmp_path / "a.fits", n_bytes)
    assert in_parts.put_file("x/2026-09-01/a.fits", path, sha256) == sha256
    assert in_parts.exists("x/2026-09-01/a.fits")
    assert in_parts.size("x/2026-09-01/a.fits") == n_bytes
    in_parts.get_file("x/2026-09-01/a.fits", tmp_path / "deep" / "b.fits", sha256)
    assert (tmp_path / "deep" / "b.fits").read_bytes() == path.read_bytes()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["b.fits"]
    assert not in_parts.ensure_file("x/2026-09-01/a.fits", path, sha256)


KEY_PART = st.text(
    st.characters(codec="utf-8", categories=["L", "N"], include_characters=" -_.=+@"),
    min_size=1,
    max_size=20,
).filter(lambda part: part.strip(" .") == part and part)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.lists(KEY_PART, min_size=1, max_size=4), content=st.binary(max_size=64))
def test_any_key_round_trips(
    store: ObjectStore, tmp_path: Path, parts: list[str], content: bytes
) -> None:
    key = "keys/" + "/".join(parts) + ".fits"
    path = tmp_path / "in"
    path.write_bytes(content)
    sha256 = store.put_file(key, path)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert key in store.iterate("keys/")
    store.get_file(key, tmp_path / "out", sha256)
    assert (tmp_path / "out").read_bytes() == content
    store.delete(key)
    assert not store.exists(key)


def test_a_range_is_that_part(store: ObjectStore, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path / "in", 1000)
    store.put_file("k", path)
    data = path.read_bytes()
    assert store.get_range("k", 0, 10) == data[:10]
    assert store.get_range("k", 300, 400) == data[300:700]
    assert store.get_range("k", 990, 100) == data[990:]
    with pytest.raises(ObjectMissingError, match="x/none"):
        store.get_range("x/none", 0, 10)
    with pytest.raises(StoreRefusedError):
        store.get_range("k", 1000, 1)


def test_a_range_survives_a_line_that_breaks(
    s3_empty: S3Store, proxy: CuttingProxy, tmp_path: Path
) -> None:
    path, _ = some_file(tmp_path / "in", MIB)
    store_on(s3_empty).put_file("k", path)
    there = store_on(s3_empty, endpoint=proxy.endpoint)
    proxy.cut(1, after_bytes=MIB // 2)
    assert there.get_range("k", 0, MIB) == path.read_bytes()


def test_listing_goes_beyond_one_page(store: ObjectStore, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path / "a", 1)
    keys = [f"many/{index:04d}" for index in range(1003)]
    store.put_file(keys[0], path)
    for key in keys[1:]:
        store._client.copy_object(
            Bucket=store.bucket, Key=key, CopySource={"Bucket": store.bucket, "Key": keys[0]}
        )
    store.put_file("more/0", path)
    assert list(store.iterate("many/")) == keys


def test_equal_object_is_not_sent_again(store: ObjectStore, tmp_path: Path) -> None:
    path, sha256 = some_file(tmp_path / "a", 1000)
    assert store.ensure_file("k", path, sha256)
    modified = store._head("k")["LastModified"]  # type: ignore[index]
    time.sleep(1.1)
    assert not store.ensure_file("k", path, sha256)
    assert store._head("k")["LastModified"] == modified  # type: ignore[index]


def test_an_old_equal_object_is_made_young(store: ObjectStore, tmp_path: Path) -> None:
    """What a run counts on is young, so that nobody takes it for left behind."""
    path, sha256 = some_file(tmp_path / "a", 1000)
    store.put_file("k", path)
    before = store.entry("k")
    time.sleep(1.1)
    assert replace(store, refresh_after_s=1.0).ensure_file("k", path, sha256)
    after = store.entry("k")
    assert before is not None
    assert after is not None
    assert after.modified_at > before.modified_at
    assert (after.n_bytes, after.tag) == (before.n_bytes, before.tag)
    assert next(store.entries("k")).n_bytes == 1000
    assert store.digest("k") == sha256
    assert store.entry("nothing") is None


def test_different_object_of_the_same_size_is_replaced(store: ObjectStore, tmp_path: Path) -> None:
    wrong, _ = some_file(tmp_path / "wrong", 1000)
    path, sha256 = some_file(tmp_path / "right", 1000)
    store.put_file("k", wrong)
    assert store.ensure_file("k", path, sha256)
    store.get_file("k", tmp_path / "out", sha256)


def test_presigned_address_reads_without_keys(store: ObjectStore, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path / "a", 1000)
    store.put_file("k.fits", path)
    with urllib.request.urlopen(store.presign("k.fits", 60)) as answer:
        assert answer.read() == path.read_bytes()


def test_missing_bucket_is_made_once(s3: S3Store) -> None:
    store = store_on(s3, bucket="made-by-the-client")
    store.ensure_bucket()
    store.ensure_bucket()
    assert list(store.iterate()) == []


def test_store_travels_to_a_worker_and_shows_no_secret(store: ObjectStore, tmp_path: Path) -> None:
    path, sha256 = some_file(tmp_path / "a", 10)
    store.put_file("k", path)  # its connection is open now
    there = pickle.loads(pickle.dumps(store))
    there.get_file("k", tmp_path / "b", sha256)
    secret = store.secret_access_key.get_secret_value()
    assert secret not in repr(there)
    assert secret not in str(there)


def test_equal_stores_of_a_process_share_a_client_and_others_do_not(store: ObjectStore) -> None:
    there = pickle.loads(pickle.dumps(store))
    assert there._client is store._client
    assert replace(store, read_timeout_s=1.0)._client is not store._client
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        assert pool.apply(_client_number, [store]) != id(store._client)


def _client_number(store: ObjectStore) -> int:
    return id(store._client)


def test_store_from_settings(store: ObjectStore) -> None:
    values = Settings(
        database_url=SecretStr("postgresql://x"),
        s3_endpoint=store.endpoint,
        s3_bucket=store.bucket,
        s3_access_key_id=store.access_key_id,
        s3_secret_access_key=store.secret_access_key,
        mlflow_uri="http://127.0.0.1:1",
    )
    assert list(ObjectStore.from_settings(values).iterate()) == []


# --- what goes wrong ----------------------------------------------------------------------


def test_missing_object_is_named(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match=r"x/none\.fits.*Re-materialize"):
        store.get_file("x/none.fits", tmp_path / "a", "0" * 64)
    with pytest.raises(ObjectMissingError):
        store.size("x/none.fits")
    assert list(tmp_path.iterdir()) == []
    store.delete("x/none.fits")


def test_damaged_object_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    path, sha256 = some_file(tmp_path / "a", 1000)
    store.put_file("k", path)
    damaged = bytearray(path.read_bytes())
    damaged[500] ^= 1
    path.write_bytes(damaged)
    store.put_file("k", path)
    (tmp_path / "out").write_text("what was here before")
    with pytest.raises(ObjectCorruptError, match=sha256):
        store.get_file("k", tmp_path / "out", sha256)
    assert (tmp_path / "out").read_text() == "what was here before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "out"]


def test_file_changed_after_it_was_written_is_not_stored(
    store: ObjectStore, tmp_path: Path
) -> None:
    path, _ = some_file(tmp_path / "a", 1000)
    with pytest.raises(ObjectCorruptError, match="Nothing was uploaded"):
        store.put_file("k", path, "0" * 64)
    assert not store.exists("k")


def test_wrong_secret_and_missing_bucket_are_refused_at_once(
    s3_empty: S3Store, tmp_path: Path
) -> None:
    path, _ = some_file(tmp_path / "a", 10)
    stranger = store_on(s3_empty, secret_access_key=SecretStr("hunter2hunter2"))
    started = time.monotonic()
    with pytest.raises(StoreRefusedError, match="ASTRID_S3_ENDPOINT") as caught:
        stranger.put_file("k", path)
    assert not caught.value.transient
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreRefusedError, match="no-such-bucket"):
        store_on(s3_empty, bucket="no-such-bucket").put_file("k", path)
    assert time.monotonic() - started < 5


def test_store_that_is_down_is_a_typed_error(
    s3_empty: S3Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = some_file(tmp_path / "a", 10)
    down = store_on(s3_empty, endpoint="http://127.0.0.1:9", attempts=3)
    with (
        caplog.at_level(logging.DEBUG, "astrid_core"),
        pytest.raises(StoreError, match=r"127\.0\.0\.1:9.*put k.*store is up") as caught,
    ):
        down.put_file("k", path)
    assert caught.value.transient
    assert caught.value.details["attempts"] == 3
    assert caplog.text.count("trying again") == 2
    assert s3_empty.secret_access_key not in caplog.text + str(caught.value)


@pytest.mark.parametrize("after_bytes", [0, 300, 3 * MIB])
def test_upload_survives_a_line_that_breaks(
    s3_empty: S3Store, proxy: CuttingProxy, tmp_path: Path, after_bytes: int
) -> None:
    path, sha256 = some_file(tmp_path / "a", 8 * MIB)
    store = store_on(s3_empty, endpoint=proxy.endpoint)
    proxy.cut(3, after_bytes)
    store.put_file("k", path, sha256)
    assert proxy.n_cut == 3
    store.get_file("k", tmp_path / "b", sha256)


def test_upload_that_never_gets_through_leaves_nothing(
    s3_empty: S3Store, proxy: CuttingProxy, tmp_path: Path
) -> None:
    path, sha256 = some_file(tmp_path / "a", 8 * MIB)
    cut_off = store_on(s3_empty, endpoint=proxy.endpoint, attempts=3)
    proxy.cut(1000, 3 * MIB)
    with pytest.raises(StoreError):
        cut_off.put_file("k", path, sha256)
    direct = store_on(s3_empty)
    assert list(direct.iterate()) == []
    assert direct.ensure_file("k", path, sha256)


def test_upload_in_parts_survives_a_line_that_breaks(
    s3_empty: S3Store, proxy: CuttingProxy, tmp_path: Path
) -> None:
    path, sha256 = some_file(tmp_path / "a", 17 * MIB)
    store = store_on(s3_empty, endpoint=proxy.endpoint, multipart_bytes=8 * MIB, part_bytes=5 * MIB)
    proxy.cut(2, 2 * MIB)
    store.put_file("k", path, sha256)
    assert proxy.n_cut == 2
    store.get_file("k", tmp_path / "b", sha256)


def test_download_survives_a_line_that_breaks(
    s3_empty: S3Store, proxy: CuttingProxy, tmp_path: Path
) -> None:
    path, sha256 = some_file(tmp_path / "a", 8 * MIB)
    store_on(s3_empty).put_file("k", path, sha256)
    store = store_on(s3_empty, endpoint=proxy.endpoint)
    proxy.cut(3, 2 * MIB)
    store.get_file("k", tmp_path / "b", sha256)
    assert proxy.n_cut == 3
    proxy.cut(1000, 2 * MIB)
    with pytest.raises(StoreError):
        store.get_file("k", tmp_path / "c", sha256)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


UPLOAD = """
import sys
from pathlib import Path
from pydantic import SecretStr
from astrid_core.storage import ObjectStore
endpoint, bucket, key_id, secret, path, multipart = sys.argv[1:]
store = ObjectStore(endpoint, bucket, SecretStr(key_id), SecretStr(secret),
                    multipart_bytes=int(multipart))
print("ready", flush=True)
store.put_file("killed", Path(path))
"""


@pytest.mark.parametrize("multipart_bytes", [1 << 40, 8 * MIB])
def test_client_killed_in_mid_upload_leaves_no_object(
    s3_empty: S3Store, tmp_path: Path, multipart_bytes: int
) -> None:
    path, sha256 = some_file(tmp_path / "a", 64 * MIB)
    with CuttingProxy(s3_empty.endpoint) as slow:
        slow.bytes_per_second = 20 * MIB
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                UPLOAD,
                slow.endpoint,
                s3_empty.bucket,
                s3_empty.access_key_id,
                s3_empty.secret_access_key,
                str(path),
                str(multipart_bytes),
            ],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while slow.n_bytes < 20 * MIB:
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    store = store_on(s3_empty)
    assert list(store.iterate()) == []
    assert not store.exists("killed")
    assert store.ensure_file("killed", path, sha256)
    store.get_file("killed", tmp_path / "b", sha256)


# --- what a server's answer proves --------------------------------------------------------


def test_tags_of_whole_and_of_parts(tmp_path: Path) -> None:
    path, sha256 = some_file(tmp_path / "a", 12 * MIB)
    data = path.read_bytes()
    fingerprint = fingerprint_file(path, 5 * MIB)
    parts = [hashlib.md5(data[i : i + 5 * MIB]).digest() for i in range(0, len(data), 5 * MIB)]
    assert fingerprint.sha256 == sha256
    n_bytes = len(data)
    whole = {"ContentLength": n_bytes, "ETag": f'"{hashlib.md5(data).hexdigest()}"'}
    in_parts = {"ContentLength": n_bytes, "ETag": f'"{hashlib.md5(b"".join(parts)).hexdigest()}-3"'}
    assert fingerprint.proves(whole)
    assert fingerprint.proves(in_parts)
    for head in (whole, in_parts):
        assert not fingerprint.contradicts(head)
        assert fingerprint.contradicts(head | {"ContentLength": n_bytes - 1})
    other = whole | {"ETag": '"' + "0" * 32 + '"'}
    assert fingerprint.contradicts(other)
    # Under a KMS key the tag is no digest of the content: it proves nothing either way.
    encrypted = other | {"ServerSideEncryption": "aws:kms"}
    assert not fingerprint.proves(encrypted)
    assert not fingerprint.contradicts(encrypted)
