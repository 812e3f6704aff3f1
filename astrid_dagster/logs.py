"""What Dagster's steps log: our own lines and Dagster's, with run, step, survey and night.

As text everything is as Dagster has it. As JSON (``ASTRID_LOG_FORMAT``) Dagster's console
lines become JSON too; its event log, which the UI shows, is the same either way.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterInvariantViolationError

from astrid_core.logs import JsonFormatter, add_source, is_json

_OURS = ("astrid_core", "astrid_dagster", "dbschema")
_PARTITION = "dagster/partition"
_METADATA = "dagster_meta"
"""Attribute of the records of ``context.log``."""


class JsonLogger(logging.Logger):
    """A logger whose lines on a stream are JSON, whoever set it up."""

    def addHandler(self, handler: logging.Handler) -> None:  # noqa: N802  logging's own name
        """Add a handler; one that writes to a stream writes JSON."""
        if isinstance(handler, logging.StreamHandler):
            handler.setFormatter(JsonFormatter())
        super().addHandler(handler)


def set_up_logs() -> None:
    """Have this process log in the form asked for; as text it is left as it is."""
    add_source(step_fields)
    if not is_json():
        return
    # Dagster makes its console's logger by this class, for each run.
    logging.setLoggerClass(JsonLogger)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def step_fields(record: logging.LogRecord | None) -> dict[str, object]:
    """Run, job, step, survey and night, as far as there is a step or the record knows."""
    told: Mapping[str, Any] | None = getattr(record, _METADATA, None)
    if told is not None:
        tags = told.get("job_tags") or {}
        # A sensor's tick has neither run nor job, but a name.
        names = {"run_id": "run_id", "job": "job_name", "step": "step_key", "tick": "name"}
        return _known({ours: told.get(name) for ours, name in names.items()}, tags.get(_PARTITION))
    try:
        context = dg.OpExecutionContext.get()
    except DagsterInvariantViolationError:
        return {}
    fields = {"run_id": context.run_id, "job": context.job_name, "step": context.op_handle.name}
    return _known(fields, context.run_tags.get(_PARTITION))


def _known(fields: Mapping[str, object], partition: str | None) -> dict[str, object]:
    known = {name: value for name, value in fields.items() if value is not None}
    if partition is not None:
        night, separator, survey = partition.partition("|")
        known |= {"night": night, "survey": survey} if separator else {"partition": partition}
    return known
