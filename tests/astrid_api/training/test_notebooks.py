"""The notebooks, executed as people run them, against a running API."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from astrid_core.curation.access import Role
from tests.callers import Person
from tests.conftest import REPOSITORY
from tests.training import Frozen

NOTEBOOKS = sorted((REPOSITORY / "notebooks").rglob("*.ipynb"))


def test_there_are_both() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"real_data_loading", "model_training"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(
    path: Path,
    address: str,
    frozen: Frozen,
    people: dict[Role, Person],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "ASTRID_API_URL": address,
        "ASTRID_API_KEY": people["viewer"].key,
        "ASTRID_DATASET_ID": str(frozen.id),
        "ASTRID_CACHE_DIR": str(tmp_path / "cache"),
        "ASTRID_NOTEBOOK_STEPS": "20",
        "PYTHONPATH": str(REPOSITORY),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs are not stored"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 2
