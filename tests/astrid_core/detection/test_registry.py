"""The registry on MLflow's own store; the real server and S3 are exercised end to end."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import torch
from sqlalchemy import create_engine, select

from astrid_core.detection.card import (
    Architecture,
    Calibration,
    ModelCard,
    read_card,
    write_card,
)
from astrid_core.detection.registry import (
    CHAMPION,
    MODEL_NAME,
    ChampionRef,
    champion,
    ensure_bootstrap,
    registered,
    shipped,
    upsert_model,
    weights_key,
)
from astrid_core.detection.unet import build_network, load_model, save_weights
from astrid_core.errors import ModelIntegrityError, ModelUnavailableError
from astrid_core.identity import derive_id, sha256_file
from dbschema.models import Model

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


class FolderStore:
    """The two verbs of the object store that the registry uses, over a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.puts = 0

    def exists(self, key: str) -> bool:
        return (self.root / key).exists()

    def put_file(self, key: str, path: Path) -> str:
        self.puts += 1
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.root / key)
        return sha256_file(path)


def make_weights(folder: Path, seed: int) -> tuple[Path, Path]:
    """Untrained weights with a card, standing for one release's bootstrap."""
    torch.manual_seed(seed)
    folder.mkdir()
    weights, card_path = folder / "w.safetensors", folder / "card.json"
    card = ModelCard(
        name=f"release-{seed}",
        sha256=save_weights(build_network(Architecture()), weights),
        architecture=Architecture(),
        threshold=0.5,
        component_threshold=0.9,
        calibration=Calibration(),
        component_calibration=Calibration(),
        component_bogus_per_mpix=1.0,
        data={"seeds": [seed]},
        training={"steps": 0},
        figures={"held_out": {"roc_auc": 0.5, "by_snr": {"5-7": 0.25}}},
    )
    write_card(card, card_path)
    return weights, card_path


@pytest.fixture
def mlflow_uri(tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # the default artifact root is relative
    shutil.copyfile(empty_mlflow, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def client(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_bootstrap_is_registered_once_and_becomes_champion(mlflow_uri, store, tmp_path):
    weights, card = make_weights(tmp_path / "one", 1)
    row = ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    again = ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)

    assert row == again
    assert store.puts == 1
    sha256 = sha256_file(weights)
    assert row["sha256"] == sha256 == sha256_file(store.root / row["weights_path"])
    assert row["id"] == derive_id("model", MODEL_NAME, sha256)
    assert row["weights_path"] == weights_key(sha256)
    assert set(row) == {column.name for column in Model.__table__.columns} - {"created_at"}

    mlflow = client(mlflow_uri)
    assert len(mlflow.search_model_versions(f"name='{MODEL_NAME}'")) == 1
    run = mlflow.get_run(row["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"held_out.roc_auc": 0.5, "held_out.by_snr.5-7": 0.25}
    files = {Path(file.path).suffix for file in mlflow.list_artifacts(run.info.run_id, "model")}
    assert files == {".json", ".safetensors", ""}  # and MLmodel, which is text


def test_champion_is_fetched_verified_and_loadable(mlflow_uri, store, tmp_path):
    weights, card = make_weights(tmp_path / "one", 1)
    row = ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    ref = champion(mlflow_uri, tmp_path / "cache")
    assert ref.row() == row
    assert ref.version == "1"
    assert ref.weights.read_bytes() == weights.read_bytes()
    load_model(ref.weights, ref.card, ref.sha256, "cpu")

    stamp = ref.weights.stat().st_mtime_ns
    assert champion(mlflow_uri, tmp_path / "cache").weights.stat().st_mtime_ns == stamp


def test_damaged_cache_is_refused_then_fetched_anew(mlflow_uri, store, tmp_path):
    weights, card = make_weights(tmp_path / "one", 1)
    ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    ref = champion(mlflow_uri, tmp_path / "cache")
    ref.weights.write_bytes(b"something else")
    with pytest.raises(ModelIntegrityError):
        champion(mlflow_uri, tmp_path / "cache")
    assert champion(mlflow_uri, tmp_path / "cache").weights.read_bytes() == weights.read_bytes()


def test_a_new_release_replaces_the_old_bootstrap(mlflow_uri, store, tmp_path):
    for seed in (1, 2):
        weights, card = make_weights(tmp_path / f"release{seed}", seed)
        ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    assert champion(mlflow_uri, tmp_path / "cache").card.name == "release-2"


def test_the_same_weights_calibrated_anew_are_a_new_version(mlflow_uri, store, tmp_path):
    weights, card = make_weights(tmp_path / "one", 1)
    ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    old = champion(mlflow_uri, tmp_path / "cache")
    write_card(read_card(card).model_copy(update={"component_bogus_per_mpix": 9.0}), card)
    row = ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    new = champion(mlflow_uri, tmp_path / "cache")
    assert (old.version, new.version, row["version"]) == ("1", "2", "2")
    assert new.card.component_bogus_per_mpix == 9.0, "an old card in the cache is not its card"
    assert new.digest != old.digest
    assert (new.model_id, new.weights) == (old.model_id, old.weights)
    assert registered(mlflow_uri, tmp_path / "cache", "1") == old
    with pytest.raises(ModelUnavailableError, match="detections again"):
        registered(mlflow_uri, tmp_path / "cache", "3")


def test_an_alias_that_somebody_moved_is_left_alone(mlflow_uri, store, tmp_path):
    for seed in (1, 2):
        weights, card = make_weights(tmp_path / f"release{seed}", seed)
        ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    client(mlflow_uri).set_registered_model_alias(MODEL_NAME, CHAMPION, "1")
    ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    weights, card = make_weights(tmp_path / "release3", 3)
    ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    assert champion(mlflow_uri, tmp_path / "cache").version == "1"


def test_an_alias_that_somebody_took_away_stays_away(mlflow_uri, store, tmp_path):
    weights, card = make_weights(tmp_path / "one", 1)
    ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    client(mlflow_uri).delete_registered_model_alias(MODEL_NAME, CHAMPION)
    ensure_bootstrap(mlflow_uri, store, weights=weights, card=card)
    with pytest.raises(ModelUnavailableError, match="give a version"):
        champion(mlflow_uri, tmp_path / "cache")


def test_no_model_at_all_says_what_to_do(mlflow_uri, tmp_path):
    with pytest.raises(ModelUnavailableError, match="astrid up"):
        champion(mlflow_uri, tmp_path / "cache")


def test_unreachable_server_is_our_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ModelUnavailableError, match="http:"):
        champion("http://127.0.0.1:9", tmp_path / "cache")


def test_weights_that_are_not_the_cards_are_not_registered(mlflow_uri, store, tmp_path):
    weights, card = make_weights(tmp_path / "one", 1)
    other, _ = make_weights(tmp_path / "two", 2)
    assert weights != other
    with pytest.raises(ModelIntegrityError):
        ensure_bootstrap(mlflow_uri, store, weights=other, card=card)
    assert client(mlflow_uri).search_registered_models() == []


def test_shipped_files_lie_in_the_package():
    assert {path.parent.name for path in shipped()} == {"weights"}


def test_models_row_is_written_and_brought_up_to_date(database_url, tmp_path):
    weights, card_path = make_weights(tmp_path / "one", 1)
    ref = ChampionRef(
        MODEL_NAME, "1", sha256_file(weights), weights, read_card(card_path), UUID(int=7), "run-1"
    )
    engine = create_engine(database_url)
    Model.__table__.create(engine)
    upsert_model(engine, ref.row())
    upsert_model(engine, replace(ref, version="2").row())
    with engine.connect() as connection:
        (row,) = connection.execute(select(Model.__table__)).mappings()
    engine.dispose()
    assert row["version"] == "2"
    assert row["sha256"] == ref.sha256
    assert row["card"]["name"] == "release-1"
    assert row["created_at"] is not None
