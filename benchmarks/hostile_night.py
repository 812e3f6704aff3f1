"""A night with hostile files among good ones, beside the same night without.

Run ``python -m benchmarks.hostile_night`` (``--files 60 --seed 1``). Two embedded stacks of
their own take the same simulated exposures from files to light curves through Dagster; the
folder of one also holds hostile files, among the science frames and among the reference's. Every
run must succeed, and every row and object of the good frames must be the same in both.

Some hostile files are intact and say that they are of a good field, of whose sky they show
nothing: strangers, which the field's reference has to consider and to refuse. Its id is of what
was considered, so references, and what is made with them, are compared under names.
A field is what most of its frames show; the good ones are never outnumbered here.
"""

import argparse
import collections
import contextlib
import datetime as dt
import itertools
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.scene import render_exposure
from astrid_core.simulation.survey import archive_name, write_exposure
from astrid_core.surveys.keywords import KeywordMap
from astrid_stack.dagster_client import DagsterClient
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.hostile_base import made_bases, real_bases, real_data
from benchmarks.hostile_files import hostile_file
from benchmarks.hostile_names import under_names
from benchmarks.running import own_stack, say_nothing, succeed, write_surveys
from benchmarks.snapshots import Row, Snapshot, differing, rows_of
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    ExtractionRun,
    IngestRun,
    ModelRun,
    Observation,
    PreprocessRun,
    ReferenceFrame,
    ReferenceMember,
)
from dbschema.session import make_engine

NIGHT = "2025-09-10"
SURVEY = "folder"
_GOOD, _EVIL = "good", "evil"
_WAIT_S = 1800.0
_DEEP_EVERY = 5
"""Of the hostile files one in so many lies among the reference's, with as many good nights."""
_LEAST_NIGHTS = 3
_STRANGERS_DETECTOR = rf"^reference/{_EVIL}/(\d+)/"
"""Strangers have a detector each: else one absurd bias among the hostile files costs them all,
and no reference ever meets one."""


def main() -> None:
    """Take both nights, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=60, help="hostile files among the good ones")
    parser.add_argument("--seed", type=int, default=1, help="of the hostile files")
    parser.add_argument("--fields", type=int, default=3, help="good frames of the night")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="astrid-hostile-night-") as folder:
        snapshots = []
        for name in ("without", "with"):
            place = Path(folder) / name
            _write_good(place, given.fields, max(_LEAST_NIGHTS, given.files // _DEEP_EVERY))
            if name == "with":
                _write_evil(place, given.seed, given.files)
            with _stack(place) as state:
                _take(state)
                snapshots.append(_snapshot(state))
                print(f"night {name} hostile files: {_became(state)}", flush=True)
                strangers = _strangers(state)
    without, with_them = snapshots
    unlike = differing(without, with_them)
    counts = ", ".join(f"{len(rows)} {key}" for key, rows in without.items())
    print(f"of the good frames: {counts}; {len(unlike)} differ {unlike or ''}")
    print(f"strangers considered for references of good fields: {len(strangers)}")
    joined = [name for name, reason in strangers if reason is None]
    for name, reason in strangers:
        print(f"  {name}: {reason or 'JOINED'}")
    if unlike or joined or not without["detections"]:
        raise SystemExit(1)


def _write_good(folder: Path, n_fields: int, n_reference_nights: int) -> None:
    first = dt.date(2025, 7, 1)
    scene = SceneConfig(
        n_fields=n_fields,
        shape=(256, 256),
        stars_per_field=500,
        reference_nights=tuple(first + dt.timedelta(days=n) for n in range(n_reference_nights)),
    )
    for root, nights in (("night", scene.science_nights[:1]), ("deep", scene.reference_nights)):
        (folder / root / _GOOD).mkdir(parents=True)
        for field, night in itertools.product(range(n_fields), nights):
            path = folder / root / _GOOD / archive_name(field, night, "r")
            write_exposure(render_exposure(scene, field, night, "r"), path)


def _write_evil(folder: Path, seed: int, n_files: int) -> None:
    made, real = made_bases(seed), list(real_bases(real_data()))
    for index in range(n_files):
        file = hostile_file(seed, index, made, real)
        root = folder / ("deep" if index % _DEEP_EVERY == 0 else "night") / _EVIL / str(index)
        root.mkdir(parents=True)
        Path(os.fsdecode(os.fsencode(root) + b"/" + file.name)).write_bytes(file.content)


@contextlib.contextmanager
def _stack(folder: Path) -> Iterator[State]:
    roots = {"root": str(folder / "night"), "reference_root": str(folder / "deep")}
    usual = list(KeywordMap().detector.keywords)
    detector = {"filename": _STRANGERS_DETECTOR, "keywords": usual}
    survey = {
        "adapter": "folder",
        "nights": {"all": NIGHT},
        "references": {"name": "deep"},
        "folder": roots,
        "keywords": {"detector": detector},
    }
    write_surveys(folder, {SURVEY: survey})
    os.environ["ASTRID_MAX_FRAME_MPIX"] = "1"
    with own_stack(folder, say_nothing) as state:
        yield state


def _take(state: State) -> None:
    """The reference's frames, the reference, then the night, each through Dagster."""
    client = DagsterClient.of(state)
    night = {"survey": SURVEY, "night": NIGHT}
    for job, partition in (("reference_nights", night), ("references", SURVEY), ("nightly", night)):
        succeed(client, job, [partition], _WAIT_S)


def _snapshot(state: State) -> Snapshot:
    """Every row and object of the good frames, by table."""
    engine = make_engine(state.database_url("astrid"))
    with engine.connect() as connection:
        rows = _rows_of_good(connection)
    engine.dispose()
    return under_names(rows, Stack(state).object_store().folder / "astrid")


def _rows_of_good(connection: Connection) -> dict[str, list[Row]]:
    observations = _rows(connection, Observation)
    good = [one for one in observations if _GOOD in one["archive_id"].split("/")]
    ids = [one["id"] for one in good]
    found = {"observations": good}
    found["ingest_runs"] = [
        one for one in _rows(connection, IngestRun) if _GOOD in one["source"].split("/")
    ]
    fields = {one["field"] for one in good}
    for table in (PreprocessRun, DifferenceRun):
        found[table.__tablename__] = _rows(connection, table, table.observation_id.in_(ids))
    references = _rows(connection, ReferenceFrame, ReferenceFrame.field.in_(fields))
    found["reference_frames"] = references
    found["reference_members"] = [
        {"archive_id": name, "weight": weight, "rejected_because": reason}
        for name, weight, reason in _members_of(connection, fields)
        if _GOOD in name.split("/")
    ]
    runs = [one["run_id"] for one in found["difference_runs"]]
    for child in (ExtractionRun, Candidate, ModelRun, Detection):
        found[child.__tablename__] = _rows(connection, child, child.difference_run_id.in_(runs))
    return found


def _members_of(
    connection: Connection, fields: Collection[str]
) -> list[tuple[str, float, str | None]]:
    """(archive's name, weight, why refused) of each frame considered for fields' references."""
    query = (
        select(Observation.archive_id, ReferenceMember.weight, ReferenceMember.rejected_because)
        .join(PreprocessRun, PreprocessRun.run_id == ReferenceMember.preprocess_run_id)
        .join(Observation, Observation.id == PreprocessRun.observation_id)
        .join(ReferenceFrame, ReferenceFrame.run_id == ReferenceMember.reference_id)
        .where(ReferenceFrame.field.in_(fields))
        .order_by(Observation.archive_id)
    )
    return [(name, weight, reason) for name, weight, reason in connection.execute(query)]


def _strangers(state: State) -> list[tuple[str, str | None]]:
    """(archive's name, why refused) of hostile frames considered for good fields."""
    engine = make_engine(state.database_url("astrid"))
    with engine.connect() as connection:
        fields = {
            one["field"]
            for one in _rows(connection, Observation)
            if _GOOD in one["archive_id"].split("/")
        }
        members = _members_of(connection, fields)
    engine.dispose()
    return [(name, reason) for name, _, reason in members if _EVIL in name.split("/")]


def _rows(connection: Connection, model: Any, *where: ColumnElement[bool]) -> list[Row]:
    return rows_of(connection, model.__table__, *where)


def _became(state: State) -> str:
    engine = make_engine(state.database_url("astrid"))
    with engine.connect() as connection:
        ingested = connection.execute(select(IngestRun.status, IngestRun.error_type)).all()
        processed = connection.execute(select(PreprocessRun.status, PreprocessRun.error_type)).all()
    engine.dispose()
    told = []
    for stage, rows in (("files", ingested), ("frames", processed)):
        became = collections.Counter(error or status for status, error in rows).most_common()
        told.append(f"{stage}: " + ", ".join(f"{name} {count}" for name, count in became))
    return "; ".join(told)


if __name__ == "__main__":
    main()
