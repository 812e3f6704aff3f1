"""Pages for people, written by the server. Nothing on them comes from elsewhere."""

import hashlib
import json
from importlib import resources
from secrets import token_urlsafe
from typing import Any

from fastapi.encoders import jsonable_encoder
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import SecretStr
from starlette.responses import HTMLResponse, Response

from astrid_api.access import csrf_token
from astrid_core.curation.access import KnownUser
from astrid_core.curation.taxonomy import CURRENT

_templates = Environment(
    loader=PackageLoader("astrid_api"), autoescape=True, undefined=StrictUndefined
)
_templates.filters["data"] = lambda value: _as_data(value)
_MODULES = {
    file.name: (source := file.read_bytes(), f'"{hashlib.sha256(source).hexdigest()}"')
    for file in resources.files("astrid_api").joinpath("static").iterdir()
    if file.name.endswith(".js")
}


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, whose browser is to obey its own style sheet and our modules, nothing else."""
    nonce = token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    html = _templates.get_template(template).render(nonce=nonce, **values)
    return HTMLResponse(html, status, {"Content-Security-Policy": policy})


def own_page(template: str, user: KnownUser, session: str | None, **values: Any) -> HTMLResponse:
    """A page for somebody who is signed in, and what its modules need to know.

    Parameters
    ----------
    session
        Secret of the browser's session; None where an API key was shown.
    """
    config = {
        "user": {"id": user.id, "name": user.name, "isExpert": user.is_expert},
        "csrfToken": None if session is None else csrf_token(SecretStr(session)),
        "taxonomy": CURRENT,
    }
    return page(template, user=user, config=config, taxonomy=CURRENT, **values)


def module(name: str, known_tag: str | None) -> Response | None:
    """A JavaScript module of the pages; None where there is no such one.

    Parameters
    ----------
    known_tag
        Of the copy that the browser has: it is not sent again while it is the same.
    """
    if name not in _MODULES:
        return None
    source, tag = _MODULES[name]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if known_tag == tag:
        return Response(status_code=304, headers=headers)
    return Response(source, headers=headers, media_type="text/javascript")


def _as_data(value: Any) -> Markup:
    """JSON to stand in a script element: no text in it can end the element."""
    text = json.dumps(jsonable_encoder(value)).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704  (no markup can be in it)
