"""Garbage of an installation: files of this machine; the store's is core's to test."""

import datetime as dt
import os
from pathlib import Path

from typer.testing import CliRunner

from astrid_stack import cli
from astrid_stack.care.gc import CHECKPOINTS, STEP_FOLDERS, Retention, collect_garbage
from astrid_stack.care.installation import Installation
from tests.care import put


def test_files_that_dead_steps_and_trainings_left_are_removed_and_no_others(
    installation: Installation, tmp_path: Path
) -> None:
    scratch, cache = tmp_path / "steps", tmp_path / "cache"
    dead, alive = scratch / "astrid-0a1b2c3d", scratch / "astrid-zzzzzzzz"
    strangers = [scratch / "astrid-state", scratch / "holiday"]
    for folder in (dead, alive, *strangers, cache / "training"):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"12345")
    checkpoint = cache / "training" / "run.pt"
    checkpoint.write_bytes(b"123")
    for path in (dead, *strangers):
        for one in (path / "file", path):
            os.utime(one, (0, 0))
    os.utime(alive, (0, 0))  # what is in it is young
    os.utime(checkpoint, (0, 0))
    settings = {"ASTRID_SCRATCH_DIR": str(scratch), "ASTRID_CACHE_DIR": str(cache)}
    place = Installation(installation.databases, {**installation.environment, **settings}, None)
    said: list[str] = []
    for dry_run in (True, False):
        swept = collect_garbage(place, Retention(), said.append, dry_run=dry_run)
        assert dict(swept.n_objects) == {STEP_FOLDERS: 1, CHECKPOINTS: 1}
        assert dict(swept.n_bytes) == {STEP_FOLDERS: 5, CHECKPOINTS: 3}
        assert dead.exists() is checkpoint.exists() is dry_run
    assert all(path.exists() for path in (alive / "file", *strangers, cache / "training" / "file"))
    assert "Dagster's database is not named" in said[0]


def test_the_command_says_what_it_would_remove(
    installation: Installation, monkeypatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("ASTRID_")]:
        monkeypatch.delenv(name)
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    put(installation.store, "cutouts/sim/2026-09-01/young.fits", b"1", tmp_path)
    shown = CliRunner().invoke(cli.app, ["gc", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "0 B would be removed" in shown.output
    refused = CliRunner().invoke(cli.app, ["gc"], env={"ASTRID_KEEP_OBJECTS_DAYS": "0.5"})
    assert refused.exit_code == 2
    assert Retention().objects > dt.timedelta(seconds=installation.store.refresh_after_s)
