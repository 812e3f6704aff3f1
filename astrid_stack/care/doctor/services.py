"""Services that others serve: MLflow and its champion, Dagster and its daemons."""

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping

import requests
from pydantic import SecretStr
from sqlalchemy import select

from astrid_core.errors import ObjectMissingError
from astrid_stack.care.audit import running_trainings
from astrid_stack.care.doctor.data import hasty
from astrid_stack.care.doctor.finding import Finding, ok, unknown, warning, wrong
from astrid_stack.care.installation import Installation
from astrid_stack.care.orchestration import (
    Orchestration,
    Patience,
    check_orchestration,
    read_orchestration,
)
from astrid_stack.credentials import Credential
from astrid_stack.dagster import GPU_POOL
from dbschema.models import Model
from dbschema.transactions import transaction_at

_TIMEOUT_S = (3.0, 15.0)
_AHEAD = dt.timedelta(minutes=1)
_SILENT = dt.timedelta(minutes=5)
_DAEMONS = ("SCHEDULER", "SENSOR", "BACKFILL", "QUEUED_RUN_COORDINATOR", "MONITORING")
_LOCATIONS = """
{ workspaceOrError { __typename ... on Workspace { locationEntries { name
  locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""


# --- MLflow -------------------------------------------------------------------------------


def examine_mlflow(installation: Installation) -> Iterator[Finding]:
    """Whether it answers, and has a champion whose weights are what they should be."""
    from astrid_core.detection.registry import CHAMPION, MODEL_NAME

    address = installation.settings.mlflow_uri.rstrip("/")
    if not address.startswith("http"):
        yield unknown("MLflow", "is no server: only files here are used")
        return
    try:
        answer = requests.get(
            f"{address}/api/2.0/mlflow/registered-models/alias",
            params={"name": MODEL_NAME, "alias": CHAMPION},
            timeout=_TIMEOUT_S,
        )
    except requests.RequestException as error:
        yield wrong(
            "MLflow",
            f"does not answer at {address} ({type(error).__name__})",
            "'astrid up' starts it; elsewhere check ASTRID_MLFLOW_URI and the server's log.",
        )
        return
    if answer.status_code == 404:
        yield wrong(
            "champion", "no model is champion", "'astrid up' registers the shipped one again."
        )
        return
    if not answer.ok:
        yield wrong("MLflow", f"answers {answer.status_code}", "Read the server's log.")
        return
    yield ok("MLflow", f"answers at {address}")
    version = answer.json()["model_version"]
    tags = {tag["key"]: tag["value"] for tag in version.get("tags", ())}
    yield from _weights(installation, str(version["version"]), tags.get("sha256"))


def _weights(installation: Installation, version: str, sha256: str | None) -> Iterator[Finding]:
    with transaction_at(installation.address("astrid")) as connection:
        row = connection.execute(
            select(Model.weights_path, Model.sha256).where(Model.version == version)
        ).first()
    what, again = "champion", "'astrid up' registers the shipped one again; else promote another."
    if row is None:
        yield wrong(what, f"version {version} has no row in 'models'", again)
    elif sha256 is not None and row.sha256 != sha256:
        yield wrong(
            what, f"version {version} is {sha256} to MLflow, {row.sha256} to 'models'", again
        )
    else:
        try:
            found = hasty(installation.store).digest(row.weights_path)
        except ObjectMissingError:
            yield wrong(what, f"the weights of version {version} are not in the store", again)
            return
        if found == row.sha256:
            yield ok(what, f"version {version}, weights {found[:12]} as recorded")
        else:
            yield wrong(what, f"the weights of version {version} have changed to {found}", again)


# --- Dagster ------------------------------------------------------------------------------


def examine_dagster(installation: Installation) -> Iterator[Finding]:
    """Daemons, pools, runs: what its database says."""
    if "dagster" not in installation.databases:
        yield unknown("Dagster", "the environment does not name its database")
        return
    with transaction_at(installation.address("dagster")) as connection:
        found = read_orchestration(connection)
    yield from _daemons(found)
    yield from _pools(found)
    yield from _runs(installation, found)


def _daemons(found: Orchestration) -> Iterator[Finding]:
    last = max((at for at in found.heartbeats.values()), default=None)
    if last is not None and last - found.now > _AHEAD:
        yield wrong(
            "daemon",
            f"its last sign is of {last:%Y-%m-%d %H:%M} UTC, which is to come: the clock was set "
            "back, and no queued run starts until then",
            "'astrid up' starts it afresh; elsewhere do so by hand.",
        )
        return
    silent = {
        name: found.heartbeats.get(name)
        for name in _DAEMONS
        if name not in found.heartbeats or found.now - found.heartbeats[name] > _SILENT
    }
    if not silent:
        yield ok("daemon", f"all {len(_DAEMONS)} kinds of work were done within 5 minutes")
        return
    yield wrong(
        "daemon",
        f"no sign of {', '.join(name.lower() for name in silent)} since "
        f"{f'{last:%Y-%m-%d %H:%M} UTC' if last else 'ever'}: no schedules, sensors, queued runs",
        "'astrid up' starts it; elsewhere start 'dagster-daemon run', and read its log.",
    )


def _pools(found: Orchestration) -> Iterator[Finding]:
    limit = found.limits.get(GPU_POOL)
    if limit is None:
        yield warning(
            "pools",
            f"pool {GPU_POOL} has no limit: two networks may want one GPU at once",
            f"dagster instance concurrency set {GPU_POOL} 1 ('astrid up' does it).",
        )
    else:
        yield ok("pools", ", ".join(f"{name} {n}" for name, n in sorted(found.limits.items())))


def _runs(installation: Installation, found: Orchestration) -> Iterator[Finding]:
    with transaction_at(installation.address("astrid")) as connection:
        trainings = running_trainings(connection)
    patience = Patience(is_local=installation.is_embedded)
    is_stuck = False
    for check in check_orchestration(found, trainings, patience):
        for example in check.examples:
            is_stuck = True
            yield wrong("stuck", example, check.statement.remedy)
    if not is_stuck:
        going = sum(run.is_going_on for run in found.runs)
        yield ok("runs", f"{going} going on, {len(found.runs) - going} waiting, none stuck")
    for job, count in found.failed_lately.items():
        yield warning(
            "runs", f"{count} of {job} failed in the last day", "Dagster's UI, Runs, says why."
        )


def examine_code_location(installation: Installation) -> Iterator[Finding]:
    """Whether Dagster's webserver answers us and has AstrID's definitions."""
    address = installation.settings.dagster_url
    if not address:
        yield unknown("code location", "ASTRID_DAGSTER_URL is not set")
        return
    try:
        answer = requests.post(
            f"{address.rstrip('/')}/graphql",
            json={"query": _LOCATIONS},
            headers=_credential(installation),
            timeout=_TIMEOUT_S,
        )
    except requests.RequestException as error:
        yield wrong(
            "Dagster",
            f"does not answer at {address} ({type(error).__name__})",
            "'astrid up' starts it; elsewhere check ASTRID_DAGSTER_URL and the server's log.",
        )
        return
    if answer.status_code in (401, 403):
        yield unknown(
            "code location",
            "Dagster answers, and does not know us",
            "'astrid up' makes a key; elsewhere set ASTRID_API_KEY.",
        )
        return
    if not answer.ok:
        yield wrong("Dagster", f"answers {answer.status_code}", "Read the webserver's log.")
        return
    yield ok("Dagster", f"answers at {address}")
    entries = json.loads(answer.content)["data"]["workspaceOrError"].get("locationEntries", [])
    for entry in entries:
        outcome = entry["locationOrLoadError"] or {"__typename": "is loading"}
        what = f"code location {entry['name']}"
        if outcome["__typename"] == "RepositoryLocation":
            yield ok(what, "its definitions are loaded")
        else:
            said = str(outcome.get("message", outcome["__typename"])).strip().splitlines()[-1]
            yield wrong(what, said, "Correct what it names, then 'astrid down', 'astrid up'.")
    if not entries:
        yield wrong("code location", "there is none", "Start the code server; see workspace.yaml.")


def _credential(installation: Installation) -> Mapping[str, str]:
    if installation.state is not None and installation.state.token_file.exists():
        return Credential("key", installation.state.token()).headers
    key = os.environ.get("ASTRID_API_KEY")
    return Credential("key", SecretStr(key)).headers if key else {}
