"""Asking a header for quantities, through a survey's keyword map.

What belongs here: looking things up and normalising words. What does not: time (``times``).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from astropy.io import fits

from astrid_core.surveys.keywords import KeywordMap, Quantity

_PLACEHOLDERS = frozenset(
    {"", "N/A", "NA", "NONE", "NULL", "UNKNOWN", "UNDEFINED", "NAN", "-", "--", "?", "NOTSET"}
)
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_LONGEST_TEXT = 200
_LARGEST = 1e30
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_MINUTES = re.compile(r"\bminutes?\b|\[min\]|\(min\)", re.IGNORECASE)
_MILLISECONDS = re.compile(r"\bmilli-?sec\w*|\bmsec\b|\[ms\]|\(ms\)", re.IGNORECASE)

_KINDS = {
    "bias": re.compile(r"bias|zero"),
    "dark": re.compile(r"dark"),
    "flat": re.compile(r"flat"),
    "science": re.compile(r"light|object|science|sky|ext$|imaging|image|target|field|normal|open"),
}
_NOT_SKY = re.compile(
    r"bpm|mask|weight|wtmap|dq|focus|\barc\b|comp(arison)?\b|lamp|pointing|acqui|guide"
)
_KIND_IN_NAME = re.compile(
    r"(?:^|[/_.\- ])(bias|zero|dark|flat)(?:e?s)?\d*(?=[/_.\- ]|$)", re.IGNORECASE
)
_NO_FIELD_NAMES = frozenset(
    {"DATA", "OBJECT", "TEST", "LIGHT", "IMAGE", "TARGET", "SCIENCE", "NONAME", "SNAPSHOT"}
)
_UNITS = (
    (re.compile(r"(adu|counts?|dn|analog.*)s?", re.IGNORECASE), "adu"),
    (re.compile(r"(electrons?|e-?)", re.IGNORECASE), "electron"),
    (re.compile(r"(electrons?|e-?)\s*(/\s*s(ec)?|\s+s-1|\s*s\*\*-1)", re.IGNORECASE), "electron/s"),
    (re.compile(r"(adu|counts?|dn)\s*/\s*s(ec)?", re.IGNORECASE), "adu/s"),
)


@dataclass(frozen=True)
class HeaderReader:
    """One image's header under a survey's keyword map.

    Attributes
    ----------
    name
        The archive's name of the file, for quantities kept in file names.
    """

    header: fits.Header
    keywords: KeywordMap
    name: str

    def text(self, quantity: str) -> str | None:
        """First usable text of a quantity, None where nothing states it."""
        return next(self.texts(quantity), None)

    def texts(self, quantity: str) -> Iterator[str]:
        """Every usable text of a quantity, in order of preference."""
        lookup: Quantity = getattr(self.keywords, quantity)
        return (text for text, _ in _found(lookup, self.header, self.name))

    def number(self, quantity: str) -> float | None:
        """First finite number of a quantity, None where nothing states one."""
        lookup: Quantity = getattr(self.keywords, quantity)
        for text, comment in _found(lookup, self.header, self.name):
            number = parse_number(text)
            if number is not None:
                return number * (_unit_factor(comment) if lookup.scale is None else lookup.scale)
        return None

    def positive(self, quantity: str) -> float | None:
        """As :meth:`number`, None where it is not above zero."""
        number = self.number(quantity)
        return number if number is not None and number > 0 else None


def plain_text(text: str) -> str:
    """A header's text as the standard allows it, blanks single, no longer than anybody reads.

    Headers hold control characters and NUL, by damage or on purpose; each becomes '?'.
    """
    return _NOT_PRINTABLE.sub("?", " ".join(text.split()))[:_LONGEST_TEXT]


def parse_number(text: str) -> float | None:
    """Number that a text is or begins with ('53.9', '300.0 s', '1.5D3'), else None.

    One that pixels could not be reckoned with (float32 holds 3e38) is no measurement.
    More digits groups, as in '12:30:00' or '2013-06-27', are not a number.
    """
    match = _NUMBER.match(text.strip())
    if match is None or re.match(r"[\d:/.\-]", text.strip()[match.end() :]):
        return None
    number = float(match[0].lower().replace("d", "e"))
    return number if abs(number) <= _LARGEST else None


def frame_kind(reader: HeaderReader) -> tuple[str, bool]:
    """Kind of a frame and whether it is stated.

    Returns
    -------
    kind
        ``science``, ``bias``, ``dark``, ``flat``, or the header's own word for a frame
        that shows no sky ('focus', 'bpm').
    is_stated
        False where neither header nor name says it and ``science`` is assumed.
    """
    for text in reader.texts("frame_kind"):
        word = text.lower().strip()
        if _NOT_SKY.search(word):
            return word, True
        for kind, pattern in _KINDS.items():
            if pattern.search(word):
                return kind, True
    match = _KIND_IN_NAME.search(reader.name)
    if match:
        word = match[1].lower()
        return "bias" if word == "zero" else word, True
    return "science", False


def field_name(reader: HeaderReader) -> str | None:
    """Name of the pointing, fit for keys and equal for all its frames; None without one."""
    for text in reader.texts("field"):
        name = re.sub(r"[^A-Za-z0-9_.+\-]+", "_", text.strip()).strip("_")
        if name.upper() not in _PLACEHOLDERS | _NO_FIELD_NAMES:
            return name[:80]
    return None


def pixel_unit(reader: HeaderReader) -> str | None:
    """Unit of the pixels; ``density`` for photographic plates; None where not stated."""
    text = reader.text("unit")
    if text is not None:
        return next((unit for pattern, unit in _UNITS if pattern.fullmatch(text)), text)
    return "density" if _is_photographic(reader) else None


def _is_photographic(reader: HeaderReader) -> bool:
    instrument = reader.text("instrument") or ""
    return "photographic" in instrument.lower() or any(
        keyword in reader.header for keyword in ("PLATEID", "PLTLABEL")
    )


def _found(lookup: Quantity, header: fits.Header, name: str) -> Iterator[tuple[str, str]]:
    """(text, comment) of every place a quantity is found in."""
    if lookup.value is not None:
        yield str(lookup.value), ""
        return
    if lookup.filename is not None:
        text = _matched(lookup.filename, name)
        if text is not None:
            yield lookup.aliases.get(text, text), ""
    for keyword in lookup.keywords:
        text, comment = _card(header, keyword)
        if text is not None and lookup.pattern is not None:
            text = _matched(lookup.pattern, text)
        if text is not None:
            yield lookup.aliases.get(text, text), comment


def _matched(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    if match is None:
        return None
    return match[1] if match.re.groups else match[0]


def _card(header: fits.Header, keyword: str) -> tuple[str | None, str]:
    """Text and comment of a card; None for one that is absent, empty or unreadable."""
    try:
        value, comment = header[keyword], header.comments[keyword]
    except KeyError:
        return None, ""
    if isinstance(value, bool | fits.card.Undefined) or value is None:
        return None, ""
    text = plain_text(str(value))
    return (None, "") if text.upper() in _PLACEHOLDERS else (text, str(comment))


def _unit_factor(comment: str) -> float:
    if _MINUTES.search(comment):
        return 60.0
    return 1e-3 if _MILLISECONDS.search(comment) else 1.0
