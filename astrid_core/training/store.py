"""Samples' rows of a frozen dataset."""

from uuid import UUID

from sqlalchemy import Connection, select

from astrid_core.training.samples import SampleRecord
from dbschema.models import TrainingSample


def read_records(connection: Connection, dataset_id: UUID) -> list[SampleRecord]:
    """Records of a dataset, in its order."""
    columns = TrainingSample.__table__.columns
    names = ("id", "position", "split", "label_source", "group_key", "sha256", "labels", "metadata")
    rows = connection.execute(
        select(*(columns[name] for name in names))
        .where(columns["dataset_id"] == dataset_id)
        .order_by(columns["position"])
    )
    return [SampleRecord(**dict(row._mapping)) for row in rows]
