"""TCP ports on the loopback interface: which are free, which to take.

Everything the embedded stack serves is bound to loopback; nothing else belongs here.
"""

import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"
_LAST_PORT = 65_535


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection in TIME_WAIT does not make the port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return not answers(port)


def answers(port: int, timeout_s: float = 0.5) -> bool:
    """Whether something accepts TCP connections on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_s)
        return probe.connect_ex((LOOPBACK, port)) == 0


def any_free_port() -> int:
    """A port that the operating system says is free (it may be taken a moment later)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def next_free_port(wanted: int, reserved: Collection[int] = ()) -> int:
    """The first port from ``wanted`` upwards that is free and not ``reserved``.

    Raises
    ------
    OSError
        If there is none up to 65535.
    """
    for port in range(wanted, _LAST_PORT + 1):
        if port not in reserved and is_free(port):
            return port
    raise OSError(f"no free TCP port on {LOOPBACK} from {wanted} upwards")
