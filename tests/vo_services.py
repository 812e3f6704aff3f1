"""Services of the Virtual Observatory at a local archive: SIA 2, SIA 1, ObsCore and datalink.

One list of holdings, which each service filters as it is asked to. Files lie under ``/files``.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray

from astrid_core.surveys.archive.listing import Corners
from tests.archive_server import ArchiveServer, Asked, Reply

PATHS = {"sia2": "/sia2", "sia1": "/sia1", "obscore": "/tap"}
"""Address of each protocol's service, as a survey is configured with it."""
QUERIED = PATHS | {"obscore": "/tap/sync"}
"""Path that its queries come in at."""
_DATALINK = "application/x-votable+xml;content=datalink"
_KINDS = {
    "access_estsize": "i8",
    "calib_level": "i4",
    "content_length": "i8",
    **dict.fromkeys(("t_min", "t_max", "s_ra", "s_dec", "s_fov"), "f8"),
}
_SIA1_UCDS = {
    "url": "VOX:Image_AccessReference",
    "format": "VOX:Image_Format",
    "when": "VOX:Image_MJDateObs",
    "band": "VOX:BandPass_ID",
    "camera": "INST_ID",
    "bytes": "VOX:Image_FileSize",
    "ra": "POS_EQ_RA_MAIN",
    "dec": "POS_EQ_DEC_MAIN",
    "pixels": "VOX:Image_Naxis",
    "scale": "VOX:Image_Scale",
}


@dataclass(frozen=True)
class Held:
    """An image of the archive, and what the archive says of it."""

    name: str
    body: bytes
    mjd: float
    ra: float = 150.0
    dec: float = 2.0
    half_deg: float = 0.01
    exposure_s: float = 60.0
    filter_text: str = "g"
    instrument: str = "simcam"
    collection: str = "SIM"
    level: int = 2
    kind: str = "image"
    is_linked: bool = False
    is_timed: bool = True
    is_placed: bool = True
    rights: str = "public"

    @property
    def corners(self) -> Corners:
        width = self.half_deg / np.cos(np.radians(self.dec))
        signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        return tuple(
            (float(self.ra + x * width), float(self.dec + y * self.half_deg)) for x, y in signs
        )


@dataclass
class VoArchive:
    """The services, at a server."""

    server: ArchiveServer
    held: list[Held] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.answer("/sia2", self._sia2)
        self.server.answer("/sia1", self._sia1)
        self.server.answer("/tap/sync", self._tap)

    def add(self, *images: Held) -> None:
        for image in images:
            self.held.append(image)
            self.server.put(f"/files/{image.name}", image.body)
            self.server.answer(f"/datalink/{image.name}", self._datalink)

    # --- services ---------------------------------------------------------------------------

    def _sia2(self, asked: Asked) -> Reply:
        circle = [float(part) for part in asked.one("pos").split()[1:]]
        low, high = (float(part) for part in asked.one("time").split())
        levels, names = asked.query.get("CALIB", []), asked.query.get("COLLECTION", [])
        held = [
            one
            for one in self.held
            if _is_near(one, *circle)
            and low <= one.mjd <= high
            and (not levels or str(one.level) in levels)
            and (not names or one.collection in names)
        ]
        return self._obscore(held, asked)

    def _tap(self, asked: Asked) -> Reply:
        adql = asked.one("query")
        circle = re.search(r"CIRCLE\('ICRS', ([-\d.e]+), ([-\d.e]+), ([-\d.e]+)\)", adql)
        span = re.search(r"t_min >= ([\d.]+) AND t_min < ([\d.]+)", adql)
        levels = re.search(r"calib_level IN \(([\d, ]+)\)", adql)
        names = re.search(r"obs_collection IN \('(.*?)'\)", adql)
        assert circle is not None
        assert span is not None
        assert levels is not None
        held = [
            one
            for one in self.held
            if _is_near(one, *map(float, circle.groups()), is_centre="CONTAINS" in adql)
            and float(span[1]) <= one.mjd < float(span[2])
            and str(one.level) in levels[1].split(", ")
            and (names is None or one.collection in names[1].split("', '"))
        ]
        return self._obscore(held, asked)

    def _obscore(self, held: Sequence[Held], asked: Asked) -> Reply:
        most = int(asked.one("maxrec", "100000"))
        rows = {
            "obs_publisher_did": [f"ivo://local/{one.name}" for one in held],
            "obs_collection": [one.collection for one in held],
            "dataproduct_type": [one.kind for one in held],
            "calib_level": [one.level for one in held],
            "instrument_name": [one.instrument for one in held],
            "access_url": [self._address(one) for one in held],
            "access_format": [_DATALINK if o.is_linked else "application/fits" for o in held],
            "access_estsize": [1 + len(one.body) // 1000 for one in held],  # not exact
            "s_ra": [one.ra for one in held],
            "s_dec": [one.dec for one in held],
            "s_region": [
                "POLYGON ICRS " + " ".join(f"{x:.7f} {y:.7f}" for x, y in one.corners)
                if one.is_placed
                else ""
                for one in held
            ],
            "t_min": [one.mjd if one.is_timed else np.nan for one in held],
            "t_max": [one.mjd + one.exposure_s / 86400 for one in held],
            "energy_bandpassname": [one.filter_text for one in held],
            "data_rights": [one.rights for one in held],
        }
        kept = {name: values[:most] for name, values in rows.items()}
        return votable(kept, status="OVERFLOW" if len(held) > most else "OK")

    def _sia1(self, asked: Asked) -> Reply:
        ra, dec = (float(part) for part in asked.one("pos").split(","))
        height = float(asked.one("size").split(",")[-1])
        held = [one for one in self.held if _is_near(one, ra, dec, height / 2)]
        rows = {
            "url": [self._address(one) for one in held],
            "format": ["image/fits"] * len(held),
            "when": [one.mjd if one.is_timed else np.nan for one in held],
            "band": [one.filter_text for one in held],
            "camera": [one.instrument for one in held],
            "bytes": [len(one.body) for one in held],
            "ra": [one.ra for one in held],
            "dec": [one.dec for one in held],
            "pixels": np.full((len(held), 2), 100),
            "scale": np.array([[-one.half_deg / 50, one.half_deg / 50] for one in held]),
        }
        if not all(one.is_placed for one in held):
            rows = {name: rows[name] for name in rows if name not in ("pixels", "scale")}
        kinds = dict.fromkeys(("when", "ra", "dec", "scale"), "f8") | {"bytes": "i8"}
        return votable(rows, ucds=_SIA1_UCDS, kinds=kinds | {"pixels": "i4"})

    def _datalink(self, asked: Asked) -> Reply:
        name = asked.path.rsplit("/", 1)[-1]
        one = next(one for one in self.held if one.name == name)
        rows = {
            "ID": [f"ivo://local/{name}"] * 2,
            "access_url": [self.server.url("/files/preview.png"), self._file_url(one)],
            "semantics": ["#preview", "#this"],
            "content_type": ["image/png", "application/fits"],
            "content_length": [100, len(one.body)],
        }
        return votable(rows)

    def _address(self, one: Held) -> str:
        return self.server.url(f"/datalink/{one.name}") if one.is_linked else self._file_url(one)

    def _file_url(self, one: Held) -> str:
        return self.server.url(f"/files/{one.name}")


def votable(
    rows: Mapping[str, Sequence[Any] | NDArray[Any]],
    *,
    status: str = "OK",
    ucds: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] = _KINDS,
) -> Reply:
    """A service's answer."""
    arrays = {name: np.array(values, kinds.get(name, "U400")) for name, values in rows.items()}
    columns = [
        MaskedColumn(array, name=name, mask=array != array)  # NaN is null
        for name, array in arrays.items()
    ]
    document = from_table(Table(columns))
    resource = document.resources[0]
    resource.type = "results"
    resource.infos.append(Info(name="QUERY_STATUS", value=status))
    for column in document.get_first_table().fields:
        column.ucd = (ucds or {}).get(column.name)
    stream = io.BytesIO()
    # Not as text: astropy's compiled writer of TABLEDATA overruns its buffer.
    document.to_xml(stream, tabledata_format="binary2")
    return Reply(stream.getvalue(), headers={"Content-Type": "application/x-votable+xml"})


def overflow(right: Reply, asked: Asked) -> Reply:
    """The right rows, said to be a part."""
    return Reply(
        right.body.replace(b'value="OK"', b'value="OVERFLOW"'), right.status, right.headers
    )


def query_error(right: Reply, asked: Asked) -> Reply:
    """What services say when they cannot do what is asked."""
    text = (
        b'<?xml version="1.0"?><VOTABLE version="1.3"><RESOURCE type="results">'
        b'<INFO name="QUERY_STATUS" value="ERROR">no such collection</INFO></RESOURCE></VOTABLE>'
    )
    return Reply(text, 400, {"Content-Type": "application/x-votable+xml"})


def _is_near(one: Held, ra: float, dec: float, radius_deg: float, is_centre: bool = False) -> bool:
    """Whether an image overlaps a circle, near enough; or its centre lies in it."""
    away = np.hypot((one.ra - ra) * np.cos(np.radians(dec)), one.dec - dec)
    return bool(away <= radius_deg + (0.0 if is_centre else one.half_deg * np.sqrt(2)))
