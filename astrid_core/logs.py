"""Logs: lines for people, or JSON lines for machines, with what they are about; no secrets.

``ASTRID_LOG_FORMAT=json`` makes every line one JSON object: ``time`` (UTC), ``level``,
``logger``, ``message``, and of ``run_id``, ``job``, ``step``, ``survey``, ``night``,
``observation_id`` and others what is known where it is written. What is known is told once,
by :func:`about`, and follows the work, into worker processes too.
"""

import datetime as dt
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

FORMAT_VARIABLE = "ASTRID_LOG_FORMAT"
TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

Fields = Mapping[str, object]
Source = Callable[[logging.LogRecord | None], Fields]
"""Tells what the work is about: of a record, or of whatever goes on (None)."""

_told: ContextVar[Fields] = ContextVar("astrid_log_fields", default={})  # noqa: B039  never changed
_sources: list[Source] = []

_SECRETS = (
    # Passwords in addresses; keys shown by a header; secrets of links that sign people in.
    (re.compile(r"(\w[\w+.-]*://[^\s:/@]*:)[^\s/@]+@"), r"\1***@"),
    (re.compile(r"(?i)\b(bearer\s+)[^\s'\",]+"), r"\1***"),
    (re.compile(r"(?i)\b((?:link|token|password|secret|api_key)=)[^\s&'\",]+"), r"\1***"),
    (re.compile(r"(X-Amz-(?:Signature|Credential)=)[^\s&'\",]+"), r"\1***"),
)


def is_json() -> bool:
    """Whether lines are to be JSON.

    Anything but ``json`` is text: who writes logs must not fail over how they look.
    """
    return os.environ.get(FORMAT_VARIABLE, "").strip().lower() == "json"


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Say what the lines written meanwhile are about, besides what was said before."""
    known = {name: value for name, value in fields.items() if value is not None}
    token = _told.set({**_told.get(), **known})
    try:
        yield
    finally:
        _told.reset(token)


def known_fields(record: logging.LogRecord | None = None) -> dict[str, object]:
    """What is known of a record, or of whatever goes on."""
    fields: dict[str, object] = {}
    for source in _sources:
        fields |= source(record)
    return fields | dict(_told.get()) | dict(getattr(record, "fields", None) or {})


def add_source(source: Source) -> None:
    """Have somebody asked what the work is about, once however often it is added."""
    if source not in _sources:
        _sources.append(source)


def without_secrets(text: str) -> str:
    """The text, secrets that are known by their form taken out."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class TextFormatter(logging.Formatter):
    """A line for people."""

    def __init__(self) -> None:
        super().__init__(TEXT_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, traceback included."""
        return without_secrets(super().format(record))


class JsonFormatter(logging.Formatter):
    """A line for machines: one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, traceback included."""
        when = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        for name, value in known_fields(record).items():
            if name not in line:
                plain = value if isinstance(value, int | float | bool) else str(value)
                line[name] = plain if not isinstance(plain, str) else without_secrets(plain)
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def formatter() -> logging.Formatter:
    """What lines are to be written by."""
    return JsonFormatter() if is_json() else TextFormatter()


def set_up(level: int = logging.WARNING) -> None:
    """Have all lines of this process on standard error, in the form asked for.

    Parameters
    ----------
    level
        Of everybody who has none of their own.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    root = logging.getLogger()
    root.setLevel(level)
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
