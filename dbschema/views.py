"""Typed tables over the views that name what is current.

The views' SQL lives in the migrations alone; here are their columns, for queries. They
have a ``MetaData`` of their own, so that nothing takes them for tables to create.
"""

from uuid import UUID

from sqlalchemy import Column, MetaData, Table, Text, Uuid

from dbschema.models import (
    Base,
    DifferenceRun,
    ExtractionRun,
    ModelRun,
    PreprocessRun,
    ReferenceFrame,
)

views = MetaData()


def _over(model: type[Base], *first: Column[UUID]) -> Table:
    """Table object of ``current_<table>``, with the model's columns after ``first``."""
    names = {column.name for column in first}
    columns = model.__table__.columns
    return Table(
        f"current_{model.__tablename__}",
        views,
        *first,
        *(Column(c.name, c.type, comment=c.comment) for c in columns if c.name not in names),
    )


def _observation_id() -> Column[UUID]:
    return Column("observation_id", Uuid(), comment="observation the run is current for")


current_preprocess_runs = _over(PreprocessRun, _observation_id())
current_difference_runs = _over(DifferenceRun, _observation_id())
current_extraction_runs = _over(ExtractionRun, _observation_id())
current_model_runs = _over(ModelRun, _observation_id())
current_reference_frames = _over(ReferenceFrame)
observation_status = Table(
    "observation_status",
    views,
    _observation_id(),
    Column("stage", Text(), comment="ingest, preprocess, difference, extraction or model"),
    Column("status", Text(), comment="status of that stage's current run"),
    Column("run_id", Uuid(), comment="that run; null for ingest"),
    Column("error_type", Text(), comment="class of the error, when failed"),
    Column("error_message", Text(), comment="error with numbers and remedy"),
)
