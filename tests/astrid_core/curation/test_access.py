"""Users and the secrets they are known by, on a real server."""

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Table, func, select, text, update

from astrid_core.curation.access import (
    ROLES,
    Issued,
    KnownUser,
    Role,
    add_user,
    change_user,
    issue_api_key,
    issue_sign_in_link,
    revoke_api_key,
    sign_in,
    sign_out,
    user_of_api_key,
    user_of_session,
)
from astrid_core.errors import NoSuchItemError, NotAllowedError, SignInError, UserError
from dbschema.models import ApiKey, Base, SignInLink, SignInSession

HOUR = dt.timedelta(hours=1)


def hour_later(connection: Connection, table: type[Base]) -> None:
    """Let an hour pass for the credentials of a table."""
    connection.execute(update(table).values(expires_at=table.expires_at - HOUR))  # type: ignore[attr-defined]


@pytest.mark.parametrize("role", ROLES)
def test_roles_include_the_ones_below(connection: Connection, role: Role) -> None:
    user = add_user(connection, f"a {role}", role)
    rank = ROLES.index(role)
    for asked in ROLES[: rank + 1]:
        user.require(asked)
    for asked in ROLES[rank + 1 :]:
        with pytest.raises(NotAllowedError, match=f"a {role}; this needs a {asked}"):
            user.require(asked)


def test_names_are_unique_and_not_empty(connection: Connection) -> None:
    add_user(connection, "vera")
    for name in ("vera", " ", ""):
        with pytest.raises(UserError):
            add_user(connection, name)


def test_a_key_speaks_for_its_user_until_it_is_revoked(connection: Connection) -> None:
    user = add_user(connection, "robot", "operator", is_expert=True)
    key = issue_api_key(connection, user, "nightly")
    assert user_of_api_key(connection, key.secret) == user
    revoke_api_key(connection, key.id)
    revoke_api_key(connection, key.id)
    with pytest.raises(SignInError):
        user_of_api_key(connection, key.secret)
    with pytest.raises(NoSuchItemError):
        revoke_api_key(connection, user.id)


def test_a_key_runs_out(connection: Connection) -> None:
    key = issue_api_key(connection, add_user(connection, "robot"), "nightly", HOUR)
    user_of_api_key(connection, key.secret)
    hour_later(connection, ApiKey)
    with pytest.raises(SignInError):
        user_of_api_key(connection, key.secret)


def test_a_link_signs_in_once(connection: Connection) -> None:
    user = add_user(connection, "vera")
    link = issue_sign_in_link(connection, user)
    known, session = sign_in(connection, link.secret)
    assert known == user == user_of_session(connection, session.secret)
    with pytest.raises(SignInError):
        sign_in(connection, link.secret)
    sign_out(connection, session.secret)
    sign_out(connection, session.secret)
    with pytest.raises(SignInError):
        user_of_session(connection, session.secret)


def test_links_and_sessions_run_out(connection: Connection) -> None:
    user = add_user(connection, "vera")
    link = issue_sign_in_link(connection, user, HOUR)
    hour_later(connection, SignInLink)
    with pytest.raises(SignInError):
        sign_in(connection, link.secret)
    _, session = sign_in(connection, issue_sign_in_link(connection, user).secret, HOUR)
    hour_later(connection, SignInSession)
    with pytest.raises(SignInError):
        user_of_session(connection, session.secret)


def test_a_link_used_by_many_at_once_signs_one_in(engine: Engine) -> None:
    with engine.begin() as connection:
        link = issue_sign_in_link(connection, add_user(connection, "vera"))
    barrier = threading.Barrier(6)

    def use(_: int) -> bool:
        barrier.wait(timeout=60)
        try:
            with engine.begin() as connection:
                sign_in(connection, link.secret)
        except SignInError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(use, range(6))) == [False] * 5 + [True]
    with engine.begin() as connection:
        assert connection.scalar(select(func.count()).select_from(SignInSession)) == 1


def test_who_is_no_longer_active_is_out_at_once(connection: Connection) -> None:
    user = add_user(connection, "vera")
    key, link = issue_api_key(connection, user, "script"), issue_sign_in_link(connection, user)
    _, session = sign_in(connection, issue_sign_in_link(connection, user).secret)

    def change(is_active: bool) -> None:
        change_user(connection, user.id, role="viewer", is_expert=True, is_active=is_active)

    change(False)
    attempts: list[tuple[Callable[[Connection, SecretStr], object], Issued]] = [
        (user_of_api_key, key),
        (user_of_session, session),
        (sign_in, link),
    ]
    for attempt, issued in attempts:
        with pytest.raises(SignInError):
            attempt(connection, issued.secret)
    change(True)
    assert user_of_session(connection, session.secret) == KnownUser(
        user.id, "vera", "viewer", is_expert=True
    )
    with pytest.raises(NoSuchItemError):
        change_user(connection, key.id, role="viewer", is_expert=False, is_active=True)


def test_one_kind_of_secret_is_no_other(connection: Connection) -> None:
    user = add_user(connection, "vera")
    key, link = issue_api_key(connection, user, "script"), issue_sign_in_link(connection, user)
    for secret in (link.secret, SecretStr(""), SecretStr("x" * 10_000), SecretStr("\x00'; --")):
        with pytest.raises(SignInError) as caught:
            user_of_api_key(connection, secret)
        assert not secret.get_secret_value() or secret.get_secret_value() not in str(caught.value)
    for attempt in (user_of_session, sign_in):
        with pytest.raises(SignInError):
            attempt(connection, key.secret)


def test_secrets_are_long_and_kept_nowhere(connection: Connection) -> None:
    user = add_user(connection, "vera")
    link = issue_sign_in_link(connection, user)
    _, session = sign_in(connection, link.secret)
    issued = [issue_api_key(connection, user, "script"), link, session]
    secrets = {one.secret.get_secret_value() for one in issued}
    assert len(secrets) == 3
    assert all(len(secret) == 43 for secret in secrets)  # 256 bits in base 64
    for table in (ApiKey, SignInLink, SignInSession):
        assert isinstance(table.__table__, Table)
        rows = connection.scalars(text(f"SELECT t::text FROM {table.__tablename__} t")).all()
        assert rows
        assert not any(secret in row for row in rows for secret in secrets)
    assert not any(secret in repr(issued) for secret in secrets)
