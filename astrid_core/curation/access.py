"""Who may do what: users, their roles, and the secrets they are known by.

API keys, sign-in links and sessions are 256 random bits. Only their SHA-256 is stored: it
tells nothing of the secret, and needs no salt or slow hash, because there is nothing to
guess. A secret is shown once, by the function that makes it, and never logged.

Everything works in the caller's transaction.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Literal, get_args
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Connection, Select, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from astrid_core.errors import NoSuchItemError, NotAllowedError, SignInError, UserError
from dbschema.models import ApiKey, SignInLink, SignInSession, User

Role = Literal["viewer", "reviewer", "operator"]
"""Each may what the one before may: look, judge, run the survey."""

ROLES: tuple[Role, ...] = get_args(Role)
LINK_LIFETIME = dt.timedelta(hours=24)
SESSION_LIFETIME = dt.timedelta(days=14)
_SECRET_BYTES = 32


@dataclass(frozen=True)
class KnownUser:
    """A user who may sign in.

    Attributes
    ----------
    is_expert
        Whether one verdict of theirs decides.
    """

    id: UUID
    name: str
    role: Role
    is_expert: bool

    def require(self, role: Role) -> None:
        """Make sure that the user has a role, or one above it.

        Raises
        ------
        NotAllowedError
            If not.
        """
        if ROLES.index(self.role) < ROLES.index(role):
            raise NotAllowedError(
                f"{self.name} is a {self.role}; this needs a {role}.",
                remedy="Ask an operator for the role.",
            )


@dataclass(frozen=True)
class Issued:
    """A secret just made: the only time that it is seen.

    Attributes
    ----------
    id
        Of its row, to revoke it by.
    expires_at
        End of its use; None for no end.
    """

    id: UUID
    secret: SecretStr
    expires_at: dt.datetime | None


@dataclass(frozen=True)
class ListedUser:
    """A user as lists show them, active or not."""

    id: UUID
    name: str
    role: Role
    is_expert: bool
    is_active: bool
    created_at: dt.datetime

    @property
    def known(self) -> KnownUser:
        """The user as someone to speak for."""
        return KnownUser(self.id, self.name, self.role, self.is_expert)


@dataclass(frozen=True)
class ListedKey:
    """An API key as lists show it: never the key itself."""

    id: UUID
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None


# --- users --------------------------------------------------------------------------------


def add_user(
    connection: Connection, name: str, role: Role = "reviewer", *, is_expert: bool = False
) -> KnownUser:
    """Add a user.

    Raises
    ------
    UserError
        If the name is empty or taken.
    """
    if not name.strip():
        raise UserError("A user needs a name.", remedy="Give one.")
    added = connection.scalar(
        insert_or(User)
        .values(name=name, role=role, is_expert=is_expert)
        .on_conflict_do_nothing(index_elements=[User.name])
        .returning(User.id)
    )
    if added is None:
        raise UserError(f"There is a user {name!r} already.", remedy="Take another name.")
    return KnownUser(added, name, role, is_expert)


def change_user(
    connection: Connection, user_id: UUID, *, role: Role, is_expert: bool, is_active: bool
) -> None:
    """Set what a user may do from now on; verdicts they gave stay as they are.

    Whoever is no longer active is signed out at once.

    Raises
    ------
    NoSuchItemError
        If there is no such user.
    """
    changed = connection.execute(
        update(User)
        .where(User.id == user_id)
        .values(role=role, is_expert=is_expert, is_active=is_active)
    )
    if not changed.rowcount:
        raise NoSuchItemError(f"There is no user {user_id}.", remedy="List the users.")


def list_users(connection: Connection) -> list[ListedUser]:
    """Every user, by name."""
    rows = connection.execute(_users().order_by(User.name)).mappings()
    return [ListedUser(**row) for row in rows]


def user_named(connection: Connection, name: str) -> ListedUser:
    """The user of a name.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    row = connection.execute(_users().where(User.name == name)).mappings().one_or_none()
    if row is None:
        raise NoSuchItemError(f"There is no user {name!r}.", remedy="List the users.")
    return ListedUser(**row)


def user_of_id(connection: Connection, user_id: UUID) -> ListedUser:
    """The user of an id.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    row = connection.execute(_users().where(User.id == user_id)).mappings().one_or_none()
    if row is None:
        raise NoSuchItemError(f"There is no user {user_id}.", remedy="List the users.")
    return ListedUser(**row)


def _users() -> Select[*tuple[Any, ...]]:
    return select(*(getattr(User, name) for name in ListedUser.__dataclass_fields__))


# --- keys for programs --------------------------------------------------------------------


def issue_api_key(
    connection: Connection, user: KnownUser, name: str, lifetime: dt.timedelta | None = None
) -> Issued:
    """Make an API key that speaks for a user.

    Parameters
    ----------
    name
        What it is for.
    lifetime
        How long it works; None for no end.
    """
    secret = _new_secret()
    expires_at = None if lifetime is None else func.now() + lifetime
    row = connection.execute(
        insert(ApiKey)
        .values(user_id=user.id, name=name, secret_sha256=_sha256(secret), expires_at=expires_at)
        .returning(ApiKey.id, ApiKey.expires_at)
    ).one()
    return Issued(row.id, secret, row.expires_at)


def api_keys_of(connection: Connection, user_id: UUID) -> list[ListedKey]:
    """Every API key a user was ever given, the newest first."""
    columns = (getattr(ApiKey, name) for name in ListedKey.__dataclass_fields__)
    query = select(*columns).where(ApiKey.user_id == user_id).order_by(ApiKey.created_at.desc())
    return [ListedKey(**row) for row in connection.execute(query).mappings()]


def revoke_api_key(connection: Connection, key_id: UUID) -> None:
    """Take an API key back; harmless when it was taken back before.

    Raises
    ------
    NoSuchItemError
        If there is no such key.
    """
    revoked = connection.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id)
        .values(revoked_at=func.coalesce(ApiKey.revoked_at, func.now()))
    )
    if not revoked.rowcount:
        raise NoSuchItemError(f"There is no API key {key_id}.", remedy="List the user's keys.")


def user_of_api_key(connection: Connection, secret: SecretStr) -> KnownUser:
    """The active user an API key speaks for.

    Raises
    ------
    SignInError
        If the key is unknown, has run out or was revoked, or its user is no longer active.
    """
    return _known(
        connection,
        _bearer(ApiKey)
        .where(ApiKey.revoked_at.is_(None))
        .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())),
        secret,
        ApiKey.secret_sha256 == _sha256(secret),
    )


# --- links and sessions for people --------------------------------------------------------


def issue_sign_in_link(
    connection: Connection, user: KnownUser, lifetime: dt.timedelta = LINK_LIFETIME
) -> Issued:
    """Make the secret of a link that signs a user in, once."""
    secret = _new_secret()
    row = connection.execute(
        insert(SignInLink)
        .values(user_id=user.id, secret_sha256=_sha256(secret), expires_at=func.now() + lifetime)
        .returning(SignInLink.id, SignInLink.expires_at)
    ).one()
    return Issued(row.id, secret, row.expires_at)


def sign_in(
    connection: Connection, link_secret: SecretStr, lifetime: dt.timedelta = SESSION_LIFETIME
) -> tuple[KnownUser, Issued]:
    """Use a link up, and open a session for its user.

    Raises
    ------
    SignInError
        If the link is unknown, has run out or was used, or its user is no longer active.
        Of two who use a link at once one is signed in.
    """
    user = _known(
        connection,
        # The row is locked, so that a second use waits for the first and then finds it used.
        _bearer(SignInLink)
        .where(SignInLink.used_at.is_(None), SignInLink.expires_at > func.now())
        .with_for_update(of=SignInLink),
        link_secret,
        SignInLink.secret_sha256 == _sha256(link_secret),
    )
    connection.execute(
        update(SignInLink)
        .where(SignInLink.secret_sha256 == _sha256(link_secret))
        .values(used_at=func.now())
    )
    secret = _new_secret()
    row = connection.execute(
        insert(SignInSession)
        .values(user_id=user.id, secret_sha256=_sha256(secret), expires_at=func.now() + lifetime)
        .returning(SignInSession.id, SignInSession.expires_at)
    ).one()
    return user, Issued(row.id, secret, row.expires_at)


def user_of_session(connection: Connection, secret: SecretStr) -> KnownUser:
    """The active user of a session.

    Raises
    ------
    SignInError
        If the session is unknown, has run out or ended, or its user is no longer active.
    """
    return _known(
        connection,
        _bearer(SignInSession).where(
            SignInSession.ended_at.is_(None), SignInSession.expires_at > func.now()
        ),
        secret,
        SignInSession.secret_sha256 == _sha256(secret),
    )


def sign_out(connection: Connection, secret: SecretStr) -> None:
    """End a session; harmless when there is none."""
    connection.execute(
        update(SignInSession)
        .where(SignInSession.secret_sha256 == _sha256(secret), SignInSession.ended_at.is_(None))
        .values(ended_at=func.now())
    )


# --- secrets ------------------------------------------------------------------------------

_Credential = type[ApiKey] | type[SignInLink] | type[SignInSession]
_Bearer = Select[str, UUID, str, str, bool]


def _new_secret() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(_SECRET_BYTES))


def _sha256(secret: SecretStr) -> str:
    return hashlib.sha256(secret.get_secret_value().encode()).hexdigest()


def _bearer(table: _Credential) -> _Bearer:
    """Active users and the hashes of their credentials of a kind."""
    return (
        select(table.secret_sha256, User.id, User.name, User.role, User.is_expert)
        .join(User, User.id == table.user_id)
        .where(User.is_active)
    )


def _known(
    connection: Connection, bearer: _Bearer, secret: SecretStr, is_its: ColumnElement[bool]
) -> KnownUser:
    row = connection.execute(bearer.where(is_its)).one_or_none()
    # The index compared hashes, not secrets, and how far it got tells nothing of a secret;
    # the comparison that lets somebody in takes the same time whatever it finds.
    if row is None or not hmac.compare_digest(row.secret_sha256, _sha256(secret)):
        raise SignInError(
            "The key, link or session is unknown, has run out or was taken back.",
            remedy="Sign in again, or ask an operator for a new link or key.",
        )
    return KnownUser(row.id, row.name, row.role, row.is_expert)
