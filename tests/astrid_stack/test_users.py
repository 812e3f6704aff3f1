"""``astrid users`` on a real database."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from typer.testing import CliRunner

from astrid_core.curation.access import sign_in, user_named, user_of_api_key
from astrid_core.errors import SignInError
from astrid_stack.cli import app
from dbschema.session import make_engine


@pytest.fixture
def engine(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("ASTRID_DATABASE_URL", migrated_url)
    engine = make_engine(migrated_url)
    yield engine
    engine.dispose()


def users(*arguments: str, ends: int = 0) -> str:
    done = CliRunner().invoke(app, ["users", *arguments], terminal_width=200)
    assert done.exit_code == ends, done.output
    return done.output.strip()


def test_a_user_from_first_to_last(engine: Engine) -> None:
    users("add", "ada", "--role", "viewer")
    assert "taken" not in users("list")
    users("change", "ada", "--role", "reviewer", "--expert")
    with engine.connect() as connection:
        ada = user_named(connection, "ada")
    assert (ada.role, ada.is_expert, ada.is_active) == ("reviewer", True, True)
    address, _, link = users("link", "ada", "--address", "http://there:1/").partition("=")
    assert address == "http://there:1/sign-in?link"
    with engine.begin() as connection:
        assert sign_in(connection, SecretStr(link))[0].name == "ada"
    users("change", "ada", "--no-active")
    with engine.connect() as connection:
        assert user_named(connection, "ada").is_expert  # what was not named stayed
    assert "--active" in users("link", "ada", ends=1)
    assert "--active" in users("key", "ada", "--for", "x", ends=1)


def test_a_key_works_until_it_is_taken_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    users("add", "robot")
    key = users("key", "robot", "--for", "a [bold] robot")
    with engine.connect() as connection:
        assert user_of_api_key(connection, SecretStr(key)).name == "robot"
    shown = users("keys", "robot")
    assert "a [bold] robot" in shown
    assert key not in shown
    users("revoke", shown.splitlines()[1].split()[0])
    with engine.connect() as connection, pytest.raises(SignInError):
        user_of_api_key(connection, SecretStr(key))


def test_what_cannot_be_done_is_said(engine: Engine) -> None:
    users("add", "ada")
    assert "already" in users("add", "ada", ends=1)
    assert "no user 'bob'" in users("link", "bob", ends=1)
    assert "no API key" in users("revoke", "00000000-0000-0000-0000-000000000000", ends=1)
    users("add", "eve", "--role", "emperor", ends=2)
