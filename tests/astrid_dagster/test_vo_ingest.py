"""From the Virtual Observatory to processed frames, protocol by protocol, on real parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from astrid_core.surveys.config import load_surveys
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_stack.pairs import plan, run_config
from dbschema.models import IngestRun, Observation, PreprocessRun
from tests.archive_server import ArchiveServer, cut, flipped, html, malformed_votable, status
from tests.archives import options, tiny_fits
from tests.astrid_dagster.archives import SURVEY, materialize, simulated_files, stored
from tests.conftest import S3Store
from tests.deployment import Deployment, configure
from tests.transient_sky import DATES, transient_sky
from tests.vo_services import PATHS, QUERIED, Held, VoArchive, overflow

MJD = 60928.3


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return simulated_files()


@pytest.fixture
def archive() -> Iterator[VoArchive]:
    with ArchiveServer() as server:
        yield VoArchive(server)


@pytest.fixture(params=PATHS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def deployment(
    protocol: str,
    archive: VoArchive,
    migrated_url: str,
    s3_empty: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deployment]:
    rules = options(
        archive.server, tmp_path / "archives", attempts=2, outage_retries=1, outage_wait_s=0.1
    )
    entry = {
        "adapter": "ivoa",
        "references": {"name": "none"},
        "archive": rules.model_dump(mode="json"),
        "ivoa": {
            "url": archive.server.url(PATHS[protocol]),
            "protocol": protocol,
            "cones": [{"ra": 150.0, "dec": 2.0, "radius_deg": 0.1}],
            "dates": DATES,
            "filter_column": None if protocol == "sia1" else "energy_bandpassname",
        },
    }
    path = tmp_path / "surveys.yaml"
    path.write_text(yaml.safe_dump({"partitions_start": "2025-01-01", "surveys": {SURVEY: entry}}))
    monkeypatch.chdir(tmp_path)
    with configure(migrated_url, s3_empty, tmp_path, path) as deployed:
        yield deployed


def test_a_night_goes_from_the_service_to_processed_frames(
    archive: VoArchive,
    deployment: Deployment,
    images: dict[str, bytes],
    protocol: str,
    tmp_path: Path,
) -> None:
    names = {name.rsplit("/", 1)[-1]: body for name, body in images.items()}
    is_linked = protocol != "sia1"
    archive.add(*(Held(name, body, MJD, is_linked=is_linked) for name, body in names.items()))

    assert materialize(ingest, processed).success

    observations = deployment.rows(Observation)
    assert sorted(row["archive_id"] for row in observations) == sorted(names)
    objects = stored(deployment, tmp_path)
    assert {row["archive_id"]: objects[row["raw_fits_path"]] for row in observations} == names
    assert len(objects) == len(names), "something else is stored"
    assert len(deployment.rows(PreprocessRun)) == len(names)
    assert {row["status"] for row in deployment.rows(PreprocessRun)} <= {"completed", "degraded"}


def test_a_file_s_fault_is_a_failed_row_and_nothing_else(
    archive: VoArchive, deployment: Deployment, protocol: str, tmp_path: Path
) -> None:
    faults = {"page": html, "flipped": flipped, "gone": status(404), "broken": cut}
    archive.add(Held("good.fits", tiny_fits(0), MJD))
    for number, (name, fault) in enumerate(faults.items()):
        archive.add(Held(f"{name}.fits", tiny_fits(1 + number), MJD))
        archive.server.always(f"/files/{name}.fits", fault)

    assert materialize(ingest).success

    rows = {row["source"]: row for row in deployment.rows(IngestRun)}
    assert {name: row["error_type"] for name, row in rows.items()} == {
        "good.fits": None,
        "page.fits": "DownloadError",
        "flipped.fits": "DownloadError",
        "gone.fits": "DownloadRefusedError",
        "broken.fits": "SurveyUnavailableError",
    }
    assert [row["archive_id"] for row in deployment.rows(Observation)] == ["good.fits"]
    assert list(stored(deployment, tmp_path).values()) == [tiny_fits(0)]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (overflow, "lets one answer have. [max_images=5000] Ask for a smaller radius"),
        (malformed_votable, "answers what cannot be used"),
        (html, "answers what cannot be used"),
        (status(503), "is unavailable. [http_status=503]"),
    ],
)
def test_a_service_in_trouble_fails_the_night_with_its_name(
    archive: VoArchive, deployment: Deployment, protocol: str, fault: object, words: str
) -> None:
    archive.add(Held("a.fits", tiny_fits(1), MJD))
    archive.server.always(QUERIED[protocol], fault)  # type: ignore[arg-type]

    result = materialize(ingest, raise_on_error=False)

    assert not result.success
    said = "\n".join(
        event.event_specific_data.error_display_string
        for event in result.all_events
        if event.event_type_value == "STEP_FAILURE"
    )
    assert "Survey 'folder'" in said
    assert words in said
    assert deployment.rows(IngestRun) == []
    assert deployment.rows(Observation) == []


@pytest.mark.parametrize("protocol", ["obscore"], indirect=True)
def test_a_catalogue_s_pairs_are_ingested_and_nothing_else(
    archive: VoArchive, deployment: Deployment, tmp_path: Path
) -> None:
    """Fifty transients: of each night exactly the plan's files, whatever else it has."""
    sky = transient_sky()
    archive.add(*sky.held)
    catalogue = sky.write(tmp_path / "transients.csv")
    config = load_surveys(deployment.surveys_file).surveys[SURVEY]
    planned = plan(catalogue, config)

    for night, products in planned.by_night.items():
        restricted = run_config(products)
        assert materialize(ingest, night=night.isoformat(), run_config=restricted).success

    chosen = {name for pair in sky.pairs.values() for name in pair}
    observations = deployment.rows(Observation)
    assert {row["archive_id"] for row in observations} == chosen
    assert {row["source"]: row["status"] for row in deployment.rows(IngestRun)} == dict.fromkeys(
        chosen, "completed"
    )
    bodies = {one.name: one.body for one in sky.held}
    objects = stored(deployment, tmp_path)
    assert {row["archive_id"]: objects[row["raw_fits_path"]] for row in observations} == {
        name: bodies[name] for name in chosen
    }
    assert len(objects) == len(chosen)
    fetched = [asked.path for asked in archive.server.log if "/files/" in asked.path]
    assert sorted(fetched) == sorted(f"/files/{name}" for name in chosen), "a trap was fetched"


@pytest.mark.parametrize("protocol", ["sia2"], indirect=True)
def test_a_planned_address_outside_the_allowed_hosts_is_not_asked(
    archive: VoArchive, deployment: Deployment
) -> None:
    good = archive.server.put("/files/good.fits", tiny_fits(1))
    files = [
        {"name": "good.fits", "url": good},
        {"name": "evil.fits", "url": "http://example.org/evil.fits"},
    ]

    assert materialize(ingest, run_config={"ops": {"ingest": {"config": {"only": files}}}}).success

    rows = {row["source"]: row["error_type"] for row in deployment.rows(IngestRun)}
    assert rows == {"good.fits": None, "evil.fits": "ForbiddenAddressError"}
