"""What ``benchmarks.night`` runs in processes of its own: prepare, dagster, direct."""

import datetime as dt
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from sqlalchemy import select

from astrid_core.detection.config import DetectionConfig
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.settings import get_settings
from astrid_core.stages.calibration import CalibrationSet
from astrid_core.stages.candidates import extract, plan_extraction
from astrid_core.stages.defectmaps import build_defect_maps, look, plan_looks
from astrid_core.stages.detect import plan_detection
from astrid_core.stages.difference import difference, plan_differences
from astrid_core.stages.ingest import ingest_night
from astrid_core.stages.outcome import Outcome, Row
from astrid_core.stages.preprocess import plan_preprocessing, preprocess
from astrid_core.storage import ObjectStore
from astrid_core.surveys.registry import open_survey
from astrid_dagster.assets import NIGHT_ASSETS
from astrid_dagster.assets.detections import judged
from astrid_dagster.assets.forced import force_photometry
from astrid_dagster.assets.night import compute, frame_pool, open_bench
from astrid_dagster.assets.objects import associate_objects
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_dagster.assets.references import build_references
from astrid_dagster.definitions import build_defs
from astrid_dagster.partitions import configured_surveys
from astrid_dagster.resources import ChampionResource, DatabaseResource, StoreResource
from benchmarks.night import REFERENCE_NIGHT, SCIENCE_NIGHT
from dbschema.views import current_model_runs, current_reference_frames

# Objects follow from committed rows alone, which the direct way does not write.
MEASURED = [
    assets for assets in NIGHT_ASSETS if assets not in (associate_objects, force_photometry)
]
FORCED = {
    "ops": {
        "preprocess": {"config": {"force": True}},
        "subtract": {"config": {"force": True}},
        "detections": {"ops": {"plan_judgement": {"config": {"force": True}}}},
    }
}


def prepare() -> dict[str, float]:
    """Process the reference night and build the references."""
    materialize([ingest, processed], partition(REFERENCE_NIGHT), {})
    materialize([build_references], "simulated", {})
    return {}


def through_dagster() -> dict[str, float]:
    """The science night through Dagster's engine and its Postgres event log."""
    begun = time.perf_counter()
    materialize(MEASURED, partition(SCIENCE_NIGHT), FORCED)
    wall_s = time.perf_counter() - begun
    with DatabaseResource().engine().connect() as connection:
        runs = connection.execute(select(current_model_runs.c.status)).scalars().all()
    return {"wall_s": wall_s, "n_frames": len(runs)}


def direct() -> dict[str, float]:
    """The same stages on the same store and pool, without Dagster and without rows."""
    survey = open_survey(configured_surveys().surveys["simulated"], frame_pool())
    name, night = survey.config.name, dt.date.fromisoformat(SCIENCE_NIGHT)
    with DatabaseResource().engine().connect() as connection:
        found = connection.execute(select(current_reference_frames)).mappings()
        references = [dict(row) | {"member_observation_ids": []} for row in found]
    champion = ChampionResource().resolve()
    begun = time.perf_counter()
    with open_bench(StoreResource()) as bench:
        store = bench.store
        observations: list[Row] = []
        for outcome in ingest_night(survey, night, get_settings().max_frame_mpix):
            keep(store, outcome)
            observations += outcome.children
        config = PreprocessConfig()
        looks = plan_looks(name, observations, CalibrationSet({}), config)
        defects = build_defect_maps(observations, compute(look, looks, bench), config.defect_map)
        tasks = plan_preprocessing(name, observations, CalibrationSet({}), defects, config)
        processed_runs = run(store, compute(preprocess, tasks, bench))
        about = {row["id"]: row for row in observations}
        frames = [about[row["observation_id"]] | row for row in processed_runs]
        subtractions = plan_differences(name, frames, references, 0.0, DifferenceConfig())
        difference_runs = run(store, compute(difference, subtractions, bench))
        images = [about[row["observation_id"]] | row for row in difference_runs]
        searches = plan_extraction(name, images, frames, ExtractionConfig())
        candidates: list[Row] = []
        for outcome in compute(extract, searches, bench):
            keep(store, outcome)
            candidates += outcome.children
        detection = DetectionConfig()
        judgements = plan_detection(
            name, images, frames, candidates, champion.model_id, champion.sha256, detection
        )
        run(store, judged(judgements, bench, champion, detection))
    return {"wall_s": time.perf_counter() - begun, "n_frames": len(judgements)}


def run(store: ObjectStore, outcomes: Any) -> list[Row]:
    """Store each outcome's object and keep its row."""
    rows = []
    for outcome in outcomes:
        keep(store, outcome)
        rows.append(outcome.row)
    return rows


def keep(store: ObjectStore, outcome: Outcome) -> None:
    """Store an outcome's object; a benchmark of failures would be worthless."""
    if outcome.has_failed:
        raise SystemExit(f"{outcome.row['error_type']}: {outcome.row['error_message']}")
    if outcome.staged is not None:
        store.put_file(outcome.staged.key, outcome.staged.path, outcome.staged.sha256)


def materialize(
    assets: Sequence[dg.AssetsDefinition], partition_key: str, run_config: dict[str, Any]
) -> None:
    """Run assets for a partition on the stack's own Dagster instance."""
    defs = build_defs()
    job = dg.define_asset_job("bench", selection=dg.AssetSelection.assets(*assets))
    resolved = dg.Definitions(assets=defs.assets, jobs=[job], resources=defs.resources)
    with dg.DagsterInstance.get() as instance:
        resolved.resolve_job_def("bench").execute_in_process(
            partition_key=partition_key, run_config=run_config, instance=instance
        )


def partition(night: str) -> dg.MultiPartitionKey:
    """Key of a night of the benchmark's survey."""
    return dg.MultiPartitionKey({"survey": "simulated", "night": night})


if __name__ == "__main__":
    task = {"prepare": prepare, "dagster": through_dagster, "direct": direct}[sys.argv[1]]
    print(json.dumps(task()))
