"""Whether this machine's worker answers: ``python -m astrid_dagster.distributed.health``."""

import socket
import sys

from astrid_dagster.distributed.worker import make_worker_app

_TIMEOUT_S = 10.0


def answers(host: str) -> bool:
    """Whether a worker on a host answers by the broker, which it does while it works too."""
    replies = make_worker_app().control.ping(timeout=_TIMEOUT_S)
    return any(name.endswith(f"@{host}") for reply in replies for name in reply)


if __name__ == "__main__":
    sys.exit(0 if answers(socket.gethostname()) else 1)
