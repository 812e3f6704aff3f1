"""A small world in which everything is in its place: rows, objects, verdicts, a dataset."""

from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, insert, select, text, update

from astrid_core import identity
from astrid_core.care.naming import NAMINGS
from astrid_core.storage import ObjectStore
from dbschema.models import (
    DifferenceRun,
    ExtractionRun,
    IngestRun,
    LabelSnapshot,
    Observation,
    SnapshotLabel,
)
from tests import review
from tests.astrid_core.training.synthetic import make_samples, store_dataset

N_JUDGED = 4


def put(store: ObjectStore, key: str, content: bytes, folder: Path) -> str:
    """Store bytes under a key; their SHA-256."""
    path = folder / "object"
    path.write_bytes(content)
    return store.put_file(key, path)


def make_world(connection: Connection, store: ObjectStore, folder: Path) -> UUID:
    """Two observations judged by two models, verdicts on them, a snapshot, a frozen dataset.

    Returns
    -------
    The dataset.
    """
    dataset = store_dataset(connection, store, make_samples(20), folder)
    detections = review.store_detections(connection, [0.1 * i for i in range(1, 9)], number=1)
    expert, *others = review.expert(connection), *(review.reviewer(connection) for _ in range(2))
    for detection in detections[:N_JUDGED]:
        review.judge(connection, expert, detection, "real")
        review.judge(connection, others[0], detection, "bogus")
    review.judge(connection, others[1], detections[5], "bogus")
    review.judge(connection, others[1], detections[5], "real")
    heirs = review.store_detections(connection, [0.1 * i for i in range(1, 9)], 1, version="2")
    assert review.inherit(connection, *heirs) == N_JUDGED
    _complete_runs(connection)
    _store_objects(connection, store, folder)
    _ingest(connection)
    _snapshot(connection)
    return dataset


def _complete_runs(connection: Connection) -> None:
    """Searches of every difference image, and counts that are right."""
    for run in connection.scalars(select(DifferenceRun.run_id)).all():
        values = {
            "run_id": identity.derive_id("extraction", run),
            "difference_run_id": run,
            "status": "completed",
            "cutout_path": "cutouts/x.fits",
            "sha256": "unknown yet",
            "code_version": "1",
            "config_digest": "c",
        }
        connection.execute(insert(ExtractionRun).values(**values))
    connection.execute(
        text(
            "UPDATE extraction_runs e SET n_candidates ="
            " (SELECT count(*) FROM candidates c WHERE c.difference_run_id = e.difference_run_id)"
        )
    )
    connection.execute(
        text(
            "UPDATE model_runs m SET n_detections ="
            " (SELECT count(*) FROM detections d WHERE d.model_run_id = m.run_id)"
        )
    )


def _store_objects(connection: Connection, store: ObjectStore, folder: Path) -> None:
    """An object under every key that is named with a hash, and that hash in its row."""
    for naming in NAMINGS:
        if naming.sha256 is None:
            continue
        table = naming.table.__table__
        path = table.columns[naming.path]
        for key in connection.scalars(select(path).where(path.is_not(None)).distinct()).all():
            sha256 = put(store, key, key.encode(), folder)
            connection.execute(
                update(naming.table).where(path == key).values({naming.sha256: sha256})
            )


def _ingest(connection: Connection) -> None:
    for row in connection.execute(select(Observation.__table__)).mappings().all():
        values = {
            "run_id": identity.derive_id("ingest", row["id"]),
            "survey_id": row["survey_id"],
            "night": row["night"],
            "source": f"{row['archive_id']}.fits",
            "sha256": row["raw_sha256"],
            "n_observations": 1,
            "status": "completed",
            "code_version": "1",
            "config_digest": "c",
        }
        connection.execute(insert(IngestRun).values(**values))


def _snapshot(connection: Connection) -> None:
    decided = connection.execute(
        text("SELECT detection_id, label, decided_by FROM detection_consensus")
    ).all()
    values = {
        "id": identity.derive_id("snapshot"),
        "digest": "d",
        "code_version": "1",
        "n_real": sum(row.label == "real" for row in decided),
        "n_bogus": sum(row.label == "bogus" for row in decided),
        "n_undecided": sum(row.decided_by is None for row in decided),
        "by_label": {},
        "by_survey": {},
        "by_subtype": {},
        "by_role": {},
    }
    connection.execute(insert(LabelSnapshot).values(**values))
    for row in decided:
        connection.execute(
            insert(SnapshotLabel).values(
                snapshot_id=values["id"],
                detection_id=row.detection_id,
                label=row.label,
                n_events=1,
                decided_by=row.decided_by,
            )
        )
