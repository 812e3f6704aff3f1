"""``astrid users``: who may use AstrID's API, and what they are known by.

What belongs here: arguments and tables. The work is ``astrid_core.curation.access``'s.
"""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import Connection

from astrid_core.curation import access
from astrid_core.curation.access import ListedUser, Role
from astrid_core.errors import UserError
from astrid_stack.console import errors_shown, out, say
from astrid_stack.credentials import sign_in_address
from astrid_stack.ports import LOOPBACK
from astrid_stack.state import ADDRESS_VARIABLE, DATABASE_VARIABLE, DEFAULT_PORTS, State
from dbschema.transactions import transaction_at

app = typer.Typer(
    help="Who may use the API: users, sign-in links, API keys.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a local may hold a secret
    epilog=f"{DATABASE_VARIABLE} names the database; default is that of 'astrid up'.",
)

Name = Annotated[str, typer.Argument(help="Name of the user.")]
_ROLE = "viewer looks, reviewer judges too, operator runs the survey too."


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help=_ROLE)] = "reviewer",
    expert: Annotated[
        bool, typer.Option("--expert", help="One verdict of theirs decides.")
    ] = False,
) -> None:
    """Add a user. 'astrid users link' then lets them sign in."""
    with _database() as connection:
        access.add_user(connection, name, role, is_expert=expert)
    say(f"{name} is a {role} now: 'astrid users link', 'astrid users key'")


@app.command("list")
def list_() -> None:
    """Show every user."""
    with _database() as connection:
        users = access.list_users(connection)
    table = Table("name", "role", "expert", "active", "since", box=None, header_style="bold")
    for user in users:
        table.add_row(
            escape(user.name),
            user.role,
            "yes" if user.is_expert else "",
            "yes" if user.is_active else "no",
            f"{user.created_at:%Y-%m-%d}",
        )
    out.print(table)


@app.command()
def change(
    name: Name,
    role: Annotated[Role | None, typer.Option(help=_ROLE)] = None,
    expert: Annotated[
        bool | None, typer.Option("--expert/--no-expert", help="Whether one verdict decides.")
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--no-active", help="Whether they may sign in.")
    ] = None,
) -> None:
    """Change what a user may do from now on; the verdicts they gave stay as they are."""
    with _database() as connection:
        user = access.user_named(connection, name)
        access.change_user(
            connection,
            user.id,
            role=role or user.role,
            is_expert=user.is_expert if expert is None else expert,
            is_active=user.is_active if active is None else active,
        )
        changed = access.user_named(connection, name)
    kind = f"{changed.role}{', expert' if changed.is_expert else ''}"
    say(f"{name}: {kind}, {'active' if changed.is_active else 'not active'}")


@app.command()
def link(
    name: Name,
    hours: Annotated[int, typer.Option(min=1, max=720, help="Hours for which it works.")] = 24,
    address: Annotated[
        str | None,
        typer.Option(
            envvar=ADDRESS_VARIABLE,
            help="Address that people reach the API at; default is that of 'astrid up'.",
        ),
    ] = None,
) -> None:
    """Print a link that signs a user in, once."""
    with _database() as connection:
        user = _active(connection, name)
        made = access.issue_sign_in_link(connection, user.known, dt.timedelta(hours=hours))
    say(sign_in_address(address or _address_of_api(), made))


@app.command()
def key(
    name: Name,
    purpose: Annotated[str, typer.Option("--for", help="What it is for, to know it again by.")],
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days for which it works; default no end.")
    ] = None,
) -> None:
    """Print an API key that speaks for a user. It is never shown again."""
    lifetime = None if days is None else dt.timedelta(days=days)
    with _database() as connection:
        user = _active(connection, name)
        made = access.issue_api_key(connection, user.known, purpose, lifetime)
    say(made.secret.get_secret_value())


@app.command()
def keys(name: Name) -> None:
    """Show a user's API keys, but for the keys themselves."""
    with _database() as connection:
        found = access.api_keys_of(connection, access.user_named(connection, name).id)
    # An id is there to be copied: it is never cut, however narrow the terminal.
    whole = Column("id", min_width=36)
    table = Table(whole, "for", "made", "ends", "taken back", box=None, header_style="bold")
    for one in found:
        days = (one.created_at, one.expires_at, one.revoked_at)
        table.add_row(
            str(one.id), escape(one.name), *(f"{day:%Y-%m-%d}" if day else "" for day in days)
        )
    out.print(table)


@app.command()
def revoke(
    key_id: Annotated[UUID, typer.Argument(help="Id, as 'astrid users keys' shows.")],
) -> None:
    """Take an API key back: it stops working at once."""
    with _database() as connection:
        access.revoke_api_key(connection, key_id)
    say(f"{key_id} is taken back")


def _active(connection: Connection, name: str) -> ListedUser:
    user = access.user_named(connection, name)
    if not user.is_active:
        raise UserError(
            f"{name} is not active: a link or key would not work.",
            remedy=f"Run 'astrid users change {name} --active' first.",
        )
    return user


def _address_of_api() -> str:
    """Where the API answers that has our database."""
    if os.environ.get(DATABASE_VARIABLE):
        return f"http://{LOOPBACK}:{DEFAULT_PORTS['api']}"  # where it goes when started by hand
    return State().address("api")


@contextmanager
def _database() -> Iterator[Connection]:
    """One transaction on AstrID's database; our own errors are shown."""
    with errors_shown():
        url = os.environ.get(DATABASE_VARIABLE) or State().database_url("astrid")
        with transaction_at(url) as connection:
            yield connection
