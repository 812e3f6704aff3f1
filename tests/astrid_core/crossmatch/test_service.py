"""One request: what comes back, what is tried again, what is refused."""

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.crossmatch.catalogues import Cone, Gaia, Skybot, Vsx
from astrid_core.crossmatch.config import CrossmatchConfig
from astrid_core.crossmatch.service import Columns, Request, fetch, read_votable
from astrid_core.errors import CatalogueRefusedError, CatalogueUnavailableError
from tests.catalogue_services import (
    Asteroid,
    CatalogueServices,
    Star,
    Variable,
    cut,
    endless,
    gaia_document,
    hang_up,
    send,
    skybot_document,
    status_document,
    vsx_document,
)

NOW = dt.datetime(2025, 9, 10, tzinfo=dt.UTC)
CONE = Cone(10.0, -20.0, 0.5)
STAR = Star(5_012_345_678_901_234_567, 10.01, -20.02, 3.5, -7.25, 16.5)
DOCUMENT = gaia_document([STAR])


@pytest.fixture
def services() -> Iterator[CatalogueServices]:
    with CatalogueServices([STAR, Star(2, 10.2, -20.1, g=20.9)]) as services:
        yield services


def ask(services: CatalogueServices, **service: Any) -> Columns:
    given = services.config("gaia")
    config = CrossmatchConfig(**given | {"service": given["service"] | service})
    request = Gaia(config).request(CONE, time=NOW)
    return read_votable(fetch(request, config.service), request)


def test_an_answer_has_its_columns_exactly(services: CatalogueServices) -> None:
    answer = ask(services)
    assert answer.texts("Source") == [str(STAR.source_id), "2"], "64 bits survive"
    assert answer.numbers("RA_ICRS") == [10.01, 10.2]
    assert answer.numbers("pmRA") == [3.5, None], "null is not zero"
    (sent,) = services.requests
    assert sent["LANG"] == "ADQL"
    assert sent["MAXREC"] == "50000"


@pytest.mark.parametrize(
    "fault",
    [
        send(b"oh", 500),
        send(b"busy", 503),
        send(b"slow down", 429, Retry_After="0"),
        hang_up,
        cut(DOCUMENT),
    ],
    ids=["500", "503", "429", "hang up", "cut"],
)
def test_what_may_pass_is_tried_again(services: CatalogueServices, fault: Any) -> None:
    services.faults["tap"].extend([fault, fault])
    assert ask(services).n_rows == 2
    assert len(services.requests) == 3
    services.faults["tap"].extend([fault] * 3)
    with pytest.raises(CatalogueUnavailableError, match="Gaia DR3 at 127") as caught:
        ask(services)
    assert caught.value.transient
    assert len(services.requests) == 6


def test_a_service_gets_the_pause_it_asks_for_or_is_left_alone(
    services: CatalogueServices,
) -> None:
    services.faults["tap"].append(send(b"", 429, Retry_After="1"))
    begun = time.monotonic()
    ask(services, longest_wait_s=2)
    assert 1.0 <= time.monotonic() - begun < 5.0
    services.faults["tap"].append(send(b"", 429, Retry_After="3600"))
    with pytest.raises(CatalogueUnavailableError) as caught:
        ask(services, longest_wait_s=0.1)
    assert caught.value.details["retry_after_s"] == 3600
    assert len(services.requests) == 3


def test_a_private_address_is_not_asked_unless_told(services: CatalogueServices) -> None:
    with pytest.raises(CatalogueRefusedError, match="a private or loopback address"):
        ask(services, allow_private=False)
    assert services.requests == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (send(b"<html><body>Down for <b>maintenance</b></body></html>", kind="text/html"), "maint"),
        (send(b"", 404), "HTTP 404"),
        (send(b"", 302, Location="http://127.0.0.1:1/elsewhere"), "leads where nothing is asked"),
        (send(b""), "no VOTable but ''"),
        (send(DOCUMENT[: len(DOCUMENT) // 2]), "broken VOTable"),
        (send(DOCUMENT.replace(b"</TR>", b"")), "broken VOTable"),
        (send(status_document("ERROR", "column Gmag not found")), "column Gmag not found"),
        (send(gaia_document([STAR, STAR], max_rec=1)), "OVERFLOW"),
    ],
    ids=["html", "404", "redirect", "empty body", "half", "malformed", "error", "overflow"],
)
def test_what_will_not_pass_is_refused_at_once(
    services: CatalogueServices, fault: Any, said: str
) -> None:
    services.faults["tap"].append(fault)
    with pytest.raises(CatalogueRefusedError, match=said) as caught:
        ask(services)
    assert not caught.value.transient
    assert len(services.requests) == 1, "no second request, and none elsewhere"


@pytest.mark.parametrize("fault", [endless, send(b" " * 300_000)], ids=["endless", "large"])
def test_an_answer_is_bounded(services: CatalogueServices, fault: Any) -> None:
    services.faults["tap"].append(fault)
    with pytest.raises(CatalogueRefusedError, match=r"max_answer_mib \(0.25\)"):
        ask(services, max_answer_mib=0.25)


def test_a_service_that_drips_is_given_up(services: CatalogueServices) -> None:
    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(20):
                handler.wfile.write(b"<VOTABLE>" + b" " * 65536)
                handler.wfile.flush()
                time.sleep(0.05)

    services.faults["tap"].append(drip)
    with pytest.raises(CatalogueUnavailableError, match=r"took longer than 0\.2 s"):
        ask(services, timeout_s=0.2, attempts=1)


def test_nobody_at_the_address_is_said(services: CatalogueServices) -> None:
    config = CrossmatchConfig(
        gaia={"url": "http://127.0.0.1:1/tap"},
        service={"attempts": 1, "timeout_s": 2, "allow_private": True},
    )
    with pytest.raises(CatalogueUnavailableError, match=r"127\.0\.0\.1:1/tap cannot be reached"):
        fetch(Gaia(config).request(CONE, NOW), config.service)


@pytest.mark.parametrize(
    "body",
    [
        gaia_document([]),
        skybot_document([]),
        status_document("OK", ""),
        status_document("ERROR", "No Solar System object was found in the requested FOV"),
    ],
    ids=["no rows", "no rows, prefixed", "no table", "nothing found"],
)
def test_nothing_found_is_an_answer(body: bytes) -> None:
    config = CrossmatchConfig()
    request = Request("any", "http://host", "GET", {})
    columns = read_votable(body, request)
    assert columns.n_rows == 0
    for catalogue in (Gaia(config), Vsx(config), Skybot(config)):
        assert catalogue.sources(columns) == []


def test_an_answer_in_another_layout_names_the_column() -> None:
    config = CrossmatchConfig()
    columns = read_votable(DOCUMENT, Request("VSX", "http://host", "GET", {}))
    with pytest.raises(CatalogueRefusedError, match=r"without column RAJ2000.*de_icrs"):
        Vsx(config).sources(columns)


DOCUMENTS = (
    (Gaia, DOCUMENT),
    (Vsx, vsx_document([Variable(7, "V7 Cet", 10.0, -20.0)])),
    (Skybot, skybot_document([(Asteroid(1, "Ceres", 10, -20, NOW, 1, 1), 10.0, -20.0)])),
)
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"</TR>", b"<TD>1e9</TD>", b'datatype="bit"', b'arraysize="3x3"', b"&x;"]),
)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(DOCUMENTS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), PIECES), min_size=1, max_size=4),
)
def test_a_damaged_answer_is_read_or_refused_and_nothing_else(
    whole: tuple[Any, bytes], damages: list[tuple[float, int, bytes]]
) -> None:
    kind, body = whole
    for where, length, piece in damages:
        at = int(where * len(body))
        body = body[:at] + piece + body[at + length :]
    catalogue = kind(CrossmatchConfig())
    try:
        sources = catalogue.sources(read_votable(body, Request("any", "http://h", "GET", {})))
    except CatalogueRefusedError:
        return
    ra, dec = catalogue.positions(sources, NOW)
    assert len(ra) == len(dec) == len(sources)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'name="pmRA"', b'unit="mas"', "'FIELD' element must have"),
        (b"-20.02", b"-91.02", "DE_ICRS outside -90 to 90"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(old: bytes, new: bytes, said: str) -> None:
    damaged = DOCUMENT.replace(b'ID="pmRA" ', b"").replace(old, new)
    assert damaged != DOCUMENT
    with pytest.raises(CatalogueRefusedError, match=said):
        Gaia(CrossmatchConfig()).sources(
            read_votable(damaged, Request("any", "http://h", "GET", {}))
        )
