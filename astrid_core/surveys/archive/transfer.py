"""One file from an archive: attempts, resumed where they broke off, until it is whole.

What belongs here: bytes of one file and the proof that they are all there. What does not:
which files, and in what order (``download``).
"""

import errno
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from astrid_core.errors import (
    AstridError,
    BadFitsError,
    DownloadError,
    DownloadRefusedError,
    FrameTooLargeError,
)
from astrid_core.remote.config import ArchiveOptions
from astrid_core.remote.session import (
    BROKEN_BODY,
    CHUNK_BYTES,
    ArchiveSession,
    patiently,
    place,
    stopped,
)
from astrid_core.surveys.archive.cache import Entry, Version
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.fits_layout import verify_sums

MIB = 1 << 20
GIB = 1 << 30
_FITS_BEGINNINGS = (b"SIMPLE  =", b"\x1f\x8b", b"BZh")
_LONGEST_BEGINNING = max(map(len, _FITS_BEGINNINGS))
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_REFUSAL = "Check that the product still exists and is public; else name credentials."


class Budget:
    """Bytes that one night may still take, on the wire and on the disk.

    Raises
    ------
    DownloadRefusedError
        From :meth:`spend` and :meth:`require`, when there is no room for more.
    """

    def __init__(self, survey: str, rules: ArchiveOptions) -> None:
        self._survey = survey
        self._rules = rules
        self._lock = threading.Lock()
        self._spent = 0

    def spend(self, n_bytes: int) -> None:
        """Count bytes that came."""
        with self._lock:
            self._spent += n_bytes
            spent = self._spent
        if spent > self._rules.max_night_gib * GIB:
            raise self.night_too_large(spent)

    def require(self, n_bytes: int) -> None:
        """Make sure that so many more bytes fit on the disk."""
        folder = self._rules.cache_dir.expanduser()
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if free - n_bytes < self._rules.min_free_gib * GIB:
            raise DownloadRefusedError(
                f"Survey '{self._survey}': no room for {n_bytes / MIB:.1f} MiB in {folder}.",
                remedy="Free some space, point 'archive.cache_dir' elsewhere, or lower "
                "'archive.min_free_gib'.",
                free_gib=round(free / GIB, 2),
                min_free_gib=self._rules.min_free_gib,
            )

    def night_too_large(self, n_bytes: int) -> DownloadRefusedError:
        """The error of a night above its limit."""
        return DownloadRefusedError(
            f"Survey '{self._survey}': the night's files exceed 'archive.max_night_gib'.",
            remedy="Select fewer products, or raise the limit if they are wanted.",
            night_gib=round(n_bytes / GIB, 3),
            max_night_gib=self._rules.max_night_gib,
        )


def transfer(
    product: Product,
    entry: Entry,
    session: ArchiveSession,
    budget: Budget,
    max_frame_mpix: float,
) -> str:
    """Fetch a product into its place in the cache. Returns the SHA-256 of its bytes.

    Raises
    ------
    DownloadError
        If what came is not the whole FITS file announced, at the last attempt.
    DownloadRefusedError
        If the archive does not give it, or a limit forbids it, at once.
    SurveyUnavailableError
        If the archive cannot be reached or breaks off, at the last attempt.
    """

    def attempt() -> str:
        if session.stop.is_set():
            raise stopped(session.survey)
        _receive(product, entry, session, budget)
        try:
            _verify(product, entry.part, session.rules, max_frame_mpix)
        except AstridError:
            entry.discard()
            raise
        return entry.finish()

    check_size(product, product.size_bytes, session.rules)
    return patiently(session)(attempt)


def check_size(product: Product, n_bytes: int | None, rules: ArchiveOptions) -> None:
    """Refuse a file that is announced larger than a file may be.

    Raises
    ------
    DownloadRefusedError
        Naming the file and the limit.
    """
    if n_bytes is not None and n_bytes > rules.max_file_mib * MIB:
        raise DownloadRefusedError(
            f"{product.name} is larger than 'archive.max_file_mib' allows.",
            remedy="Raise the limit if this file is wanted.",
            size_mib=round(n_bytes / MIB, 1),
            max_file_mib=rules.max_file_mib,
        )


def _receive(product: Product, entry: Entry, session: ArchiveSession, budget: Budget) -> None:
    """One attempt: ask for what is missing and append it to the unfinished file."""
    begun, version = entry.begun()
    headers = {}
    if begun and version.condition:
        headers = {"Range": f"bytes={begun}-", "If-Range": version.condition}
    with session.transfer(product.url, headers) as response:
        _check_status(product, response, entry)
        start, total = _extent(product, response, entry, begun, version)
        check_size(product, total, session.rules)
        budget.require((total or 0) - start)
        if not start:
            entry.begin(_version(response))
        received = start + _append(product, response, entry, session, budget, is_start=not start)
    if total is not None and received != total:
        raise session.unavailable(
            product.url, "broke off", received_bytes=received, announced_bytes=total
        )


def _append(
    product: Product,
    response: requests.Response,
    entry: Entry,
    session: ArchiveSession,
    budget: Budget,
    *,
    is_start: bool,
) -> int:
    received = 0
    deadline = time.monotonic() + session.rules.file_timeout_s
    try:
        with entry.part.open("ab") as part:
            for chunk in _chunks(product, response, session):
                if is_start and not received:
                    _require_fits(product, chunk, response)
                received += len(chunk)
                budget.spend(len(chunk))
                check_size(product, part.tell() + len(chunk), session.rules)
                part.write(chunk)
                if session.stop.is_set():
                    raise stopped(session.survey)
                if time.monotonic() > deadline:
                    raise session.unavailable(product.url, "is too slow for 'file_timeout_s'")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DownloadRefusedError(
            f"{product.name} does not fit on the disk of {entry.folder.parent}.",
            remedy="Free some space, or point 'archive.cache_dir' elsewhere.",
        ) from error
    return received


def _chunks(
    product: Product, response: requests.Response, session: ArchiveSession
) -> Iterator[bytes]:
    """Bytes as they are on the wire; trouble on the wire is told from trouble on the disk."""
    stream = response.raw.stream(CHUNK_BYTES, decode_content=False)
    while True:
        try:
            chunk = next(stream, None)
        except BROKEN_BODY as error:
            raise session.unavailable(product.url, f"broke off: {type(error).__name__}") from None
        if chunk is None:
            return
        yield chunk


def _check_status(product: Product, response: requests.Response, entry: Entry) -> None:
    status = response.status_code
    if status in (requests.codes.ok, requests.codes.partial_content):
        return
    if status == requests.codes.requested_range_not_satisfiable:
        entry.discard()
        raise DownloadError(
            f"{product.name} changed in the archive while it was fetched.",
            remedy="Run again: it is fetched from its beginning.",
        )
    raise DownloadRefusedError(
        f"{place(str(response.url))} does not give {product.name}: HTTP {status} "
        f"{response.reason}.",
        remedy=_REFUSAL,
    )


def _extent(
    product: Product,
    response: requests.Response,
    entry: Entry,
    begun: int,
    version: Version,
) -> tuple[int, int | None]:
    """Where an answer's bytes begin in the file, and the size of the whole where announced."""
    if response.status_code != requests.codes.partial_content:
        announced = response.headers.get("Content-Length", "")
        return 0, int(announced) if announced.isdecimal() else None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    now = _version(response)
    is_same = not (now.etag and version.etag) or now.etag == version.etag
    if match is None or int(match[1]) != begun or not is_same:
        entry.discard()
        raise DownloadError(
            f"{product.name}: the archive resumed another part of it than was asked for.",
            remedy="Run again: it is fetched from its beginning.",
        )
    return begun, int(match[2])


def _version(response: requests.Response) -> Version:
    etag = response.headers.get("ETag", "")
    strong = "" if etag.startswith("W/") else etag
    return Version(strong, response.headers.get("Last-Modified", ""))


# --- what came ----------------------------------------------------------------------------


def _require_fits(product: Product, beginning: bytes, response: requests.Response) -> None:
    if beginning[:_LONGEST_BEGINNING].startswith(_FITS_BEGINNINGS):
        return
    what = "something else"
    if b"<VOTABLE" in beginning[:2048]:
        what = "a VOTable"
    elif b"<html" in beginning[:2048].lower() or b"<!doctype" in beginning[:2048].lower():
        what = "an HTML page"
    raise DownloadError(
        f"{place(str(response.url))} answers {what} instead of the FITS file {product.name}.",
        remedy="Look at the address in a browser: archives explain there why they give no file.",
    )


def _verify(product: Product, part: Path, rules: ArchiveOptions, max_frame_mpix: float) -> None:
    """Prove that an unfinished file is the whole one."""
    size = part.stat().st_size
    is_stated = not product.is_size_estimated and rules.stated_sizes == "verify"
    if is_stated and product.size_bytes is not None and size != product.size_bytes:
        raise DownloadError(
            f"{product.name} has another size than the archive lists.",
            remedy="If its listed sizes are stale, set 'archive.stated_sizes: estimate'.",
            received_bytes=size,
            listed_bytes=product.size_bytes,
        )
    if product.checksum is not None:
        with part.open("rb") as stream:
            digest = hashlib.file_digest(stream, product.checksum.algorithm).hexdigest()
        if digest != product.checksum.digest.lower():
            raise DownloadError(
                f"{product.name} has another {product.checksum.algorithm} than the archive states.",
                remedy="Run again; if it stays so, the archive's file is damaged.",
            )
    try:
        verify_sums(part, max_frame_mpix)
    except FrameTooLargeError as error:
        message = error.message.replace(part.name, product.name)
        raise DownloadRefusedError(message, remedy=error.remedy, **error.details) from error
    except BadFitsError as error:
        message = error.message.replace(part.name, product.name)
        raise DownloadError(message, remedy=error.remedy, **error.details) from error
