"""Errors of the HTTP face itself; everything else is ``astrid_core.errors``."""

from astrid_core.errors import AstridError


class BadRequestError(AstridError):
    """A request does not say what it wants in a way that can be understood."""


class CrossSiteError(AstridError):
    """A request comes from another site's page, or by a name that is not this server's."""


class TooLargeError(AstridError):
    """A request is larger than is taken."""


class TooManyRequestsError(AstridError):
    """Somebody asks more often than is allowed; ``details`` say when they may again."""
