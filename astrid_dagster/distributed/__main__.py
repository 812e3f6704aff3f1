"""Run a worker: ``python -m astrid_dagster.distributed --queue gpu --queue cpu``.

It does one step at a time, whose frames its own worker processes share (``ASTRID_WORKERS``).
Asked to end (SIGTERM) it takes no more and finishes its step.
"""

import argparse
import logging
import os
import sys

from astrid_core.errors import AstridError
from astrid_dagster import tags


def main() -> int:
    """Work until asked to end; exit status 1 where that cannot be done."""
    parser = argparse.ArgumentParser(
        "python -m astrid_dagster.distributed", description="Do steps of runs, from queues."
    )
    parser.add_argument(
        "--queue",
        action="append",
        choices=tags.QUEUES,
        required=True,
        help="queue to take steps from; may be repeated",
    )
    queues = parser.parse_args().queue
    try:
        from astrid_dagster.distributed.worker import make_worker_app

        app = make_worker_app()
    except AstridError as error:
        logging.getLogger(__name__).error("%s", error)
        return 1
    # Loaded before the first step, not by it.
    import astrid_dagster.definitions  # noqa: F401

    # It would tell all of a step's events again.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    name = f"{'-'.join(queues)}-{os.getpid()}@%h"
    # A thread, not a forked process: those may have no children, and steps have.
    how = ("--pool", "threads", "--concurrency", "1", "--loglevel", "INFO")
    app.worker_main(["worker", "--queues", ",".join(queues), "--hostname", name, *how])
    return 0


if __name__ == "__main__":
    sys.exit(main())
