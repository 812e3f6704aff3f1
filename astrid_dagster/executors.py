"""Executors: where the steps of a run are computed."""

from importlib import import_module

import dagster as dg

from astrid_core.errors import ConfigurationError

_OPTIONAL = {
    "celery": ("astrid_dagster.distributed.executor", "celery_executor"),
    "kubernetes": ("dagster_k8s", "k8s_job_executor"),
}
"""Module and name of executors whose packages come with an extra of the same name."""


def executor(name: str) -> dg.ExecutorDefinition:
    """The executor a deployment asks for.

    Parameters
    ----------
    name
        ``in_process``: all steps in the run's process, frames in its worker pool.
        ``multiprocess``: a process per step. ``celery``: a step per worker that takes it from
        its queue, which the U-Net op's tag makes ``gpu``. ``kubernetes``: a pod per step,
        which is what makes the U-Net op's GPU request count.

    Raises
    ------
    ConfigurationError
        If the package that one needs is not installed.
    """
    if name == "in_process":
        return dg.in_process_executor
    if name == "multiprocess":
        return dg.multiprocess_executor
    module, attribute = _OPTIONAL[name]
    try:
        definition: dg.ExecutorDefinition = getattr(import_module(module), attribute)
    except ImportError as error:
        raise ConfigurationError(
            f"ASTRID_EXECUTOR={name} needs a package that is not installed: {error.name}",
            remedy=f"Install astrid[{name}].",
        ) from error
    return definition
