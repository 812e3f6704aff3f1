"""Executors: where the steps of a run are computed."""

import dagster as dg

from astrid_core.errors import ConfigurationError


def executor(name: str) -> dg.ExecutorDefinition:
    """The executor a deployment asks for.

    Parameters
    ----------
    name
        ``in_process``: all steps in the run's process, frames in its worker pool.
        ``multiprocess``: a process per step. ``kubernetes``: a pod per step, which is what
        makes the U-Net op's GPU request count.

    Raises
    ------
    ConfigurationError
        If ``kubernetes`` is asked for and its package is not installed.
    """
    if name == "in_process":
        return dg.in_process_executor
    if name == "multiprocess":
        return dg.multiprocess_executor
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError as error:
        raise ConfigurationError(
            "ASTRID_EXECUTOR=kubernetes needs the package dagster-k8s",
            remedy="Install astrid[kubernetes].",
        ) from error
    definition: dg.ExecutorDefinition = k8s_job_executor
    return definition
