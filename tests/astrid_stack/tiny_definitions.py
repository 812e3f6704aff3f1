"""Definitions that load in no time, for tests of the stack rather than of the pipeline."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

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


@dg.asset(
    partitions_def=dg.MultiPartitionsDefinition(
        {
            "survey": dg.StaticPartitionsDefinition(["a", "b"]),
            "night": dg.StaticPartitionsDefinition(["2025-09-01", "2025-09-02"]),
        }
    )
)
def dated(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Knows its survey and night."""
    assert isinstance(context.partition_key, dg.MultiPartitionKey)
    return dg.MaterializeResult(metadata=dict(context.partition_key.keys_by_dimension))


NIGHTS = dg.MultiPartitionsDefinition(
    {
        "survey": dg.StaticPartitionsDefinition(["simulated", "folder"]),
        "night": dg.DailyPartitionsDefinition("2010-01-01", end_offset=1),
    }
)


@dg.multi_asset(
    specs=[dg.AssetSpec(name, partitions_def=NIGHTS) for name in ("raw_frames", "observations")]
)
def ingest() -> Iterator[dg.MaterializeResult]:
    """Named and partitioned as the pipeline's."""
    yield dg.MaterializeResult("raw_frames")
    yield dg.MaterializeResult("observations")


defs = dg.Definitions(
    assets=[slow, quick, dated, ingest],
    jobs=[dg.define_asset_job(f"{name}_job", [name]) for name in ("slow", "quick", "dated")],
    executor=dg.in_process_executor,
)
