"""Pages of lists on the wire, and where the next one starts."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from astrid_api.errors import BadRequestError
from astrid_core.curation.browse import MAX_PAGE, as_written

_Item = TypeVar("_Item")

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most items of the page.")]
After = Annotated[
    str | None,
    Query(max_length=300, description="`next` of the page before; leave it out for the first."),
]


class Page(BaseModel, Generic[_Item]):
    """Some items of a list."""

    items: list[_Item]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


def to_token(*key: object) -> str:
    """Text that stands for the last row of a page."""
    text = json.dumps([str(part) for part in key])
    return base64.urlsafe_b64encode(text.encode()).decode()


def from_token(token: str, *kinds: Callable[[str], Any]) -> tuple[Any, ...]:
    """The key of the last row of a page.

    Raises
    ------
    BadRequestError
        If the text is not one that :func:`to_token` made of such a key.
    """
    try:
        parts = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        if not all(isinstance(part, str) and "\0" not in part for part in parts):
            raise TypeError("a key is made of texts")
        for part in parts:
            part.encode()  # half a surrogate pair, which JSON can spell, is no text
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except (ValueError, TypeError) as error:
        raise BadRequestError(
            "`after` is not what a page of this list gave as `next`.",
            remedy="Take it from the page before as it is, or begin without it.",
        ) from error


def utc(time: dt.datetime) -> dt.datetime:
    """A time, taken for UTC where it does not say."""
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def time_of(text: str) -> dt.datetime:
    """The time that a token holds."""
    return utc(dt.datetime.fromisoformat(text))


UtcTime = Annotated[dt.datetime, BeforeValidator(as_written), AfterValidator(utc)]
"""A time, UTC where it does not say."""
