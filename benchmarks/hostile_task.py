"""One hostile file through everything that touches an archive's bytes, in a process that may die.

``python -m benchmarks.hostile_task`` reads a campaign's seed and what file numbers to take from
its standard input, and answers each by a line of JSON. It is bounded in memory; who asks it
bounds its time (``hostile``).

Each file is listed by the folder survey, ingested, stored as rows in PostgreSQL (and taken
back), processed as the row says that came out of the database, written and read again. What is
not as it should be is a fault: an exception that is none of ours, a row the database refuses, a
column that is neither known nor assumed.
"""

import json
import logging
import math
import os
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, select

from astrid_core import errors
from astrid_core.frame import read_frame
from astrid_core.identity import sha256_file, survey_id
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.stages.bench import Bench
from astrid_core.stages.calibration import build_calibrations
from astrid_core.stages.defectmaps import LookTask, build_defect_maps, look
from astrid_core.stages.ingest import ingest_files
from astrid_core.stages.outcome import Outcome, Row
from astrid_core.stages.preprocess import plan_preprocessing, preprocess
from astrid_core.storage import ObjectStore
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.folder import FolderSurvey
from astrid_dagster.io_managers.upsert import upsert
from astrid_dagster.io_managers.values import TableRows
from benchmarks.hostile_base import Base, made_bases, real_bases
from benchmarks.hostile_files import HostileFile, hostile_file
from dbschema.models import IngestRun, Observation, PreprocessRun, Survey
from dbschema.session import make_engine

NIGHT = date(2025, 9, 1)
MAX_FRAME_MPIX = 1.0
"""Small, so that what exceeds it is quick to make."""
_MIB = 1 << 20
_TYPED = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
_MAY_BE_ASSUMED = {
    "exposure_s", "gain_e_adu", "read_noise_e", "saturation_adu", "observation_time",
}  # fmt: skip


@dataclass
class Verdict:
    """What became of a file.

    Attributes
    ----------
    outcome
        ``processed``, ``degraded``, the type of the error that refused it, or ``fault``.
    faults
        What is not as it should be; none is the only good answer.
    peak_mib
        Most memory that the process had while it was at the file, beyond what it had before.
    """

    kind: str
    outcome: str = ""
    faults: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    peak_mib: float = 0.0


@dataclass(frozen=True)
class _LocalBench(Bench):
    """A bench whose objects are the files that were just ingested."""

    files: dict[str, Path] = field(default_factory=dict)

    @contextmanager
    def fetched(self, key: str, sha256: str) -> Iterator[Path]:
        """The file an object would be a copy of."""
        assert sha256_file(self.files[key]) == sha256
        yield self.files[key]


@dataclass(frozen=True)
class Gauntlet:
    """What files are led through.

    Attributes
    ----------
    scratch
        Folder for one file at a time.
    """

    engine: Engine
    scratch: Path

    def run(self, file: HostileFile) -> Verdict:
        """Lead a file through; whatever escapes is a fault."""
        verdict = Verdict(file.kind)
        before_mib = _reset_peak()
        begun = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
                self._run(file, Path(folder), verdict)
        except Exception as error:  # noqa: BLE001  an escape is what is looked for
            verdict.faults.append(f"escaped: {_told(error)}")
        verdict.wall_s = time.perf_counter() - begun
        verdict.peak_mib = _peak_mib() - before_mib
        if verdict.faults:
            verdict.outcome = "fault"
        return verdict

    def _run(self, file: HostileFile, folder: Path, verdict: Verdict) -> None:
        root = folder / "night"
        root.mkdir()
        Path(os.fsdecode(os.fsencode(root) + b"/" + file.name)).write_bytes(file.content)
        config = _survey(root, variant=len(file.content))
        survey = FolderSurvey(config, MAX_FRAME_MPIX)
        survey.plan(NIGHT).describe()
        listed = [(night, source) for night in survey.nights() for source in survey.files(night)]
        if not listed:
            verdict.outcome = "not listed"
            return
        ((night, source),) = listed
        outcomes = list(ingest_files(config, night, [source], MAX_FRAME_MPIX))
        verdict.outcome = str(outcomes[0].row["error_type"] or "ingested")
        for outcome in outcomes:
            verdict.faults += _faults_of_ingest(outcome)
        with self.engine.connect() as connection:  # never committed
            observations = _stored(connection, config, outcomes)
            self._process(connection, config, observations, source.path, verdict)

    def _process(
        self,
        connection: Connection,
        config: SurveyConfig,
        observations: list[Row],
        path: Path,
        verdict: Verdict,
    ) -> None:
        if not observations:
            return
        nowhere = ObjectStore("http://127.0.0.1:9", "none", SecretStr("x"), SecretStr("x"))
        files = {row["raw_fits_path"]: path for row in observations}
        bench = _LocalBench(nowhere, path.parent / ".bench", MAX_FRAME_MPIX, files)
        bench.scratch.mkdir()
        stage = PreprocessConfig()
        masters = build_calibrations(config.name, observations, bench)
        fraction = stage.mask.saturation_fraction
        looks = [
            LookTask(config.name, row, {"observation_id": row["id"]}, None, fraction)
            for row in observations
            if row["frame_kind"] == "science"
        ][:3]
        seen = [look(task, bench) for task in looks]
        maps = build_defect_maps(observations, seen, stage.defect_map)
        tasks = plan_preprocessing(config.name, observations, masters, maps, stage)[:3]
        done = [preprocess(task, bench) for task in tasks]
        for outcome in (*seen, *done):
            verdict.faults += _faults_of_run(outcome)
        for outcome in done:
            if outcome.staged is not None:
                read_frame(outcome.staged.path)
        upsert(connection, TableRows(PreprocessRun, [outcome.row for outcome in done]))
        if done:
            verdict.outcome = str(done[0].row.get("error_type") or done[0].row["status"])


def _survey(root: Path, variant: int) -> SurveyConfig:
    """A survey of the folder; variants take sums and nights from headers, or do not."""
    by_header = {"from": "header", "undated": NIGHT}
    return SurveyConfig.model_validate(
        {
            "name": "hostile",
            "adapter": "folder",
            "references": {"name": "none"},
            "nights": by_header if variant % 3 == 0 else {"all": NIGHT},
            "longitude_deg": -70.8 if variant % 5 else None,
            "folder": {"root": str(root), "checksums": "ignore" if variant % 2 else "verify"},
        }
    )


def _stored(connection: Connection, config: SurveyConfig, outcomes: Sequence[Outcome]) -> list[Row]:
    """Rows as they come back from the database that took them, whose transaction goes on."""
    survey = {"id": survey_id(config.name), "name": config.name, "adapter": "folder", "config": {}}
    children = [child for outcome in outcomes for child in outcome.children]
    upsert(connection, TableRows(Survey, [survey]))
    upsert(connection, TableRows(IngestRun, [outcome.row for outcome in outcomes]))
    upsert(connection, TableRows(Observation, children))
    found = connection.execute(select(Observation.__table__)).mappings()
    return [dict(row) for row in found]


# --- what is wrong ------------------------------------------------------------------------------


def _faults_of_ingest(outcome: Outcome) -> list[str]:
    """What is wrong with the rows of a file: half of it recorded, or something made up."""
    row = outcome.row
    faults = _faults_of_run(outcome)
    if outcome.has_failed != (not outcome.children) or outcome.has_failed != (not outcome.staged):
        faults.append(f"half recorded: {row['status']} with {len(outcome.children)} observations")
    if row["n_observations"] != len(outcome.children):
        faults.append("counts other observations than it has")
    for child in outcome.children:
        faults += _faults_of_observation(child)
    return faults


def _faults_of_run(outcome: Outcome) -> list[str]:
    kind = outcome.row.get("error_type")
    if kind is not None and kind not in _TYPED:
        return [f"untyped: {kind}: {outcome.row['error_message']}"]
    long = [note for note in outcome.notes if len(note) > _LONGEST_TEXT]
    if long or len(str(outcome.row.get("error_message") or "")) > _LONGEST_TEXT:
        return ["says more than anybody would read"]
    return []


_LONGEST_TEXT = 4000


def _faults_of_observation(row: Row) -> list[str]:
    faults = []
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            faults.append(f"{name} is {value}")
        if isinstance(value, str) and len(value) > _LONGEST_TEXT:
            faults.append(f"{name} has {len(value)} characters")
        is_said = name in row["assumed"] or row["frame_kind"] != "science"
        if name in _MAY_BE_ASSUMED and value is None and not is_said and row["unit"] != "density":
            faults.append(f"{name} is neither known nor assumed")
    if row["ra"] is not None and not (0 <= row["ra"] < 360 and -90 <= row["dec"] <= 90):
        faults.append(f"lies at {row['ra']}, {row['dec']}")
    if row["width_pix"] * row["height_pix"] > MAX_FRAME_MPIX * 1e6:
        faults.append("is larger than allowed")
    return faults


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/astrid_" in f.filename] or frames
    places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours[-2:]))
    last = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return f"{type(error).__name__}: {str(error)[:300]} ({places}; raised in {last})"


# --- memory ---------------------------------------------------------------------------------------


def _reset_peak() -> float:
    """Forget the highest memory so far; returns what is in use, MiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak_mib()
    return _peak_mib()


def _peak_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Answer until there are no more questions."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    limit = int(asked["memory_mib"]) * _MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    logging.getLogger("astropy").setLevel(logging.ERROR)
    made = made_bases(asked["seed"])
    real: list[Base] = list(real_bases(Path(asked["data"]) if asked["data"] else None))
    gauntlet = Gauntlet(make_engine(asked["database_url"]), Path(asked["scratch"]))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        file = hostile_file(asked["seed"], int(line), made, real)
        print(json.dumps(asdict(gauntlet.run(file))), file=answers, flush=True)


if __name__ == "__main__":
    main()
