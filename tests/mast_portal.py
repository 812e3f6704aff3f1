"""MAST's portal at a local archive: it filters as asked, and serves files by their URI.

Columns and envelopes are those of the portal's recorded answers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astropy.coordinates import SkyCoord

from tests.archive_server import ArchiveServer, Asked, Reply

INVOKE = "/api/v0/invoke"
COLUMNS = "/portal/Mashup/Mashup.asmx/columnsconfig"
DOWNLOAD = "/api/v0.1/Download/file"

_OBSERVATION_COLUMNS = {
    "obsid": "string",
    "obs_collection": "string",
    "dataproduct_type": "string",
    "intentType": "string",
    "instrument_name": "string",
    "filters": "string",
    "target_name": "string",
    "proposal_id": "string",
    "obs_id": "string",
    "s_ra": "float",
    "s_dec": "float",
    "calib_level": "int",
    "t_min": "float",
    "t_max": "float",
    "dataRights": "string",
    "s_region": "string",
}
_PRODUCT_COLUMNS = {
    "obsID": "string",
    "dataURI": "string",
    "productType": "string",
    "productSubGroupDescription": "string",
    "productFilename": "string",
    "size": "int",
    "parent_obsid": "string",
}
_NUMBERS = {"float": "double", "int": "int", "string": "char"}


def observation(obsid: str, t_min: float, **columns: Any) -> dict[str, Any]:
    """A row as MAST lists it: HST, ACS/WFC, F814W, ten minutes, unless said otherwise."""
    usual = {
        "obsid": obsid,
        "obs_collection": "HST",
        "dataproduct_type": "image",
        "intentType": "science",
        "instrument_name": "ACS/WFC",
        "filters": "F814W;CLEAR1L",
        "target_name": f"T{obsid}",
        "proposal_id": "10000",
        "obs_id": f"j{obsid}",
        "s_ra": 150.0,
        "s_dec": 2.0,
        "calib_level": 3,
        "t_min": t_min,
        "t_max": t_min + 10 / 1440,
        "dataRights": "PUBLIC",
        "s_region": "",
    }
    return usual | columns


@dataclass
class MastPortal:
    """What the portal knows, served at an archive.

    Attributes
    ----------
    executing
        Times that the portal answers 'EXECUTING' before it answers.
    """

    server: ArchiveServer
    observations: list[dict[str, Any]] = field(default_factory=list)
    products: list[dict[str, Any]] = field(default_factory=list)
    executing: int = 0

    def __post_init__(self) -> None:
        self._files: dict[str, str] = {}
        self.server.answer(INVOKE, self._invoke)
        self.server.answer(COLUMNS, self._columns)
        self.server.answer(DOWNLOAD, self._download)

    def add(
        self, observed: Mapping[str, Any], files: Mapping[str, bytes], **columns: Any
    ) -> list[str]:
        """List an observation with files by name. Returns their URIs."""
        self.observations.append(dict(observed))
        uris = []
        for name, body in files.items():
            uri = f"mast:{observed['obs_collection']}/product/{name}"
            suffix = name.split(".", 1)[0].rsplit("_", 1)[-1].upper()
            row = {
                "obsID": observed["obsid"],
                "dataURI": uri,
                "productType": "SCIENCE",
                "productSubGroupDescription": suffix,
                "productFilename": name,
                "size": len(body),
                "parent_obsid": observed["obsid"],
            }
            self.products.append(row | columns)
            self.put(uri, body)
            uris.append(uri)
        return uris

    def put(self, uri: str, body: bytes) -> None:
        """Serve a file without listing it."""
        self.server.put(f"/files/{uri}", body)
        self._files[uri] = f"/files/{uri}"

    @staticmethod
    def target(uri: str) -> str:
        """What a fault of one file's download is for."""
        return f"{DOWNLOAD}?uri={uri}"

    def _download(self, asked: Asked) -> Reply:
        path = self._files.get(asked.one("uri"))
        known = self.server._answers.get(path) if path else None
        return known(asked) if known else Reply(b"no such file", 404)

    def _columns(self, asked: Asked) -> Reply:
        columns = {
            name: {"vot.datatype": _NUMBERS[kind]}
            for name, kind in (_OBSERVATION_COLUMNS | _PRODUCT_COLUMNS).items()
        }
        return Reply(json.dumps(columns).encode())

    def _invoke(self, asked: Asked) -> Reply:
        if self.executing > 0:
            self.executing -= 1
            return Reply(json.dumps({"status": "EXECUTING"}).encode())
        request = json.loads(asked.one("request"))
        parameters = request["params"]
        if request["service"] == "Mast.Caom.Products":
            wanted = parameters["obsid"].split(",")
            rows = [row for row in self.products if row["parent_obsid"] in wanted]
            columns = _PRODUCT_COLUMNS
        else:
            rows = [row for row in self.observations if _passes(row, parameters["filters"])]
            if "position" in parameters:
                rows = [row for row in rows if _is_near(row, parameters["position"])]
            columns = _OBSERVATION_COLUMNS
        return Reply(_envelope(rows, columns, request["page"], request["pagesize"]))


def _envelope(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], page: int, size: int
) -> bytes:
    shown = rows[(page - 1) * size : page * size]
    pages = max(1, -(-len(rows) // size))
    return json.dumps(
        {
            "status": "COMPLETE",
            "msg": "",
            "data": shown,
            "fields": [{"name": name, "type": kind} for name, kind in columns.items()],
            "paging": {"page": page, "pageSize": size, "pagesFiltered": pages, "rows": len(shown)},
        }
    ).encode()


def _passes(row: Mapping[str, Any], filters: Sequence[Mapping[str, Any]]) -> bool:
    for rule in filters:
        value = row[rule["paramName"]]
        first = rule["values"][0]
        if isinstance(first, dict):
            if value is None or not first["min"] <= value <= first["max"]:
                return False
        elif str(value) not in rule["values"]:
            return False
    return True


def _is_near(row: Mapping[str, Any], position: str) -> bool:
    ra, dec, radius = map(float, position.split(","))
    centre = SkyCoord(row["s_ra"], row["s_dec"], unit="deg")
    return bool(centre.separation(SkyCoord(ra, dec, unit="deg")).deg <= radius)
