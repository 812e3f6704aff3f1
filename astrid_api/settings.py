"""Configuration of the HTTP face, beside that of AstrID as a whole."""

from pydantic import Field, SecretStr

from astrid_core.curation.queue import QueueConfig
from astrid_core.settings import Settings
from astrid_stack.hosts import allowed_names


class ApiSettings(Settings):
    """Configuration of the API, from ``ASTRID_*`` environment variables."""

    mlflow_uri: str = Field(
        default="", description="MLflow tracking server, of which only the health is told."
    )
    api_port: int = Field(
        default=8000, ge=1, le=65535, description="Port; the next free one if it is taken."
    )
    allowed_hosts: str = Field(
        default="",
        description="Names, separated by commas, under which a proxy serves the API to people.",
    )
    dagster_address: str | None = Field(
        default=None,
        description="Address that people reach Dagster's UI at; default is dagster_url.",
    )
    max_body_bytes: int = Field(
        default=65_536, ge=1024, le=16_777_216, description="Largest request taken, bytes."
    )
    user_requests_per_minute: int = Field(
        default=1200, ge=1, le=1_000_000, description="Requests of one user in a minute."
    )
    address_requests_per_minute: int = Field(
        default=3000, ge=1, le=1_000_000, description="Requests from one address in a minute."
    )
    sign_ins_per_minute: int = Field(
        default=10, ge=1, le=10_000, description="Sign-ins tried from one address in a minute."
    )
    collect_wait_s: float = Field(
        default=60.0,
        ge=0,
        le=600,
        description="Seconds that a request for a training dataset waits for it to be there.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What Prometheus shows as its bearer token; without it, operators' keys only.",
    )
    review_queue: QueueConfig = Field(
        default_factory=QueueConfig, description="The review queue's configuration, as JSON."
    )

    @property
    def dagster_for_people(self) -> str | None:
        """Where links into Dagster's UI go; None where no Dagster is configured."""
        return self.dagster_url and (self.dagster_address or self.dagster_url)

    @property
    def host_names(self) -> frozenset[str]:
        """Every name, without port, that the API answers to."""
        return allowed_names(self.allowed_hosts)
