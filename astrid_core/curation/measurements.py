"""Forced measurements of an object, as its light curve is made of."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from dbschema.models import ForcedPhotometry, Observation
from dbschema.views import current_difference_runs


def measurements_of(connection: Connection, object_id: UUID) -> list[dict[str, Any]]:
    """Forced photometry of an object on current difference images.

    Returns
    -------
    Rows of ``forced_photometry`` with what
    :func:`~astrid_core.curation.lightcurve.assemble_light_curve` needs of their images.
    """
    runs, observation = current_difference_runs.columns, Observation.__table__.columns
    query = (
        select(
            ForcedPhotometry.__table__,
            runs["flux_ratio"],
            runs["reference_id"],
            observation["observation_time"],
            observation["filter_band"],
        )
        .join(current_difference_runs, runs["run_id"] == ForcedPhotometry.difference_run_id)
        .join(Observation, observation["id"] == runs["observation_id"])
        .where(ForcedPhotometry.object_id == object_id)
        .order_by(ForcedPhotometry.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
