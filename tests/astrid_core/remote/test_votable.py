"""VOTables that command their reader are not read; all others are."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.crossmatch.service import Request, read_votable
from astrid_core.errors import CatalogueRefusedError
from astrid_core.remote.votable import why_refused

REQUEST = Request("Gaia DR3", "http://127.0.0.1/", "GET", {})
ROWS = "<TABLEDATA>" + "<TR><TD>1</TD></TR>" * 3 + "</TABLEDATA>"
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def table(data: str = ROWS, start: str = "", nrows: str = "", field: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?>{start}<VOTABLE version="1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="OK"/><TABLE {nrows}>'
        f'<FIELD name="a" datatype="int" {field}/><DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>'
    ).encode()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """An address that nobody may be led to, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret", asked
        server.shutdown()


@pytest.mark.parametrize(
    ("data", "start"),
    [
        ('<BINARY><STREAM href="{}"/></BINARY>', ""),
        ('<BINARY2><STREAM encoding="base64" href="{}"></STREAM></BINARY2>', ""),
        ('<FITS extnum="1"><STREAM href="{}"/></FITS>', ""),
        ('<PARQUET type="VOTable-remote-file"><STREAM href="{}"/></PARQUET>', ""),
        ("<BINARY>&e;</BINARY>", "<!DOCTYPE x [<!ENTITY e '&#60;STREAM &#104;ref=\"{}\"/>'>]>"),
        ("<TABLEDATA><TR><TD>&e;</TD></TR></TABLEDATA>", '<!DOCTYPE x [<!ENTITY e SYSTEM "{}">]>'),
    ],
)
def test_no_table_leads_elsewhere(elsewhere: tuple[str, list[str]], data: str, start: str) -> None:
    address, asked = elsewhere
    with pytest.raises(CatalogueRefusedError, match=r"lies elsewhere|defines entities"):
        read_votable(table(data.format(address), start.format(address)), REQUEST)
    assert not asked


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (table(start=f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>'), "defines entities"),
        (table(nrows='nrows="99999999999"'), "more rows than it has bytes"),
        (table(nrows=f'nrows="{"9" * 5000}"'), "more rows than it has bytes"),
        (table(field='arraysize="99999999"'), "more than a table may hold"),
        (table(field='arraysize="99999x99999*"'), "more than a table may hold"),
        (table(field=f'arraysize="{"9" * 5000}"'), "more than a table may hold"),
        (b"<VOTABLE>" + b"<RESOURCE>" * 100_000, "nested without end"),
        (b"<VOTABLE><RESOURCE><TABLE>" + b"<FIELD name='a' datatype='int'/>" * 9999, "columns"),
    ],
)
def test_what_would_take_all_memory_or_time_is_refused(body: bytes, why: str) -> None:
    assert why in str(why_refused(body))
    with pytest.raises(CatalogueRefusedError, match=why):
        read_votable(body, REQUEST)


def test_an_ordinary_table_is_read() -> None:
    for size in ("", 'arraysize="1"', 'arraysize="*"', 'arraysize="64*"', 'arraysize="2x*"'):
        assert why_refused(table(field=size, nrows='nrows="3"')) is None
    assert why_refused(b"no XML") is None
    assert read_votable(table(), REQUEST).numbers("a") == [1.0, 1.0, 1.0]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_raises_anything_but_what_is_ours(data: st.DataObject) -> None:
    body = bytearray(table(nrows='nrows="3"', field='arraysize="2" width="9" precision="F2"'))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        junk = data.draw(st.binary(max_size=3) | st.sampled_from([b"<", b"9" * 9, b'"', b"&#0;"]))
        body[at : at + data.draw(st.integers(0, 8))] = junk
    try:
        read_votable(bytes(body), REQUEST)
    except CatalogueRefusedError:
        return
