"""How much there is of everything, counted in the database: for dashboards and alarms.

What belongs here: counts of rows, with what they are counted by. What does not: how they
are told to whoever asks (``astrid_api.metrics``).

Frames and their failures are counted by what is current: one that failed and was then
processed well is no longer a failure. Candidates and detections are summed over runs, which
are few, and not counted, for there are ten millions of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, func, literal, select, union_all

from astrid_core.curation.backlog import count_waiting
from dbschema.models import (
    Alert,
    Base,
    DetectionConsensus,
    IngestRun,
    Observation,
    Survey,
    TrainingDataset,
    TrainingRun,
    TrainingSample,
    ValidationEvent,
)
from dbschema.views import (
    current_difference_runs,
    current_extraction_runs,
    current_model_runs,
    current_preprocess_runs,
)

_STAGES: tuple[tuple[str, Table], ...] = (
    ("preprocess", current_preprocess_runs),
    ("difference", current_difference_runs),
    ("extraction", current_extraction_runs),
    ("detection", current_model_runs),
)

Query = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Tally:
    """A count of something, by its labels.

    Attributes
    ----------
    name
        As metrics are named: what, and the unit where it has one.
    help
        What is counted, in a sentence.
    labels
        What it is counted by.
    values
        (value of each label …, number).
    """

    name: str
    help: str
    labels: tuple[str, ...]
    values: tuple[tuple[tuple[str, ...], float], ...]


@dataclass(frozen=True)
class _Counted:
    """How a tally is made: a query whose last column is the number."""

    name: str
    help: str
    labels: tuple[str, ...]
    query: Callable[[], Query]


def count_all(connection: Connection) -> Iterator[Tally]:
    """Every tally."""
    for one in _COUNTED:
        rows = connection.execute(one.query()).all()
        values = tuple(
            (tuple("" if value is None else str(value) for value in row[:-1]), float(row[-1]))
            for row in rows
            if row[-1] is not None
        )
        yield Tally(one.name, one.help, one.labels, values)
    waiting = count_waiting(connection)
    yield Tally(
        "astrid_review_waiting_detections",
        "Detections that await a verdict.",
        (),
        (((), float(waiting)),),
    )


# --- nights -------------------------------------------------------------------------------


def _by_stage(
    columns: Callable[[Table], Sequence[Any]], where: Callable[[Table], Any] | None = None
) -> Query:
    """Current runs of every stage, by survey."""
    parts: list[Query] = []
    for stage, runs in _STAGES:
        query: Query = (
            select(Survey.name, literal(stage).label("stage"), *columns(runs))
            .select_from(runs)
            .join(Observation, Observation.id == runs.columns.observation_id)
            .join(Survey, Survey.id == Observation.survey_id)
        )
        parts.append(query if where is None else query.where(where(runs)))
    together = union_all(*parts).subquery()
    names = list(together.columns)
    return select(*names, func.count()).group_by(*names)


def _frames() -> Query:
    return _by_stage(lambda runs: (runs.columns.status,))


def _failures() -> Query:
    return _by_stage(
        lambda runs: (runs.columns.error_type,), lambda runs: runs.columns.status == "failed"
    )


def _files() -> Query:
    return (
        select(Survey.name, IngestRun.status, IngestRun.error_type, func.count())
        .join(Survey, Survey.id == IngestRun.survey_id)
        .group_by(Survey.name, IngestRun.status, IngestRun.error_type)
    )


def _observations() -> Query:
    return (
        select(Survey.name, Observation.frame_kind, func.count())
        .join(Survey, Survey.id == Observation.survey_id)
        .group_by(Survey.name, Observation.frame_kind)
    )


def _latest_nights() -> Query:
    latest = func.extract("epoch", func.max(Observation.night))
    return (
        select(Survey.name, latest)
        .join(Survey, Survey.id == Observation.survey_id)
        .group_by(Survey.name)
    )


def _latest_detected_nights() -> Query:
    latest = func.extract("epoch", func.max(Observation.night))
    return (
        select(Survey.name, latest)
        .select_from(current_model_runs)
        .join(Observation, Observation.id == current_model_runs.columns.observation_id)
        .join(Survey, Survey.id == Observation.survey_id)
        .where(current_model_runs.columns.status != "failed")
        .group_by(Survey.name)
    )


def _summed(runs: Table, column: str) -> Query:
    return (
        select(Survey.name, func.sum(runs.columns[column]))
        .select_from(runs)
        .join(Observation, Observation.id == runs.columns.observation_id)
        .join(Survey, Survey.id == Observation.survey_id)
        .group_by(Survey.name)
    )


# --- people and training ------------------------------------------------------------------


def _by(model: type[Base], column: str) -> Query:
    by = model.__table__.columns[column]
    return select(by, func.count()).group_by(by)


def _open_alerts() -> Query:
    return (
        select(Alert.severity, func.count())
        .where(Alert.resolved_at.is_(None))
        .group_by(Alert.severity)
    )


_COUNTED = (
    _Counted(
        "astrid_files",
        "Files of archives by what became of them.",
        ("survey", "status", "error_type"),
        _files,
    ),
    _Counted("astrid_observations", "Observations.", ("survey", "frame_kind"), _observations),
    _Counted(
        "astrid_frames",
        "Observations by the outcome of their current run of each stage.",
        ("survey", "stage", "status"),
        _frames,
    ),
    _Counted(
        "astrid_frames_failed",
        "Observations whose current run of a stage failed, by error.",
        ("survey", "stage", "error_type"),
        _failures,
    ),
    _Counted(
        "astrid_latest_night_timestamp_seconds",
        "Newest night with observations: midnight UTC of its date.",
        ("survey",),
        _latest_nights,
    ),
    _Counted(
        "astrid_latest_detected_night_timestamp_seconds",
        "Newest night that a model has judged: midnight UTC of its date.",
        ("survey",),
        _latest_detected_nights,
    ),
    _Counted(
        "astrid_candidates",
        "Candidates of current searches.",
        ("survey",),
        lambda: _summed(current_extraction_runs, "n_candidates"),
    ),
    _Counted(
        "astrid_detections",
        "Detections of current model runs.",
        ("survey",),
        lambda: _summed(current_model_runs, "n_detections"),
    ),
    _Counted(
        "astrid_verdicts",
        "Verdicts and withdrawals that people gave.",
        ("verdict",),
        lambda: _by(ValidationEvent, "verdict"),
    ),
    _Counted(
        "astrid_labels",
        "Detections judged, by what the verdicts add up to.",
        ("label",),
        lambda: _by(DetectionConsensus, "label"),
    ),
    _Counted(
        "astrid_training_datasets",
        "Training datasets.",
        ("status",),
        lambda: _by(TrainingDataset, "status"),
    ),
    _Counted(
        "astrid_training_samples",
        "Samples of all training datasets.",
        ("label_source",),
        lambda: _by(TrainingSample, "label_source"),
    ),
    _Counted(
        "astrid_training_runs",
        "Training runs.",
        ("status",),
        lambda: _by(TrainingRun, "status"),
    ),
    _Counted("astrid_open_alerts", "Alerts that are not over.", ("severity",), _open_alerts),
)
