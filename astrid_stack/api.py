"""AstrID's own API as a part: what people judge and ask with."""

import sys

from astrid_stack.part import Part, get
from astrid_stack.processes import Program
from astrid_stack.state import State


def api_part(state: State) -> Part:
    """The API; ready when its database and store answer it."""
    port = state.ports()["api"]
    return Part(
        program=Program(
            name="api",
            argv=(sys.executable, "-m", "astrid_api", "--port", str(port)),
            environment=state.environment(),
            log=state.log("api"),
        ),
        ready=lambda: get(port, "/health")[0] == 200,
        address=state.address("api"),
        port_name="api",
        timeout_s=120.0,
        remedy="Read its log; 'astrid down' and 'astrid up' start it afresh.",
    )
