"""What people and programs show AstrID's servers to be known by, and where they get it.

The API and Dagster's UI are two servers of one host: browsers send a cookie of the one to
the other, whatever the port, so who signed in at the API is known to both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr
from sqlalchemy import Connection

from astrid_core.curation.access import Issued, KnownUser, user_of_api_key, user_of_session
from astrid_core.errors import SignInError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

COOKIE = "astrid_session"
"""Cookie that holds the secret of a browser's session."""


@dataclass(frozen=True)
class Credential:
    """What somebody is known by: an API key, or a browser's session."""

    kind: Literal["key", "session"]
    secret: SecretStr

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of a request that shows it."""
        text = self.secret.get_secret_value()
        if self.kind == "key":
            return {"Authorization": f"Bearer {text}"}
        return {"Cookie": f"{COOKIE}={text}"}

    def user(self, connection: Connection) -> KnownUser:
        """The active user who is known by it.

        Raises
        ------
        SignInError
            If it does not hold, or no longer.
        """
        if self.kind == "key":
            return user_of_api_key(connection, self.secret)
        return user_of_session(connection, self.secret)


def credential_of(request: "HTTPConnection") -> Credential | None:
    """What a request shows; None if nothing. Where it shows both, the key was meant.

    Raises
    ------
    SignInError
        If its ``Authorization`` header holds no API key.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise SignInError(
                "The Authorization header holds no API key.",
                remedy="Send it as 'Authorization: Bearer KEY'.",
            )
        return Credential("key", SecretStr(key.strip()))
    session = request.cookies.get(COOKIE)
    return None if session is None else Credential("session", SecretStr(session))


def sign_in_address(api: str, link: Issued) -> str:
    """Address that signs a browser in, once. It holds a secret.

    Parameters
    ----------
    api
        Address of the API.
    """
    return f"{api.rstrip('/')}/sign-in?link={link.secret.get_secret_value()}"
