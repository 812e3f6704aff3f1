"""A job that two workers share, in no time: it tells where each step was done."""

import os
import time

import dagster as dg

from astrid_core.parallel import map_frames
from astrid_dagster import tags
from astrid_dagster.distributed.executor import celery_executor


@dg.op
def on_cpu() -> list[int]:
    """Worker's process, and those of the pool in which its frames are computed."""
    return [os.getpid(), *(pid for _, pid in map_frames(process_of, [1, 2], workers=2))]


@dg.op(tags=tags.GPU_TAGS, pool=tags.GPU_POOL)
def on_gpu(before: list[int]) -> list[int]:
    """What was before, and this worker's process."""
    return [*before, os.getpid()]


@dg.op
def on_cpu_too_long(before: list[int]) -> None:
    """Ends with its worker."""
    time.sleep(600)


def process_of(_: int) -> int:
    """The process it is called in."""
    return os.getpid()


@dg.job(executor_def=celery_executor)
def shared() -> None:
    """Through both queues."""
    on_gpu(on_cpu())


@dg.job(executor_def=celery_executor)
def never_ending() -> None:
    """Whose last step ends with its worker."""
    on_cpu_too_long(on_cpu())
