"""Definitions that load in no time, for tests of the stack rather than of the pipeline."""

import os
import subprocess
import sys
import time

import dagster as dg


@dg.asset(pool="gpu")
def slow() -> None:
    """Runs until it is stopped, with a worker of its own."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        time.sleep(600)
    finally:
        worker.kill()


@dg.asset
def quick() -> dg.MaterializeResult:
    """Says which database it would write to, without the password."""
    return dg.MaterializeResult(metadata={"state": os.environ["ASTRID_STATE"]})


defs = dg.Definitions(
    assets=[slow, quick],
    jobs=[dg.define_asset_job("slow_job", ["slow"]), dg.define_asset_job("quick_job", ["quick"])],
    executor=dg.in_process_executor,
)
