"""The Redis that queues are in, and how Celery is to use it.

What belongs here: what the one who asks for a step and the workers must agree on.
"""

from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from astrid_core.errors import ConfigurationError
from astrid_core.settings import get_settings
from astrid_dagster import tags
from astrid_dagster.distributed.claims import Claim

_DAY_S = 86_400
_RETRIES = 8
_LONGEST_WAIT_S = 10.0


def broker_url() -> str:
    """Address of Redis; it holds a password.

    Raises
    ------
    ConfigurationError
        If none is set, or it is not Redis's.
    """
    url = get_settings().broker_url
    if url is None or not url.get_secret_value().startswith(("redis://", "rediss://")):
        raise ConfigurationError(
            "ASTRID_EXECUTOR=celery needs a Redis that queues are in.",
            remedy="Set ASTRID_BROKER_URL to redis://:password@host:6379/0.",
        )
    return url.get_secret_value()


def connect() -> "redis.Redis":
    """A client that bears with a Redis that is away for half a minute."""
    patience = Retry(ExponentialBackoff(cap=_LONGEST_WAIT_S, base=0.5), _RETRIES)
    return redis.Redis.from_url(
        broker_url(),
        decode_responses=True,
        retry=patience,
        retry_on_error=[redis.ConnectionError, redis.TimeoutError],
    )


def claim_on(client: "redis.Redis", run_id: str, step_key: str) -> Claim:
    """The claim on a step, as the settings say."""
    return Claim(client, run_id, step_key, get_settings().claim_s)


def celery_options() -> Mapping[str, Any]:
    """Celery's settings, for those who ask and for workers."""
    return {
        "task_default_queue": tags.CPU_QUEUE,
        # A step stays in the broker until it is done, and a worker holds no second one:
        # whoever is free takes the next.
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        # Longer than any run may last: Redis would hand a step that still runs to another.
        # What a dead worker left is not waited for: see ``claims``.
        "broker_transport_options": {"visibility_timeout": 2 * _DAY_S},
        "broker_connection_retry_on_startup": True,
        "result_expires": _DAY_S,
        "result_backend_always_retry": True,
        "result_backend_max_retries": _RETRIES,
        # Dagster's lines go to the log as they are.
        "worker_redirect_stdouts": False,
        # No pickle comes from a queue.
        "accept_content": ["json"],
        "result_accept_content": ["json"],
    }
