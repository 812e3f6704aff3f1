"""Rows and objects under names in place of ids, to compare two nights whose inputs differ.

A run's id is made of its inputs. A reference for which a stranger was considered, though in
vain, has another id, and so has everything made with it: what was measured must be the same.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

from astropy.io import fits

from benchmarks.snapshots import Row, Snapshot

_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SUMS = ("CHECKSUM", "DATASUM")
_OF_OTHERS = frozenset({"reference_choice"})
"""Columns that tell of every reference of the survey, strangers' own ones included."""


def under_names(tables: Mapping[str, Sequence[Row]], root: Path) -> Snapshot:
    """Rows by table, and the objects that they name, ids of references and later replaced.

    Parameters
    ----------
    tables
        Rows of ``observations``, ``reference_frames`` and of what was made with references.
    root
        Folder of the object store's bucket.
    """
    names = _names(tables)
    objects = {}
    for key in sorted(_keys(tables)):
        content = (root / key).read_bytes()
        alike = _content(root / key, names)
        names[hashlib.sha256(content).hexdigest()] = alike
        objects[_named(key, names)] = alike
    found: Snapshot = {
        table: sorted(
            _named(json.dumps(_kept(row), default=str, sort_keys=True), names) for row in rows
        )
        for table, rows in tables.items()
    }
    return found | {"objects": objects}


def _names(tables: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Id → name by what the thing is of."""
    archive = {row["id"]: row["archive_id"] for row in tables["observations"]}
    names: dict[UUID, str] = {
        row["run_id"]: f"reference of {row['field']} in {row['filter_band']}"
        for row in tables["reference_frames"]
    }
    for row in tables["difference_runs"]:
        names[row["run_id"]] = f"difference of {archive[row['observation_id']]}"
    for table in ("extraction_runs", "model_runs"):
        for row in tables[table]:
            names[row["run_id"]] = f"{table} of {names[row['difference_run_id']]}"
    for table in ("candidates", "detections"):
        for row in tables[table]:
            place = f"{row['is_negative']} {row['x_pix']:.3f} {row['y_pix']:.3f}"
            names[row["id"]] = f"{table} at {place} of {names[row['difference_run_id']]}"
    return {str(one): name for one, name in names.items()}


def _keys(tables: Mapping[str, Sequence[Row]]) -> set[str]:
    return {
        value
        for rows in tables.values()
        for row in rows
        for name, value in row.items()
        if name.endswith("_path") and value is not None
    }


def _kept(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in _OF_OTHERS}


def _named(text: str, names: Mapping[str, str]) -> str:
    return _ID.sub(lambda found: names.get(found[0], found[0]), text)


def _content(path: Path, names: Mapping[str, str]) -> str:
    """SHA-256 of an object's headers and tables under names, its sums aside, and of its pixels."""
    digest = hashlib.sha256()
    with fits.open(path, disable_image_compression=True) as hdus:
        for hdu in hdus:
            for card in hdu.header.cards:
                if card.keyword not in _SUMS:
                    digest.update(_named(f"{card.keyword}={card.value}", names).encode())
            if hdu.data is None:
                continue
            content = hdu.data.tobytes()
            if isinstance(hdu, fits.BinTableHDU):  # cutouts lie beside the ids of what they show
                content = _named(content.decode("latin-1"), names).encode("latin-1")
            digest.update(content)
    return digest.hexdigest()
