"""The object-store client: any S3, spoken the way Cloudflare R2 and rclone both understand.

What belongs here: bytes in and out under a key, verified. What does not: which keys exist
on purpose (committed rows say) and what the bytes mean.

An object is whole or absent: uploads are verified by size and digest, downloads by
SHA-256, and a file appears under its final name only when all of it is there.
"""

import datetime as dt
import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr

from astrid_core.errors import ObjectCorruptError, ObjectMissingError, StoreError
from astrid_core.fingerprint import Fingerprint, fingerprint_file
from astrid_core.settings import Settings
from astrid_core.store_patience import Patience

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_log = logging.getLogger(__name__)

_MIB = 1 << 20
_MAKING_CLIENT = threading.Lock()
_MOST_CLIENTS = 8
_MAX_PARTS = 10_000
"""S3's limit on the parts of one upload."""
_OCCUPIED_CODES = frozenset({"412", "PreconditionFailed"})
_MISSING_CODES = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True)
class ObjectEntry:
    """What a listing tells of an object.

    Attributes
    ----------
    tag
        The store's own mark of the content; it tells a changed object, and proves no hash.
    modified_at
        When it was last written, by the store's clock.
    """

    key: str
    n_bytes: int
    tag: str
    modified_at: dt.datetime


@dataclass(frozen=True)
class ObjectStore:
    """One bucket of an S3 object store.

    Cheap to make and to pickle: the connection is opened on first use, never travels to
    another process, and is shared by all equal stores of one.

    Attributes
    ----------
    multipart_bytes, part_bytes
        Files larger than the first are sent in equal parts of the second (R2 asks for
        equal parts).
    attempts
        Tries in all for a transient failure, with jittered exponential waits between
        them of at most ``longest_wait_s`` seconds.
    refresh_after_s
        Age from which an equal object is written again, which makes it young: what no row
        names yet is removed by its age (:mod:`astrid_core.care.garbage`).
    """

    endpoint: str
    bucket: str
    access_key_id: SecretStr
    secret_access_key: SecretStr
    region: str = "auto"
    multipart_bytes: int = 64 * _MIB
    part_bytes: int = 16 * _MIB
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    attempts: int = 5
    longest_wait_s: float = 8.0
    refresh_after_s: float = 86_400.0

    @classmethod
    def from_settings(cls, settings: Settings) -> "ObjectStore":
        """Store named by the settings."""
        return cls(
            endpoint=settings.s3_endpoint,
            bucket=settings.s3_bucket,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=settings.s3_secret_access_key,
            region=settings.s3_region,
        )

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> str:
        """Upload a file and verify that all of it arrived.

        Parameters
        ----------
        sha256
            Hex digest the file must have; None takes it as it is.

        Returns
        -------
        The file's SHA-256 as a hex digest.

        Raises
        ------
        ObjectCorruptError
            If the local file is not what ``sha256`` says; nothing was uploaded.
        StoreError
            If the store failed; no partial object is left.
        """
        fingerprint = self._fingerprint(key, path, sha256)
        self._patience.run("put", key, lambda: self._upload(key, path, fingerprint))
        return fingerprint.sha256

    def ensure_file(self, key: str, path: Path, sha256: str | None = None) -> bool:
        """Upload a file unless an equal object already lies under its key, and is young.

        Equal means of the same size and digest, as the store reports them; where the
        store's tag is no digest of the content, the file is uploaded again. Of two who find
        nothing there and write at once, one writes (If-None-Match, which R2 and S3 enforce
        on files that are sent whole) and the other compares.

        Returns
        -------
        Whether the file was uploaded.

        Raises
        ------
        ObjectCorruptError, StoreError
            As :meth:`put_file` does.
        """
        fingerprint = self._fingerprint(key, path, sha256)
        head = self._patience.run("head", key, lambda: self._head(key))
        if head is None and fingerprint.n_bytes <= self.multipart_bytes:
            if self._patience.run("put", key, lambda: self._create(key, path, fingerprint)):
                return True
            head = self._patience.run("head", key, lambda: self._head(key))
        if head is not None and fingerprint.proves(head) and not self._is_old(head):
            return False
        self._patience.run("put", key, lambda: self._upload(key, path, fingerprint))
        return True

    def get_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        """Download an object to ``path``, which appears only when it is whole and right.

        Parameters
        ----------
        sha256
            Hex digest recorded when the object was written; None only for what no row
            names (values between the steps of one run).

        Raises
        ------
        ObjectMissingError
            If the store does not hold the key.
        ObjectCorruptError
            If the object's bytes differ from ``sha256``.
        StoreError
            If the store failed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        scratch = Path(name)
        try:
            found = self._patience.run("get", key, lambda: self._download(key, scratch))
            if sha256 is not None and found != sha256:
                raise ObjectCorruptError(
                    f"Object {key} in bucket {self.bucket} at {self.endpoint} is not what was "
                    f"written: its SHA-256 is {found}, recorded was {sha256}.",
                    remedy="Re-materialize the partition that wrote it.",
                )
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    def get_range(self, key: str, start: int, n_bytes: int) -> bytes:
        """Part of an object that begins within it: fewer bytes where it ends before.

        Nothing here proves them right: the caller has a digest of what it asks for.

        Raises
        ------
        ObjectMissingError
            If the store does not hold the key.
        StoreError
            If the store failed; StoreRefusedError if the object ends before ``start``.
        """
        return self._patience.run("get", key, lambda: self._range(key, start, n_bytes))

    def digest(self, key: str) -> str:
        """SHA-256 of an object's bytes, read through and kept nowhere.

        Raises
        ------
        ObjectMissingError
            If the store does not hold the key.
        StoreError
            If the store failed.
        """
        return self._patience.run("get", key, lambda: self._digest(key))

    def entry(self, key: str) -> ObjectEntry | None:
        """What the store tells of one object; None where it is not there."""
        head = self._patience.run("head", key, lambda: self._head(key))
        if head is None:
            return None
        tag = str(head.get("ETag", "")).strip('"')
        return ObjectEntry(key, int(head["ContentLength"]), tag, head["LastModified"])

    def exists(self, key: str) -> bool:
        """Whether the store holds an object under the key."""
        return self._patience.run("head", key, lambda: self._head(key)) is not None

    def size(self, key: str) -> int:
        """Size of an object in bytes.

        Raises
        ------
        ObjectMissingError
            If the store does not hold the key.
        """
        head = self._patience.run("head", key, lambda: self._head(key))
        if head is None:
            raise self._missing(key)
        return int(head["ContentLength"])

    def iterate(self, prefix: str = "") -> Iterator[str]:
        """Keys that begin with a prefix, in the store's order, listed page by page."""
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str = "") -> Iterator[ObjectEntry]:
        """Objects whose keys begin with a prefix, in the store's order, listed page by page."""
        page: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix}
        while True:
            answer = self._patience.run(
                "list", prefix, lambda: self._client.list_objects_v2(**page)
            )
            for found in answer.get("Contents", ()):
                tag = found["ETag"].strip('"')
                yield ObjectEntry(found["Key"], found["Size"], tag, found["LastModified"])
            if not answer.get("IsTruncated"):
                return
            page["ContinuationToken"] = answer["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Delete an object; absent is fine."""
        self._patience.run(
            "delete", key, lambda: self._client.delete_object(Bucket=self.bucket, Key=key)
        )

    def ensure_bucket(self) -> None:
        """Create the bucket where it does not exist.

        Raises
        ------
        StoreError
            If the store failed; StoreRefusedError if the keys may not create buckets.
        """
        self._patience.run("make bucket", self.bucket, self._ensure_bucket)

    def expiring(self) -> list[str] | None:
        """Prefixes whose objects the bucket itself deletes after a time; none is as it should be.

        Returns
        -------
        None where the store does not say, or not to these keys.
        """
        try:
            answer = self._client.get_bucket_lifecycle_configuration(Bucket=self.bucket)
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            return [] if code == "NoSuchLifecycleConfiguration" else None
        return [
            str(rule.get("Filter", {}).get("Prefix", rule.get("Prefix", "")))
            for rule in answer.get("Rules", ())
            if rule.get("Status") == "Enabled" and "Expiration" in rule
        ]

    def presign(self, key: str, expires_s: int = 3600) -> str:
        """URL that reads one object without keys for ``expires_s`` seconds."""
        return self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=expires_s
        )

    @property
    def _patience(self) -> Patience:
        return Patience(self.endpoint, self.bucket, self.attempts, self.longest_wait_s)

    # --- one attempt each -----------------------------------------------------------------

    @property
    def _client(self) -> "S3Client":
        return _client_of(self, os.getpid())

    def _upload(self, key: str, path: Path, fingerprint: Fingerprint) -> None:
        is_large = fingerprint.n_bytes > self.multipart_bytes
        transfer = TransferConfig(
            multipart_threshold=self.multipart_bytes + 1,
            multipart_chunksize=self._part_size(fingerprint.n_bytes),
            use_threads=is_large,
            max_concurrency=4,
        )
        with path.open("rb") as stream:
            self._client.upload_fileobj(stream, self.bucket, key, Config=transfer)
        self._verify(key, fingerprint)

    def _create(self, key: str, path: Path, fingerprint: Fingerprint) -> bool:
        """Upload where nothing is; False where something came to be meanwhile."""
        try:
            with path.open("rb") as stream:
                self._client.put_object(Bucket=self.bucket, Key=key, Body=stream, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"].get("Code") in _OCCUPIED_CODES:
                return False
            raise
        self._verify(key, fingerprint)
        return True

    def _verify(self, key: str, fingerprint: Fingerprint) -> None:
        head = self._head(key)
        if head is None or fingerprint.contradicts(head):
            self._client.delete_object(Bucket=self.bucket, Key=key)
            raise StoreError(
                f"Object {key} did not arrive whole in bucket {self.bucket} at {self.endpoint}; "
                "what arrived was removed.",
                remedy="Try again; if it persists, look into the store's log.",
                n_bytes=fingerprint.n_bytes,
                n_arrived=head["ContentLength"] if head else 0,
            )

    def _range(self, key: str, start: int, n_bytes: int) -> bytes:
        wanted = f"bytes={start}-{start + n_bytes - 1}"
        with closing(self._get(key, Range=wanted)["Body"]) as body:
            return body.read()  # all of it, so that a line that breaks is noticed

    def _get(self, key: str, **request: Any) -> "GetObjectOutputTypeDef":
        try:
            return self._client.get_object(Bucket=self.bucket, Key=key, **request)
        except ClientError as error:
            if error.response["Error"].get("Code") in _MISSING_CODES:
                raise self._missing(key) from error
            raise

    def _download(self, key: str, scratch: Path) -> str:
        digest = hashlib.sha256()
        answer = self._get(key)
        with closing(answer["Body"]) as body, scratch.open("wb") as stream:
            for chunk in body.iter_chunks(_MIB):
                digest.update(chunk)
                stream.write(chunk)
        return digest.hexdigest()

    def _digest(self, key: str) -> str:
        digest = hashlib.sha256()
        with closing(self._get(key)["Body"]) as body:
            for chunk in body.iter_chunks(_MIB):
                digest.update(chunk)
        return digest.hexdigest()

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.head_object(Bucket=self.bucket, Key=key))
        except ClientError as error:
            # HEAD has no body: a missing bucket looks the same and shows itself on writing.
            if error.response["Error"].get("Code") in _MISSING_CODES:
                return None
            raise

    def _ensure_bucket(self) -> None:
        try:
            self._client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if error.response["Error"].get("Code") not in _MISSING_CODES:
                raise
            place: dict[str, Any] = {}
            if self.region not in ("auto", "us-east-1"):
                place["CreateBucketConfiguration"] = {"LocationConstraint": self.region}
            try:
                self._client.create_bucket(Bucket=self.bucket, **place)
            except self._client.exceptions.BucketAlreadyOwnedByYou:
                _log.debug("bucket %s was made by another process meanwhile", self.bucket)

    def _is_old(self, head: dict[str, Any]) -> bool:
        age = dt.datetime.now(dt.UTC) - head["LastModified"]
        return age.total_seconds() > self.refresh_after_s

    # --- fingerprints and errors ----------------------------------------------------------

    def _part_size(self, n_bytes: int) -> int:
        """Equal part size that keeps a file of ``n_bytes`` within S3's number of parts."""
        return max(self.part_bytes, -(-n_bytes // _MAX_PARTS))

    def _fingerprint(self, key: str, path: Path, sha256: str | None) -> Fingerprint:
        n_bytes = path.stat().st_size
        fingerprint = fingerprint_file(path, self._part_size(n_bytes))
        if sha256 is not None and fingerprint.sha256 != sha256:
            raise ObjectCorruptError(
                f"{path}, to be stored as {key}, changed after it was written: its SHA-256 is "
                f"{fingerprint.sha256}, not {sha256}. Nothing was uploaded.",
                remedy="Re-materialize the partition; if it persists, check the local disk.",
            )
        return fingerprint

    def _missing(self, key: str) -> ObjectMissingError:
        return ObjectMissingError(
            f"Object {key} is not in bucket {self.bucket} at {self.endpoint}.",
            remedy="Re-materialize the partition that wrote it.",
        )


@lru_cache(maxsize=_MOST_CLIENTS)
def _client_of(store: ObjectStore, _pid: int) -> "S3Client":
    """The client of a store in this process, and not in one forked from it.

    A worker unpickles its store with every frame: a client each would cost more than what
    it fetches.
    """
    # "when_required": R2 and rclone refuse or mangle the checksum trailers that boto3
    # sends by default since 1.36. One retry per request; the rest is tenacity's.
    config = Config(
        region_name=store.region,
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=store.connect_timeout_s,
        read_timeout=store.read_timeout_s,
        max_pool_connections=16,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    # Clients may be used by several threads, but a session makes one at a time.
    with _MAKING_CLIENT:
        return _session().client(
            "s3",
            endpoint_url=store.endpoint,
            aws_access_key_id=store.access_key_id.get_secret_value(),
            aws_secret_access_key=store.secret_access_key.get_secret_value(),
            config=config,
        )


@cache
def _session() -> boto3.session.Session:
    """The process's own: it reads botocore's descriptions of S3 once, not for each client."""
    return boto3.session.Session()
