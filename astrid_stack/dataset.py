"""A training dataset of what a demo found, asked of the API as anybody would."""

import datetime as dt
import time
from collections.abc import Sequence
from typing import Any

from astrid_stack.api_client import ApiClient
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
    api = ApiClient(state.address("api"), Credential("key", state.token()))
    answer: dict[str, Any] = api.ask("POST", "/training/datasets/collect", _TIMEOUT_S, json=body)
    deadline = time.monotonic() + _LONGEST_S
    while "status_url" in answer:
        if answer["status"] == "failed":
            raise StackError(
                f"The collection failed: {answer['error']}",
                remedy=f"Its run is at {answer['dagster']}.",
            )
        if answer["dataset_url"] is not None:
            found: dict[str, Any] = api.ask("GET", answer["dataset_url"], _TIMEOUT_S)
            return found
        if time.monotonic() > deadline:
            raise StackError(
                f"The dataset was not collected in {_LONGEST_S:.0f} s.",
                remedy=f"Its run is at {answer['dagster']}.",
            )
        time.sleep(2.0)
        answer = api.ask("GET", answer["status_url"], _TIMEOUT_S)
    return answer
