"""Faults on purpose: a TCP proxy that cuts connections in the middle."""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Forwards bytes to a server, and cuts connections as told.

    Parameters
    ----------
    target
        ``http://host:port`` of the server.

    Attributes
    ----------
    cuts_left
        Connections still to be cut; they are cut once ``after_bytes`` bytes went through
        in either direction.
    after_bytes
        0 refuses before anything is said.
    n_cut
        Connections cut so far.
    bytes_per_second
        Speed of the line; None is as fast as it goes.
    n_bytes
        Bytes gone through so far, both ways.
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        assert address.hostname is not None
        assert address.port is not None
        self._target = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts_left = 0
        self.after_bytes = 0
        self.n_cut = 0
        self.n_bytes = 0
        self.bytes_per_second: float | None = None
        self._lock = threading.Lock()

    def cut(self, connections: int, after_bytes: int) -> None:
        """Cut the next connections after so many bytes."""
        self.cuts_left, self.after_bytes = connections, after_bytes

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                passed = [0]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._forward, args=(source, sink, passed), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, passed: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                passed[0] += len(data)
                self.n_bytes += len(data)
                if self.bytes_per_second is not None:
                    time.sleep(len(data) / self.bytes_per_second)
                if self._is_to_cut(passed[0]):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _is_to_cut(self, passed: int) -> bool:
        with self._lock:
            if self.cuts_left == 0 or passed <= self.after_bytes:
                return False
            self.cuts_left -= 1
            self.n_cut += 1
            return True
