"""Streams of files through the real engine, into a real store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from astrid_core.errors import BadFitsError, ConfigurationError, ObjectCorruptError, StoreError
from astrid_core.identity import sha256_file
from astrid_core.settings import get_settings
from astrid_core.storage import ObjectStore
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import StoredFile, StoredObject, TableRows
from astrid_dagster.resources import DatabaseResource
from dbschema.models import (
    DifferenceRun,
    ExtractionRun,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    Survey,
)
from tests import rows
from tests.asset_graph import (
    BY_SURVEY,
    Feed,
    cause,
    files,
    key,
    load,
    materialize,
    resources,
    source,
)
from tests.faults import CuttingProxy

NAMES = ("raw_frames/sim/a.fits", "raw_frames/sim/b.fits", "raw_frames/sim/deep/c.fits")


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


class Watched:
    """A stream that knows how many of its files lay on disk at once, and whether it was closed."""

    def __init__(self, folder: Path, *names: str, fail_after: int | None = None) -> None:
        self.folder = folder
        self.names = names
        self.fail_after = fail_after
        self.most_at_once = 0
        self.is_closed = False

    def stream(self) -> Iterator[StoredFile]:
        try:
            for number, file in enumerate(files(self.folder, *self.names)):
                if number == self.fail_after:
                    raise BadFitsError("the stream broke")
                self.most_at_once = max(self.most_at_once, len(list(self.folder.iterdir())))
                yield file
        finally:
            self.is_closed = True


def test_stream_is_stored_one_at_a_time(store: ObjectStore, tmp_path: Path) -> None:
    feed = Feed()
    watched = Watched(tmp_path, *NAMES)
    feed.values["raw_frames"] = watched.stream()
    result = materialize("raw_frames", feed)
    assert list(store.iterate()) == sorted(NAMES)
    assert watched.most_at_once == 1
    assert watched.is_closed
    assert list(tmp_path.iterdir()) == []
    found = metadata(result, "raw_frames")
    assert (found["n_objects"], found["n_uploaded"]) == (3, 3)
    assert found["bytes"] == sum(store.size(name) for name in NAMES)
    assert found["store_prefix"] == (
        f"s3://{store.bucket}/raw_frames/sim/, s3://{store.bucket}/raw_frames/sim/deep/"
    )


def test_writing_again_sends_nothing_and_leaves_equal_bytes(
    store: ObjectStore, tmp_path: Path
) -> None:
    feed = Feed()
    (tmp_path / "out").mkdir()
    before = []
    for n_uploaded in (3, 0):
        feed.values["raw_frames"] = files(tmp_path, *NAMES)
        found = metadata(materialize("raw_frames", feed), "raw_frames")
        assert (found["n_objects"], found["n_uploaded"]) == (3, n_uploaded)
        store.get_file(NAMES[0], tmp_path / "out" / "a")
        before.append((tmp_path / "out" / "a").read_bytes())
    assert before[0] == before[1]


def test_files_that_are_not_scratch_stay(store: ObjectStore, tmp_path: Path) -> None:
    feed = Feed()
    feed.values["raw_frames"] = files(tmp_path, *NAMES, is_scratch=False)
    materialize("raw_frames", feed)
    assert len(list(tmp_path.iterdir())) == 3


def test_lists_and_empty_streams_will_do(store: ObjectStore, tmp_path: Path) -> None:
    feed = Feed()
    feed.values["raw_frames"] = list(files(tmp_path, NAMES[0]))
    assert metadata(materialize("raw_frames", feed), "raw_frames")["n_objects"] == 1
    feed.values["raw_frames"] = []
    assert metadata(materialize("raw_frames", feed), "raw_frames")["n_objects"] == 0


def test_stream_that_breaks_is_closed_and_fails_the_step(
    store: ObjectStore, tmp_path: Path
) -> None:
    feed = Feed()
    watched = Watched(tmp_path, *NAMES, fail_after=2)
    feed.values["raw_frames"] = watched.stream()
    result = materialize("raw_frames", feed, raise_on_error=False)
    assert not result.success
    assert BadFitsError.__name__ in cause(result)
    assert watched.is_closed
    assert list(store.iterate()) == sorted(NAMES[:2])


def test_file_that_changed_is_not_stored(store: ObjectStore, tmp_path: Path) -> None:
    feed = Feed()
    (file,) = files(tmp_path, NAMES[0])
    feed.values["raw_frames"] = [StoredFile(file.key, file.path, "0" * 64, file.is_scratch)]
    result = materialize("raw_frames", feed, raise_on_error=False)
    assert ObjectCorruptError.__name__ in cause(result)
    assert list(store.iterate()) == []
    assert list(tmp_path.iterdir()) == []


def test_store_that_fails_in_mid_stream(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CuttingProxy(store.endpoint) as proxy:
        monkeypatch.setenv("ASTRID_S3_ENDPOINT", proxy.endpoint)
        get_settings.cache_clear()
        feed = Feed()
        watched = Watched(tmp_path, *NAMES)

        def breaking() -> Iterator[StoredFile]:
            for number, file in enumerate(watched.stream()):
                if number == 1:
                    proxy.cut(1000, 0)
                yield file

        feed.values["raw_frames"] = breaking()
        result = materialize("raw_frames", feed, raise_on_error=False)
        assert StoreError.__name__ in cause(result)
        assert list(tmp_path.iterdir()) == []
        assert list(store.iterate()) == [NAMES[0]]
        proxy.cut(0, 0)
        feed.values["raw_frames"] = files(tmp_path, *NAMES)
        found = metadata(materialize("raw_frames", feed), "raw_frames")
    assert (found["n_objects"], found["n_uploaded"]) == (3, 2)
    assert list(store.iterate()) == sorted(NAMES)


def test_several_partitions_in_one_run_are_refused(store: ObjectStore, tmp_path: Path) -> None:
    feed = Feed()
    watched = Watched(tmp_path, *NAMES)
    feed.values["raw_frames"] = watched.stream()
    asset = source("raw_frames", feed)
    job = dg.define_asset_job("range", [asset])
    defs = dg.Definitions([asset], jobs=[job], resources=resources())
    result = defs.resolve_job_def("range").execute_in_process(
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": "2026-09-01|sim",
            "dagster/asset_partition_range_end": "2026-09-02|sim",
        },
    )
    assert ConfigurationError.__name__ in cause(result)
    assert watched.most_at_once == 0
    assert list(store.iterate()) == []


# --- loading ------------------------------------------------------------------------------

OBSERVATIONS = [rows.observation_row(number) for number in range(4)]
RUNS = [
    rows.preprocess_row(observation, status=status)
    for observation, status in zip(
        OBSERVATIONS, ("completed", "degraded", "failed", "completed"), strict=True
    )
]


@pytest.fixture
def night(database: DatabaseResource, store: ObjectStore) -> DatabaseResource:
    """Committed rows of a night, another night and another survey."""
    elsewhere = [
        rows.observation_row(0, survey="other"),
        rows.observation_row(0, night=rows.NIGHT.replace(day=2)),
    ]
    differences = [rows.difference_row(run) for run in RUNS[:2]]
    differences[1] |= {"status": "no_reference", "difference_fits_path": None, "sha256": None}
    values = [
        TableRows(Survey, [rows.survey_row(), rows.survey_row("other")]),
        TableRows(Observation, [*OBSERVATIONS, *elsewhere]),
        TableRows(PreprocessRun, [*RUNS, *map(rows.preprocess_row, elsewhere)]),
        TableRows(DifferenceRun, differences),
        TableRows(ExtractionRun, [rows.extraction_row(differences[0])]),
        TableRows(
            ReferenceFrame,
            [
                rows.reference_row("F0"),
                rows.reference_row("F0", version="2", status="degraded"),
                rows.reference_row("F1", status="failed"),
                rows.reference_row("F0", survey="other"),
            ],
        ),
    ]
    database.run(lambda connection: [upsert(connection, value) for value in values])
    return database


def test_raw_frames_by_observation(night: DatabaseResource) -> None:
    found = load("raw_frames", Feed())
    assert dict(found) == {
        row["id"]: StoredObject(row["raw_fits_path"], row["raw_sha256"]) for row in OBSERVATIONS
    }


def test_failed_runs_have_no_objects(night: DatabaseResource) -> None:
    found = load("processed_frames", Feed())
    assert dict(found) == {
        run["run_id"]: StoredObject(run["processed_fits_path"], run["sha256"])
        for run in (RUNS[0], RUNS[1], RUNS[3])
    }
    assert rows.ids([RUNS[0]])[0] in found
    assert RUNS[2]["run_id"] not in found


def test_difference_images_and_cutouts(night: DatabaseResource) -> None:
    difference = rows.difference_row(RUNS[0])
    extraction = rows.extraction_row(difference)
    feed = Feed()
    assert dict(load("difference_images", feed)) == {
        difference["run_id"]: StoredObject(difference["difference_fits_path"], difference["sha256"])
    }
    assert dict(load("cutouts", feed)) == {
        difference["run_id"]: StoredObject(extraction["cutout_path"], extraction["sha256"])
    }


def test_all_usable_references_of_the_survey(night: DatabaseResource) -> None:
    expected = [rows.reference_row("F0"), rows.reference_row("F0", version="2")]
    assert sorted(load("reference_frames", Feed())) == rows.ids(expected)


@pytest.mark.parametrize("asset", ["raw_frames", "processed_frames", "cutouts"])
def test_a_night_without_rows_is_empty_whatever_the_bucket_holds(
    night: DatabaseResource, store: ObjectStore, tmp_path: Path, asset: str
) -> None:
    (tmp_path / "stray").write_text("left behind by a run that died")
    store.put_file(f"{asset}/sim/2026-09-05/stray.fits", tmp_path / "stray")
    found = load(asset, Feed(), key(night=rows.NIGHT.replace(day=5)))
    assert len(found) == 0
    assert asset not in BY_SURVEY


def test_objects_are_fetched_when_asked_for_and_verified(
    database: DatabaseResource, store: ObjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"pixels")
    observation = rows.observation_row(1, raw_sha256=sha256_file(path))
    values = [TableRows(Survey, [rows.survey_row()]), TableRows(Observation, [observation])]
    database.run(lambda connection: [upsert(connection, value) for value in values])
    store.put_file(observation["raw_fits_path"], path)
    (stored,) = load("raw_frames", Feed()).values()
    fetched = stored.fetch(store, tmp_path / "in")
    assert fetched.read_bytes() == b"pixels"
    path.write_bytes(b"spoilt")
    store.put_file(observation["raw_fits_path"], path)
    with pytest.raises(ObjectCorruptError):
        stored.fetch(store, tmp_path / "in")


def test_loaded_objects_are_read_only(night: DatabaseResource) -> None:
    found = load("raw_frames", Feed())
    with pytest.raises(TypeError):
        found[OBSERVATIONS[0]["id"]] = None
    assert repr(found) == "StoredObjects(4 objects)"
