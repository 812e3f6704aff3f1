"""Trying again what failed for the moment.

What belongs here: how long is waited, and how often. What does not: which failures pass by
themselves, and what they are called; who asks knows.
"""

from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

_Result = TypeVar("_Result")


def tried_again(
    operation: Callable[[], _Result],
    may_pass: Callable[[BaseException], bool],
    attempts: int,
    longest_wait_s: float,
    report: Callable[[int, BaseException | None], None],
) -> _Result:
    """Run an operation until it succeeds, fails for good, or has failed too often.

    Parameters
    ----------
    may_pass
        Whether a failure is worth another try.
    attempts
        Tries in all, with jittered exponential waits of at most ``longest_wait_s`` seconds
        between them.
    report
        Told the number and the failure of each try that another follows.

    Raises
    ------
    What the last try raised.
    """

    def tell(state: RetryCallState) -> None:
        report(state.attempt_number, state.outcome.exception() if state.outcome else None)

    retrying = Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.2, max=longest_wait_s),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(operation)
