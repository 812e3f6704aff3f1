"""What a proxy asks before it lets somebody through to a server that knows nobody itself."""

from fastapi import APIRouter, Request

from astrid_api.access import Operator
from astrid_api.errors import CrossSiteError
from astrid_api.problems import responses
from astrid_stack.hosts import is_cross_site

router = APIRouter(prefix="/gate", tags=["gate"])

METHOD_HEADER = "X-Forwarded-Method"


@router.get("/operator", status_code=204, responses=responses(401, 403, 429, 503))
def operator(_: Operator, request: Request) -> None:
    """Whether whoever makes a request is an operator: 204 if so.

    A proxy sends the request's own headers and, as `X-Forwarded-Method`, its method; what
    another site's page makes is refused, for servers behind the proxy need not notice.
    """
    if is_cross_site(request.headers.get(METHOD_HEADER, "POST"), request.headers):
        raise CrossSiteError(
            "Requests from other sites are refused.", remedy="Use the server's own pages."
        )
