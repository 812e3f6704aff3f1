"""What a deployment of containers or pods needs once, before its parts start.

``python -m astrid_stack.setup`` brings tables and Dagster's storage to this release and makes
the first operator. It does so in an order in which nobody else is at it, and is harmless when
all is done. Databases must exist; the embedded stack has ``astrid up`` instead.
"""

import sys

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Connection

from astrid_core.curation import access
from astrid_core.errors import AstridError, NoSuchItemError
from astrid_stack.tasks import prepare_instance
from dbschema.migrate import upgrade
from dbschema.transactions import transaction_at


class SetupSettings(BaseSettings):
    """What it is told, by ``ASTRID_*`` environment variables."""

    model_config = SettingsConfigDict(env_prefix="ASTRID_", extra="ignore")

    database_url: SecretStr
    first_operator: str = Field(
        min_length=1, description="Name of the user who is to be an operator from the start."
    )
    gpu_slots: int = Field(
        default=1, ge=1, le=1000, description="Steps at once that hold a GPU: as many as GPUs."
    )


def prepare(settings: SetupSettings) -> None:
    """Tables, Dagster's storage, the first operator; in this order.

    Raises
    ------
    SchemaVersionError
        If the database was written by a newer release.
    """
    from dagster import DagsterInstance

    url = settings.database_url.get_secret_value()
    upgrade(url)
    print("tables: at this release", flush=True)
    with DagsterInstance.get() as instance:
        prepare_instance(instance, settings.gpu_slots)
    print(f"Dagster's storage: at this release, {settings.gpu_slots} for GPUs", flush=True)
    with transaction_at(url) as connection:
        print(ensure_operator(connection, settings.first_operator), flush=True)


def ensure_operator(connection: Connection, name: str) -> str:
    """Add the first operator unless there is a user of that name; what was done, in words.

    Whoever is there keeps their role: it may have been taken from them on purpose.
    """
    try:
        user = access.user_named(connection, name)
    except NoSuchItemError:
        access.add_user(connection, name, "operator", is_expert=True)
        return f"operator {name}: added; 'astrid users link {name}' prints a link to sign in with"
    return f"user {name}: there, as {user.role}"


def main() -> int:
    """Prepare; exit status 1 where that cannot be done."""
    try:
        prepare(SetupSettings())  # values come from the environment
    except AstridError as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
