"""``astrid surveys`` against a local archive."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from astrid_stack import console
from astrid_stack.cli import app
from tests.archive_server import ArchiveServer, Fault, flipped, html, status
from tests.archives import options, tiny_fits
from tests.transient_sky import DATES, TransientSky, transient_sky
from tests.vo_services import Held, VoArchive

MJD = 60928.3  # 2025-09-10


@pytest.fixture
def archive() -> Iterator[VoArchive]:
    with ArchiveServer() as server:
        yield VoArchive(server)


@pytest.fixture
def entry(archive: VoArchive, tmp_path: Path) -> dict[str, Any]:
    """Entry of a survey at the local archive."""
    return {
        "adapter": "ivoa",
        "references": {"name": "first", "nights": ["2025-09-01..2025-09-05"]},
        "archive": options(archive.server, tmp_path / "cache", attempts=1).model_dump(mode="json"),
        "ivoa": {
            "url": archive.server.url("/sia2"),
            "protocol": "sia2",
            "cones": [{"ra": 150.0, "dec": 2.0, "radius_deg": 0.1}],
            "dates": "2025-09-01..2025-09-30",
        },
    }


def check(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    surveys: dict[str, Any],
    *arguments: str,
    ends: int = 0,
) -> str:
    path = tmp_path / "surveys.yaml"
    path.write_text(yaml.safe_dump({"partitions_start": "2025-01-01", "surveys": surveys}))
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", str(path))
    done = CliRunner().invoke(app, ["surveys", "check", *arguments], terminal_width=300)
    assert done.exit_code == ends, done.output
    return done.output


def test_a_survey_is_described_and_nobody_is_asked(
    archive: VoArchive, entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf")

    assert "ztf: ready" in said
    assert f"ivoa (sia2) at {archive.server.url('/sia2')}" in said
    assert f"speaks to   {archive.server.host}" in said
    assert "variables   none" in said
    assert "nights      2025-09-01..2025-09-30" in said
    assert "references  first: 2025-09-01..2025-09-05, by coadd" in said
    assert archive.server.log == []


def test_the_packaged_surveys_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not set is an error only of a survey that is asked for."""
    for name in ("ASTRID_SURVEYS_FILE", "ASTRID_FOLDER_DATA"):
        monkeypatch.delenv(name, raising=False)

    done = CliRunner().invoke(app, ["surveys", "check"], terminal_width=300)
    named = CliRunner().invoke(app, ["surveys", "check", "folder"], terminal_width=300)

    assert done.exit_code == 0, done.output
    assert "simulated: ready" in done.output
    assert "folder: not usable yet" in done.output
    assert "ASTRID_FOLDER_DATA (NOT SET, for folder.root)" in done.output
    assert named.exit_code == 1


def test_secrets_are_named_and_never_shown(
    entry: dict, archive: VoArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry["archive"]["credentials"] = [{"host": archive.server.host, "secret_env": "ZTF_TOKEN"}]

    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf", ends=1)
    assert "ZTF_TOKEN (NOT SET, for archive.credentials" in said
    monkeypatch.setenv("ZTF_TOKEN", "hunter2")
    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf")

    assert "ZTF_TOKEN (set" in said
    assert "hunter2" not in said


def test_what_is_wrong_is_said(
    entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry["archive"]["allowed_hosts"] = ["example.org"]
    entry["detection"] = {"no_such_option": 1}
    entry["references"]["limits"] = {"max_fwhm_ratio": -1}

    said = check(tmp_path, monkeypatch, {"ztf": entry}, ends=1)

    assert "ztf: wrong" in said
    assert "is not in archive.allowed_hosts" in said
    assert "problem     detection.no_such_option" in said
    assert "problem     references.limits.max_fwhm_ratio" in said


def test_a_file_that_is_not_valid_and_a_name_that_is_not_there(
    entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "There is no survey 'x'" in check(tmp_path, monkeypatch, {"ztf": entry}, "x", ends=1)
    entry["ivoa"]["protocol"] = "sia3"
    said = check(tmp_path, monkeypatch, {"ztf": entry}, ends=1)
    assert "surveys.ztf.ivoa.protocol" in said


def test_live_fetches_one_file_and_keeps_nothing(
    archive: VoArchive, entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add(
        Held("old.fits", tiny_fits(1), MJD - 3),
        Held("large.fits", tiny_fits(2, side_pix=200), MJD),
        Held("small.fits", tiny_fits(3), MJD),
    )

    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf", "--live")

    assert "live        night 2025-09-10: 2 files" in said
    assert f"fetched     small.fits, {len(tiny_fits(3))} bytes" in said
    assert "science, 32 x 32 pix, filter r, 2025-09-10 03:00:30+00:00" in said
    assert [asked.path for asked in archive.server.log if "files" in asked.path] == [
        "/files/small.fits"
    ]
    assert not (tmp_path / "cache").exists()
    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf", "--live", "--night", "2025-09-07")
    assert "fetched     old.fits" in said


def test_live_reads_a_file_of_a_survey_that_is_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.fits").write_bytes(tiny_fits(1))
    surveys = {
        "sky": {
            "adapter": "simulated",
            "references": {"name": "none"},
            "simulated": {"n_fields": 1, "shape": [128, 128], "stars_per_field": 20},
        },
        "mine": {
            "adapter": "folder",
            "references": {"name": "none"},
            "folder": {"root": str(folder)},
            "nights": {"all": "2025-09-10"},
        },
    }

    said = check(tmp_path, monkeypatch, surveys, "--live")

    assert "128 x 128 pix" in said
    assert f"fetched     a.fits, {len(tiny_fits(1))} bytes" in said


@pytest.mark.parametrize(
    ("path", "fault", "words"),
    [
        ("/sia2", html, "SurveyRefusedError: Survey 'ztf'"),
        ("/sia2", status(503), "SurveyUnavailableError: Survey 'ztf'"),
        ("/files/a.fits", html, "DownloadError"),
        ("/files/a.fits", flipped, "a.fits differs from its own checksums"),
        ("/files/a.fits", status(404), "does not give a.fits: HTTP 404"),
    ],
)
def test_live_says_what_fails(
    archive: VoArchive,
    entry: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    fault: Fault,
    words: str,
) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    archive.server.always(path, fault)

    assert words in check(tmp_path, monkeypatch, {"ztf": entry}, "ztf", "--live", ends=1)


def test_live_that_finds_nothing_verifies_nothing(
    entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf", "--live", ends=1)
    assert "lists no files: nothing is verified" in said
    said = check(tmp_path, monkeypatch, {"ztf": entry}, "ztf", "--live", "--night", "noon", ends=1)
    assert "'noon' is no night" in said


# --- pairs --------------------------------------------------------------------------------------


def pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: dict, *arguments: str, ends: int = 0
) -> str:
    path = tmp_path / "surveys.yaml"
    surveys = {"partitions_start": "2025-01-01", "surveys": {"ztf": entry}}
    path.write_text(yaml.safe_dump(surveys))
    monkeypatch.setenv("ASTRID_SURVEYS_FILE", str(path))
    monkeypatch.setattr(console.out, "_width", 300)  # tables are folded at none
    asked = ["surveys", "pairs", *arguments, "--survey", "ztf"]
    done = CliRunner().invoke(app, asked, terminal_width=300)
    assert done.exit_code == ends, done.output
    return done.output


@pytest.fixture
def sky(archive: VoArchive, entry: dict) -> TransientSky:
    made = transient_sky()
    archive.add(*made.held)
    entry["ivoa"] |= {"dates": DATES, "filter_column": "energy_bandpassname"}
    return made


def test_a_dry_run_shows_the_plan_and_fetches_nothing(
    archive: VoArchive,
    entry: dict,
    sky: TransientSky,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue = sky.write(tmp_path / "sne.csv")

    said = pairs(tmp_path, monkeypatch, entry, str(catalogue), "--dry-run")

    assert "50 transients, 35 with a pair, 35 pairs" in said
    assert "left out: 4 unparsable row, 12 duplicate" in said
    assert "25 cross-filter" in said
    assert "70 files: 0 cached, 70 to fetch (0.4 MiB), 0 refused" in said
    assert "t00_before.fits" in said
    assert not any("/files/" in asked.path for asked in archive.server.log)
    assert list(tmp_path.glob("*.json")) == []


def test_a_plan_s_file_holds_every_reason(
    archive: VoArchive,
    entry: dict,
    sky: TransientSky,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue = sky.write(tmp_path / "sne.csv")
    target = tmp_path / "plan.json"

    said = pairs(tmp_path, monkeypatch, entry, str(catalogue), "--dry-run", "--output", str(target))

    assert f"The plan is in {target}" in said
    plan = json.loads(target.read_text())
    assert len(plan["pairs"]) == len(sky.pairs)
    told = {(one["transient"], one["image"]): one["why"] for one in plan["left_out"]}
    assert {key: why for key, why in told.items() if key[1]} == sky.traps
    assert plan["earlier_images"] == sorted(before for before, _ in sky.pairs.values())
    files = [file["name"] for files in plan["files"].values() for file in files]
    assert sorted(files) == sorted(name for pair in sky.pairs.values() for name in pair)


def test_what_cannot_be_planned_is_said(
    archive: VoArchive, entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = tmp_path / "sne.csv"
    catalogue.write_text("name,ra,dec,discovery_date\nsn,150,2,2025-09-05\n")

    said = pairs(tmp_path, monkeypatch, entry, str(tmp_path / "none.csv"), ends=1)
    assert "cannot be read" in said
    said = pairs(tmp_path, monkeypatch, entry, str(catalogue), ends=1)
    assert "nothing listed" in said
    assert "There is no pair to ingest." in said
    archive.server.always("/sia2", status(503))
    said = pairs(tmp_path, monkeypatch, entry, str(catalogue), ends=1)
    assert "Survey 'ztf'" in said
    assert "is unavailable" in said


def test_a_night_before_the_partitions_stops_the_plan_before_any_is_ingested(
    archive: VoArchive, entry: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = tmp_path / "sne.csv"
    catalogue.write_text("name,ra,dec,discovery_date\nsn,150,2,2025-09-05\n")
    entry["ivoa"] |= {"dates": DATES, "filter_column": "energy_bandpassname"}
    archive.add(
        Held("b.fits", tiny_fits(1), 60500.0, half_deg=0.05),
        Held("a.fits", tiny_fits(2), 60925.0, half_deg=0.05),
    )

    said = pairs(tmp_path, monkeypatch, entry, str(catalogue), ends=1)

    assert "The night 2024-07-09 is before the first partition" in said
    assert (tmp_path / "sne.ztf.pairs.json").is_file()
