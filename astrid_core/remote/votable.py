"""VOTables looked at before they are read: an answer is a stranger's, and tables can command.

astropy opens whatever address a table's STREAM names, files of this machine among them, and
makes room for as many rows and characters as are announced. So does no table that this lets
through.
"""

import math
import re
from xml.parsers import expat

_MOST_DEPTH = 50
_MOST_FIELDS = 2000
_MOST_ELEMENTS = 200_000_000
"""Numbers and characters of a table, announced by its columns' sizes and its rows."""
_ELSEWHERE = frozenset({"FITS", "PARQUET"})
"""Ways to hold a table that no service asked here uses, each a reader of its own."""
_FIXED = re.compile(r"\d+(x\d+)*")


def why_refused(body: bytes) -> str | None:
    """Why a VOTable must not be read ('defines entities'); None where nothing is against it.

    What is no XML at all is for its reader to refuse.
    """
    look = _Look(len(body))
    parser = expat.ParserCreate()
    parser.StartElementHandler = look.begin
    parser.EndElementHandler = look.end
    parser.EntityDeclHandler = look.entity
    try:
        parser.Parse(body, True)
    except _RefusedError as error:
        return str(error)
    except (expat.ExpatError, ValueError, LookupError):
        return None
    return None


class _RefusedError(Exception):
    """What was found."""


class _Look:
    """What is counted of a document."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._depth = self._n_fields = self._n_rows = self._row_elements = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise _RefusedError("is nested without end")
        if kind in _ELSEWHERE or (kind == "STREAM" and "href" in attributes):
            raise _RefusedError("says that its table lies elsewhere")
        if kind == "TABLE":
            self._begin_table(attributes)
        elif kind == "FIELD":
            self._add_field(attributes)
        elif kind == "TR":
            self._n_rows += 1
        if self._row_elements * self._n_rows > _MOST_ELEMENTS:
            raise _RefusedError("announces more than a table may hold")

    def end(self, _: str) -> None:
        self._depth -= 1

    def entity(self, *_: object) -> None:
        raise _RefusedError("defines entities")

    def _begin_table(self, attributes: dict[str, str]) -> None:
        self._row_elements = 0
        stated = attributes.get("nrows", "0").strip()
        self._n_rows = int(stated) if stated.isdecimal() and len(stated) < 20 else 0
        # A row has at least a byte, however it is held.
        if self._n_rows > self._n_bytes or (stated.isdecimal() and len(stated) >= 20):
            raise _RefusedError("announces more rows than it has bytes")

    def _add_field(self, attributes: dict[str, str]) -> None:
        self._n_fields += 1
        if self._n_fields > _MOST_FIELDS:
            raise _RefusedError(f"has more than {_MOST_FIELDS} columns")
        size = attributes.get("arraysize", "1").strip().rstrip("*").rstrip("x") or "1"
        if _FIXED.fullmatch(size) and len(size) < 100:
            self._row_elements += math.prod(int(part) for part in size.split("x"))
        elif len(size) >= 100:
            raise _RefusedError("announces more than a table may hold")
        if self._row_elements > _MOST_ELEMENTS:
            raise _RefusedError("announces more than a table may hold")
