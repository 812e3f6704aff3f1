"""A small client of Dagster's GraphQL: launch a backfill, follow its runs.

What belongs here: what the command line asks of a running Dagster. What does not: any
definition; partitions and assets are named by text, as a person would in the UI.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from astrid_stack.errors import StackError

_LOCATION = "astrid"
_REPOSITORY = "__repository__"
_FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_POLL_S = 1.0
_TIMEOUT_S = 30.0

_LAUNCH = """
mutation Launch($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
    ... on InvalidSubsetError { message }
    ... on UnauthorizedError { message }
  }
}
"""

_RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter) {
    ... on Runs {
      results { runId status startTime endTime tags { key value }
        stepStats { stepKey status startTime endTime } }
    }
  }
}
"""

_BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status error { message } }
  }
}
"""

_RELOAD = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on PythonError { message }
    ... on WorkspaceLocationEntry { locationOrLoadError { ... on PythonError { message } } }
  }
}
"""


@dataclass(frozen=True)
class StepTime:
    """Start and end of one step of a run, seconds since the epoch."""

    step: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class RunState:
    """One run of a backfill."""

    run_id: str
    status: str
    partition: str
    start_s: float | None
    end_s: float | None
    steps: tuple[StepTime, ...]

    @property
    def is_finished(self) -> bool:
        """Whether it will not change any more."""
        return self.status in _FINISHED


class DagsterClient:
    """Talks to one webserver."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def reload(self) -> None:
        """Have the code location read its configuration again."""
        self._query(_RELOAD, {"name": _LOCATION})

    def backfill(self, assets: Sequence[str], partitions: Sequence[str], title: str) -> str:
        """Launch a backfill of assets over partitions; answers its id.

        Raises
        ------
        StackError
            If Dagster refuses it, with Dagster's own words.
        """
        answer = self._query(
            _LAUNCH,
            {
                "backfill": {
                    "assetSelection": [{"path": [asset]} for asset in assets],
                    "partitionNames": list(partitions),
                    "title": title,
                    "fromFailure": False,
                }
            },
        )["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise StackError(
                f"Dagster refused the backfill '{title}': {answer.get('message', answer)}",
                remedy="Look at the code location in Dagster's UI; it may have failed to load.",
            )
        return str(answer["backfillId"])

    def runs(self, backfill_id: str) -> list[RunState]:
        """The backfill's runs so far."""
        tag = {"key": "dagster/backfill", "value": backfill_id}
        answer = self._query(_RUNS, {"filter": {"tags": [tag]}})
        return [_run_state(run) for run in answer["runsOrError"]["results"]]

    def follow(
        self,
        backfill_id: str,
        expected_runs: int,
        report: Callable[[list[RunState]], None],
        timeout_s: float,
    ) -> list[RunState]:
        """Wait until a backfill's runs are finished, reporting each look at them.

        Raises
        ------
        StackError
            If the backfill itself fails or nothing finishes in ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            runs = self.runs(backfill_id)
            report(runs)
            if len(runs) >= expected_runs and all(run.is_finished for run in runs):
                return runs
            self._raise_if_failed(backfill_id)
            time.sleep(_POLL_S)
        raise StackError(
            f"Backfill {backfill_id} did not finish in {timeout_s:.0f} s",
            remedy="Look at it in Dagster's UI under Runs > Backfills; 'astrid status' tells "
            "whether the daemon is up.",
        )

    def _raise_if_failed(self, backfill_id: str) -> None:
        backfill = self._query(_BACKFILL, {"id": backfill_id})["partitionBackfillOrError"]
        if str(backfill.get("status", "")).startswith("FAIL"):
            error = (backfill.get("error") or {}).get("message", "no message")
            raise StackError(
                f"Backfill {backfill_id} failed: {error}",
                remedy="Look at it in Dagster's UI under Runs > Backfills.",
            )

    def _query(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        try:
            response = requests.post(
                f"{self._url}/graphql",
                json={"query": query, "variables": variables},
                timeout=_TIMEOUT_S,
            )
            response.raise_for_status()
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            raise StackError(
                f"Dagster at {self._url} did not answer: {error}",
                remedy="Run 'astrid status', then 'astrid up'.",
            ) from error
        if answer.get("errors"):
            raise StackError(
                f"Dagster at {self._url} refused a query: {answer['errors'][0]['message']}",
                remedy="Webserver and this command may be of different versions.",
            )
        data: dict[str, Any] = answer["data"]
        return data


def _run_state(run: dict[str, Any]) -> RunState:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    steps = tuple(
        StepTime(step["stepKey"], step["startTime"], step["endTime"])
        for step in run["stepStats"] or ()
        if step["startTime"] and step["endTime"]
    )
    return RunState(
        run_id=run["runId"],
        status=run["status"],
        partition=tags.get("dagster/partition", ""),
        start_s=run["startTime"],
        end_s=run["endTime"],
        steps=steps,
    )
