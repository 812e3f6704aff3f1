"""From an archive on the network to processed frames, on a real engine, database and store."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_dagster.assets.references import build_references
from astrid_dagster.definitions import build_defs
from dbschema.models import IngestRun, Observation, PreprocessRun, ReferenceFrame
from tests.archive_server import (
    PASSING,
    ArchiveServer,
    Fault,
    busy,
    flipped,
    hang_up,
    html,
    redirect,
    round_and_round,
    shorter,
    slow,
    status,
)
from tests.archives import NIGHT, options, tiny_fits
from tests.astrid_dagster.archives import SURVEY, materialize, simulated_files, stored
from tests.conftest import S3Store
from tests.deployment import Deployment, configure
from tests.mast_portal import INVOKE, MastPortal, observation

NIGHT_NAME = NIGHT.isoformat()
MJD = 60928.3


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return simulated_files()


@pytest.fixture
def portal() -> Iterator[MastPortal]:
    with ArchiveServer() as server:
        yield MastPortal(server)


@pytest.fixture
def deployment(
    portal: MastPortal,
    migrated_url: str,
    s3_empty: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deployment]:
    rules = options(
        portal.server,
        tmp_path / "archives",
        attempts=2,
        timeout_s=1.0,
        outage_retries=1,
        outage_wait_s=0.1,
    )
    surveys = {
        "partitions_start": "2025-08-01",
        "surveys": {
            SURVEY: {
                "adapter": "mast",
                "references": {"name": "none"},
                "archive": rules.model_dump(mode="json"),
                "mast": {
                    "url": portal.server.url(),
                    "collections": ["HST"],
                    "instruments": ["ACS/WFC"],
                    "dates": "2025-09-01..2025-09-30",
                },
            }
        },
    }
    path = tmp_path / "surveys.yaml"
    path.write_text(yaml.safe_dump(surveys))
    monkeypatch.chdir(tmp_path)
    with configure(migrated_url, s3_empty, tmp_path, path) as deployed:
        yield deployed


def list_images(portal: MastPortal, images: dict[str, bytes]) -> list[str]:
    return [
        uri
        for number, (name, body) in enumerate(images.items())
        for uri in portal.add(observation(str(number), MJD), {name: body})
    ]


def said(result: dg.ExecuteInProcessResult) -> str:
    """What the user reads of a run that failed."""
    return "\n".join(
        event.event_specific_data.error_display_string
        for event in result.all_events
        if event.event_type_value == "STEP_FAILURE"
    )


def test_a_night_goes_from_the_archive_to_processed_frames(
    portal: MastPortal, deployment: Deployment, images: dict[str, bytes], tmp_path: Path
) -> None:
    list_images(portal, images)

    assert materialize(ingest, processed).success

    observations = deployment.rows(Observation)
    assert sorted(row["archive_id"] for row in observations) == [
        f"HST/product/{name}" for name in sorted(images)
    ]
    objects = stored(deployment, tmp_path)
    assert set(objects) == {row["raw_fits_path"] for row in observations}
    for row in observations:
        sent = images[row["archive_id"].removeprefix("HST/product/")]
        assert objects[row["raw_fits_path"]] == sent
        assert row["night"] == NIGHT
    assert {row["status"] for row in deployment.rows(PreprocessRun)} <= {"completed", "degraded"}
    assert len(deployment.rows(PreprocessRun)) == len(images)


def test_a_night_ingested_again_is_the_same_night(
    portal: MastPortal, deployment: Deployment, images: dict[str, bytes], tmp_path: Path
) -> None:
    list_images(portal, images)
    assert materialize(ingest).success
    before = deployment.rows(Observation), deployment.rows(IngestRun), stored(deployment, tmp_path)
    downloads = len(portal.server.asked("/api/v0.1/Download/file"))

    assert materialize(ingest).success

    after = deployment.rows(Observation), deployment.rows(IngestRun), stored(deployment, tmp_path)
    assert after == before
    assert len(portal.server.asked("/api/v0.1/Download/file")) == downloads


def test_a_file_that_comes_late_is_picked_up(portal: MastPortal, deployment: Deployment) -> None:
    portal.add(observation("1", MJD), {"early.fits": tiny_fits(1)})
    assert materialize(ingest).success
    portal.add(observation("2", MJD), {"late.fits": tiny_fits(2)})

    assert materialize(ingest).success

    names = [row["archive_id"] for row in deployment.rows(Observation)]
    assert sorted(names) == ["HST/product/early.fits", "HST/product/late.fits"]


FAULTS: dict[str, tuple[Fault, str, str]] = {
    "500": (status(500), "SurveyUnavailableError", "is unavailable. [http_status=500]"),
    "404": (status(404), "DownloadRefusedError", "does not give HST/product/404.fits: HTTP 404"),
    "busy": (busy("3600"), "SurveyUnavailableError", "http_status=429, retry_after_s=3600.0"),
    "slow": (slow(2.0), "SurveyUnavailableError", "cannot be reached: ReadTimeout"),
    "hung": (hang_up, "SurveyUnavailableError", "cannot be reached: ConnectionError"),
    "page": (html, "DownloadError", "answers an HTML page instead of the FITS file"),
    "flipped": (flipped, "DownloadError", "flipped.fits differs from its own checksums"),
    "shorter": (shorter, "DownloadError", "has another size than the archive lists"),
    "endless": (round_and_round, "SurveyRefusedError", "redirects more than 5 times"),
    "elsewhere": (redirect("http://example.org/"), "ForbiddenAddressError", "allowed_hosts"),
}
"""By file: what the archive does, the error's type and what the user reads of it."""


def test_a_file_s_fault_is_a_failed_row_and_nothing_else(
    portal: MastPortal, deployment: Deployment, tmp_path: Path
) -> None:
    # A good one after every two: so many failures in a row would be an outage.
    good = {f"{name}-then-good.fits": tiny_fits(n) for n, name in enumerate([*FAULTS][::2])}
    for number, (name, (fault, _, _)) in enumerate(FAULTS.items()):
        body = tiny_fits(100 + number)
        [uri] = portal.add(observation(f"1{number}", MJD), {f"{name}.fits": body})
        portal.server.always(portal.target(uri), fault)
    for number, (name, body) in enumerate(good.items()):
        portal.add(observation(f"2{number}", MJD), {name: body})

    result = materialize(ingest)

    assert result.success
    rows = {row["source"].removeprefix("HST/product/"): row for row in deployment.rows(IngestRun)}
    for name, (_, kind, words) in FAULTS.items():
        row = rows.pop(f"{name}.fits")
        assert (row["status"], row["error_type"], row["sha256"]) == ("failed", kind, None)
        assert words in row["error_message"]
        assert row["error_message"].endswith("."), "no remedy"
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(good, "completed")
    observed = [row["archive_id"] for row in deployment.rows(Observation)]
    assert sorted(observed) == sorted(f"HST/product/{name}" for name in good)
    assert sorted(stored(deployment, tmp_path).values()) == sorted(good.values())
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description == "10 of 15 failed"


def test_a_failed_file_comes_with_the_next_run(portal: MastPortal, deployment: Deployment) -> None:
    uris = portal.add(observation("1", MJD), {"a.fits": tiny_fits(1), "b.fits": tiny_fits(2)})
    portal.server.always(portal.target(uris[0]), html)
    assert materialize(ingest).success
    assert len(deployment.rows(Observation)) == 1
    portal.server.behave()

    assert materialize(ingest).success

    assert len(deployment.rows(Observation)) == 2


@pytest.mark.parametrize("where", ["portal", "files"])
def test_an_outage_is_a_retry_and_then_a_failure_of_that_night_alone(
    portal: MastPortal, deployment: Deployment, tmp_path: Path, where: str
) -> None:
    [uri] = portal.add(observation("1", MJD), {"a.fits": tiny_fits(1)})
    portal.add(observation("2", MJD + 1), {"b.fits": tiny_fits(2)})
    portal.server.always(INVOKE if where == "portal" else portal.target(uri), status(503))

    result = materialize(ingest, raise_on_error=False)

    assert not result.success
    kinds = [event.event_type_value for event in result.all_events]
    assert kinds.count("STEP_UP_FOR_RETRY") == 1
    assert "SurveyUnavailableError: Survey 'folder':" in said(result)
    assert "Materialize the partition again" in said(result)
    assert deployment.rows(IngestRun) == []
    assert deployment.rows(Observation) == []
    assert stored(deployment, tmp_path) == {}
    portal.server.behave()
    assert materialize(ingest, night="2025-09-11").success
    assert [row["archive_id"] for row in deployment.rows(Observation)] == ["HST/product/b.fits"]


def test_an_outage_that_passes_is_not_seen_in_the_rows(
    portal: MastPortal, deployment: Deployment
) -> None:
    portal.add(observation("1", MJD), {"a.fits": tiny_fits(1)})
    portal.server.fault(INVOKE, status(503), status(503))

    result = materialize(ingest)

    assert result.success
    assert "STEP_UP_FOR_RETRY" in [event.event_type_value for event in result.all_events]
    assert [row["status"] for row in deployment.rows(IngestRun)] == ["completed"]


def test_a_refusal_is_not_retried(portal: MastPortal, deployment: Deployment) -> None:
    portal.server.always(INVOKE, html)

    result = materialize(ingest, raise_on_error=False)

    assert not result.success
    assert "STEP_UP_FOR_RETRY" not in [event.event_type_value for event in result.all_events]
    assert "answers what is no portal's answer" in said(result)


def test_500_observations_with_faults_are_each_there_once(
    portal: MastPortal, deployment: Deployment, tmp_path: Path
) -> None:
    bodies = {f"{n:03d}.fits": tiny_fits(n, side_pix=16) for n in range(500)}
    for number, (name, body) in enumerate(bodies.items()):
        portal.add(observation(str(number), MJD), {name: body})
    portal.server.at_random(0.05, 3, PASSING)

    assert materialize(ingest).success

    rows = deployment.rows(Observation)
    assert sorted(row["archive_id"] for row in rows) == [f"HST/product/{name}" for name in bodies]
    assert {row["status"] for row in deployment.rows(IngestRun)} == {"completed"}
    by_key = {row["raw_fits_path"]: row["archive_id"].rsplit("/", 1)[-1] for row in rows}
    objects = stored(deployment, tmp_path)
    assert {by_key[name]: body for name, body in objects.items()} == bodies
    assert len(portal.server.log) > 510, "no fault was met"


@pytest.fixture
def charts(
    portal: MastPortal,
    migrated_url: str,
    s3_empty: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deployment]:
    """A survey of SkyView's images."""
    rules = options(portal.server, tmp_path / "archives", attempts=2)
    entry = {
        "adapter": "skyview",
        "references": {"name": "none"},
        "archive": rules.model_dump(mode="json"),
        "skyview": {
            "url": portal.server.url("/runquery.pl"),
            "surveys": ["DSS2 Red"],
            "cutouts": [{"field": "m51", "ra": 202.5, "dec": 47.2}],
            "night": NIGHT,
        },
    }
    path = tmp_path / "surveys.yaml"
    path.write_text(yaml.safe_dump({"partitions_start": "2025-08-01", "surveys": {SURVEY: entry}}))
    monkeypatch.chdir(tmp_path)
    with configure(migrated_url, s3_empty, tmp_path, path) as deployed:
        yield deployed


def test_charts_are_stored_marked_and_make_no_reference(
    portal: MastPortal, charts: Deployment, images: dict[str, bytes], tmp_path: Path
) -> None:
    image = next(iter(images.values()))
    portal.server.put("/runquery.pl", image)

    assert materialize(ingest, processed).success
    references = materialize_references()

    [row] = charts.rows(Observation)
    assert "linearity" in row["assumed"]
    assert list(stored(charts, tmp_path).values()) == [image]
    assert [run["status"] for run in charts.rows(PreprocessRun)] in (["completed"], ["degraded"])
    assert references.success
    assert charts.rows(ReferenceFrame) == []


def materialize_references() -> dg.ExecuteInProcessResult:
    defs = build_defs()
    job = dg.define_asset_job("under_test", selection=dg.AssetSelection.assets(build_references))
    resolved = dg.Definitions(assets=defs.assets, jobs=[job], resources=defs.resources)
    return resolved.get_job_def("under_test").execute_in_process(partition_key=SURVEY)
