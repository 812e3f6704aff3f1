"""The state folder, ports and errors: no server needed."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from astrid_core.errors import ConfigurationError
from astrid_core.settings import Settings
from astrid_stack import ports, state
from astrid_stack.errors import StackError
from astrid_stack.state import State


@pytest.fixture(autouse=True)
def _no_ports_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in state.DEFAULT_PORTS:
        monkeypatch.delenv(state.port_variable(part), raising=False)


def test_secrets_are_random_kept_and_private(tmp_path: Path) -> None:
    first = State.create(tmp_path / "one")
    other = State.create(tmp_path / "two")
    assert State.create(tmp_path / "one").secrets == first.secrets != other.secrets
    assert min(len(word) for word in vars(first.secrets).values()) >= 20
    assert stat.S_IMODE((first.folder / "secrets.json").stat().st_mode) == 0o600
    for folder in (first.folder, *(path for path in first.folder.iterdir() if path.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_secrets_do_not_show_in_a_repr(tmp_path: Path) -> None:
    made = State.create(tmp_path / "s")
    assert made.secrets.postgres_password not in repr(made.secrets)


def test_opening_what_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="astrid up"):
        State(tmp_path / "nothing")


def test_environment_is_what_the_settings_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", "mine.yaml")
    monkeypatch.setenv("UNRELATED_TOKEN", "secret")
    environment = State.create(tmp_path / "s").environment()
    assert "UNRELATED_TOKEN" not in environment
    for name in [name for name in os.environ if name.startswith("ASTRID_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.surveys_file == tmp_path / "mine.yaml"
    assert settings.database_url.get_secret_value().startswith("postgresql+psycopg://")
    assert environment["ASTRID_DAGSTER_DATABASE_URL"].startswith("postgresql+psycopg2://")


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "3000.0"])
def test_a_wrong_port_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRID_DAGSTER_PORT", text)
    with pytest.raises(ConfigurationError, match="ASTRID_DAGSTER_PORT"):
        state.wanted_ports()


def test_the_same_port_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTRID_DAGSTER_PORT", "5000")
    with pytest.raises(ConfigurationError, match="another part"):
        state.wanted_ports()


def test_a_taken_or_reserved_port_is_passed_over() -> None:
    with socket.socket() as squatter:
        squatter.bind((ports.LOOPBACK, 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        assert not ports.is_free(taken)
        found = ports.next_free_port(taken, reserved={taken + 1})
    assert found > taken + 1


def test_remembered_ports_return(tmp_path: Path) -> None:
    made = State.create(tmp_path / "s")
    assert made.ports() == state.DEFAULT_PORTS
    made.remember_ports(dict(state.DEFAULT_PORTS) | {"dagster": 3007})
    assert State(made.folder).address("dagster") == "http://127.0.0.1:3007"
    assert json.loads((made.folder / "ports.json").read_text())["dagster"] == 3007


def test_a_failing_part_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("\n".join(f"line {number}" for number in range(100)))
    error = StackError.of_part("mlflow", "ended while starting", log=log, remedy="Do this.")
    assert str(error).startswith("mlflow ended while starting.")
    assert "line 99" in str(error)
    assert "line 1\n" not in str(error)
    assert str(error).endswith("Do this.")
    assert str(log) in str(error)
