"""Where a connection really goes, and how often a host is asked.

What belongs here: the guard on connected addresses, the gate of a host. What does not:
requests and their meaning (``session``).
"""

import fcntl
import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from astrid_core.errors import ForbiddenAddressError

_TIMES = struct.Struct("<dd")


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


class Turns:
    """When a host may be asked next, agreed on by every process that shares a folder.

    Runs of several nights are processes of their own; the host sees one visitor.

    Parameters
    ----------
    path
        File of the host: when the next turn is and until when it wants a pause, as seconds
        of the system's clock.
    horizon_s
        Times further ahead are left over from a clock since set back, and do not count.
    clock
        Seconds.
    """

    def __init__(
        self, path: Path, horizon_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._horizon_s = horizon_s
        self._clock = clock

    def take(self, interval_s: float) -> float:
        """Take the next turn, the one after it to come an interval later. Seconds until it."""
        with self._noted() as times:
            now = self._clock()
            turn = max(times[0], now)
            times[0] = turn + interval_s
        return turn - now

    def pause(self, seconds: float) -> None:
        """Let nobody ask for a time that the host has asked for."""
        with self._noted() as times:
            times[1] = max(times[1], self._clock() + seconds)

    def pause_left_s(self) -> float:
        """Seconds until the host may be asked again; 0 where it wants no pause."""
        with self._noted() as times:
            return max(0.0, times[1] - self._clock())

    @contextmanager
    def _noted(self) -> Iterator[list[float]]:
        """The two times, to oneself; what they are changed to is noted."""
        with self._path.open("a+b") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            file.seek(0)
            content = file.read(_TIMES.size)
            times = list(_TIMES.unpack(content)) if len(content) == _TIMES.size else [0.0, 0.0]
            latest = self._clock() + self._horizon_s
            times = [moment if moment <= latest else 0.0 for moment in times]
            before = tuple(times)
            yield times
            if tuple(times) != before:
                file.truncate(0)
                file.write(_TIMES.pack(*times))


class Gate:
    """Lets requests to one host through: so many at once, each in its turn.

    Parameters
    ----------
    sleep
        How to wait for some seconds.
    """

    def __init__(
        self, turns: Turns, rate_per_s: float, parallel: int, sleep: Callable[[float], None]
    ) -> None:
        self._turns = turns
        self._interval_s = 1.0 / rate_per_s
        self._slots = threading.BoundedSemaphore(parallel)
        self._sleep = sleep

    @contextmanager
    def passage(self) -> Iterator[None]:
        """One request, from its turn until its answer has been read."""
        with self._slots:
            self._sleep(self._turns.take(self._interval_s))
            while (wait_s := self._turns.pause_left_s()) > 0:
                self._sleep(wait_s)
            yield

    def pause(self, seconds: float) -> None:
        """Let nobody through for a time that the host has asked for."""
        self._turns.pause(seconds)
