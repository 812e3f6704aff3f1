"""The operator that an embedded stack knows of itself: whoever holds its state folder.

What belongs here: their user, the API key that our own tools and notebooks show, and links
that sign their browser in. They could do anything anyway: the folder holds every secret.
"""

from collections.abc import Callable

from rich.console import Console
from sqlalchemy import Connection

from astrid_core.curation import access
from astrid_core.curation.access import KnownUser
from astrid_core.errors import NoSuchItemError, SignInError
from astrid_stack.credentials import sign_in_address
from astrid_stack.state import State, write_private
from dbschema.transactions import transaction_at

NAME = "local"
KEY_NAME = "the state folder's token"


def ensure_token(state: State) -> None:
    """Have an operator, and a key of theirs in the state folder that works.

    A key that still holds is kept. Of those made before, no other goes on working: a file
    that is gone may be in other hands.
    """
    with transaction_at(state.database_url("astrid")) as connection:
        user = _ensure_operator(connection)
        if _holds(connection, state, user):
            return
        for key in access.api_keys_of(connection, user.id):
            if key.name == KEY_NAME:
                access.revoke_api_key(connection, key.id)
        made = access.issue_api_key(connection, user, KEY_NAME)
        write_private(state.token_file, made.secret.get_secret_value())


def sign_in_link(state: State) -> str:
    """Address that signs a browser in as the local operator, once."""
    with transaction_at(state.database_url("astrid")) as connection:
        user = access.user_named(connection, NAME)
        made = access.issue_sign_in_link(connection, user.known)
    return sign_in_address(state.address("api"), made)


def welcome(state: State, console: Console, report: Callable[[str], None]) -> None:
    """Say where everything is, and how to sign in.

    The link is for a person's eyes: output that goes elsewhere may be kept for long.
    """
    report(f"  API      {state.address('api')}")
    report(f"  Dagster  {state.address('dagster')}/asset-groups")
    report(f"  MLflow   {state.address('mlflow')}")
    if console.is_terminal:
        report(f"Sign in, once and within 24 hours: {sign_in_link(state)}")
    else:
        report(f"'astrid users link {NAME}' prints a link to sign in with")


def _ensure_operator(connection: Connection) -> KnownUser:
    """The local user, made if there is none, and an operator again if they are none."""
    try:
        user = access.user_named(connection, NAME)
    except NoSuchItemError:
        return access.add_user(connection, NAME, "operator", is_expert=True)
    access.change_user(
        connection, user.id, role="operator", is_expert=user.is_expert, is_active=True
    )
    return access.user_named(connection, NAME).known


def _holds(connection: Connection, state: State, user: KnownUser) -> bool:
    if not state.token_file.exists():
        return False
    try:
        return access.user_of_api_key(connection, state.token()) == user
    except SignInError:
        return False
