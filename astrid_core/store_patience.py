"""Patience with a store: which of its failures are tried again, and what the last is called.

What belongs here: S3's errors as ours. What does not: any request (``storage``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from astrid_core.errors import StoreError, StoreRefusedError
from astrid_core.retries import tried_again

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_TRANSIENT_CODES = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
    }
)


@dataclass(frozen=True)
class Patience:
    """How often one bucket's store is asked, and how long is waited in between.

    Attributes
    ----------
    attempts
        In all, for a failure that may pass.
    longest_wait_s
        Bounds the jittered, exponential waits.
    """

    endpoint: str
    bucket: str
    attempts: int
    longest_wait_s: float

    def run(self, verb: str, key: str, operation: Callable[[], _Result]) -> _Result:
        """Run an operation, again when it fails for a transient reason; type what is left."""

        def report(number: int, reason: BaseException | None) -> None:
            _log.warning(
                "%s %s at %s: attempt %d failed (%s), trying again",
                verb,
                key,
                self.endpoint,
                number,
                type(reason).__name__,
            )

        try:
            return tried_again(operation, _is_transient, self.attempts, self.longest_wait_s, report)
        except (BotoCoreError, ClientError) as error:
            raise self._typed(verb, key, error) from error

    def _typed(self, verb: str, key: str, error: Exception) -> StoreError:
        what = f"Store at {self.endpoint}, bucket {self.bucket}: {verb} {key} failed: {error}."
        if _is_transient(error):
            return StoreError(
                what,
                remedy="Check that the store is up and reachable, then run the partition again.",
                attempts=self.attempts,
            )
        return StoreRefusedError(
            what,
            remedy="Check ASTRID_S3_ENDPOINT, ASTRID_S3_BUCKET, ASTRID_S3_REGION and the keys.",
        )


def _is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        code = error.response["Error"].get("Code")
        return code in _TRANSIENT_CODES or status >= 500 or status == 429
    if isinstance(error, StoreError):
        return error.transient
    return isinstance(error, BotoConnectionError | HTTPClientError | IncompleteReadError)
