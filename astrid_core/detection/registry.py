"""Which weights are in force: the MLflow registry, its ``champion``, and the ``models`` row.

MLflow says which version is champion and keeps the run that made it; the object store
keeps the weights under their SHA-256; the ``models`` row ties detections to both. Weights
are plain safetensors artifacts everywhere: nothing is pickled, and nothing is loaded
before its SHA-256 is proven.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from astrid_core.detection.card import ModelCard, read_card, verify_weights
from astrid_core.errors import AstridError, ModelIntegrityError, ModelUnavailableError
from astrid_core.identity import config_digest, derive_id
from dbschema.models import Model as ModelRow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model

MODEL_NAME = "astrid-realbogus"
CHAMPION = "champion"

MODEL_EXPERIMENT = "astrid-realbogus"
_WEIGHTS = "weights.safetensors"
_CARD = "card.json"
_DESCRIPTION = "MLmodel"
_FOLDER = "model"
_ALIAS_SET_TO = "astrid.bootstrap_champion"
"""Registered-model tag: the version AstrID itself last made champion. While the alias is
there, no person or promotion has moved it."""


class WeightsStore(Protocol):
    """What the registry asks of the object store."""

    def exists(self, key: str) -> bool:
        """Whether an object is there."""

    def put_file(self, key: str, path: Path) -> str:
        """Store a file whole; returns its SHA-256."""


@dataclass(frozen=True)
class ChampionRef:
    """A registered version with its weights on local disk, verified.

    Attributes
    ----------
    version
        Version in the registry.
    weights
        Local safetensors file with exactly ``sha256``.
    model_id
        Id of its ``models`` row, derived from name and weights.
    """

    name: str
    version: str
    sha256: str
    weights: Path
    card: ModelCard = field(hash=False)
    model_id: UUID
    mlflow_run_id: str | None

    @property
    def weights_key(self) -> str:
        """Object key of the weights."""
        return weights_key(self.sha256)

    @property
    def digest(self) -> str:
        """Digest of all that judges: the card, which names the weights and calibrates them."""
        return _digest(self.card)

    def row(self) -> dict[str, Any]:
        """Values of its ``models`` row."""
        return {
            "id": self.model_id,
            "name": self.name,
            "version": self.version,
            "architecture": self.card.architecture.model_dump(mode="json"),
            "weights_path": self.weights_key,
            "sha256": self.sha256,
            "card": self.card.model_dump(mode="json"),
            "mlflow_run_id": self.mlflow_run_id,
        }


def shipped() -> tuple[Path, Path]:
    """Weights and card of the bootstrap model in this distribution."""
    folder = Path(str(resources.files("astrid_core.detection"))) / "weights"
    return folder / "realbogus-bootstrap.safetensors", folder / "realbogus-bootstrap.json"


def weights_key(sha256: str) -> str:
    """Object key of weights: content-addressed."""
    return f"models/{sha256}.safetensors"


def ensure_bootstrap(
    mlflow_uri: str, store: WeightsStore, *, weights: Path | None = None, card: Path | None = None
) -> dict[str, Any]:
    """Register the shipped weights; safe to call at every start.

    The same weights and card are registered once; weights calibrated anew are a new version.
    The ``champion`` alias is set where there is none, and moved from an older bootstrap
    version only while nobody else has moved it.

    Parameters
    ----------
    weights, card
        Other weights than the shipped ones.

    Returns
    -------
    Values of the weights' ``models`` row.

    Raises
    ------
    ModelIntegrityError
        If weights and card do not belong together.
    ModelUnavailableError
        If the files or the MLflow server cannot be reached.
    """
    shipped_weights, shipped_card = shipped()
    weights, card_path = weights or shipped_weights, card or shipped_card
    model_card = read_card(card_path)
    verify_weights(weights, model_card.sha256)
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        _ensure_registered_model(client)
        version = _find_version(client, model_card)
        if version is None:
            version = _register_shipped(client, weights, model_card)
        _offer_alias(client, str(version.version))
    ref = _reference(version, weights, model_card)
    if not store.exists(ref.weights_key):
        store.put_file(ref.weights_key, weights)
    return ref.row()


def register_trained(
    mlflow_uri: str, store: WeightsStore, weights: Path, card: ModelCard, mlflow_run_id: str
) -> ChampionRef:
    """Register trained weights as a new version, no champion yet.

    The run gets the artifacts of every version, weights and card, and an ``MLmodel`` file that
    tells the signature. Registered again, they stay the version they are.

    Raises
    ------
    ModelIntegrityError
        If weights and card do not belong together.
    ModelUnavailableError
        If the MLflow server failed.
    """
    verify_weights(weights, card.sha256)
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        _ensure_registered_model(client)
        version = _find_version(client, card)
        if version is None:
            _log_model(client, mlflow_run_id, weights, card)
            version = _create_version(
                client, mlflow_run_id, card, "training", f"{card.name}: trained on a dataset."
            )
    ref = _reference(version, weights, card)
    if not store.exists(ref.weights_key):
        store.put_file(ref.weights_key, weights)
    return ref


def champion_version(mlflow_uri: str) -> str:
    """Number of the version that the ``champion`` alias names.

    Raises
    ------
    ModelUnavailableError
        If there is no champion or the MLflow server failed.
    """
    with mlflow_errors(mlflow_uri):
        return str(_champion_version(mlflow_client(mlflow_uri)).version)


def set_champion(mlflow_uri: str, number: str) -> None:
    """Give the ``champion`` alias to a version.

    Raises
    ------
    ModelUnavailableError
        If there is no such version or the MLflow server failed.
    """
    with mlflow_errors(mlflow_uri):
        mlflow_client(mlflow_uri).set_registered_model_alias(MODEL_NAME, CHAMPION, number)


def champion(mlflow_uri: str, cache_dir: Path) -> ChampionRef:
    """The version that the ``champion`` alias names, its weights fetched and verified.

    Parameters
    ----------
    cache_dir
        Weights are kept here by SHA-256, their cards by run, and fetched once; weights are
        verified every time.

    Raises
    ------
    ModelUnavailableError
        If there is no champion or the MLflow server cannot be reached.
    ModelIntegrityError
        If the fetched weights are not the registered ones.
    """
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        return _fetched(client, _champion_version(client), cache_dir)


def registered(mlflow_uri: str, cache_dir: Path, number: str) -> ChampionRef:
    """A registered version, champion or not, its weights fetched and verified.

    A run that decided for a model keeps it, whatever is promoted meanwhile.

    Parameters
    ----------
    cache_dir
        As in :func:`champion`.
    number
        Of the version, as the registry counts.

    Raises
    ------
    ModelUnavailableError
        If there is no such version or the MLflow server cannot be reached.
    ModelIntegrityError
        If the fetched weights are not the registered ones.
    """
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        version = _existing(
            lambda: client.get_model_version(MODEL_NAME, number),
            f"{MODEL_NAME} has no version {number}",
            "Run the detections again: they take the champion of the day.",
        )
        return _fetched(client, version, cache_dir)


def _fetched(client: "MlflowClient", version: "ModelVersion", cache_dir: Path) -> ChampionRef:
    """A version with its weights in the cache, verified."""
    sha256 = version.tags.get("sha256", "")
    folder = cache_dir / sha256
    if not sha256 or version.run_id is None:
        raise ModelUnavailableError(
            f"{MODEL_NAME} version {version.version} was registered without sha256 or run",
            remedy="Register versions through AstrID, or point the alias at one that was.",
        )
    weights, card = folder / _WEIGHTS, folder / f"{version.run_id}.json"
    if not weights.exists():
        _download(client, version.run_id, _WEIGHTS, weights)
    if not card.exists():
        _download(client, version.run_id, _CARD, card)
    try:
        verify_weights(weights, sha256)
    except ModelIntegrityError:
        weights.unlink()  # a damaged cache must not outlive the refusal
        raise
    return _reference(version, weights, read_card(card))


def upsert_model(engine: Engine, row: Mapping[str, Any]) -> None:
    """Write a ``models`` row; a row of the same weights is brought up to date."""
    statement = insert(ModelRow).values(**row)
    changing = {name: statement.excluded[name] for name in row if name not in ("id", "sha256")}
    with engine.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changing))


# --- MLflow -------------------------------------------------------------------------------


def mlflow_client(uri: str) -> "MlflowClient":
    """Client of a tracking server and its registry."""
    # MLflow reads this while it is imported; it must report nothing to anyone.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into our error, naming the server."""
    try:
        yield
    except AstridError:
        raise
    except Exception as error:
        if not _is_mlflow_failure(error):
            raise
        raise ModelUnavailableError(
            f"the MLflow registry at {uri} failed: {error}",
            remedy="See that the MLflow server is up (astrid status) and reachable.",
        ) from error


def _is_mlflow_failure(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    return isinstance(error, MlflowException | RequestException | OSError)


def _ensure_registered_model(client: "MlflowClient") -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(
            MODEL_NAME, description="U-Net that tells real changes of the sky from artefacts."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_version(client: "MlflowClient", card: ModelCard) -> "ModelVersion | None":
    # The card names its weights.
    found = client.search_model_versions(f"name='{MODEL_NAME}' and tags.card='{_digest(card)}'")
    return min(found, key=lambda version: int(version.version), default=None)


def _register_shipped(client: "MlflowClient", weights: Path, card: ModelCard) -> "ModelVersion":
    """A finished MLflow run holding card and weights, and a version that points at it."""
    run_id = client.create_run(experiment_id(client), run_name=card.name).info.run_id
    try:
        for name, value in numbers(card.figures):
            client.log_metric(run_id, name, value)
        for name, value in card.training.items():
            client.log_param(run_id, name, value)
        _log_model(client, run_id, weights, card)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    description = f"{card.name}: shipped with AstrID, trained on simulated pairs."
    return _create_version(client, run_id, card, "bootstrap", description)


def experiment_id(client: "MlflowClient", name: str = MODEL_EXPERIMENT) -> str:
    """Id of an experiment, by default of that in which models are made; made if need be."""
    experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id if experiment else client.create_experiment(name))


def _log_model(client: "MlflowClient", run_id: str, weights: Path, card: ModelCard) -> None:
    client.set_tag(run_id, "sha256", card.sha256)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / _WEIGHTS
        named.write_bytes(weights.read_bytes())
        client.log_artifact(run_id, str(named), _FOLDER)
        described = Path(folder) / _DESCRIPTION
        _describe_model(card, run_id).save(str(described))
        client.log_artifact(run_id, str(described), _FOLDER)
    client.log_text(run_id, card.model_dump_json(indent=2), f"{_FOLDER}/{_CARD}")


def _describe_model(card: ModelCard, run_id: str) -> "Model":
    """What MLflow shows of a model: its signature, and that AstrID loads it."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    number, window = np.dtype("float32"), card.window_pix
    signature = ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, len(card.channels), window, window), "planes")]),
        outputs=Schema([TensorSpec(number, (-1, window, window), "log_odds")]),
    )
    model = Model(artifact_path=_FOLDER, run_id=run_id, signature=signature)
    model.add_flavor("astrid", weights=_WEIGHTS, card=_CARD)
    return model


def _create_version(
    client: "MlflowClient", run_id: str, card: ModelCard, origin: str, description: str
) -> "ModelVersion":
    return client.create_model_version(
        MODEL_NAME,
        source=f"runs:/{run_id}/{_FOLDER}",
        run_id=run_id,
        tags={"sha256": card.sha256, "card": _digest(card), "origin": origin},
        description=description,
    )


def _offer_alias(client: "MlflowClient", version: str) -> None:
    """Make a version champion unless somebody has decided otherwise."""
    model = client.get_registered_model(MODEL_NAME)
    current = model.aliases.get(CHAMPION)
    ours = model.tags.get(_ALIAS_SET_TO)
    taken_away = current is None and ours is not None
    moved = current is not None and str(current) != ours
    if taken_away or moved or str(current) == version:
        return
    # The alias first: should this stop half-way there is a champion, treated as chosen.
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    client.set_registered_model_tag(MODEL_NAME, _ALIAS_SET_TO, version)


def _champion_version(client: "MlflowClient") -> "ModelVersion":
    return _existing(
        lambda: client.get_model_version_by_alias(MODEL_NAME, CHAMPION),
        f"no version of {MODEL_NAME} is {CHAMPION}",
        f"Run astrid up, which registers the bootstrap model, or give a version "
        f"the alias '{CHAMPION}' in MLflow.",
    )


def _existing(fetch: "Callable[[], ModelVersion]", missing: str, remedy: str) -> "ModelVersion":
    """What MLflow has, or our error that says what is missing and what to do."""
    from mlflow.exceptions import MlflowException

    try:
        return fetch()
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ModelUnavailableError(missing, remedy=remedy) from error


def _download(client: "MlflowClient", run_id: str, name: str, path: Path) -> None:
    """Fetch one of a version's files beside its final place, then move it in whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as partial:
        Path(client.download_artifacts(run_id, f"{_FOLDER}/{name}", partial)).replace(path)


def _reference(version: "ModelVersion", weights: Path, card: ModelCard) -> ChampionRef:
    return ChampionRef(
        name=MODEL_NAME,
        version=str(version.version),
        sha256=card.sha256,
        weights=weights,
        card=card,
        model_id=derive_id("model", MODEL_NAME, card.sha256),
        mlflow_run_id=version.run_id,
    )


def _digest(card: ModelCard) -> str:
    return config_digest(card.model_dump(mode="json"))


def numbers(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Numeric leaves of nested figures as (dotted name, value)."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)
