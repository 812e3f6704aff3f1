"""Values for Dagster's chart, and the pods that come of our ops' tags."""

import json
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster_k8s import DagsterK8sJobConfig, construct_dagster_k8s_job
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import get_user_defined_k8s_config
from kubernetes.client import ApiClient, V1Container, V1Job

from astrid_dagster.assets.detections import collect_detections, score_with_unet
from astrid_dagster.assets.training import training_runs
from astrid_dagster.executors import executor
from tests.conftest import REPOSITORY

KUBERNETES = REPOSITORY / "docker" / "kubernetes"
GPU = "nvidia.com/gpu"


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((KUBERNETES / "values.yaml").read_text())
    return loaded


def job_of(op: dg.OpDefinition, values: dict[str, Any]) -> V1Job:
    """The Job that the executor would ask for: the launcher's configuration, the op's tags."""
    launched = values["runLauncher"]["config"]["k8sRunLauncher"]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    image = deployment["image"]
    raw = launched["runK8sConfig"]
    context = K8sContainerContext.create_from_config(
        {
            "k8s": {
                "image_pull_policy": launched["imagePullPolicy"],
                "env_secrets": [one["name"] for one in launched["envSecrets"]],
                "run_k8s_config": {
                    "pod_spec_config": raw["podSpecConfig"],
                    "job_spec_config": raw["jobSpecConfig"],
                },
            }
        }
    ).merge(K8sContainerContext(run_k8s_config=get_user_defined_k8s_config(op.tags)))
    config = DagsterK8sJobConfig(f"{image['repository']}:{image['tag']}", "/opt/dagster")
    return construct_dagster_k8s_job(config, [], "step", context.run_k8s_config)


def container_of(job: V1Job) -> V1Container:
    (container,) = job.spec.template.spec.containers
    return container


@pytest.mark.parametrize("op", [score_with_unet, training_runs.op], ids=lambda op: op.name)
def test_what_judges_or_trains_gets_a_gpu(op: dg.OpDefinition, values: dict[str, Any]) -> None:
    job = job_of(op, values)
    assert container_of(job).resources.limits == {GPU: "1"}
    assert job.spec.template.spec.security_context.run_as_non_root
    assert job.spec.template.spec.security_context.run_as_user == 10001
    assert [one.secret_ref.name for one in container_of(job).env_from] == ["astrid"]


def test_nothing_else_does(values: dict[str, Any]) -> None:
    resources = container_of(job_of(collect_detections, values)).resources
    assert resources is None or GPU not in (resources.limits or {})


def test_steps_are_pods(values: dict[str, Any]) -> None:
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    variables = {one["name"]: one["value"] for one in deployment["env"]}
    assert executor(variables["ASTRID_EXECUTOR"]).name == "k8s"
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    assert deployment["includeConfigInLaunchedRuns"]["enabled"]


def test_every_pod_is_ours_and_nobody_in_particular(values: dict[str, Any]) -> None:
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    for part in (deployment, values["dagsterWebserver"], values["dagsterDaemon"]):
        assert part["image"]["repository"].endswith("/astrid")
        assert part["podSecurityContext"]["runAsNonRoot"]
        assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert part["envSecrets"] == [{"name": "astrid"}]
    assert not values["postgresql"]["enabled"]
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_logs_and_patience_are_those_of_the_production_instance(values: dict[str, Any]) -> None:
    production = yaml.safe_load((REPOSITORY / "docker" / "dagster.yaml").read_text())
    wanted = production["compute_logs"]["config"]
    found = values["computeLogManager"]["config"]["s3ComputeLogManager"]
    assert {key: found[_camel(key)] for key in wanted} == wanted
    monitoring = values["dagsterDaemon"]["runMonitoring"]
    assert (
        monitoring["cancelTimeoutSeconds"] == production["run_monitoring"]["cancel_timeout_seconds"]
    )


def test_the_setup_job_is_what_the_client_library_takes() -> None:
    manifest = yaml.safe_load((KUBERNETES / "setup.yaml").read_text())
    answer = SimpleNamespace(data=json.dumps(manifest))
    job: V1Job = ApiClient().deserialize(answer, "V1Job")
    assert container_of(job).command == ["python", "-m", "astrid_stack.setup"]
    assert job.spec.template.spec.security_context.run_as_non_root


def _camel(snake: str) -> str:
    head, *rest = snake.split("_")
    return head + "".join(word.capitalize() for word in rest)
