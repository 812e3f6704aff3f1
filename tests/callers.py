"""Who asks the API in tests."""

from dataclasses import dataclass

from sqlalchemy import Connection

from astrid_core.curation.access import KnownUser, Role, issue_api_key
from tests import review

HERE = "http://localhost:8000"


@dataclass(frozen=True)
class Person:
    """A user and their API key."""

    user: KnownUser
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def person(connection: Connection, role: Role) -> Person:
    """One more user with a key."""
    user = review.reviewer(connection, role)
    key = issue_api_key(connection, user, "tests").secret.get_secret_value()
    return Person(user, key)
