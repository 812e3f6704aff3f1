"""The Celery application that workers run: dagster-celery's task, done under a claim."""

import logging
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import unpack_value
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from astrid_dagster.distributed.broker import broker_url, celery_options, claim_on, connect

_log = logging.getLogger(__name__)


class ClaimedTask(Task):
    """A task that works only on steps somebody waits for, and says that it does."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the step, unless it is nobody's or another's."""
        step = unpack_value(kwargs["execute_step_args_packed"], as_type=ExecuteStepArgs)
        (step_key,) = step.step_keys_to_execute or ()
        claim = claim_on(connect(), step.run_id, step_key)
        with claim.held_by(str(self.request.hostname)) as ours:
            if not ours:
                _log.warning("%s of run %s is no longer asked for", step_key, step.run_id)
                raise Ignore
            return super().__call__(*args, **kwargs)


def make_worker_app() -> Celery:
    """The application, over the settings' broker."""
    url = broker_url()
    app = make_app({"broker": url, "backend": url, "task_cls": ClaimedTask})
    app.conf.update(celery_options())
    create_task(app)
    return app
