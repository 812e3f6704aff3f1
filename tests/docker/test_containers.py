"""Compose file and images, as far as they can be looked at without an engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from astrid_core.settings import Settings
from tests.conftest import REPOSITORY

DOCKER = REPOSITORY / "docker"
OURS = {"api", "webserver", "daemon", "code", "mlflow", "setup", "champion"}
WORKERS = {"worker-cpu", "worker-gpu"}
PINNED = re.compile(r"^[\w./-]+:[\w.-]*\d+\.\d+(\.\d+)?[\w.-]*$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


@pytest.mark.parametrize("name", ["compose.yaml", "compose.cuda.yaml"])
def test_compose_files_are_valid_by_the_specification_s_schema(name: str) -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    how = ("--builtin-schema", "vendor.compose-spec", "--color", "never")
    done = subprocess.run([check, *how, DOCKER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "proxy/Dockerfile"])
def test_hadolint_finds_nothing_in(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_copy_only_what_is_there_and_let_in() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    let_in = {
        line.removeprefix("!")
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for line in text.splitlines()
        if line.startswith("COPY") and "--from" not in line
        for source in line.split()[1:-1]
        if not source.startswith("--")
    ]
    assert {"astrid_core", "dbschema", "docker/dagster.yaml"} <= set(copied)
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert source in let_in or str(Path(source).parent) in let_in, source
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} - {"tests"}
    assert packages - {"benchmarks"} <= set(copied)


def test_images_are_pinned_and_run_as_nobody_in_particular(compose: dict[str, Any]) -> None:
    bases = re.findall(
        r"^FROM (\S+)", "\n".join(p.read_text() for p in DOCKER.rglob("Dockerfile")), re.M
    )
    images = [s["image"] for s in compose["services"].values() if "build" not in s]
    assert len(bases) == 3
    for image in [*bases, *images]:
        assert PINNED.match(image), image
    for name, service in compose["services"].items():
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_proxy_is_the_only_way_in(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert services["proxy"]["networks"] == ["outer", "inner"]
    assert services["postgres"]["networks"] == services["redis"]["networks"] == ["data"]
    assert compose["networks"]["data"] == {"internal": True}
    for name in OURS | WORKERS:
        assert set(services[name]["networks"]) == {"data", "inner"}, name


def test_every_service_says_how_it_is_but_those_that_end(compose: dict[str, Any]) -> None:
    silent = {name for name, s in compose["services"].items() if "healthcheck" not in s}
    assert silent == {"setup", "champion"}


def test_storage_is_prepared_before_anybody_uses_it(compose: dict[str, Any]) -> None:
    services = compose["services"]
    done = {"condition": "service_completed_successfully"}
    for name in (OURS | WORKERS) - {"setup", "mlflow"}:
        assert services[name]["depends_on"]["setup"] == done, name
    for name in {"code", *WORKERS}:
        assert services[name]["depends_on"]["champion"] == done, name
    for name in ("webserver", "daemon"):
        assert services[name]["depends_on"]["code"] == {"condition": "service_healthy"}
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()


def test_workers_and_redis_are_a_profile_and_serve_both_queues(compose: dict[str, Any]) -> None:
    profiles = {name for name, s in compose["services"].items() if s.get("profiles") == ["celery"]}
    assert profiles == WORKERS | {"redis"}
    served = {word for name in WORKERS for word in compose["services"][name]["command"]}
    assert {"cpu", "gpu"} <= served


def test_every_setting_that_has_no_default_is_given(compose: dict[str, Any]) -> None:
    given = compose["services"]["code"]["environment"]
    needed = {
        f"ASTRID_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if field.is_required()
    }
    assert needed <= given.keys()
    known = {f"ASTRID_{name.upper()}" for name in Settings.model_fields}
    for name in ("ASTRID_BROKER_URL", "ASTRID_EXECUTOR", "ASTRID_DAGSTER_URL"):
        assert name in known & given.keys()


def test_every_variable_asked_for_is_explained(compose: dict[str, Any]) -> None:
    text = "\n".join(
        line
        for line in (DOCKER / "compose.yaml").read_text().splitlines()
        if not line.strip().startswith("#")
    )
    needed = set(re.findall(r"(?<!\$)\$\{(\w+):\?\}", text))
    example = (DOCKER / "env.example").read_text()
    assert needed
    for name in needed:
        assert re.search(rf"^{name}=", example, re.M), name


def test_no_secret_is_in_a_file_or_on_a_command_line(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        command = " ".join(map(str, service.get("command", ())))
        assert not re.search(r"(?<!\$)\$\{\w*(PASSWORD|SECRET|KEY)\w*", command), name
    for line in (DOCKER / "env.example").read_text().splitlines():
        if re.match(r"#?\w*(PASSWORD|SECRET|KEY)\w*=", line):
            assert line.endswith("="), line
