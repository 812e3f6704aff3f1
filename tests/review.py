"""People, what they are shown and what they say of it, as tests need them."""

import datetime as dt
import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or

from astrid_core.curation.access import KnownUser, Role, add_user
from astrid_core.curation.events import Judgement, Recorded, record_verdict
from astrid_core.curation.inherit import inherit_verdicts
from astrid_core.extraction.cutouts import F32, write_cutouts
from astrid_core.storage import ObjectStore
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    ForcedPhotometry,
    ForcedRun,
    Model,
    ModelRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    SkyObject,
    Survey,
)
from tests import rows

DAY = dt.timedelta(days=1)
_numbers = itertools.count()


def reviewer(connection: Connection, role: Role = "reviewer") -> KnownUser:
    """One more reviewer."""
    return add_user(connection, f"reviewer {next(_numbers)}", role)


def expert(connection: Connection) -> KnownUser:
    """One more expert."""
    return add_user(connection, f"expert {next(_numbers)}", is_expert=True)


def judgement(
    connection: Connection, detection_id: UUID, verdict: str = "real", **changes: Any
) -> Judgement:
    """What a reviewer's client would send who was shown the detection."""
    shown = select(Detection.cutout_sha256).where(Detection.id == detection_id)
    values = {"idempotency_key": f"key {next(_numbers)}"} | changes
    return Judgement(detection_id, verdict, cutout_sha256=connection.scalar(shown), **values)


def judge(
    connection: Connection,
    by: KnownUser,
    detection_id: UUID,
    verdict: str = "real",
    **changes: Any,
) -> Recorded:
    """Record a verdict."""
    return record_verdict(connection, by, judgement(connection, detection_id, verdict, **changes))


def store_detections(
    connection: Connection,
    confidences: Sequence[float],
    number: int = 0,
    version: str = "1",
    status: str = "completed",
    **changes: object,
) -> list[UUID]:
    """Detections of one more run on an observation, 20 pixels apart, and all that they are of.

    Another version finds the same sources again.

    Parameters
    ----------
    status
        Of the difference image.
    changes
        To the rows of the candidates.
    """
    model, observation = rows.model_row(version), rows.observation_row(number)
    processed = rows.preprocess_row(observation)
    difference = rows.difference_row(processed, version, status=status)
    run = rows.model_run_row(difference, model, version)
    for table, row in (
        (Survey, rows.survey_row()),
        (Model, model),
        (Observation, observation),
        (PreprocessRun, processed),
        (DifferenceRun, difference),
        (ModelRun, run),
    ):
        connection.execute(insert_or(table).values(**row).on_conflict_do_nothing())
    candidates = [
        rows.candidate_row(difference, 20.0 * i, 30.0, **changes) for i in range(len(confidences))
    ]
    detections = [
        rows.detection_row(run, candidate, confidence_score=confidence)
        for candidate, confidence in zip(candidates, confidences, strict=True)
    ]
    connection.execute(insert(Candidate), candidates)
    connection.execute(insert(Detection), detections)
    return [row["id"] for row in detections]


def store_cutouts(
    connection: Connection, store: ObjectStore, stack: F32, path: Path, **changes: Any
) -> list[UUID]:
    """A detection per cutout, stored as the stages do.

    Parameters
    ----------
    path
        Scratch file.
    changes
        To the rows of the candidates.
    """
    key = f"cutouts/{uuid4()}.fits"
    write_cutouts(stack, [uuid4() for _ in stack], path, {"RUNID": str(uuid4())})
    store.put_file(key, path)
    found = store_detections(connection, [0.5] * len(stack), **changes)
    for index, (detection, cutout) in enumerate(zip(found, stack, strict=True)):
        place = {
            "cutout_path": key,
            "cutout_index": index,
            "cutout_sha256": hashlib.sha256(cutout.tobytes()).hexdigest(),
        }
        connection.execute(update(Detection).where(Detection.id == detection).values(**place))
    return found


def store_object(
    connection: Connection, detections: Sequence[UUID], fluxes: Sequence[float | None]
) -> UUID:
    """An object that the detections are of, measured once on each one's difference image.

    Parameters
    ----------
    fluxes
        One per detection; None where pixels were masked.
    """
    thing = {
        "id": uuid4(),
        "survey_id": rows.survey_row()["id"],
        "field": "F0",
        "field_id": uuid4(),
        "ra": 10.0,
        "dec": -20.0,
        "best_detection_id": detections[0],
        "n_detections": len(detections),
        "confidence_score": 0.9,
    }
    rows.add(connection, SkyObject, thing)
    for detection, flux in zip(detections, fluxes, strict=True):
        image = select(Detection.difference_run_id).where(Detection.id == detection)
        on = {"difference_run_id": connection.scalar(image)}
        forced = on | {
            "run_id": uuid4(),
            "objects_digest": "d",
            "status": "completed",
            "code_version": "1",
            "config_digest": "c",
        }
        measured = on | {
            "id": uuid4(),
            "object_id": thing["id"],
            "forced_run_id": forced["run_id"],
            "x_pix": 1.0,
            "y_pix": 1.0,
            "flux": flux,
            "flux_err": None if flux is None else 0.5,
            "snr": None if flux is None else 8.0,
            "flux_unit": "instrumental",
            "flags": 0,
            "flag_names": [],
        }
        belongs = {"detection_id": detection, "separation_pix": 0.0}
        belongs |= {"object_id": thing["id"], "field_id": thing["field_id"]}
        rows.add(connection, ObjectDetection, belongs)
        rows.add(connection, ForcedRun, forced)
        rows.add(connection, ForcedPhotometry, measured)
    return thing["id"]


def inherit(connection: Connection, *detections: UUID) -> int:
    """Let the runs of detections inherit, as storing them does."""
    runs = select(Detection.model_run_id).where(Detection.id.in_(detections))
    return inherit_verdicts(connection, connection.scalars(runs).all())
