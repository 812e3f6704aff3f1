"""What people and programs show AstrID's servers to be known by, and where they get it.

The API and Dagster's UI are two servers of one host: browsers send a cookie of the one to
the other, whatever the port, so who signed in at the API is known to both.
"""

from astrid_core.curation.access import Issued

COOKIE = "astrid_session"
"""Cookie that holds the secret of a browser's session."""


def sign_in_address(api: str, link: Issued) -> str:
    """Address that signs a browser in, once. It holds a secret.

    Parameters
    ----------
    api
        Address of the API.
    """
    return f"{api.rstrip('/')}/sign-in?link={link.secret.get_secret_value()}"
