"""Configuration that all archives share: where requests may go, how politely, how much.

What belongs here: what holds for every archive. What does not: what is asked of one archive
(its adapter's own options).
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from astrid_core.errors import ConfigurationError

_HOST = re.compile(r"(\*\.)?([a-z0-9-]+\.)*[a-z0-9-]+(:\d{1,5})?")
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _host(given: str) -> str:
    host = given.strip().lower()
    if not _HOST.fullmatch(host):
        raise ValueError(
            f"'{given}' is no host: give 'mast.stsci.edu', '*.stsci.edu' or 'host:port', no scheme"
        )
    return host


Host = Annotated[str, AfterValidator(_host)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Credential(_Model):
    """What proves to one host who asks: names of environment variables, never a secret itself.

    It is sent to that host alone, and over plain http only where ``allow_private`` says that
    the archive is on one's own network.
    """

    host: Host = Field(description="The one host it is for: no wildcard.")
    scheme: Literal["bearer", "token", "basic"] = Field(
        default="bearer",
        description="'bearer' and 'token' send 'Authorization: Bearer|token <secret>', 'basic' "
        "user and password.",
    )
    secret_env: str = Field(
        pattern=_VARIABLE, description="Environment variable with the token or password."
    )
    user_env: str | None = Field(
        default=None,
        pattern=_VARIABLE,
        description="Environment variable with the user's name; for 'basic' alone.",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.host.startswith("*"):
            raise ValueError("a credential is for one host, not for all of a domain")
        if (self.scheme == "basic") != (self.user_env is not None):
            raise ValueError("'user_env' belongs to scheme 'basic', and 'basic' needs it")
        return self


class ArchiveOptions(_Model):
    """How an archive is asked and its files are fetched."""

    allowed_hosts: tuple[Host, ...] = Field(
        min_length=1,
        description="Hosts that requests and redirects may go to: 'host', 'host:port' or "
        "'*.domain'; without a port, 80 and 443.",
    )
    allow_private: bool = Field(
        default=False,
        description="Whether a host may resolve to a private or loopback address: an archive "
        "on one's own network. Link-local addresses are never asked.",
    )
    credentials: tuple[Credential, ...] = Field(default=(), description="For restricted data.")
    rate_per_s: float = Field(
        default=4.0, gt=0, le=1000, description="Requests begun per second and host, at most."
    )
    parallel: int = Field(
        default=4, ge=1, le=16, description="Requests to a host at the same time, at most."
    )
    timeout_s: float = Field(
        default=60.0, gt=0, le=3600, description="Wait for a connection, or for more bytes of it."
    )
    file_timeout_s: float = Field(
        default=3600.0, gt=0, le=86_400, description="Time that one attempt at a file may take."
    )
    attempts: int = Field(
        default=4, ge=1, le=10, description="Attempts at a request or file that may yet succeed."
    )
    longest_wait_s: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="Longest pause before another attempt. An archive that asks for more "
        "(Retry-After) is not asked again in this run.",
    )
    outage_retries: int = Field(
        default=2, ge=0, le=20, description="Retries of a night whose archive is out."
    )
    outage_wait_s: float = Field(
        default=600.0, ge=0, le=86_400, description="Pause before such a retry."
    )
    redirects: int = Field(default=5, ge=0, le=20, description="Redirects followed, at most.")
    max_answer_mib: float = Field(
        default=64.0, gt=0, le=1024, description="Largest answer to a query, MiB."
    )
    max_file_mib: float = Field(
        default=2048.0, gt=0, le=65_536, description="Largest file fetched, MiB."
    )
    max_night_gib: float = Field(
        default=50.0, gt=0, le=10_000, description="Most that one night may hold, GiB."
    )
    min_free_gib: float = Field(
        default=5.0, ge=0, le=10_000, description="Free space left on the cache's disk, GiB."
    )
    stated_sizes: Literal["verify", "estimate"] = Field(
        default="verify",
        description="'estimate' for archives whose listed file sizes are often stale: they "
        "then serve for planning alone. The length of a transfer is always verified.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: Path.home() / ".cache" / "astrid" / "archives",
        description="Where fetched files are kept, and unfinished ones until they are resumed.",
    )
    keep: bool = Field(
        default=True,
        description="Whether files stay in the cache after ingestion: another run then "
        "fetches none of them again.",
    )

    @model_validator(mode="after")
    def _credentials_are_for_allowed_hosts(self) -> Self:
        for credential in self.credentials:
            if not any(_covers(entry, credential.host) for entry in self.allowed_hosts):
                raise ValueError(f"credentials for {credential.host}, which is no allowed host")
        return self

    def allows(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether an address is on the allow-list."""
        port = port or _DEFAULT_PORTS.get(scheme)
        is_default = port in _DEFAULT_PORTS.values()
        return any(
            _covers(entry, f"{host}:{port}") or (is_default and _covers(entry, host))
            for entry in self.allowed_hosts
        )


def _covers(entry: str, host: str) -> bool:
    if entry.startswith("*."):
        return host.endswith(entry[1:])
    return host == entry


def made_folder(folder: Path) -> Path:
    """A folder of the cache, made where it is not there.

    Raises
    ------
    ConfigurationError
        If the cache cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The cache {folder.parent} cannot be written to ({error.strerror}).",
            remedy="Point 'archive.cache_dir' of the survey at a folder of your own.",
        ) from error
    return folder
