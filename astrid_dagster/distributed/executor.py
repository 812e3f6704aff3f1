"""The executor that has Celery workers do a run's steps, and notices those that are lost.

It is dagster-celery's, with the broker from the settings, so that no run's configuration
holds a password, and with a claim on every step (``claims``).
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from celery import Celery
from celery.exceptions import DuplicateTaskNameWarning, TaskRevokedError
from celery.result import AsyncResult
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor
from dagster_celery.executor import _submit_task as submit_task

from astrid_core.errors import WorkerDiedError
from astrid_dagster.distributed.broker import broker_url, celery_options, claim_on, connect
from astrid_dagster.distributed.claims import Claim

_TELL_AFTER_S = 300.0
"""Seconds in a queue after which a run says that a step waits for a worker."""


@dg.executor(
    name="celery",
    config_schema={"retries": get_retries_config()},
    requirements=dg.multiple_process_executor_requirements(),
)
def celery_executor(context: dg.InitExecutorContext) -> "QueueExecutor":
    """Steps on Celery workers; the broker is what the settings say."""
    config: Mapping[str, Any] = context.executor_config
    return QueueExecutor(RetryMode.from_config(config["retries"]) or RetryMode.ENABLED)


class QueueExecutor(CeleryExecutor):
    """dagster-celery's executor over the settings' broker, with claims."""

    def __init__(self, retries: RetryMode) -> None:
        url = broker_url()
        super().__init__(retries, broker=url, backend=url, config_source=dict(celery_options()))

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Send each step to its queue when its inputs are there; their events as they come."""
        client = connect()

        def submit(
            app: Celery,
            context: PlanOrchestrationContext,
            step: ExecutionStep,
            queue: str,
            *how: Any,
        ) -> ClaimedResult:
            claim = claim_on(client, context.run_id, step.key)
            claim.offer()
            with warnings.catch_warnings():
                # dagster-celery declares its one task anew for each step.
                warnings.simplefilter("ignore", DuplicateTaskNameWarning)
                result = submit_task(app, context, step, queue, *how)
            return ClaimedResult(result, claim, queue, context.log)

        yield from core_celery_execution_loop(plan_context, execution_plan, submit)


@dataclass
class ClaimedResult:
    """Result of a step that may be lost: Celery's, and the claim that tells.

    It stands in for :class:`celery.result.AsyncResult` in dagster-celery's loop.
    """

    result: AsyncResult
    claim: Claim
    queue: str
    log: dg.DagsterLogManager
    _tell_at: float = field(default_factory=lambda: time.monotonic() + _TELL_AFTER_S)
    _is_withdrawn: bool = False

    def ready(self) -> bool:
        """Whether there is nothing more to wait for."""
        if self._is_withdrawn or self.result.ready():
            return True
        if self.claim.is_kept():
            self._tell_of_waiting()
            return False
        return True

    def get(self) -> list[str]:
        """The step's events.

        Raises
        ------
        TaskRevokedError
            If the step was taken back before a worker began it.
        WorkerDiedError
            If it was lost.
        """
        if self._is_withdrawn:
            raise TaskRevokedError(self.claim.step_key)
        # Looked at once more: the result may have come after the look that found none.
        if not self.result.ready():
            raise WorkerDiedError(
                f"Step {self.claim.step_key} is lost: its worker ended without a word, or the "
                "broker was emptied",
                remedy="See the worker's log (out of memory?), then re-execute the run from "
                "failure; what is completed is not done again.",
            )
        events: list[str] = self.result.get()
        self.claim.end()
        self.result.forget()
        return events

    def revoke(self) -> None:
        """Take the step back if no worker has begun it; one that runs goes on to its end."""
        self._is_withdrawn = self.claim.withdraw()

    def _tell_of_waiting(self) -> None:
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = float("inf")
        if self.claim.is_queued():
            self.log.warning(
                f"Step {self.claim.step_key} has waited {_TELL_AFTER_S / 60:.0f} min in queue "
                f"'{self.queue}': is there a worker, 'python -m astrid_dagster.distributed "
                f"--queue {self.queue}'?"
            )
