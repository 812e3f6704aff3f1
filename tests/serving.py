"""The API served as it is to people: over HTTP, on loopback."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from astrid_stack.ports import LOOPBACK, any_free_port


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app in a thread; its address."""
    port = any_free_port()
    server = uvicorn.Server(uvicorn.Config(app, LOOPBACK, port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
