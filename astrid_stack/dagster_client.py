"""A small client of Dagster's GraphQL: launch a backfill or a job's run, follow the runs.

What belongs here: what the command line asks of a running Dagster. What does not: any
definition; partitions and assets are named by text, as a person would in the UI.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import requests

from astrid_core.errors import NoSuchItemError
from astrid_stack.credentials import Credential
from astrid_stack.errors import DagsterRefusedError, DagsterUnavailableError, StackError
from astrid_stack.state import State

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

_ADD_PARTITION = """
mutation AddPartition($key: String!, $definition: String!, $repository: RepositorySelector!) {
  addDynamicPartition(
    partitionKey: $key, partitionsDefName: $definition, repositorySelector: $repository
  ) {
    __typename
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""

_RUN_ERRORS = """
query RunErrors($id: ID!, $after: String) {
  logsForRun(runId: $id, afterCursor: $after, limit: 1000) {
    __typename
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on ExecutionStepFailureEvent {
          error { message className causes { message className } }
        }
        ... on RunFailureEvent { error { message className causes { message className } } }
      }
    }
  }
}
"""

_BACKFILL_STATUS = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status numPartitions error { message } }
    ... on PythonError { message }
  }
}
"""

_BACKFILL_RUNS = """
query BackfillRuns($filter: RunsFilter!) {
  runsOrError(filter: $filter) { ... on Runs { results { status } } }
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
    """

    n_runs: int
    run_filter: dict[str, Any]


@dataclass(frozen=True)
class Backfill(Launch):
    """A backfill that was asked for; ``run_filter`` selects the runs it makes."""

    backfill_id: str


@dataclass(frozen=True)
class Progress:
    """How a backfill goes.

    Attributes
    ----------
    status
        Dagster's of the backfill itself.
    n_partitions
        Partitions asked for; None where the definitions no longer have them.
    n_by_status
        Status → number of runs, of those made so far.
    error
        Why the backfill itself failed; None if it did not.
    """

    status: str
    n_partitions: int | None
    n_by_status: Mapping[str, int]
    error: str | None


@dataclass(frozen=True)
class RunError:
    """What a run failed of: the innermost error of its first failed step.

    Attributes
    ----------
    kind
        Name of its class.
    message
        What it says, its remedy included.
    """

    kind: str
    message: str


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
    """Talks to one webserver.

    Parameters
    ----------
    headers
        Headers that show who asks.
    address
        Where people see the UI; default ``url``.
    """

    def __init__(self, url: str, headers: Mapping[str, str], address: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = dict(headers)
        self._address = (address or url).rstrip("/")

    @classmethod
    def of(cls, state: State) -> Self:
        """Client of an embedded stack, in the name of its local operator."""
        return cls(state.address("dagster"), Credential("key", state.token()).headers)

    def address_of(self, backfill_id: str) -> str:
        """Where the UI shows a backfill."""
        return f"{self._address}/runs/b/{backfill_id}"

    def address_of_run(self, run_id: str) -> str:
        """Where the UI shows a run."""
        return f"{self._address}/runs/{run_id}"

    def reload(self) -> None:
        """Have the code location read its configuration again."""
        self._query(_RELOAD, {"name": _LOCATION})

    def backfill(
        self,
        assets: Sequence[str],
        partitions: Sequence[str],
        title: str,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Backfill:
        """Launch a backfill of assets over partitions, of which there is one; one run each.

        Raises
        ------
        DagsterRefusedError
            If Dagster refuses it, with Dagster's own words.
        DagsterUnavailableError
            If it does not answer.
        """
        answer = self._query(
            _BACKFILL,
            {
                "backfill": {
                    "assetSelection": [{"path": [asset]} for asset in assets],
                    "partitionNames": list(partitions),
                    "title": title,
                    "tags": [{"key": key, "value": value} for key, value in tags.items()],
                    "fromFailure": False,
                }
            },
        )["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise DagsterRefusedError(
                f"Dagster refused the backfill '{title}': {answer.get('message', answer)}",
                remedy=_LOOK_AT_LOCATION,
            )
        backfill_id = str(answer["backfillId"])
        return Backfill(len(partitions), _runs_of(backfill_id), backfill_id)

    def progress(self, backfill_id: str) -> Progress:
        """How a backfill goes.

        Raises
        ------
        NoSuchItemError
            If there is none of this id.
        DagsterRefusedError, DagsterUnavailableError
            If Dagster does not tell.
        """
        answer = self._query(_BACKFILL_STATUS, {"id": backfill_id})["partitionBackfillOrError"]
        if answer["__typename"] == "BackfillNotFoundError":
            raise NoSuchItemError(
                f"There is no backfill {backfill_id!r}.", remedy="Take its id as it was given."
            )
        if answer["__typename"] == "PythonError":
            raise DagsterRefusedError(
                f"Dagster does not tell of backfill {backfill_id}: {answer['message']}",
                remedy=_LOOK_AT_LOCATION,
            )
        runs = self._query(_BACKFILL_RUNS, {"filter": _runs_of(backfill_id)})
        return Progress(
            status=answer["status"],
            n_partitions=answer["numPartitions"],
            n_by_status=Counter(run["status"] for run in runs["runsOrError"]["results"]),
            error=(answer["error"] or {}).get("message"),
        )

    def launch(
        self,
        job: str,
        partitions: Sequence[Mapping[str, str] | str],
        run_config: Mapping[str, Any] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Launch:
        """Launch a job once per partition: at once, where a backfill awaits its daemon's tick.

        Parameters
        ----------
        partitions
            Key of each, or of a multi-partition its keys by dimension.
        run_config, tags
            Of each run.

        Raises
        ------
        DagsterRefusedError
            If Dagster refuses it, with Dagster's own words.
        DagsterUnavailableError
            If it does not answer.
        """
        run_ids = []
        for partition in partitions:
            run = _execution(job, partition, run_config, tags)
            answer = self._query(_LAUNCH, {"run": run})["launchRun"]
            if "run" not in answer:
                raise DagsterRefusedError(
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

    def add_partition(self, definition: str, key: str) -> None:
        """Add a key to a dynamic partitions definition.

        Raises
        ------
        DagsterRefusedError
            If Dagster refuses it, or has it already.
        DagsterUnavailableError
            If it does not answer.
        """
        repository = {"repositoryLocationName": _LOCATION, "repositoryName": _REPOSITORY}
        answer = self._query(
            _ADD_PARTITION, {"key": key, "definition": definition, "repository": repository}
        )["addDynamicPartition"]
        if answer["__typename"] != "AddDynamicPartitionSuccess":
            raise DagsterRefusedError(
                f"Dagster refused to add {key} to the partitions {definition}: "
                f"{answer.get('message', answer['__typename'])}",
                remedy=_LOOK_AT_LOCATION,
            )

    def runs_of_partition(self, job: str, partition: str) -> list[RunState]:
        """Runs of a job for one of its partitions, the latest first."""
        tags = [{"key": _PARTITION_TAG, "value": partition}]
        answer = self._query(_RUNS, {"filter": {"pipelineName": job, "tags": tags}})
        return [_run_state(run) for run in answer["runsOrError"]["results"]]

    def error_of(self, run_id: str) -> RunError | None:
        """What a run failed of; None where its log does not say."""
        after = None
        while True:
            log = self._query(_RUN_ERRORS, {"id": run_id, "after": after})["logsForRun"]
            for event in log.get("events", ()):
                if error := event.get("error"):
                    return _innermost(error)
            if not log.get("hasMore"):
                return None
            after = log["cursor"]

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
            if isinstance(launch, Backfill):
                self._raise_if_failed(launch.backfill_id)
            time.sleep(_POLL_S)
        raise StackError(
            f"{launch.n_runs} runs did not finish in {timeout_s:.0f} s",
            remedy="Look at them in Dagster's UI under Runs; 'astrid status' tells whether "
            "the daemon is up.",
        )

    def _raise_if_failed(self, backfill_id: str) -> None:
        backfill = self.progress(backfill_id)
        if backfill.status.startswith("FAIL"):
            raise StackError(
                f"Backfill {backfill_id} failed: {backfill.error or 'no message'}",
                remedy="Look at it in Dagster's UI under Runs > Backfills.",
            )

    def _query(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        response = self._post({"query": query, "variables": variables})
        try:
            answer = response.json()
        except ValueError as error:
            kind = DagsterUnavailableError if response.status_code >= 500 else DagsterRefusedError
            raise kind(
                f"Dagster at {self._url} answered {response.status_code}: {response.text[:200]}",
                remedy="Run 'astrid status', then 'astrid up'.",
            ) from error
        if answer.get("errors"):
            raise DagsterRefusedError(
                f"Dagster at {self._url} refused a query: {answer['errors'][0]['message']}",
                remedy="Webserver and this command may be of different versions.",
            )
        data: dict[str, Any] = answer["data"]
        return data

    def _post(self, body: Mapping[str, Any]) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False  # a ~/.netrc would be sent in place of our own headers
            try:
                return session.post(
                    f"{self._url}/graphql",
                    json=body,
                    headers=self._headers,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,  # nobody else is shown them
                )
            except requests.RequestException as error:
                raise DagsterUnavailableError(
                    f"Dagster at {self._url} did not answer: {error}",
                    remedy="Run 'astrid status', then 'astrid up'.",
                ) from error


def _runs_of(backfill_id: str) -> dict[str, Any]:
    """Dagster's filter that selects the runs of a backfill."""
    return {"tags": [{"key": _BACKFILL_TAG, "value": backfill_id}]}


def _innermost(error: Mapping[str, Any]) -> RunError:
    """The error that others were raised from; Dagster begins its message with its class."""
    inner = error["causes"][-1] if error["causes"] else error
    kind = inner["className"] or ""
    message = inner["message"].strip()
    head, colon, rest = message.partition(": ")
    return RunError(kind, rest if colon and head.endswith(kind) else message)


def _execution(
    job: str,
    partition: Mapping[str, str] | str,
    run_config: Mapping[str, Any],
    more_tags: Mapping[str, str],
) -> dict[str, Any]:
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
        "runConfigData": dict(run_config),
        "executionMetadata": {
            "tags": [{"key": key, "value": value} for key, value in {**tags, **more_tags}.items()]
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
