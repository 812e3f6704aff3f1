"""Verdicts become labels: the sensor on Dagster's own daemon code, the asset, the check."""

import datetime as dt
import logging
import time
from collections.abc import Iterator
from uuid import UUID

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, SensorInstigatorData, TickStatus
from dagster._core.test_utils import (
    create_test_daemon_workspace_context,
    freeze_time,
    instance_for_test,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from astrid_core.curation.events import undo_verdict
from astrid_core.settings import get_settings
from astrid_dagster.assets.validation import queue_depth, snapshot_labels
from astrid_dagster.io_managers.postgres import PostgresIOManager
from astrid_dagster.resources import DatabaseResource
from dbschema.models import DetectionConsensus, LabelSnapshot, SnapshotLabel
from tests.review import expert, judge, reviewer, store_detections

MIN_VERDICTS = 3
AT_ONCE = {  # no queue, no process: a run asked for is a run done
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "DefaultRunCoordinator",
    },
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
}
NAMES = ("detection_id", "label", "subtype", "n_events", "decided_by")


@pytest.fixture
def engine(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A deployment's database; labels need nothing else of it."""
    for name in ("S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "MLFLOW_URI"):
        monkeypatch.setenv(f"ASTRID_{name}", "unused")
    monkeypatch.setenv("ASTRID_DATABASE_URL", migrated_url)
    monkeypatch.setenv("ASTRID_LABELS_MIN_VERDICTS", str(MIN_VERDICTS))
    get_settings.cache_clear()
    engine = DatabaseResource().engine()
    yield engine
    engine.dispose()
    get_settings.cache_clear()


class Daemon:
    """The sensor daemon's own code, an iteration at a time."""

    def __init__(self, context: WorkspaceProcessContext) -> None:
        self._context = context
        self._now = dt.datetime.now(dt.UTC)
        self.instance = context.instance

    def tick(self) -> InstigatorTick:
        """What the next iteration came to, half a minute later."""
        self._now += dt.timedelta(seconds=31)
        with freeze_time(self._now):
            list(execute_sensor_iteration(self._context, logging.getLogger(), None, None))
        state = self._state()
        return self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)[0]

    def forget_cursor(self) -> None:
        """Be a daemon that died before it kept its cursor."""
        state = self._state()
        data = state.instigator_data
        assert isinstance(data, SensorInstigatorData)
        assert data.cursor is not None
        self.instance.update_instigator_state(
            state.with_data(SensorInstigatorData(last_tick_timestamp=data.last_tick_timestamp))
        )

    def _state(self):
        (state,) = [s for s in self.instance.all_instigator_state() if s.name == "refresh_labels"]
        return state

    def runs(self) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(job_name="labels")))


@pytest.fixture
def daemon(engine: Engine) -> Iterator[Daemon]:
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="astrid_dagster.definitions", attribute="defs")
    )
    target = InProcessWorkspaceLoadTarget(origin)
    with (
        instance_for_test(overrides=AT_ONCE) as instance,
        create_test_daemon_workspace_context(target, instance) as context,
    ):
        yield Daemon(context)


def give(engine: Engine, detections: list[UUID], verdict: str = "real") -> None:
    """One expert's verdict on each detection, each in a transaction of its own."""
    with engine.begin() as connection:
        by = expert(connection)
    for detection in detections:
        with engine.begin() as connection:
            judge(connection, by, detection, verdict)


def found(engine: Engine, n: int) -> list[UUID]:
    with engine.begin() as connection:
        return store_detections(connection, [0.5] * n)


def current(engine: Engine) -> UUID:
    newest = select(LabelSnapshot.id).order_by(LabelSnapshot.selected_at.desc()).limit(1)
    with engine.connect() as connection:
        return connection.execute(newest).scalar_one()


def labels_of(engine: Engine, snapshot: UUID) -> set[tuple[object, ...]]:
    query = select(*(getattr(SnapshotLabel, name) for name in NAMES))
    with engine.connect() as connection:
        rows = connection.execute(query.where(SnapshotLabel.snapshot_id == snapshot))
        return {tuple(row) for row in rows}


def consensus(engine: Engine) -> set[tuple[object, ...]]:
    query = select(*(getattr(DetectionConsensus, name) for name in NAMES))
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(query)}


def materialize(**options: object) -> dg.ExecuteInProcessResult:
    database = DatabaseResource()
    return dg.materialize(
        [snapshot_labels, queue_depth],
        resources={"postgres_io": PostgresIOManager(database=database), "database": database},
        **options,
    )


# --- the sensor -----------------------------------------------------------------------------


def test_enough_verdicts_make_one_run_and_fewer_make_none(engine: Engine, daemon: Daemon) -> None:
    detections = found(engine, 4)
    tick = daemon.tick()
    assert (tick.status, tick.skip_reason) == (TickStatus.SKIPPED, "No new verdict.")

    give(engine, detections[:2])
    tick = daemon.tick()
    assert tick.status == TickStatus.SKIPPED
    assert "2 new verdicts" in tick.skip_reason
    assert "waiting for 3" in tick.skip_reason
    assert daemon.runs() == []

    give(engine, detections[2:])
    assert daemon.tick().status == TickStatus.SUCCESS
    (run,) = daemon.runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert "4 new verdicts" in run.tags["astrid/labels_why"]
    assert labels_of(engine, current(engine)) == consensus(engine)
    assert len(consensus(engine)) == 4

    tick = daemon.tick()
    assert (tick.status, tick.skip_reason) == (TickStatus.SKIPPED, "No new verdict.")
    assert len(daemon.runs()) == 1


def test_the_batch_is_told_of_on_validation_events(engine: Engine, daemon: Daemon) -> None:
    give(engine, found(engine, 3), "bogus")
    daemon.tick()
    event = daemon.instance.get_latest_materialization_event(dg.AssetKey("validation_events"))
    assert event is not None
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert metadata["n_events"] == metadata["n_bogus"] == 3
    assert metadata["n_reviewers"] == 1
    assert metadata["agreement"] == "none to compare"
    assert metadata["cursor"] == daemon.runs()[0].tags["astrid/labels_last"]


def test_few_verdicts_wait_no_longer_than_they_may(
    engine: Engine, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(engine, found(engine, 1))
    assert daemon.tick().status == TickStatus.SKIPPED
    monkeypatch.setenv("ASTRID_LABELS_MAX_WAIT_S", "0.2")
    get_settings.cache_clear()
    time.sleep(0.3)
    assert daemon.tick().status == TickStatus.SUCCESS
    (run,) = daemon.runs()
    assert "none waits longer" in run.tags["astrid/labels_why"]


def test_a_verdict_begun_before_and_committed_after_a_tick_is_not_lost(
    engine: Engine, daemon: Daemon
) -> None:
    late, *others = found(engine, 7)
    give(engine, others[:3])
    with engine.begin() as connection:
        by = expert(connection)
    with engine.begin() as connection:
        judge(connection, by, late)
        # These commit while the late one, of an older transaction, is still open.
        give(engine, others[3:])
        assert daemon.tick().status == TickStatus.SUCCESS
        assert daemon.tick().status == TickStatus.SKIPPED
        assert late not in {row[0] for row in labels_of(engine, current(engine))}
    assert daemon.tick().status == TickStatus.SUCCESS
    newest, first = daemon.runs()
    assert "3 new verdicts" in first.tags["astrid/labels_why"]
    assert "4 new verdicts" in newest.tags["astrid/labels_why"]
    assert late in {row[0] for row in labels_of(engine, current(engine))}


def test_a_daemon_that_dies_before_it_keeps_its_cursor_makes_no_second_run(
    engine: Engine, daemon: Daemon
) -> None:
    detections = found(engine, 7)
    give(engine, detections[:3])
    daemon.tick()
    daemon.forget_cursor()
    assert daemon.tick().status == TickStatus.SKIPPED
    assert len(daemon.runs()) == 1

    # What came in meanwhile is a batch of its own, neither lost nor counted with the former.
    daemon.forget_cursor()
    give(engine, detections[3:5])
    tick = daemon.tick()
    assert tick.status == TickStatus.SKIPPED
    assert "2 new verdicts" in tick.skip_reason
    give(engine, detections[5:])
    assert daemon.tick().status == TickStatus.SUCCESS
    newest, first = daemon.runs()
    assert newest.tags["astrid/labels_after"] == first.tags["astrid/labels_last"]
    assert labels_of(engine, current(engine)) == consensus(engine)
    assert len(consensus(engine)) == 7


# --- the asset ------------------------------------------------------------------------------


def test_a_snapshot_tells_what_is_in_it(engine: Engine) -> None:
    real, bogus, disputed, pending, unsure = found(engine, 5)
    with engine.begin() as connection:
        one, other, third = (reviewer(connection) for _ in range(3))
        judge(connection, expert(connection), real, "real", subtype="moving")
        for by in (one, other):
            judge(connection, by, bogus, "bogus", subtype="dipole")
        judge(connection, third, bogus, "real")
        judge(connection, one, disputed, "real")
        judge(connection, other, disputed, "bogus")
        judge(connection, one, pending, "bogus")
        judge(connection, one, unsure, "unsure")
    result = materialize()
    assert result.success
    snapshot = current(engine)
    assert labels_of(engine, snapshot) == consensus(engine)
    with engine.connect() as connection:
        query = select(LabelSnapshot.__table__).where(LabelSnapshot.id == snapshot)
        row = connection.execute(query).mappings().one()
    assert (row["n_real"], row["n_bogus"], row["n_undecided"]) == (1, 1, 3)
    counts = dict.fromkeys(("real", "bogus", "disputed", "pending", "unsure"), 1)
    assert row["by_label"] == counts
    assert list(row["by_survey"].values()) == [counts]
    assert row["by_subtype"] == {"real": {"moving": 1}, "bogus": {"dipole": 1}}
    assert set(row["by_role"]) == {"expert", "reviewer"}
    assert row["by_role"]["reviewer"]["agreement"] == {"n_right": 2, "n_total": 3}
    assert row["covered_xact"] is not None
    (event,) = result.asset_materializations_for_node("snapshot_labels")
    metadata = {name: value.value for name, value in event.metadata.items()}
    assert metadata["snapshot"] == str(snapshot)
    assert metadata["agreement"] == "0.667 (2 of 3)"
    assert metadata["dagster/table_name"] == "label_snapshots"
    assert sum(record.data["detections"] for record in metadata["labels"].records) == 5


def test_the_same_labels_are_the_same_snapshot_and_no_label_is_one_too(engine: Engine) -> None:
    assert materialize().success
    empty = current(engine)
    assert labels_of(engine, empty) == set()
    give(engine, found(engine, 2))
    for _ in range(2):
        assert materialize().success
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(LabelSnapshot)) == 2
        assert connection.scalar(select(func.count()).select_from(SnapshotLabel)) == 2


def test_an_undo_is_in_the_next_snapshot_and_the_former_stays(engine: Engine) -> None:
    kept, undone = found(engine, 2)
    with engine.begin() as connection:
        by = expert(connection)
        judge(connection, by, kept)
        verdict = judge(connection, by, undone)
    materialize()
    former = current(engine)
    labels = labels_of(engine, former)
    assert {row[0] for row in labels} == {kept, undone}
    with engine.begin() as connection:
        undo_verdict(connection, by, verdict.event_id, "undo")
    materialize()
    assert current(engine) != former
    assert {row[0] for row in labels_of(engine, current(engine))} == {kept}
    assert labels_of(engine, former) == labels


@pytest.mark.parametrize(
    "change", ["UPDATE snapshot_labels SET label = 'bogus'", "DELETE FROM snapshot_labels"]
)
def test_the_labels_of_a_snapshot_refuse_to_be_changed(engine: Engine, change: str) -> None:
    give(engine, found(engine, 1))
    materialize()
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(change))


# --- the check ------------------------------------------------------------------------------


def test_the_check_warns_of_more_waiting_than_should(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    detections = found(engine, 4)
    with engine.begin() as connection:
        # Those of degraded frames and injected ones are put before nobody.
        store_detections(connection, [0.5], number=1, status="degraded")
        store_detections(connection, [0.5], number=2, is_injected=True)
    give(engine, detections[:1])
    for most, passed in ((3, True), (2, False)):
        monkeypatch.setenv("ASTRID_MAX_WAITING_DETECTIONS", str(most))
        get_settings.cache_clear()
        (check,) = materialize().get_asset_check_evaluations()
        assert check.metadata["n_waiting"].value == 3
        assert check.passed == passed
        assert check.severity == dg.AssetCheckSeverity.WARN
