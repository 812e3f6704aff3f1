"""By which names a server on loopback may be called, and from which pages.

Out of reach of other machines, it is not out of reach of web pages open in this machine's
browser: what every server of AstrID refuses them is decided here.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing a person would mind."""


def allowed_names(named: str) -> frozenset[str]:
    """Every name, without port, that a server answers to.

    Parameters
    ----------
    named
        Names, separated by commas, besides those of loopback; in whatever case.
    """
    given = (name.strip().lower() for name in named.split(","))
    return LOOPBACK_NAMES | {name for name in given if name}


def name_in(host: str) -> str | None:
    """Name without port in a ``Host`` header; None if it is no such thing."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether an ``Origin`` header names another site than the ``Host`` header does."""
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != host
    except ValueError:  # 'http://[' names no site, least of all this one
        return True


def is_cross_site(method: str, headers: Mapping[str, str]) -> bool:
    """Whether another site's page makes a request, by what its browser says of it.

    Links from elsewhere may be followed; a page within another's frame is none.

    Parameters
    ----------
    headers
        By name in lower case.
    """
    is_link = (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest", "document") == "document"
    )
    is_own = headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    return is_foreign(headers.get("origin"), headers.get("host", "")) or not (is_own or is_link)
