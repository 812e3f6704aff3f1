"""Files from an archive: each one whole, byte for byte, once; or its failure, typed."""

import gzip
import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from astrid_core.errors import (
    AstridError,
    DownloadError,
    DownloadRefusedError,
    ForbiddenAddressError,
    SurveyRefusedError,
    SurveyUnavailableError,
)
from astrid_core.identity import sha256_file
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.cache import Entry
from astrid_core.surveys.archive.download import Fetched, NotFetched, Progress, fetch_all, plan
from astrid_core.surveys.archive.product import Checksum, Product
from tests.archive_server import (
    PASSING,
    ArchiveServer,
    Asked,
    Fault,
    Reply,
    busy,
    cut,
    flipped,
    hang_up,
    html,
    malformed_votable,
    redirect,
    round_and_round,
    shorter,
    slow,
    status,
    unannounced,
)
from tests.archives import options, tiny_fits

BODY = tiny_fits(1, side_pix=128)


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        yield server


def offered(
    archive: ArchiveServer, body: bytes = BODY, name: str = "a.fits", **put: Any
) -> Product:
    return Product(name, archive.put(f"/{name}", body, **put))


def fetch(
    archive: ArchiveServer, cache: Path, *products: Product, **changes: Any
) -> list[Fetched | NotFetched]:
    session = ArchiveSession("mine", options(archive, cache, **changes))
    return list(fetch_all(products, session, max_frame_mpix=4.0))


def fetched(archive: ArchiveServer, cache: Path, product: Product, **changes: Any) -> bytes:
    [result] = fetch(archive, cache, product, **changes)
    assert isinstance(result, Fetched), result
    assert sha256_file(result.path) == result.sha256
    return result.path.read_bytes()


def failure(archive: ArchiveServer, cache: Path, product: Product, **changes: Any) -> AstridError:
    """Why one file of two fails; the other one comes."""
    other = offered(archive, name="other.fits")
    result, sibling = fetch(archive, cache, product, other, **changes)
    assert isinstance(sibling, Fetched)
    assert isinstance(result, NotFetched)
    return result.error


# --- bytes ----------------------------------------------------------------------------------


def compressed(kind: str) -> bytes:
    if kind == "gz":
        return gzip.compress(BODY)
    pixels = np.random.default_rng(2).integers(0, 1000, (64, 64)).astype(np.int16)
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(stream, checksum=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["gz", "fz"])
def test_compressed_files_stay_as_they_are(
    archive: ArchiveServer, tmp_path: Path, kind: str
) -> None:
    body = compressed(kind)
    # Some servers label a .gz as an encoding; that must not unpack it.
    headers = {"Content_Encoding": "gzip"} if kind == "gz" else {}
    product = offered(archive, body, f"a.fits.{kind}", **headers)

    assert fetched(archive, tmp_path, product) == body
    assert archive.log[0].headers["accept-encoding"] == "identity"


def test_a_second_run_downloads_nothing(archive: ArchiveServer, tmp_path: Path) -> None:
    product = offered(archive)
    fetched(archive, tmp_path, product)

    [result] = fetch(archive, tmp_path, product)

    assert isinstance(result, Fetched)
    assert result.is_from_cache
    assert len(archive.log) == 1


def test_a_cached_file_that_was_changed_is_fetched_again(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    product = offered(archive)
    path = Entry.of(product, "mine", tmp_path).path
    fetched(archive, tmp_path, product)
    path.write_bytes(path.read_bytes().replace(b"OBJECT", b"OBJEKT"))

    assert fetched(archive, tmp_path, product) == BODY
    assert len(archive.log) == 2


def test_a_new_version_by_the_archive_s_own_word_is_fetched(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    url = archive.put("/a.fits", BODY)
    fetched(archive, tmp_path, Product("a.fits", url, len(BODY)))
    newer = tiny_fits(2, side_pix=256)
    archive.put("/a.fits", newer)

    assert fetched(archive, tmp_path, Product("a.fits", url, len(newer))) == newer


def test_files_go_when_they_are_not_kept(archive: ArchiveServer, tmp_path: Path) -> None:
    products = [offered(archive, tiny_fits(n), f"{n}.fits") for n in range(3)]
    session = ArchiveSession("mine", options(archive, tmp_path, keep=False))

    for result in fetch_all(products, session, 4.0):
        assert isinstance(result, Fetched)
        assert result.path.is_file()

    assert not list(tmp_path.rglob("*.fits"))


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/a.fits", "/etc/passwd", "..", "", ".hidden", "a\\..\\b.fits", "é" * 300],
)
def test_a_name_is_no_path(archive: ArchiveServer, tmp_path: Path, name: str) -> None:
    product = Product(name, archive.put("/a.fits", BODY))
    cache = tmp_path / "cache"

    [result] = fetch(archive, cache, product)

    assert isinstance(result, Fetched)
    assert result.path.resolve().is_relative_to(cache / "mine")
    assert result.path.parent.parent == cache / "mine"
    assert result.product.name == name
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_results_come_in_the_order_asked_for(archive: ArchiveServer, tmp_path: Path) -> None:
    products = [offered(archive, tiny_fits(n), f"{n}.fits") for n in range(12)]
    for n in range(0, 12, 3):
        archive.always(f"/{n}.fits", slow(0.05))

    results = fetch(archive, tmp_path, *products)

    assert [result.product.name for result in results] == [p.name for p in products]
    assert archive.most_at_once <= 4


# --- faults that pass ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_leaves_the_right_bytes(
    archive: ArchiveServer, tmp_path: Path, fault: Fault
) -> None:
    product = offered(archive)
    archive.fault("/a.fits", fault, fault)

    assert fetched(archive, tmp_path, product) == BODY


def test_a_cut_download_is_resumed_where_it_broke_off(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    product = offered(archive)
    archive.fault("/a.fits", cut)

    assert fetched(archive, tmp_path, product) == BODY
    again = archive.log[1].headers
    assert again["range"] == f"bytes={len(BODY) // 2}-"
    assert again["if-range"].strip('"')


@pytest.mark.parametrize("put", [{"etag": False}, {"ranges": False}])
def test_without_validator_or_ranges_it_begins_again(
    archive: ArchiveServer, tmp_path: Path, put: dict[str, bool]
) -> None:
    product = offered(archive, **put)
    archive.fault("/a.fits", cut)

    assert fetched(archive, tmp_path, product) == BODY


def test_two_versions_are_never_spliced(archive: ArchiveServer, tmp_path: Path) -> None:
    newer = tiny_fits(2, side_pix=128)

    def cut_and_change(right: Reply, asked: Asked) -> Reply:
        archive.put("/a.fits", newer)
        return cut(right, asked)

    product = offered(archive)
    archive.fault("/a.fits", cut_and_change)

    assert fetched(archive, tmp_path, product) == newer


def test_a_server_that_ignores_if_range_is_found_out(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    newer = tiny_fits(2, side_pix=128)

    def resumed_blindly(right: Reply, asked: Asked) -> Reply:
        start = len(BODY) // 2
        told = {"Content-Range": f"bytes {start}-{len(newer) - 1}/{len(newer)}", "ETag": '"new"'}
        archive.put("/a.fits", newer)
        return Reply(newer[start:], 206, told)

    product = offered(archive)
    archive.fault("/a.fits", cut, resumed_blindly)

    assert fetched(archive, tmp_path, product) == newer


def test_cancelling_leaves_a_part_that_the_next_run_resumes(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    body = tiny_fits(3, side_pix=1024)
    first, second = offered(archive, name="first.fits"), offered(archive, body, "large.fits")
    half_sent = threading.Event()

    def drip(right: Reply, asked: Asked) -> Reply:
        half_sent.set()
        return cut(right, asked)

    archive.fault("/large.fits", drip, slow(30))
    session = ArchiveSession("mine", options(archive, tmp_path, timeout_s=1.0))
    fetching = fetch_all([first, second], session, 4.0)
    assert isinstance(next(fetching), Fetched)
    half_sent.wait(5)
    fetching.close()

    assert [path.name for path in tmp_path.rglob("*.fits")] == ["first.fits"]
    [part] = tmp_path.rglob("*.part")
    size = part.stat().st_size
    archive.behave()
    assert fetched(archive, tmp_path, second) == body
    assert archive.log[-1].headers["range"] == f"bytes={size}-"


# --- faults that stay, and what the user reads -----------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (status(500), SurveyUnavailableError, ["is unavailable", "http_status=500"]),
        (busy("3600"), SurveyUnavailableError, ["http_status=429", "retry_after_s=3600"]),
        (slow(1.5), SurveyUnavailableError, ["cannot be reached: ReadTimeout"]),
        (hang_up, SurveyUnavailableError, ["cannot be reached: ConnectionError"]),
        (html, DownloadError, ["answers an HTML page instead of the FITS file a.fits"]),
        (malformed_votable, DownloadError, ["answers a VOTable instead of the FITS file"]),
        (flipped, DownloadError, ["a.fits differs from its own checksums", "Fetch the file again"]),
        (shorter, DownloadError, ["is truncated", "Fetch the file again"]),
        (round_and_round, SurveyRefusedError, ["redirects more than 5 times"]),
        (redirect("http://example.org/"), ForbiddenAddressError, ["archive.allowed_hosts"]),
        (status(404), DownloadRefusedError, ["does not give a.fits: HTTP 404"]),
        (status(403), DownloadRefusedError, ["HTTP 403", "else name credentials"]),
    ],
)
def test_a_fault_that_stays_is_that_file_s_failure(
    archive: ArchiveServer, tmp_path: Path, fault: Fault, kind: type[AstridError], said: list[str]
) -> None:
    product = offered(archive)
    archive.always("/a.fits", fault)

    error = failure(archive, tmp_path, product, attempts=2, timeout_s=1.0)

    assert type(error) is kind
    for words in said:
        assert words in str(error)
    assert not [path for path in tmp_path.rglob("a.fits*") if path.suffix == ".fits"]


def test_a_connection_that_is_always_cut_fails_that_file(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    product = offered(archive, etag=False)
    archive.always("/a.fits", cut)

    error = failure(archive, tmp_path, product, attempts=2)

    assert isinstance(error, SurveyUnavailableError)
    assert "a.fits broke off" in str(error)


def test_the_archive_s_checksum_is_verified(archive: ArchiveServer, tmp_path: Path) -> None:
    url = archive.put("/a.fits", BODY)
    product = Product("a.fits", url, checksum=Checksum("md5", "0" * 32))

    error = failure(archive, tmp_path, product, attempts=2)

    assert "another md5 than the archive states" in str(error)


def test_the_archive_s_size_is_verified_unless_it_is_an_estimate(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    product = Product("a.fits", archive.put("/a.fits", BODY), size_bytes=5760)

    error = failure(archive, tmp_path, product, attempts=2)

    assert "another size than the archive lists" in str(error)
    assert f"received_bytes={len(BODY)}" in str(error)
    assert fetched(archive, tmp_path, product, stated_sizes="estimate") == BODY


def test_a_decompression_bomb_is_refused(archive: ArchiveServer, tmp_path: Path) -> None:
    header = fits.Header(
        {"SIMPLE": True, "BITPIX": 8, "NAXIS": 2, "NAXIS1": 10**6, "NAXIS2": 10**6}
    )
    bomb = gzip.compress(header.tostring().encode() + bytes(1 << 20))
    error = failure(archive, tmp_path, offered(archive, bomb, "bomb.fits.gz"))

    assert isinstance(error, DownloadRefusedError)
    assert "announces more data than a file may hold" in str(error)


# --- limits ----------------------------------------------------------------------------------


def test_a_file_announced_too_large_is_not_asked_for(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    product = Product("a.fits", archive.put("/a.fits", BODY), size_bytes=3 << 20)

    error = failure(archive, tmp_path, product, max_file_mib=1)

    assert "larger than 'archive.max_file_mib' allows" in str(error)
    assert archive.asked("/a.fits") == []


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_file_that_turns_out_too_large_is_left(
    archive: ArchiveServer, tmp_path: Path, is_announced: bool
) -> None:
    body = tiny_fits(4, side_pix=1024)

    if not is_announced:
        archive.always("/large.fits", unannounced)

    error = failure(archive, tmp_path, offered(archive, body, "large.fits"), max_file_mib=1)

    assert isinstance(error, DownloadRefusedError)


def test_a_night_above_its_limit_is_not_begun(archive: ArchiveServer, tmp_path: Path) -> None:
    products = [
        Product(f"{n}.fits", archive.put(f"/{n}.fits", BODY), size_bytes=len(BODY))
        for n in range(3)
    ]

    with pytest.raises(DownloadRefusedError, match=r"exceed 'archive\.max_night_gib'"):
        fetch(archive, tmp_path, *products, max_night_gib=len(BODY) * 2 / 2**30)

    assert archive.log == []


def test_a_full_disk_is_not_filled(archive: ArchiveServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadRefusedError, match="no room for") as caught:
        fetch(archive, tmp_path, offered(archive), min_free_gib=10_000)

    assert "archive.cache_dir" in caught.value.remedy
    assert archive.log == []


def test_a_dry_run_asks_for_nothing(archive: ArchiveServer, tmp_path: Path) -> None:
    here = offered(archive, name="here.fits")
    fetched(archive, tmp_path, here)
    products = [
        here,
        Product("sized.fits", archive.url("/sized.fits"), size_bytes=1 << 20),
        Product("unsized.fits", archive.url("/unsized.fits")),
        Product("huge.fits", archive.url("/huge.fits"), size_bytes=1 << 40),
    ]

    planned = plan(products, "mine", options(archive, tmp_path))

    assert planned.describe().startswith(
        "4 files: 1 cached, 2 to fetch (1.0 MiB, 1 of unknown size), 1 refused"
    )
    assert "huge.fits is larger" in planned.describe()
    assert len(archive.log) == 1


def test_progress_is_told(archive: ArchiveServer, tmp_path: Path) -> None:
    told: list[Progress] = []
    products = [offered(archive), Product("none.fits", archive.url("/none.fits"))]

    list(fetch_all(products, ArchiveSession("mine", options(archive, tmp_path)), 4.0, told.append))

    assert [(p.n_done, p.n_failed, p.n_files) for p in told] == [(1, 0, 2), (2, 1, 2)]
    assert told[-1].n_bytes == len(BODY)


# --- outages ---------------------------------------------------------------------------------


def test_an_archive_that_is_out_is_left_alone(archive: ArchiveServer, tmp_path: Path) -> None:
    products = [offered(archive, name=f"{n}.fits") for n in range(40)]
    archive.is_down = True

    with pytest.raises(SurveyUnavailableError, match="Survey 'mine'"):
        fetch(archive, tmp_path, *products, attempts=1)

    assert len(archive.log) < 20


def test_one_file_of_an_archive_that_is_out_is_an_outage_too(
    archive: ArchiveServer, tmp_path: Path
) -> None:
    archive.is_down = True

    with pytest.raises(SurveyUnavailableError):
        fetch(archive, tmp_path, offered(archive), attempts=1)


def test_cached_files_do_not_hide_an_outage(archive: ArchiveServer, tmp_path: Path) -> None:
    here, missing = offered(archive, name="here.fits"), offered(archive, name="missing.fits")
    fetched(archive, tmp_path, here)
    archive.is_down = True

    with pytest.raises(SurveyUnavailableError):
        fetch(archive, tmp_path, here, missing, attempts=1)


# --- many ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_500_files_with_faults_are_all_there_exactly_once(
    archive: ArchiveServer, tmp_path: Path, seed: int
) -> None:
    bodies = {f"{n:03d}.fits": tiny_fits(n, side_pix=16) for n in range(500)}
    products = [offered(archive, body, name) for name, body in bodies.items()]
    archive.at_random(0.05, seed, PASSING)

    results = fetch(archive, tmp_path, *products, parallel=8, attempts=6)

    assert [result.product.name for result in results] == list(bodies)
    got = {r.product.name: r.path.read_bytes() for r in results if isinstance(r, Fetched)}
    assert got == bodies
    assert len(list(tmp_path.rglob("*.fits"))) == 500
    assert not list(tmp_path.rglob("*.part"))
    assert len(archive.log) > 515, "no fault was met"


def test_two_runs_of_one_night_fetch_each_file_once(archive: ArchiveServer, tmp_path: Path) -> None:
    products = [offered(archive, tiny_fits(n), f"{n}.fits") for n in range(10)]
    for n in range(10):
        archive.always(f"/{n}.fits", slow(0.02))
    runs: list[list[Fetched | NotFetched]] = [[], []]
    threads = [
        threading.Thread(target=lambda run=run: run.extend(fetch(archive, tmp_path, *products)))
        for run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(archive.log) == 10
    assert all(isinstance(result, Fetched) for result in itertools.chain(*runs))
