"""A training run from dataset to registered model, and what is then decided of it.

Whoever asks, Dagster or a script, calls :func:`train_on_dataset` and :func:`promote_run`. A
run's row says at any time whether it is running, completed or failed, and so does MLflow's.
"""

import datetime as dt
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import torch
from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from astrid_core.detection.assess import uncalibrated
from astrid_core.detection.card import ModelCard
from astrid_core.detection.registry import (
    ChampionRef,
    champion,
    register_trained,
    registered,
    upsert_model,
)
from astrid_core.detection.unet import (
    RealBogusModel,
    choose_device,
    copied_weights,
    load_model,
    save_weights,
)
from astrid_core.errors import NoSuchItemError, TrainingRunError
from astrid_core.settings import Settings
from astrid_core.storage import ObjectStore
from astrid_core.training.audit import groups_learnt
from astrid_core.training.calibration import Calibrated, calibrate_on
from astrid_core.training.closing import failure, update_run
from astrid_core.training.config import TRAINING_VERSION, TrainingConfig
from astrid_core.training.evaluate import Evaluation, evaluate
from astrid_core.training.fitting import Fitted, Progress, fit
from astrid_core.training.judged import TestSet, judge
from astrid_core.training.promotion import (
    Offer,
    compare,
    last_decision,
    settle,
)
from astrid_core.training.report import ReportInput, report_html, worst_errors
from astrid_core.training.scoring import score_samples
from astrid_core.training.stored import StoredDataset, StoredSamples, open_samples, read_dataset
from astrid_core.training.tracking import TRAINING_TAG, Tracked, end_abandoned, tracked
from astrid_core.training.windows import WINDOW_PIX
from dbschema.models import Model, TrainingRun
from dbschema.transactions import in_transaction

LIMITS = (
    "Threshold and rate of components are those of the model before it: samples cannot tell "
    "them, whole frames could.",
    "Judged by detections that people validated: what no model or extraction ever proposed is "
    "not among them.",
)

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Order:
    """A training that somebody asked for.

    Attributes
    ----------
    mlflow_run_id
        MLflow's run, where it is open already.
    """

    run_id: UUID
    dataset_id: UUID
    config: TrainingConfig
    reason: str
    requested_by: str
    dagster_run_id: str | None = None
    mlflow_run_id: str | None = None


@dataclass(frozen=True)
class Workplace:
    """Where training reads and writes."""

    engine: Engine
    store: ObjectStore
    mlflow_uri: str
    cache_dir: Path

    @classmethod
    def of(cls, engine: Engine, settings: Settings) -> "Workplace":
        """The one that settings name."""
        store = ObjectStore.from_settings(settings)
        return cls(engine, store, settings.mlflow_uri, settings.cache_dir)

    def dataset(self, dataset_id: UUID) -> StoredDataset:
        """A dataset's rows."""
        return in_transaction(self.engine, lambda connection: read_dataset(connection, dataset_id))

    def samples(self, dataset: StoredDataset) -> StoredSamples:
        """Its samples, in files here."""
        return open_samples(dataset, self.store, self.cache_dir / "shards")

    def checkpoint(self, run_id: UUID) -> Path:
        """File that an unfinished run goes on from."""
        return self.cache_dir / "training" / f"{run_id}.pt"

    def champion(self) -> ChampionRef:
        """The model in force."""
        return champion(self.mlflow_uri, self.cache_dir)


@dataclass(frozen=True)
class Trained:
    """A completed run."""

    model: ChampionRef
    parent: ChampionRef
    fitted: Fitted
    evaluation: Evaluation
    mlflow_run_id: str


def train_on_dataset(order: Order, place: Workplace, report: Report) -> Trained:
    """Train, calibrate, evaluate and register a model; its row ends completed or failed.

    A run that was interrupted goes on from its checkpoint when it is asked for again.

    Raises
    ------
    DatasetQualityError
        If the dataset is not active, or a split lacks a class.
    TrainingRunError
        If the run is completed already.
    NoSuchItemError, StoreError, ObjectCorruptError, ModelUnavailableError, DatabaseError
        If something of the kind fails.
    """
    dataset = place.dataset(order.dataset_id)
    _begin(order, place)
    try:
        dataset.require_active()
        tags = {TRAINING_TAG: str(order.run_id), "dagster_run_id": order.dagster_run_id or ""}
        name = f"training_{order.run_id}"
        with tracked(place.mlflow_uri, name, tags, run_id=order.mlflow_run_id) as run:
            update_run(place.engine, order.run_id, {"mlflow_run_id": run.run_id})
            trained = _train(order, place, dataset, run, report)
        _complete(order, place, trained)
    except BaseException as error:
        _fail(order, place, error)
        raise
    place.checkpoint(order.run_id).unlink(missing_ok=True)
    return trained


def promote_run(run_id: UUID, place: Workplace, decided_by: str) -> dict[str, Any]:
    """Compare a completed run's model with the champion of now, and decide.

    Returns
    -------
    The row of ``promotions``; that of before where the model is champion already.

    Raises
    ------
    TrainingRunError
        If the run made no model.
    NoSuchItemError, StoreError, ModelUnavailableError, DatabaseError
        If something of the kind fails.
    """
    row = _run_row(place.engine, run_id)
    if row["status"] != "completed":
        raise TrainingRunError(
            f"Training run {run_id} is {row['status']}: it offers no model.",
            remedy="Train first: materialize its training_runs partition.",
        )
    candidate = _model_of(place, row["model_id"])
    incumbent = place.champion()
    if candidate.model_id == incumbent.model_id:
        made = in_transaction(
            place.engine, lambda connection: last_decision(connection, candidate.model_id)
        )
        if made is not None:
            return made
    samples = place.samples(place.dataset(row["dataset_id"])).of_split("test")
    test = TestSet.of(samples.records)
    ours, theirs = (judge(_loaded(ref), samples) for ref in (candidate, incumbent))
    comparison = compare(test, ours, theirs, candidate.card, incumbent.card)
    offer = Offer(run_id, row["dataset_id"], candidate, incumbent, comparison)
    return settle(place.engine, place.mlflow_uri, offer, decided_by)


# --- training -----------------------------------------------------------------------------


def _train(
    order: Order, place: Workplace, dataset: StoredDataset, run: Tracked, report: Report
) -> Trained:
    config = order.config
    device = choose_device(config.device)
    parent = place.champion()
    upsert_model(place.engine, parent.row())
    is_tuned = config.start_from == "champion"
    update_run(
        place.engine, order.run_id, {"parent_model_id": parent.model_id if is_tuned else None}
    )
    run.params(_params(order, dataset, parent))
    run.dataset(dataset)
    samples = place.samples(dataset)
    train, val, tests = (samples.of_split(split) for split in ("train", "val", "test"))
    test = TestSet.of(tests.records)  # refused now rather than after an hour
    incumbent = _loaded(parent, config)

    def advance(now: Progress) -> None:
        run.progress(now)
        report(now)

    fitted = fit(
        train,
        val,
        parent.card.architecture,
        copied_weights(incumbent.network) if is_tuned else None,
        config,
        device,
        checkpoint=place.checkpoint(order.run_id),
        report=advance,
    )
    run.flush()
    with tempfile.TemporaryDirectory(prefix="astrid-training-") as folder:
        weights = Path(folder) / "weights.safetensors"
        sha256 = save_weights(fitted.network, weights)
        model = _calibrated(order, dataset, parent, fitted, sha256, val, device)
        judgement = judge(model, tests)
        theirs = judge(incumbent, tests)
        evaluation = evaluate(test, judgement, model.card.threshold, theirs)
        card = model.card.model_copy(update={"figures": {"test": evaluation.to_json()}})
        run.figures({"test": evaluation.to_json()})
        worst, confidence = worst_errors(test, judgement, tests)
        page = ReportInput(
            title=f"Training {order.run_id}",
            facts=_params(order, dataset, parent) | {"best step": fitted.best_step},
            fitted=fitted,
            test=test,
            judgement=judgement,
            evaluation=evaluation,
            worst=worst,
            worst_confidence=confidence,
        )
        run.page(report_html(page))
        ref = register_trained(place.mlflow_uri, place.store, weights, card, run.run_id)
    return Trained(ref, parent, fitted, evaluation, run.run_id)


def _calibrated(
    order: Order,
    dataset: StoredDataset,
    parent: ChampionRef,
    fitted: Fitted,
    sha256: str,
    val: StoredSamples,
    device: torch.device,
) -> RealBogusModel:
    card = ModelCard(
        name=f"realbogus-{str(order.run_id)[:8]}",
        sha256=sha256,
        architecture=parent.card.architecture,
        window_pix=WINDOW_PIX,
        data=_data(order.config, dataset, parent),
        training={},
        figures={},
        limits=LIMITS,
        **uncalibrated(),
    )
    network = fitted.network.to(device).requires_grad_(False)
    model = RealBogusModel(network, card, sha256, device)
    scores = score_samples(model.logits, val)
    calibrated = calibrate_on(list(val.records), scores, parent.card)
    training = _training(order, parent, fitted, calibrated, device)
    fields = calibrated.fields | {"training": training}
    return replace(model, card=card.model_copy(update=fields))


def _data(config: TrainingConfig, dataset: StoredDataset, parent: ChampionRef) -> dict[str, Any]:
    """What a model has seen, its ancestors' data included: no leak is forgotten."""
    groups = {record.group_key for record in dataset.records if record.split != "test"}
    inherited: Mapping[str, Any] = {}
    if config.start_from == "champion":
        groups |= groups_learnt(parent.card.data)
        inherited = parent.card.data
    return {
        **inherited,
        "dataset": {
            "id": str(dataset.id),
            "name": dataset.row["name"],
            "version": dataset.row["version"],
            "digest": dataset.row["digest"],
            "groups": sorted(groups),
        },
    }


def _training(
    order: Order,
    parent: ChampionRef,
    fitted: Fitted,
    calibrated: Calibrated,
    device: torch.device,
) -> dict[str, Any]:
    return {
        **order.config.model_dump(mode="json"),
        "training_run_id": str(order.run_id),
        "code_version": TRAINING_VERSION,
        "parent_sha256": parent.sha256 if order.config.start_from == "champion" else None,
        "loss": "BCE, masked mean over source discs + masked mean over quiet sky",
        "augmentation": "8 symmetries of the square, exchange of science and reference, jitter",
        "best_step": fitted.best_step,
        "stopped_early": fitted.stopped_early,
        "candidates_calibrated_on": calibrated.candidates_on,
        "components_calibrated_on": calibrated.components_on,
        "trained_on_device": device.type,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def _params(order: Order, dataset: StoredDataset, parent: ChampionRef) -> dict[str, Any]:
    return {
        "dataset_id": str(dataset.id),
        "dataset": f"{dataset.row['name']} version {dataset.row['version']}",
        "dataset_digest": dataset.row["digest"],
        "champion_version": parent.version,
        "reason": order.reason,
        "requested_by": order.requested_by,
        **order.config.model_dump(mode="json"),
    }


def _loaded(ref: ChampionRef, config: TrainingConfig | None = None) -> RealBogusModel:
    device = "auto" if config is None else config.device
    return load_model(ref.weights, ref.card, ref.sha256, device)


# --- rows ---------------------------------------------------------------------------------


def _begin(order: Order, place: Workplace) -> None:
    """The row of a run that begins, or begins again."""
    table = TrainingRun.__table__
    query = select(table.c.status, table.c.mlflow_run_id).where(table.c.id == order.run_id)
    before = in_transaction(place.engine, lambda connection: connection.execute(query).first())
    if before is not None and before.status == "completed":
        raise TrainingRunError(
            f"Training run {order.run_id} is completed.",
            remedy="Ask for another training: each has an id of its own.",
        )
    if before is not None and before.mlflow_run_id is not None:
        end_abandoned(place.mlflow_uri, before.mlflow_run_id)
    values = {
        "id": order.run_id,
        "dataset_id": order.dataset_id,
        "training_params": order.config.model_dump(mode="json"),
        "status": "running",
        "started_at": dt.datetime.now(dt.UTC),
        "code_version": TRAINING_VERSION,
        "reason": order.reason,
        "requested_by": order.requested_by,
        "dagster_run_id": order.dagster_run_id,
        "mlflow_run_id": order.mlflow_run_id,
    }
    cleared = {"completed_at": None, "error_type": None, "error_message": None}
    statement = insert(TrainingRun).values(**values)
    in_transaction(
        place.engine,
        lambda connection: connection.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_=values | cleared)
        ),
    )


def _complete(order: Order, place: Workplace, trained: Trained) -> None:
    upsert_model(place.engine, trained.model.row())
    update_run(
        place.engine,
        order.run_id,
        {
            "status": "completed",
            "completed_at": dt.datetime.now(dt.UTC),
            "model_id": trained.model.model_id,
            "performance_metrics": trained.evaluation.to_json(),
        },
    )


def _fail(order: Order, place: Workplace, error: BaseException) -> None:
    text = str(error) or "interrupted"
    update_run(place.engine, order.run_id, failure(type(error).__name__, text))


def _run_row(engine: Engine, run_id: UUID) -> dict[str, Any]:
    table = TrainingRun.__table__
    query = select(table).where(table.c.id == run_id)
    row = in_transaction(engine, lambda connection: connection.execute(query).mappings().first())
    if row is None:
        raise NoSuchItemError(
            f"There is no training run {run_id}.", remedy="Train first: astrid train DATASET_ID."
        )
    return dict(row)


def _model_of(place: Workplace, model_id: UUID) -> ChampionRef:
    query = select(Model.version).where(Model.id == model_id)
    version = in_transaction(place.engine, lambda connection: connection.scalar(query))
    return registered(place.mlflow_uri, place.cache_dir, str(version))
