"""Row values as their column's type: exact, or refused by name.

What belongs here: the conversion of one value for one column. A value that PostgreSQL
cannot hold but whose meaning is plain is stored as what it means: a number that is not
finite is unknown (null), a character that is no text (NUL, half a surrogate pair, as
hostile headers have them) is U+FFFD.
"""

import datetime as dt
import math
import operator
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Float,
    Integer,
    String,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from astrid_core.errors import ConfigurationError

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


def converter(column: Column[Any]) -> Callable[[object], object]:
    """Function that converts a value for a column.

    The function raises :class:`~astrid_core.errors.ConfigurationError` for a value that is
    not of the column's type, and for None (or a number that is not finite) where the
    column needs a value.
    """
    convert = _CONVERTERS[type(column.type)]
    exact = _EXACT.get(type(column.type))

    def converted(value: object) -> object:
        if type(value) is exact:
            return value
        try:
            result = None
            if value is not None:
                result = convert(value.value if isinstance(value, Enum) else value)
            if result is None and not column.nullable:
                raise ValueError("a value is required")
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"{column.table.name}.{column.name} cannot be {value!r}: {error}.",
                remedy="Correct the stage that made the row.",
            ) from error
        return result

    return converted


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return _NOT_TEXT.sub("\ufffd", value)


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes):
        raise TypeError("not a number")
    number = float(value)
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int:
    return operator.index(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError("not a truth value")
    return bool(value)


def _uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(_text(value))


def _date(value: object) -> dt.date:
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise TypeError("not a date")
    return value


def _time(value: object) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        raise TypeError("not a time")
    if value.tzinfo is None:
        raise ValueError("a time without a zone could mean any moment of a day")
    return value


def _json(value: object) -> Jsonb:
    return Jsonb(_plain(value))


def _plain(value: Any) -> Any:
    """JSON value made of Python's own types, keys in order."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float | np.floating):
        return _number(value)
    if isinstance(value, UUID | dt.date):
        return value.isoformat() if isinstance(value, dt.date) else str(value)
    if isinstance(value, bytes | bytearray):
        raise TypeError("bytes are not JSON")
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {_text(name): _plain(value[name]) for name in sorted(value)}
    return [_plain(item) for item in value]


_CONVERTERS: Mapping[type, Callable[[Any], object]] = {
    Text: _text,
    String: _text,
    Double: _number,
    Float: _number,
    BigInteger: _integer,
    Integer: _integer,
    Boolean: _truth,
    Uuid: _uuid,
    Date: _date,
    TIMESTAMP: _time,
    JSONB: _json,
}

_EXACT: Mapping[type, type] = {BigInteger: int, Boolean: bool, Uuid: UUID, Date: dt.date}
"""Types whose every value is right as it is: most values of a bulk of rows."""
