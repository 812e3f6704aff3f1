"""What `make audit` finds, and that it never calls audited what it could not ask about."""

import importlib.util
import subprocess
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", REPOSITORY / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_secret_in_a_tracked_file_is_found(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    key = "AKIA" + "QWERTYUIOPASDFGH"  # put together here, so that this file holds none
    (tmp_path / "settings.py").write_text(f'key = "{key}"\n')
    (tmp_path / "untracked.py").write_text(f'key = "{key}"\n')
    subprocess.run(["git", "-C", tmp_path, "add", "settings.py"], check=True)
    monkeypatch.setattr(audit, "REPOSITORY", tmp_path)
    found = list(audit.secrets())
    assert found
    assert all(line.startswith("settings.py:1 looks like a secret") for line in found)


def test_what_is_installed_and_not_pinned_is_told(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# comment\nNumPy==0.1  # old\npydantic_settings>=1\n")
    monkeypatch.setattr(audit, "CONSTRAINTS", constraints)
    told = {line.split()[0]: line for line in audit.unpinned()}
    assert "constraints.txt has 0.1" in told["numpy"]
    assert "has no pin" in told["pydantic-settings"]
    assert "astrid" not in told


@pytest.mark.parametrize(
    ("metadata", "is_accepted"),
    [
        ("License-Expression: Apache-2.0 OR (BSD-3-Clause AND MIT)", True),
        ("License-Expression: MIT AND AGPL-3.0-only", False),
        ("Classifier: License :: OSI Approved :: MIT License", True),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", False),
        ("Classifier: License :: OSI Approved", False),
        ("License: MPL-2.0 AND MIT", True),
        ("License: Proprietary", False),
        ("Summary: no word of it", False),
    ],
)
def test_licences_are_known_or_told(
    audit: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metadata: str,
    is_accepted: bool,
) -> None:
    folder = tmp_path / "thing-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: thing\nVersion: 1\n{metadata}\n"
    )
    monkeypatch.setattr(audit, "distributions", lambda: [Distribution.at(folder)])
    assert (not list(audit.unlicensed())) is is_accepted


def test_what_could_not_be_asked_is_not_called_audited(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    assert list(audit.advisories(required=False)) == []
    assert "NOT AUDITED" in capfd.readouterr().err
    assert list(audit.advisories(required=True))
