"""The state folder: what an installation keeps between starts, and nothing else.

::

    .astrid/
      secrets.json    0600, random per installation
      token           0600, an API key of the local operator, for notebooks and our own tools
      ports.json      the port each part was last given
      services.json   process id and start time of each running part
      postgres/ objects/ dagster/    data of the parts
      logs/           one file a part

The folder is 0700. :meth:`State.environment` turns it into the environment of every part.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from pydantic import SecretStr

from astrid_core.errors import ConfigurationError
from astrid_stack import ports
from astrid_stack.errors import StackError
from astrid_stack.processes import base_environment

STATE_VARIABLE = "ASTRID_STATE"
DATABASE_VARIABLE = "ASTRID_DATABASE_URL"
ADDRESS_VARIABLE = "ASTRID_API_ADDRESS"
PROJECT = Path(__file__).resolve().parents[1]
BUCKET = "astrid"
DATABASES = ("astrid", "dagster", "mlflow")
DATABASE_USER = "astrid"
RESTORING = "astrid_restoring"
"""A schema that a database has while it is being restored; its comment names the backup."""
DEFAULT_PORTS: Mapping[str, int] = {
    # Where people look for them
    "api": 8000,
    "dagster": 3000,
    "mlflow": 5000,
    # Out of the way of a PostgreSQL or MinIO that may be there already
    "postgres": 15432,
    "s3": 19000,
    "code": 14000,
}


@dataclass(frozen=True)
class Secrets:
    """Random words of one installation. Never printed, logged or put on a command line."""

    postgres_password: str
    s3_access_key_id: str
    s3_secret_access_key: str

    @classmethod
    def random(cls) -> Self:
        """New secrets of 192 bits each."""
        return cls(secrets.token_urlsafe(24), secrets.token_hex(10), secrets.token_urlsafe(24))

    def __repr__(self) -> str:
        return "Secrets(...)"


def state_folder() -> Path:
    """Where the state is: ``ASTRID_STATE``, or ``.astrid`` beside ``workspace.yaml``."""
    given = os.environ.get(STATE_VARIABLE)
    if given:
        return Path(given).expanduser().resolve()
    top = PROJECT if (PROJECT / "workspace.yaml").exists() else Path.cwd()
    return top / ".astrid"


def port_variable(part: str) -> str:
    """Name of the environment variable that asks for a part's port."""
    return f"ASTRID_{part.upper()}_PORT"


class State:
    """One installation's state folder, open.

    Parameters
    ----------
    folder
        The folder; default :func:`state_folder`. It must exist; :meth:`create` makes it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or state_folder()).resolve()
        if not self.folder.is_dir():
            raise StackError(
                f"There is no state in {self.folder}: nothing was ever started from here.",
                remedy=f"Run 'astrid up', or point {STATE_VARIABLE} at an existing state folder.",
            )
        owner = self.folder.stat().st_uid
        if os.geteuid() not in (0, owner):
            raise StackError(
                f"The state in {self.folder} belongs to another user.",
                remedy=f"Run as that user, or point {STATE_VARIABLE} at a folder of your own.",
                owner_uid=owner,
            )
        self.secrets = Secrets(**json.loads(self._secrets_file.read_text()))

    @classmethod
    def create(cls, folder: Path | None = None) -> Self:
        """Open the state folder, made with new secrets if there is none."""
        folder = (folder or state_folder()).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / "secrets.json").exists():
            write_private(folder / "secrets.json", json.dumps(asdict(Secrets.random())))
        state = cls(folder)
        for part in (state.postgres, state.objects, state.dagster_home, folder / "logs"):
            part.mkdir(mode=0o700, exist_ok=True)
        return state

    @property
    def _secrets_file(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def postgres(self) -> Path:
        """Folder of the PostgreSQL cluster."""
        return self.folder / "postgres"

    @property
    def objects(self) -> Path:
        """Folder whose subfolders are the S3 buckets."""
        return self.folder / "objects"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder, with its ``dagster.yaml`` and compute logs."""
        return self.folder / "dagster"

    @property
    def token_file(self) -> Path:
        """File that holds the local operator's API key."""
        return self.folder / "token"

    def token(self) -> SecretStr:
        """The local operator's API key.

        Raises
        ------
        StackError
            If none was made yet.
        """
        try:
            return SecretStr(self.token_file.read_text().strip())
        except FileNotFoundError as error:
            raise StackError(
                f"There is no {self.token_file}.", remedy="'astrid up' makes a new one."
            ) from error

    def log(self, part: str) -> Path:
        """Log file of a part."""
        return self.folder / "logs" / f"{part}.log"

    def ports(self) -> dict[str, int]:
        """Port of each part: as last used, else as asked for, else the default."""
        remembered = _read_json(self.folder / "ports.json")
        return wanted_ports() | {name: int(port) for name, port in remembered.items()}

    def remember_ports(self, chosen: Mapping[str, int]) -> None:
        """Remember the ports in use."""
        write_private(self.folder / "ports.json", json.dumps(dict(chosen), indent=1))

    def services(self) -> dict[str, dict[str, Any]]:
        """Of each part that was started: process id, start time, digest of its settings."""
        return _read_json(self.folder / "services.json")

    def remember_services(self, services: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember which processes are the parts."""
        write_private(self.folder / "services.json", json.dumps(services, indent=1))

    def database_url(self, database: str, driver: str = "psycopg") -> str:
        """SQLAlchemy address of one of :data:`DATABASES`."""
        secret = quote(self.secrets.postgres_password, safe="")
        where = f"{ports.LOOPBACK}:{self.ports()['postgres']}"
        return f"postgresql+{driver}://{DATABASE_USER}:{secret}@{where}/{database}"

    def address(self, part: str) -> str:
        """HTTP address of a part."""
        return f"http://{ports.LOOPBACK}:{self.ports()[part]}"

    def environment(self) -> dict[str, str]:
        """Environment of every part and of ``astrid run``: addresses, secrets, policies.

        What the caller's environment says of AstrID's other settings (``ASTRID_WORKERS``,
        ``ASTRID_SURVEYS_FILE``, ...) is passed on.
        """
        settings = {name: value for name, value in os.environ.items() if name.startswith("ASTRID_")}
        if surveys_file := settings.get("ASTRID_SURVEYS_FILE"):
            settings["ASTRID_SURVEYS_FILE"] = str(Path(surveys_file).expanduser().resolve())
        return (
            base_environment()
            | {"ASTRID_CONCURRENT_RUNS": str(_default_concurrent_runs())}
            | {ADDRESS_VARIABLE: self.address("api")}  # or a proxy's, if the caller names it
            | settings
            | self._addresses()
            | _aws_environment(self.secrets, self.address("s3"))
        )

    def settings_digest(self) -> str:
        """SHA-256 of what the environment sets for AstrID, ports aside."""
        ports_asked = {port_variable(part) for part in DEFAULT_PORTS}
        settings = {
            name: value
            for name, value in self.environment().items()
            if name.startswith("ASTRID_") and name not in ports_asked
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def _addresses(self) -> dict[str, str]:
        return {
            STATE_VARIABLE: str(self.folder),
            DATABASE_VARIABLE: self.database_url("astrid"),
            # dagster-postgres needs the older driver, named explicitly.
            "ASTRID_DAGSTER_DATABASE_URL": self.database_url("dagster", "psycopg2"),
            "ASTRID_S3_ENDPOINT": self.address("s3"),
            "ASTRID_S3_BUCKET": BUCKET,
            "ASTRID_S3_REGION": "auto",
            "ASTRID_S3_ACCESS_KEY_ID": self.secrets.s3_access_key_id,
            "ASTRID_S3_SECRET_ACCESS_KEY": self.secrets.s3_secret_access_key,
            "ASTRID_MLFLOW_URI": self.address("mlflow"),
            "ASTRID_DAGSTER_URL": self.address("dagster"),
            "ASTRID_CODE_HOST": ports.LOOPBACK,
            "ASTRID_CODE_PORT": str(self.ports()["code"]),
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "MLFLOW_TRACKING_URI": self.address("mlflow"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }


def _aws_environment(words: Secrets, endpoint: str) -> dict[str, str]:
    """Variables for libraries that find S3 by themselves (MLflow, dagster-aws)."""
    return {
        "AWS_ACCESS_KEY_ID": words.s3_access_key_id,
        "AWS_SECRET_ACCESS_KEY": words.s3_secret_access_key,
        "AWS_DEFAULT_REGION": "auto",
        "AWS_ENDPOINT_URL_S3": endpoint,
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        # boto3's newer defaults break uploads to R2 and range reads from rclone.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _default_concurrent_runs() -> int:
    # A run's own pool already uses every core; a second fills the time it starts and waits.
    return 1 if os.cpu_count() == 1 else 2


def wanted_ports() -> dict[str, int]:
    """Ports asked for by ``ASTRID_*_PORT``, else the defaults.

    Raises
    ------
    ConfigurationError
        If a variable is not a port number, or two parts ask for the same port.
    """
    wanted: dict[str, int] = {}
    for part, default in DEFAULT_PORTS.items():
        text = os.environ.get(port_variable(part), str(default))
        if not text.isdigit() or not 0 < int(text) < 65_536:
            raise ConfigurationError(
                f"{port_variable(part)}={text!r} is not a port.",
                remedy="Give a whole number from 1 to 65535.",
            )
        if int(text) in wanted.values():
            raise ConfigurationError(
                f"{port_variable(part)}={text} asks for a port that another part has.",
                remedy="Give each part a port of its own.",
            )
        wanted[part] = int(text)
    return wanted


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(path)


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
