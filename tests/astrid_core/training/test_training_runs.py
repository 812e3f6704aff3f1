"""Training from a stored dataset to a decision, on a real database, store and registry."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, select

from astrid_core.detection.card import Architecture, ModelCard, write_card
from astrid_core.detection.registry import (
    champion,
    ensure_bootstrap,
    mlflow_client,
    registered,
    upsert_model,
)
from astrid_core.detection.unet import build_network, load_model, save_weights
from astrid_core.errors import (
    DatabaseError,
    DatasetQualityError,
    NoSuchItemError,
    NothingToRevertError,
    ObjectCorruptError,
    TrainingRunError,
)
from astrid_core.training.closing import close_run
from astrid_core.training.config import TrainingConfig
from astrid_core.training.promotion import revert
from astrid_core.training.runs import Order, Workplace, promote_run, train_on_dataset
from astrid_core.training.samples import Samples
from dbschema.models import Model, Promotion, TrainingRun
from dbschema.session import make_engine
from tests.astrid_core.training.synthetic import make_samples, store_dataset
from tests.conftest import S3Store

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SMALL = Architecture(features=(4, 4, 8, 8, 8, 4), groups=2)
CONFIG = TrainingConfig(
    start_from="scratch", steps=60, batch_size=8, learning_rate=1e-2, validate_every=20, patience=3
)
SAMPLES = make_samples(260)


def untrained(folder: Path) -> tuple[Path, Path]:
    """A champion that knows nothing."""
    torch.manual_seed(3)
    weights, card = folder / "none.safetensors", folder / "none.json"
    sha256 = save_weights(build_network(SMALL), weights)
    fields = {"threshold": 0.5, "component_threshold": 0.9, "component_bogus_per_mpix": 1.0}
    write_card(
        ModelCard(
            name="untrained",
            sha256=sha256,
            architecture=SMALL,
            calibration={},
            component_calibration={},
            data={"first_seed": 7, "skies": {"train": 1}},
            training={},
            figures={},
            **fields,
        ),
        card,
    )
    return weights, card


@pytest.fixture
def place(
    migrated_url: str,
    s3_empty: S3Store,
    empty_mlflow: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Workplace]:
    monkeypatch.chdir(tmp_path)  # MLflow's artifact root is relative
    store = s3_empty.open()
    engine = make_engine(migrated_url)
    shutil.copyfile(empty_mlflow, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    weights, card = untrained(tmp_path)
    upsert_model(engine, ensure_bootstrap(uri, store, weights=weights, card=card))
    yield Workplace(engine, store, uri, tmp_path / "cache")
    engine.dispose()


def frozen(place: Workplace, folder: Path, samples: Samples = SAMPLES, **changes: object) -> UUID:
    with place.engine.begin() as connection:
        return store_dataset(connection, place.store, samples, folder, **changes)


def order(dataset: UUID, config: TrainingConfig = CONFIG) -> Order:
    return Order(uuid4(), dataset, config, "a test", "pytest", "a-dagster-run")


def row(engine: Engine, run_id: UUID) -> dict:
    with engine.connect() as connection:
        query = select(TrainingRun.__table__).where(TrainingRun.id == run_id)
        return dict(connection.execute(query).mappings().one())


def mlflow_statuses(place: Workplace) -> set[str]:
    client = mlflow_client(place.mlflow_uri)
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.status for run in client.search_runs(ids)}


def test_a_dataset_is_read_as_it_was_frozen_and_only_so(place: Workplace, tmp_path: Path):
    dataset = place.dataset(frozen(place, tmp_path))
    stored = place.samples(dataset)
    assert len(stored) == len(SAMPLES)
    chosen = [149, 0, 33, 32]
    np.testing.assert_array_equal(stored.take(chosen).images, SAMPLES.images[chosen])
    np.testing.assert_array_equal(stored.take(chosen).masks, SAMPLES.masks[chosen])
    test, expected = stored.of_split("test"), SAMPLES.of_split("test")
    np.testing.assert_array_equal(test.take(range(len(test))).images, expected.images)
    assert [r.sha256 for r in test.records] == [r.sha256 for r in expected.records]

    cached = sorted((place.cache_dir / "shards").iterdir())[0]
    cached.write_bytes(b"damaged")
    np.testing.assert_array_equal(
        place.samples(dataset).take(chosen).images[0], SAMPLES.images[149]
    )
    key = dataset.shards[0].image_path
    cached = place.cache_dir / "shards" / f"{dataset.shards[0].image_sha256}.npy"
    cached.unlink()
    (tmp_path / "other").write_bytes(b"other")
    place.store.put_file(key, tmp_path / "other")
    with pytest.raises(ObjectCorruptError):
        place.samples(dataset)
    with pytest.raises(NoSuchItemError):
        place.dataset(uuid4())


def test_a_better_model_is_trained_registered_promoted_and_taken_back(
    place: Workplace, tmp_path: Path
):
    asked = order(frozen(place, tmp_path))
    before = place.champion()
    steps: list[int] = []
    trained = train_on_dataset(asked, place, lambda now: steps.append(now.step))
    assert steps == list(range(1, 61))

    done = row(place.engine, asked.run_id)
    assert done["status"] == "completed"
    assert done["model_id"] == trained.model.model_id
    assert done["parent_model_id"] is None  # from scratch
    assert done["performance_metrics"]["average_precision"]["value"] > 0.9
    assert {one["name"] for one in done["performance_metrics"]["rivals"]} == {
        "S_corr and filters",
        "champion",
    }
    assert not place.checkpoint(asked.run_id).exists()

    # What is registered is what was trained, in every place, and no champion yet.
    again = registered(place.mlflow_uri, tmp_path / "elsewhere", trained.model.version)
    assert again.sha256 == trained.model.sha256 == again.card.sha256
    assert again.card.data["dataset"]["groups"] == sorted(
        {r.group_key for r in SAMPLES.records if r.split != "test"}
    )
    assert again.card.training["candidates_calibrated_on"] == "random queue"
    load_model(again.weights, again.card, again.sha256, "cpu")
    with place.engine.connect() as connection:
        sha256 = connection.scalar(select(Model.sha256).where(Model.id == again.model_id))
    assert sha256 == again.sha256
    place.store.get_file(again.weights_key, tmp_path / "w", again.sha256)
    assert place.champion().version == before.version

    client = mlflow_client(place.mlflow_uri)
    run = client.get_run(trained.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 60
    assert len(client.get_metric_history(run.info.run_id, "val_loss")) == 3
    assert run.inputs.dataset_inputs[0].dataset.name == "synthetic v1"
    page = Path(client.download_artifacts(run.info.run_id, "report.html", str(tmp_path)))
    assert page.read_text().count("data:image/png;base64,") >= 1
    assert "a test" in page.read_text()
    described = client.download_artifacts(run.info.run_id, "model/MLmodel", str(tmp_path))
    assert "log_odds" in Path(described).read_text()

    decided = promote_run(asked.run_id, place, "rule")
    assert decided["decision"] == "promoted", decided["reason"]
    assert (decided["model_id"], decided["champion_id"]) == (again.model_id, before.model_id)
    assert place.champion().sha256 == again.sha256
    assert promote_run(asked.run_id, place, "rule")["id"] == decided["id"]

    taken_back = revert(place.engine, place.mlflow_uri, place.cache_dir, "somebody")
    assert (taken_back["decision"], taken_back["model_id"]) == ("reverted", before.model_id)
    assert place.champion().version == before.version
    with pytest.raises(NothingToRevertError):
        revert(place.engine, place.mlflow_uri, place.cache_dir, "somebody")

    with pytest.raises(TrainingRunError, match="completed"):
        train_on_dataset(asked, place, lambda _: None)
    assert row(place.engine, asked.run_id)["status"] == "completed"


def test_a_decision_that_cannot_be_written_moves_nothing(
    place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from astrid_core.training import promotion

    asked = order(frozen(place, tmp_path))
    train_on_dataset(asked, place, lambda _: None)
    before = place.champion().version
    real = promotion.set_champion

    def moved_then_lost(uri: str, number: str) -> None:
        real(uri, number)
        if number != before:
            with place.engine.connect() as other:  # the connection dies under the commit
                other.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    monkeypatch.setattr(promotion, "set_champion", moved_then_lost)
    with pytest.raises(DatabaseError):
        promote_run(asked.run_id, place, "rule")
    assert place.champion().version == before
    with place.engine.connect() as connection:
        assert connection.execute(select(Promotion.id)).all() == []


def test_a_dataset_that_failed_quality_is_never_trained_on(place: Workplace, tmp_path: Path):
    reason = "anomaly ratio .02"
    asked = order(frozen(place, tmp_path, status="quality_failed", status_reason=reason))
    with pytest.raises(DatasetQualityError, match=reason):
        train_on_dataset(asked, place, lambda _: None)
    failed = row(place.engine, asked.run_id)
    assert (failed["status"], failed["error_type"]) == ("failed", "DatasetQualityError")
    with pytest.raises(TrainingRunError, match="is failed"):
        promote_run(asked.run_id, place, "rule")


def test_whatever_stops_a_run_it_ends_and_goes_on_when_asked_again(
    place: Workplace, tmp_path: Path
):
    config = CONFIG.model_copy(update={"steps": 6, "checkpoint_every": 3, "validate_every": 3})
    asked = order(frozen(place, tmp_path), config)

    def stop(now) -> None:
        if now.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on_dataset(asked, place, stop)
    failed = row(place.engine, asked.run_id)
    assert (failed["status"], failed["error_type"]) == ("failed", "KeyboardInterrupt")
    assert mlflow_statuses(place) == {"FINISHED", "KILLED"}  # the champion's own and this
    steps: list[int] = []
    train_on_dataset(asked, place, lambda now: steps.append(now.step))
    assert steps == [4, 5, 6]
    assert row(place.engine, asked.run_id)["error_type"] is None


def test_what_a_dead_process_left_running_is_closed(place: Workplace, tmp_path: Path):
    from astrid_core.training.runs import _begin, update_run

    asked = order(frozen(place, tmp_path))
    _begin(asked, place)
    client = mlflow_client(place.mlflow_uri)
    run_id = client.create_run("0").info.run_id
    update_run(place.engine, asked.run_id, {"mlflow_run_id": run_id})
    assert close_run(place.engine, place.mlflow_uri, "another", "why") == []
    assert close_run(place.engine, place.mlflow_uri, "a-dagster-run", "died") == [asked.run_id]
    assert row(place.engine, asked.run_id)["error_message"] == "died"
    assert client.get_run(run_id).info.status == "FAILED"
    assert champion(place.mlflow_uri, place.cache_dir).version == "1"


def test_a_tuned_model_remembers_what_its_parent_saw(place: Workplace, tmp_path: Path):
    config = CONFIG.model_copy(update={"start_from": "champion", "steps": 2})
    trained = train_on_dataset(order(frozen(place, tmp_path), config), place, lambda _: None)
    assert trained.model.card.data["first_seed"] == 7
    assert trained.model.card.training["parent_sha256"] == trained.parent.sha256
