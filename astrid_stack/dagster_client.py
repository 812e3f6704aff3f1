"""A small client of Dagster's GraphQL: launch a backfill or a job's run, follow the runs.

What belongs here: what the command line asks of a running Dagster. What does not: any
definition; partitions and assets are named by text, as a person would in the UI.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from astrid_stack.errors import StackError

_LOCATION = "astrid"
_REPOSITORY = "__repository__"
_FINISHED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
_PARTITION_TAG = "dagster/partition"
_BACKFILL_TAG = "dagster/backfill"
_LOOK_AT_LOCATION = "Look at the code location in Dagster's UI; it may have failed to load."
_POLL_S = 1.0
_TIMEOUT_S = 30.0

_BACKFILL = """
mutation Backfill($backfill: LaunchBackfillParams!) {
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

_LAUNCH = """
mutation Launch($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
    ... on UnauthorizedError { message }
    ... on RunConfigValidationInvalid { errors { message } }
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

_BACKFILL_STATUS = """
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
class Launch:
    """Runs that were asked for.

    Attributes
    ----------
    run_filter
        Dagster's filter that selects them.
    backfill_id
        The backfill that makes them; None where they were launched themselves.
    """

    n_runs: int
    run_filter: dict[str, Any]
    backfill_id: str | None = None


@dataclass(frozen=True)
class RunState:
    """One run."""

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

    def backfill(self, assets: Sequence[str], partitions: Sequence[str], title: str) -> Launch:
        """Launch a backfill of assets over partitions, one run each.

        Raises
        ------
        StackError
            If Dagster refuses it, with Dagster's own words.
        """
        if not partitions:
            return Launch(0, {})
        answer = self._query(
            _BACKFILL,
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
                remedy=_LOOK_AT_LOCATION,
            )
        backfill_id = str(answer["backfillId"])
        tag = {"key": _BACKFILL_TAG, "value": backfill_id}
        return Launch(len(partitions), {"tags": [tag]}, backfill_id)

    def launch(self, job: str, partitions: Sequence[Mapping[str, str] | str]) -> Launch:
        """Launch a job once per partition: at once, where a backfill awaits its daemon's tick.

        Parameters
        ----------
        partitions
            Key of each, or of a multi-partition its keys by dimension.

        Raises
        ------
        StackError
            If Dagster refuses it, with Dagster's own words.
        """
        run_ids = []
        for partition in partitions:
            answer = self._query(_LAUNCH, {"run": _execution(job, partition)})["launchRun"]
            if "run" not in answer:
                raise StackError(
                    f"Dagster refused to run {job} for {partition}: "
                    f"{answer.get('message', answer)}",
                    remedy=_LOOK_AT_LOCATION,
                )
            run_ids.append(answer["run"]["runId"])
        return Launch(len(run_ids), {"runIds": run_ids})

    def runs(self, launch: Launch) -> list[RunState]:
        """The runs so far."""
        answer = self._query(_RUNS, {"filter": launch.run_filter})
        return [_run_state(run) for run in answer["runsOrError"]["results"]]

    def follow(
        self, launch: Launch, report: Callable[[list[RunState]], None], timeout_s: float
    ) -> list[RunState]:
        """Wait until all runs are finished, reporting each look at them.

        Raises
        ------
        StackError
            If the backfill itself fails or the runs do not finish in ``timeout_s``.
        """
        if not launch.n_runs:
            return []
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            runs = self.runs(launch)
            report(runs)
            if len(runs) >= launch.n_runs and all(run.is_finished for run in runs):
                return runs
            if launch.backfill_id is not None:
                self._raise_if_failed(launch.backfill_id)
            time.sleep(_POLL_S)
        raise StackError(
            f"{launch.n_runs} runs did not finish in {timeout_s:.0f} s",
            remedy="Look at them in Dagster's UI under Runs; 'astrid status' tells whether "
            "the daemon is up.",
        )

    def _raise_if_failed(self, backfill_id: str) -> None:
        backfill = self._query(_BACKFILL_STATUS, {"id": backfill_id})["partitionBackfillOrError"]
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


def _execution(job: str, partition: Mapping[str, str] | str) -> dict[str, Any]:
    """Execution parameters of a job's run for a partition, as Dagster's UI would send them."""
    if isinstance(partition, str):
        tags = {_PARTITION_TAG: partition}
    else:
        key = "|".join(partition[dimension] for dimension in sorted(partition))
        tags = {_PARTITION_TAG: key}
        tags |= {f"{_PARTITION_TAG}/{name}": value for name, value in partition.items()}
    return {
        "selector": {
            "repositoryLocationName": _LOCATION,
            "repositoryName": _REPOSITORY,
            "pipelineName": job,
        },
        "runConfigData": {},
        "executionMetadata": {
            "tags": [{"key": key, "value": value} for key, value in tags.items()]
        },
    }


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
        partition=tags.get(_PARTITION_TAG, ""),
        start_s=run["startTime"],
        end_s=run["endTime"],
        steps=steps,
    )
