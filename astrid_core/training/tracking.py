"""A training run in MLflow: curves, parameters, data, report; ended whatever happens."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from astrid_core.detection.registry import (
    MODEL_EXPERIMENT,
    experiment_id,
    mlflow_client,
    mlflow_errors,
    numbers,
)
from astrid_core.training.stored import StoredDataset

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from astrid_core.training.fitting import Progress

TRAINING_TAG = "astrid.training_run"
DIGEST_CHARS = 36
"""MLflow keeps no more of a digest."""

_SENT_AT_ONCE = 50


class Tracked:
    """One MLflow run; losses are sent some at a time."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._waiting: list[tuple[str, float, int]] = []

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""
        for name, value in values.items():
            self.client.log_param(self.run_id, name, value)

    def dataset(self, dataset: StoredDataset) -> None:
        """Log which frozen dataset was learnt from, by its digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = f"astrid://training/datasets/{dataset.id}"
        named = Dataset(
            name=f"{dataset.row['name']} v{dataset.row['version']}",
            digest=str(dataset.row["digest"])[:DIGEST_CHARS],
            source_type="astrid",
            source=source,
        )
        tag = InputTag(key="mlflow.data.context", value="training")
        self.client.log_inputs(self.run_id, [DatasetInput(named, [tag])])

    def progress(self, now: "Progress") -> None:
        """Keep a step's losses; sent when there are some, and at the end."""
        self._waiting.append(("loss", now.loss, now.step))
        if now.validation is not None:
            self._waiting.append(("val_loss", now.validation.loss, now.step))
            precision = now.validation.average_precision
            self._waiting.append(("val_average_precision", precision, now.step))
        if len(self._waiting) >= _SENT_AT_ONCE or now.step == now.steps:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        import time

        from mlflow.entities import Metric

        at_ms = int(time.time() * 1000)
        self.client.log_batch(
            self.run_id, [Metric(name, value, at_ms, step) for name, value, step in self._waiting]
        )
        self._waiting.clear()

    def figures(self, values: Mapping[str, Any]) -> None:
        """Log every number of nested figures by its dotted name."""
        for name, value in numbers(values):
            self.client.log_metric(self.run_id, name, value)

    def page(self, html: str) -> None:
        """Keep the report."""
        self.client.log_text(self.run_id, html, "report.html")


@contextmanager
def tracked(
    mlflow_uri: str,
    name: str,
    tags: Mapping[str, str],
    experiment: str = MODEL_EXPERIMENT,
    run_id: str | None = None,
) -> Iterator[Tracked]:
    """An MLflow run that ends with what is done in it: finished, failed or killed.

    Parameters
    ----------
    run_id
        Of a run that who asks has opened; None opens one in ``experiment``.

    Raises
    ------
    ModelUnavailableError
        If the MLflow server failed.
    """
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        if run_id is None:
            run_id = client.create_run(
                experiment_id(client, experiment), run_name=name, tags=dict(tags)
            ).info.run_id
        else:
            client.update_run(run_id, name=name)
            for tag, value in tags.items():
                client.set_tag(run_id, tag, value)
    run = Tracked(client, run_id)
    try:
        yield run
    except Exception:
        client.set_terminated(run_id, "FAILED")
        raise
    except BaseException:
        client.set_terminated(run_id, "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED")


def end_abandoned(mlflow_uri: str, run_id: str) -> None:
    """Mark a run failed that nobody is in any more: its process died without a word.

    Raises
    ------
    ModelUnavailableError
        If the MLflow server failed.
    """
    with mlflow_errors(mlflow_uri):
        client = mlflow_client(mlflow_uri)
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_terminated(run_id, "FAILED")


def latest_step(mlflow_uri: str, run_id: str) -> int:
    """The last step whose loss was sent; 0 before the first.

    Raises
    ------
    ModelUnavailableError
        If the MLflow server failed.
    """
    with mlflow_errors(mlflow_uri):
        history = mlflow_client(mlflow_uri).get_metric_history(run_id, "loss")
    return max((metric.step for metric in history), default=0)
