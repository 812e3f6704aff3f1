"""A local HTTP server that answers as VizieR's TAP and SkyBoT do, from a sky of its own.

It misbehaves on demand: :attr:`CatalogueServices.faults` is a queue of answers given, one a
request, instead of the right one.
"""

import datetime as dt
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import MaskedColumn, Table
from astropy.time import Time

_CIRCLE = re.compile(r"CIRCLE\('ICRS', ([-\d.]+), ([-\d.]+), ([-\d.]+)\)")
_TABLE = re.compile(r'FROM "([^"]+)"')
_FAINTEST = re.compile(r'"Gmag" <= ([\d.]+)')

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Star:
    """Gaia source: degrees at 2016.0, mas/yr (None: no motion measured), G."""

    source_id: int
    ra: float
    dec: float
    pm_ra: float | None = None
    pm_dec: float | None = None
    g: float = 17.0


@dataclass(frozen=True)
class Variable:
    """VSX entry: degrees, magnitude at maximum."""

    oid: int
    name: str
    ra: float
    dec: float
    kind: str = "EA"
    maximum: float | None = 15.5


@dataclass(frozen=True)
class Asteroid:
    """Moves linearly: degrees at a time, arcsec/h with RA times cos(dec)."""

    number: int | None
    name: str
    ra: float
    dec: float
    time: dt.datetime
    rate_ra: float
    rate_dec: float
    v: float = 19.0

    def at(self, when: Time) -> tuple[float, float]:
        hours = float((when - Time(self.time)).to_value("hour"))
        dec = self.dec + self.rate_dec * hours / 3600.0
        return self.ra + self.rate_ra * hours / 3600.0 / math.cos(math.radians(dec)), dec


@dataclass
class CatalogueServices:
    """The server and its sky.

    Attributes
    ----------
    requests
        Parameters of every request, in order; ``service`` is ``tap`` or ``skybot``.
    faults
        Answers given instead, oldest first; by service.
    """

    stars: Sequence[Star] = ()
    variables: Sequence[Variable] = ()
    asteroids: Sequence[Asteroid] = ()
    requests: list[dict[str, str]] = field(default_factory=list)
    faults: dict[str, deque[Answer]] = field(
        default_factory=lambda: {"tap": deque(), "skybot": deque()}
    )

    def __enter__(self) -> Self:
        services = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                services._serve(self, urlsplit(self.path).query)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                services._serve(self, self.rfile.read(length).decode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{service}"

    def config(self, *catalogues: str, **changes: Any) -> dict[str, Any]:
        """Configuration that asks this server, impatiently."""
        config: dict[str, Any] = {
            "catalogues": list(catalogues),
            "gaia": {"url": self.url("tap")},
            "vsx": {"url": self.url("tap")},
            "skybot": {"url": self.url("skybot")},
            "service": {
                "allow_private": True,
                "rate_per_s": 1000.0,
                "timeout_s": 5.0,
                "attempts": 3,
                "longest_wait_s": 0.02,
            },
        }
        return config | changes

    def _serve(self, handler: BaseHTTPRequestHandler, query: str) -> None:
        service = urlsplit(handler.path).path.strip("/")
        sent = {name: values[0] for name, values in parse_qs(query).items()}
        self.requests.append({"service": service, **sent})
        faults = self.faults[service]
        if faults:
            faults.popleft()(handler)
            return
        body = self._tap(sent) if service == "tap" else self._skybot(sent)
        send(body)(handler)

    def _tap(self, sent: dict[str, str]) -> bytes:
        query = sent["QUERY"]
        match = _CIRCLE.search(query)
        assert match
        ra, dec, radius = map(float, match.groups())
        table = _TABLE.search(query)
        assert table
        if table[1] == "I/355/gaiadr3":
            limit = _FAINTEST.search(query)
            assert limit
            stars = [
                s for s in _within(self.stars, ra, dec, radius) if s.g <= float(limit.group(1))
            ]
            return gaia_document(stars, int(sent["MAXREC"]))
        assert table[1] == "B/vsx/vsx"
        return vsx_document(_within(self.variables, ra, dec, radius))

    def _skybot(self, sent: dict[str, str]) -> bytes:
        when = Time(float(sent["-ep"]), format="jd", scale="utc")
        placed = [(a, *a.at(when)) for a in self.asteroids]
        ra, dec, radius = (float(sent[name]) for name in ("-ra", "-dec", "-rd"))
        near = [one for one in placed if _separation_deg(one[1], one[2], ra, dec) <= radius]
        return skybot_document(near)


# --- documents in the services' layout ----------------------------------------------------


def gaia_document(stars: Sequence[Star], max_rec: int = 10**6) -> bytes:
    def motion(values: list[float | None]) -> MaskedColumn:
        return MaskedColumn([v or 0.0 for v in values], mask=[v is None for v in values])

    kept = stars[:max_rec]
    table = Table(
        {
            "Source": np.array([s.source_id for s in kept], dtype=np.int64),
            "RA_ICRS": np.array([s.ra for s in kept], dtype=float),
            "DE_ICRS": np.array([s.dec for s in kept], dtype=float),
            "pmRA": motion([s.pm_ra for s in kept]),
            "pmDE": motion([s.pm_dec for s in kept]),
            "Gmag": np.array([s.g for s in kept], dtype=float),
        }
    )
    return _document(table, "OVERFLOW" if len(stars) > max_rec else "OK")


def vsx_document(variables: Sequence[Variable]) -> bytes:
    maxima = [v.maximum for v in variables]
    table = Table(
        {
            "OID": np.array([v.oid for v in variables], dtype=np.int32),
            "Name": np.array([v.name for v in variables], dtype=str),
            "RAJ2000": np.array([v.ra for v in variables], dtype=float),
            "DEJ2000": np.array([v.dec for v in variables], dtype=float),
            "Type": np.array([v.kind for v in variables], dtype=str),
            "max": MaskedColumn([m or 0.0 for m in maxima], mask=[m is None for m in maxima]),
            "n_max": np.array(["V"] * len(variables), dtype=str),
        }
    )
    return _document(table, "OK")


def skybot_document(placed: Sequence[tuple[Asteroid, float, float]]) -> bytes:
    """With IMCCE's names, sexagesimal and decimal coordinates, and the prefix ``vot:``."""
    sky = SkyCoord([ra for _, ra, _ in placed] * u.deg, [dec for _, _, dec in placed] * u.deg)
    numbers = [str(a.number or "-") for a, _, _ in placed]
    columns = {
        "num": np.array(numbers, dtype=str),
        "name": np.array([a.name for a, _, _ in placed], dtype=str),
        "ra": np.array(sky.ra.to_string("hour", sep=" "), dtype=str),
        "de": np.array(sky.dec.to_string(sep=" ", alwayssign=True), dtype=str),
        "class": np.array(["MB>Inner"] * len(placed), dtype=str),
        "magV": np.array([a.v for a, _, _ in placed], dtype=float),
        "errpos": np.array([0.03] * len(placed), dtype=float),
        "angdist": np.zeros(len(placed)),
        "dracosdec": np.array([a.rate_ra for a, _, _ in placed], dtype=float),
        "ddec": np.array([a.rate_dec for a, _, _ in placed], dtype=float),
        "_raj2000": np.array(sky.ra.deg, dtype=float),
        "_decj2000": np.array(sky.dec.deg, dtype=float),
    }
    plain = _document(Table(columns), "OK")
    prefixed = re.sub(rb"<(/?)(?=[A-Z])", rb"<\1vot:", plain)
    return prefixed.replace(b"xmlns=", b"xmlns:vot=")


def status_document(status: str, text: str) -> bytes:
    """A document without a table."""
    return (
        '<?xml version="1.0"?><VOTABLE version="1.3" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="{status}">{text}</INFO></RESOURCE></VOTABLE>'
    ).encode()


def _document(table: Table, status: str) -> bytes:
    document = from_table(table)
    document.resources[0].infos.append(Info(name="QUERY_STATUS", value=status))
    stream = BytesIO()
    # astropy 8.0.2's compiled writer goes one byte beyond its buffer, now and then.
    document.to_xml(stream, _debug_python_based_parser=True)
    return stream.getvalue()


def _within(things: Sequence[Any], ra: float, dec: float, radius: float) -> list[Any]:
    return [one for one in things if _separation_deg(one.ra, one.dec, ra, dec) <= radius]


def _separation_deg(ra_1: float, dec_1: float, ra_2: float, dec_2: float) -> float:
    one, other = (SkyCoord(r, d, unit="deg") for r, d in ((ra_1, dec_1), (ra_2, dec_2)))
    return float(one.separation(other).deg)


# --- answers, right and wrong -------------------------------------------------------------


def send(body: bytes, status: int = 200, kind: str = "text/xml", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def cut(body: bytes) -> Answer:
    """Promises all of a body, sends half and closes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.close_connection = True

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Closes without a word."""
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Sends and sends, and never says how much."""
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(10_000):
            handler.wfile.write(b"<VOTABLE>" + b" " * 65536)
    except (BrokenPipeError, ConnectionResetError):
        return
