"""A training dataset of what a demo found, asked of the API as anybody would."""

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any

import requests

from astrid_stack.credentials import Credential
from astrid_stack.errors import StackError
from astrid_stack.state import State

_TIMEOUT_S = 120.0
_LONGEST_S = 1800.0


def collect_dataset(
    state: State, survey: str, nights: Sequence[dt.date], injections_per_frame: int
) -> dict[str, Any]:
    """Collect a survey's nights as a dataset; what the API tells of it.

    Raises
    ------
    StackError
        If the API refuses or the collection fails.
    """
    body = {
        "name": f"{survey} demo",
        "survey_ids": [survey],
        "start": min(nights).isoformat() + "T00:00:00",
        # A night ends on the next date, in UTC.
        "end": (max(nights) + dt.timedelta(days=2)).isoformat() + "T00:00:00",
        "description": "What the demo found, judged by the simulator's truth.",
        "injections_per_frame": injections_per_frame,
    }
    answer = _ask(state, "POST", "/training/datasets/collect", json=body)
    deadline = time.monotonic() + _LONGEST_S
    while "status_url" in answer:
        if answer["status"] == "failed":
            raise StackError(
                f"The collection failed: {answer['error']}",
                remedy=f"Its run is at {answer['dagster']}.",
            )
        if answer["dataset_url"] is not None:
            return _ask(state, "GET", answer["dataset_url"])
        if time.monotonic() > deadline:
            raise StackError(
                f"The dataset was not collected in {_LONGEST_S:.0f} s.",
                remedy=f"Its run is at {answer['dagster']}.",
            )
        time.sleep(2.0)
        answer = _ask(state, "GET", answer["status_url"])
    return answer


def _ask(state: State, method: str, path: str, **request: Any) -> dict[str, Any]:
    headers = Credential("key", state.token()).headers
    address = f"{state.address('api')}{path}"
    with requests.Session() as session:
        session.trust_env = False  # a ~/.netrc would be sent in place of our own headers
        try:
            answer = session.request(
                method, address, headers=headers, timeout=_TIMEOUT_S, **request
            )
        except requests.RequestException as error:
            raise StackError(
                f"The API at {address} did not answer: {error}",
                remedy="Run 'astrid status', then 'astrid up'.",
            ) from error
    if not answer.ok:
        raise StackError(
            f"The API refused {method} {path}: {answer.text}",
            remedy="Its log says more: 'astrid status' names the folder.",
        )
    found: dict[str, Any] = answer.json()
    return found
