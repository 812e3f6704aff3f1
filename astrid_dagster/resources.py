"""Dagster's handles on the outside: object store, database, runs done before, champion.

Nothing secret is in a resource's configuration, which Dagster shows and logs: addresses
and keys come from the settings, in the process that uses them.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

import dagster as dg
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    Uuid,
    any_,
    inspect,
    literal,
    select,
)

from astrid_core.curation.measurements import measurements_of
from astrid_core.detection.registry import ChampionRef, champion, mlflow_errors, registered
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.monitoring.alerts import Sighting, note_deliveries, resolve, sight, tell
from astrid_core.monitoring.health import Health, measure_health
from astrid_core.settings import get_settings
from astrid_core.storage import ObjectStore
from astrid_core.training.collect import CollectionPlan, plan_collection
from astrid_core.training.dataset_tracking import note_logged
from astrid_core.training.request import CollectionRequest
from astrid_core.training.stored import StoredDataset, read_dataset
from astrid_dagster.io_managers.selects import (
    Rows,
    changes_query,
    epochs_query,
    forced_runs_query,
    sightings_query,
)
from dbschema.models import Base, CatalogueAnswer
from dbschema.session import make_engine
from dbschema.transactions import in_transaction

_USABLE = ("completed", "degraded")
_Result = TypeVar("_Result")


class StoreResource(dg.ConfigurableResource):
    """The object store that the settings name."""

    def open(self) -> ObjectStore:
        """A client; cheap, connects at first use, may be sent to worker processes."""
        return ObjectStore.from_settings(get_settings())


class DatabaseResource(dg.ConfigurableResource):
    """The database that the settings name."""

    def engine(self) -> Engine:
        """Engine on the database, one per process; connects at first use."""
        return _engine(get_settings().database_url.get_secret_value())

    def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do work in one transaction, again when the database failed for the moment.

        Raises
        ------
        DatabaseError
            As :func:`~dbschema.transactions.in_transaction` does.
        """
        return in_transaction(self.engine(), work)


class RunLedger(dg.ConfigurableResource):
    """What has been done before: so that no run is done twice, and other nights are known."""

    database: DatabaseResource

    def completed(self, table: type[Base], run_ids: Sequence[UUID]) -> dict[UUID, str]:
        """Status of those runs that gave a result (``completed`` or ``degraded``).

        Parameters
        ----------
        table
            Model of a run table.
        run_ids
            Runs asked for.
        """
        return {
            run_id: row["status"] for run_id, row in self.completed_rows(table, run_ids).items()
        }

    def completed_rows(
        self, table: type[Base], run_ids: Sequence[UUID]
    ) -> dict[UUID, dict[str, Any]]:
        """Whole rows of those runs that gave a result, in the order asked.

        Handed on to the Postgres IO manager as they are, they select the runs again.
        """
        columns = table.__table__.columns
        wanted = (
            columns["run_id"] == any_(literal(list(run_ids), ARRAY(Uuid))),
            columns["status"].in_(_USABLE),
        )
        found = {row["run_id"]: row for row in self._rows(table, *wanted)}
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    def row(self, table: type[Base], row_id: UUID) -> dict[str, Any] | None:
        """The row with a primary key, None where there is none."""
        (key,) = inspect(table).primary_key
        return next(iter(self._rows(table, key == row_id)), None)

    def epochs(self, survey: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        """Rows of the current difference images of fields, of every night."""
        return self._fetch(epochs_query(survey, fields))

    def measured(self, difference_run_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """The forced run whose measurements each of these difference images has, by its id."""
        return {row["run_id"]: row for row in self._fetch(forced_runs_query(difference_run_ids))}

    def changes(self, observation_ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Pixels of observations at which objects were detected."""
        return self._fetch(changes_query(observation_ids))

    def measurements(self, object_id: UUID) -> list[dict[str, Any]]:
        """Rows of an object's forced photometry on current difference images."""
        return self.database.run(lambda connection: measurements_of(connection, object_id))

    def sightings(self, survey: str, night: dt.date) -> list[dict[str, Any]]:
        """Rows of a night's science observations and the objects' detections on them."""
        return self._fetch(sightings_query(survey, night))

    def answers(self, answer_ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        """What catalogues answered before, by the ids of the questions."""
        wanted = CatalogueAnswer.id == any_(literal(list(answer_ids), ARRAY(Uuid)))
        return {row["id"]: row for row in self._rows(CatalogueAnswer, wanted)}

    def _rows(self, table: type[Base], *where: ColumnElement[bool]) -> list[dict[str, Any]]:
        return self._fetch(select(table.__table__).where(*where))

    def _fetch(self, query: Rows) -> list[dict[str, Any]]:
        return self.database.run(
            lambda connection: [dict(row) for row in connection.execute(query).mappings()]
        )


class TrainingLedger(dg.ConfigurableResource):
    """What training data there is, and what it may be made of."""

    database: DatabaseResource

    def plan_collection(
        self,
        dataset_id: UUID,
        request: CollectionRequest,
        requested_by: str,
        differencing: Mapping[str, DifferenceConfig],
    ) -> CollectionPlan:
        """Decide what a dataset is made of.

        Raises
        ------
        DatasetFrozenError, EmptyDatasetError, TooFewGroupsError
            As :func:`astrid_core.training.collect.plan_collection` does.
        """
        return self.database.run(
            lambda c: plan_collection(c, dataset_id, request, requested_by, differencing)
        )

    def dataset(self, dataset_id: UUID) -> StoredDataset:
        """A dataset's rows.

        Raises
        ------
        NoSuchItemError
            If there is none.
        """
        return self.database.run(lambda c: read_dataset(c, dataset_id))

    def health(self, now: dt.datetime) -> Health:
        """Health of what models are trained on, as of a moment."""
        return self.database.run(lambda c: measure_health(c, now))

    def note_logged(self, dataset_id: UUID, mlflow_run_id: str) -> None:
        """Keep the MLflow run of a dataset."""
        self.database.run(lambda c: note_logged(c, dataset_id, mlflow_run_id))


class AlertsResource(dg.ConfigurableResource):
    """People who are to be told, by the channels that the settings name."""

    database: DatabaseResource

    def raise_alert(self, seen: Sighting) -> bool:
        """Record a sighting and tell people unless they know; whether they were told.

        A channel that fails is recorded, and asked again at the next sighting.
        """
        alert_id, is_due = self.database.run(lambda c: sight(c, seen))
        if is_due:
            urls = get_settings().alert_urls
            deliveries = tell(seen, urls.get_secret_value().split() if urls else ())
            self.database.run(lambda c: note_deliveries(c, alert_id, deliveries))
        return is_due

    def resolve(self, fingerprint: str) -> None:
        """Say that it is over."""
        self.database.run(lambda c: resolve(c, fingerprint))


class ChampionResource(dg.ConfigurableResource):
    """The model in force, as the MLflow registry says when it is asked."""

    def resolve(self) -> ChampionRef:
        """The champion of this moment, its weights fetched and verified.

        Raises
        ------
        ModelUnavailableError, ModelIntegrityError
            As :func:`astrid_core.detection.registry.champion` does.
        """
        settings = get_settings()
        return champion(settings.mlflow_uri, settings.cache_dir)

    def fetch(self, version: str) -> ChampionRef:
        """A registered version, though another be champion by now.

        Raises
        ------
        ModelUnavailableError, ModelIntegrityError
            As :func:`astrid_core.detection.registry.registered` does.
        """
        settings = get_settings()
        return registered(settings.mlflow_uri, settings.cache_dir, version)


class TrackingResource(dg.ConfigurableResource):
    """MLflow's run of a Dagster run, as dagster-mlflow opens it: tagged with who runs it."""

    @contextmanager
    def run(self, context: dg.AssetExecutionContext, experiment: str) -> Iterator[str]:
        """The id of a run in an experiment, which is over when the context is left.

        How it ended is said by what tracks in it; if nothing did, it failed.

        Raises
        ------
        ModelUnavailableError
            If the MLflow server failed.
        """
        # Imported here: MLflow takes seconds, and the code location loads without it.
        import mlflow
        from dagster_mlflow import mlflow_tracking

        uri = get_settings().mlflow_uri
        config = {"experiment_name": experiment, "mlflow_tracking_uri": uri}
        with ExitStack() as stack:
            with mlflow_errors(uri):
                stack.enter_context(
                    dg.build_resources(
                        {"mlflow": mlflow_tracking.configured(config)},
                        instance=context.instance,
                        dagster_run=context.run,
                        log_manager=context.log,
                    )
                )
                run_id = str(mlflow.active_run().info.run_id)
            try:
                yield run_id
            finally:
                with mlflow_errors(uri):
                    status = mlflow.get_run(run_id).info.status
                    mlflow.end_run("FAILED" if status == "RUNNING" else status)


@lru_cache(maxsize=4)
def _engine(url: str) -> Engine:
    return make_engine(url)
