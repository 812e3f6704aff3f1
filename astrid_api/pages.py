"""Pages for people, written by the server. Nothing on them comes from elsewhere."""

from secrets import token_urlsafe

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

_templates = Environment(
    loader=PackageLoader("astrid_api"), autoescape=True, undefined=StrictUndefined
)


def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page, whose own style sheet is the only thing its browser is to obey."""
    nonce = token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )
    html = _templates.get_template(template).render(nonce=nonce, **values)
    return HTMLResponse(html, status, {"Content-Security-Policy": policy})
