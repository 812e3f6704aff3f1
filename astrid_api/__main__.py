"""Serve the API on this machine: ``python -m astrid_api``.

``astrid up`` does, on a port that it chose. Settings come from the environment.
"""

import argparse
import faulthandler
import logging
import sys

import uvicorn

from astrid_api.app import create_app
from astrid_api.settings import ApiSettings
from astrid_core import logs
from astrid_core.errors import AstridError
from astrid_stack.ports import LOOPBACK, next_free_port
from dbschema.migrate import check

_log = logging.getLogger("astrid_api")


def main() -> int:
    """Serve until interrupted; exit status 1 where that cannot be done."""
    parser = argparse.ArgumentParser("python -m astrid_api", description="Serve AstrID's API.")
    parser.add_argument(
        "--port",
        type=int,
        help="this port and no other; default ASTRID_API_PORT, or the next free one",
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="address to listen at; another than loopback only behind a proxy, which brings TLS",
    )
    asked = parser.parse_args()
    host, port = asked.host, asked.port
    faulthandler.enable()  # so that a crash in native code leaves word in the log
    logs.set_up()
    _log.setLevel(logging.INFO)
    try:
        settings = ApiSettings()  # values come from the environment
        check(settings.database_url.get_secret_value())
        app = create_app(settings)
    except AstridError as error:
        _log.error("%s", error)
        return 1
    if port is None:
        port = next_free_port(settings.api_port)
        if port != settings.api_port:
            _log.warning("port %d is taken", settings.api_port)
    _log.info("AstrID's API is at http://%s:%d", host, port)
    # Our own log has a line for each request, without the query, which may hold a secret.
    # Uvicorn's own lines go where all others go.
    uvicorn.run(app, host=host, port=port, access_log=False, server_header=False, log_config=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
