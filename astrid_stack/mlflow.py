"""MLflow's server as a part: runs and registry in PostgreSQL, artifacts in S3 through it.

Clients need no S3 keys: artifacts go through the server.
"""

import sys
from importlib.metadata import version

from astrid_stack import ports
from astrid_stack.part import Part, get
from astrid_stack.processes import Program
from astrid_stack.state import BUCKET, State

ARTIFACTS = f"s3://{BUCKET}/mlflow"


def mlflow_part(state: State) -> Part:
    """The MLflow server."""
    port = state.ports()["mlflow"]
    argv = [sys.executable, "-m", "mlflow", "server"]
    argv += ["--host", ports.LOOPBACK, "--port", str(port), "--workers", "1"]
    argv += ["--serve-artifacts", "--artifacts-destination", ARTIFACTS]
    return Part(
        program=Program(
            name="mlflow",
            argv=tuple(argv),
            environment=mlflow_environment(state),
            log=state.log("mlflow"),
        ),
        ready=lambda: get(port, "/health")[0] == 200,
        address=state.address("mlflow"),
        port_name="mlflow",
        timeout_s=120.0,
        remedy="Read its log; 'astrid down' and 'astrid up' start it afresh.",
    )


def mlflow_environment(state: State) -> dict[str, str]:
    """Environment of the server; the database address holds a password."""
    return state.environment() | {
        "MLFLOW_BACKEND_STORE_URI": state.database_url("mlflow", "psycopg2"),
        # Its job runner is three more processes, for features AstrID does not use.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def mlflow_release() -> str:
    """What the MLflow database is prepared for."""
    return f"mlflow {version('mlflow')}"
