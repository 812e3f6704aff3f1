"""Size and digests of a local file, and what an S3 server's answer proves about its copy."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fingerprint:
    """Size and digests of a file, from one pass over it.

    Attributes
    ----------
    sha256
        Hex digest of the bytes.
    md5
        Hex digest: the ETag of an object uploaded in one piece.
    multipart_tag
        MD5 of the parts' MD5s and their number: the ETag of an object uploaded in parts.
    """

    n_bytes: int
    sha256: str
    md5: str
    multipart_tag: str

    def proves(self, head: Mapping[str, object]) -> bool:
        """Whether an answer to HEAD proves the object equal to the file."""
        return head["ContentLength"] == self.n_bytes and _tag(head) in (
            self.md5,
            self.multipart_tag,
        )

    def contradicts(self, head: Mapping[str, object]) -> bool:
        """Whether an answer to HEAD proves the object different from the file.

        A tag that is no plain MD5 (uploaded in parts, encrypted under a KMS key) proves
        nothing; the size still does.
        """
        is_encrypted = "SSECustomerAlgorithm" in head or str(
            head.get("ServerSideEncryption", "")
        ).startswith("aws:kms")
        is_md5 = re.fullmatch("[0-9a-f]{32}", _tag(head)) is not None and not is_encrypted
        return head["ContentLength"] != self.n_bytes or (is_md5 and _tag(head) != self.md5)


def fingerprint_file(path: Path, part_bytes: int) -> Fingerprint:
    """Fingerprint a file, read once in blocks of ``part_bytes``, the size of S3 parts."""
    sha256 = hashlib.sha256()
    md5 = hashlib.md5(usedforsecurity=False)
    of_parts = hashlib.md5(usedforsecurity=False)
    n_bytes = n_parts = 0
    with path.open("rb") as stream:
        while block := stream.read(part_bytes):
            sha256.update(block)
            md5.update(block)
            of_parts.update(hashlib.md5(block, usedforsecurity=False).digest())
            n_bytes += len(block)
            n_parts += 1
    return Fingerprint(
        n_bytes=n_bytes,
        sha256=sha256.hexdigest(),
        md5=md5.hexdigest(),
        multipart_tag=f"{of_parts.hexdigest()}-{n_parts}",
    )


def _tag(head: Mapping[str, object]) -> str:
    return str(head.get("ETag", "")).strip('"')
