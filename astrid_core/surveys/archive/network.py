"""Where a connection really goes, and how often a host is asked.

What belongs here: the guard on connected addresses, the gate of a host. What does not:
requests and their meaning (``session``).
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from astrid_core.errors import ForbiddenAddressError


class GuardedAdapter(HTTPAdapter):
    """Transport that talks to no address it should not, whatever name led there.

    The peer of the connected socket is judged, before a byte is sent: a name that resolves
    to another address the second time is no way round.

    Parameters
    ----------
    allow_private
        Whether private and loopback addresses are in order.
    connections
        Connections kept open to a host.
    """

    def __init__(self, *, allow_private: bool, connections: int) -> None:
        self._allow_private = allow_private
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make pools whose connections are guarded."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._allow_private)


def _guarded_pools(allow_private: bool) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _judged(super()._new_conn(), self.host, allow_private)

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _judged(super()._new_conn(), self.host, allow_private)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _judged(connected: socket.socket, host: str, allow_private: bool) -> socket.socket:
    """The socket, or an error and no socket."""
    address = connected.getpeername()[0]
    if why := why_not(address, allow_private):
        connected.close()
        raise ForbiddenAddressError(
            f"{host} leads to {address}, {why}.",
            remedy="If this archive is on your own network, set 'archive.allow_private: true' "
            "for its survey; else its name has been tampered with.",
        )
    return connected


def why_not(address: str, allow_private: bool) -> str | None:
    """Why an IP address is not talked to; None if it is."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return "which belongs to no archive"
    if not ip.is_global and not allow_private:
        return "a private or loopback address"
    return None


class Gate:
    """Lets requests to one host through: so many at once, so many a second.

    Parameters
    ----------
    clock, sleep
        Seconds, and how to wait for some.
    """

    def __init__(
        self,
        rate_per_s: float,
        parallel: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_s = 1.0 / rate_per_s
        self._slots = threading.BoundedSemaphore(parallel)
        self._lock = threading.Lock()
        self._next = 0.0
        self._paused_until = 0.0
        self._clock = clock
        self._sleep = sleep

    @contextmanager
    def passage(self) -> Iterator[None]:
        """One request, from its turn until its answer has been read."""
        with self._slots:
            self._sleep(max(0.0, self._turn() - self._clock()))
            while (wait_s := self._paused_until - self._clock()) > 0:
                self._sleep(wait_s)
            yield

    def pause(self, seconds: float) -> None:
        """Let nobody through for a time the host has asked for."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _turn(self) -> float:
        with self._lock:
            turn = max(self._next, self._clock())
            self._next = turn + self._interval_s
            return turn
