"""Which installation a command is about: the embedded stack's, or the one the environment names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from pydantic import SecretStr, ValidationError

from astrid_core.errors import ConfigurationError
from astrid_core.settings import Settings
from astrid_core.storage import ObjectStore
from astrid_stack.state import DATABASE_VARIABLE, DATABASES, State, state_folder

DAGSTER_VARIABLE = "ASTRID_DAGSTER_DATABASE_URL"
MLFLOW_VARIABLE = "MLFLOW_BACKEND_STORE_URI"
"""What MLflow's own server reads; set it for these commands too where it is not embedded."""


@dataclass(frozen=True)
class Installation:
    """Databases and store of one AstrID.

    Attributes
    ----------
    databases
        Name (one of :data:`astrid_stack.state.DATABASES`) → address. Elsewhere than in the
        embedded stack, those that the environment does not name are missing.
    environment
        Variables of its parts.
    state
        The embedded stack's folder; None where there is none.
    """

    databases: Mapping[str, SecretStr]
    environment: Mapping[str, str] = field(repr=False)
    state: State | None

    @classmethod
    def here(cls) -> Self:
        """The one that the environment names, else the embedded stack's.

        Raises
        ------
        ConfigurationError
            If the environment names a database and is incomplete.
        StackError
            If it names none and nothing was ever started here.
        """
        named = os.environ.get(DATABASE_VARIABLE)
        if named is None or (state_folder().is_dir() and named == _own_address()):
            return cls.of_state(State())
        addresses = {
            "astrid": named,
            "dagster": os.environ.get(DAGSTER_VARIABLE),
            "mlflow": os.environ.get(MLFLOW_VARIABLE),
        }
        found = {name: SecretStr(url) for name, url in addresses.items() if url}
        return cls(found, dict(os.environ), None)

    @classmethod
    def of_state(cls, state: State) -> Self:
        """The embedded stack's."""
        found = {name: SecretStr(state.database_url(name)) for name in DATABASES}
        return cls(found, state.environment(), state)

    @property
    def is_embedded(self) -> bool:
        """Whether its services are started by 'astrid up'."""
        return self.state is not None

    @cached_property
    def settings(self) -> Settings:
        """Settings of its parts.

        Raises
        ------
        ConfigurationError
            If a variable is missing or wrong; it names them all, and shows no value.
        """
        fields = Settings.model_fields
        given = {
            name: self.environment[variable]
            for name in fields
            if (variable := f"ASTRID_{name.upper()}") in self.environment
        }
        try:
            return Settings.model_validate(given)
        except ValidationError as error:
            wrong = {
                f"ASTRID_{'.'.join(map(str, one['loc'])).upper()} ({one['msg']})"
                for one in error.errors(include_input=False)
            }
            raise ConfigurationError(
                f"The environment is not complete: {', '.join(sorted(wrong))}.",
                remedy="Set these variables; the README's table says what they mean.",
            ) from None

    @property
    def store(self) -> ObjectStore:
        """Its object store."""
        return ObjectStore.from_settings(self.settings)

    def address(self, database: str) -> str:
        """Address of one of its databases, which holds a password.

        Raises
        ------
        ConfigurationError
            If the environment does not name it.
        """
        try:
            return self.databases[database].get_secret_value()
        except KeyError:
            variable = {"dagster": DAGSTER_VARIABLE, "mlflow": MLFLOW_VARIABLE}[database]
            raise ConfigurationError(
                f"The environment does not say where {database}'s database is.",
                remedy=f"Set {variable}.",
            ) from None


def _own_address() -> str:
    return State().database_url("astrid")
