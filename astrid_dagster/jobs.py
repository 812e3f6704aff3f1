"""Jobs: a night from files to detections, references, depth, cross-matches, labels, training."""

import dagster as dg

from astrid_core.training.config import TRAINING_JOB
from astrid_core.training.request import COLLECTION_JOB
from astrid_dagster.assets import NIGHT_ASSETS
from astrid_dagster.assets.crossmatches import crossmatch
from astrid_dagster.assets.depth import measure_depth
from astrid_dagster.assets.detections import detections
from astrid_dagster.assets.health import measure_training_data_health
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_dagster.assets.references import build_references
from astrid_dagster.assets.training import promotion, training_runs
from astrid_dagster.assets.training_data import collect_training_data as collect
from astrid_dagster.assets.training_data import dataset_tracking
from astrid_dagster.assets.validation import snapshot_labels

nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.assets(*NIGHT_ASSETS),
    description="One survey-night from files to detections, in one run. Leaves references alone.",
)

ingest_only = dg.define_asset_job(
    "ingest_only",
    selection=dg.AssetSelection.assets(ingest),
    description="Take a survey-night in and no more: all that it lists, or by launch option the "
    "files that were chosen, as 'astrid surveys pairs' asks for.",
)

reference_nights = dg.define_asset_job(
    "reference_nights",
    selection=dg.AssetSelection.assets(ingest, processed),
    description="Ingest and process a night whose frames a reference set is to be built from.",
)

references = dg.define_asset_job(
    "references",
    selection=dg.AssetSelection.assets(build_references),
    description="Build a survey's reference set from its processed reference nights.",
)

depth = dg.define_asset_job(
    "depth",
    selection=dg.AssetSelection.assets(measure_depth),
    description="How deep a processed survey-night goes, by injected sources. Costs as much as "
    "subtracting the frames it injects into.",
)

# Apart from the nightly job: no night waits for, or fails with, somebody else's server.
crossmatches = dg.define_asset_job(
    "crossmatches",
    selection=dg.AssetSelection.assets(crossmatch),
    description="Ask the catalogues that the survey's configuration names (none by default) what "
    "lies where a night's objects were detected.",
)

labels = dg.define_asset_job(
    "labels",
    selection=dg.AssetSelection.assets(snapshot_labels),
    description="Snapshot what all verdicts add up to, and look how many detections await one. "
    "The sensor refresh_labels asks for it as verdicts come in.",
)

collect_training_data = dg.define_asset_job(
    COLLECTION_JOB,
    selection=dg.AssetSelection.assets(collect, dataset_tracking),
    description="Freeze validated detections into a training dataset, a partition of its own, and "
    "tell MLflow. POST /training/datasets/collect asks for it.",
)

log_training_data = dg.define_asset_job(
    "log_training_data",
    selection=dg.AssetSelection.assets(dataset_tracking),
    description="Tell MLflow of a dataset that it did not take when it was collected.",
)

health = dg.define_asset_job(
    "training_data_health",
    selection=dg.AssetSelection.assets(measure_training_data_health),
    description="How good what people decided lately is, and whether the champion drifts; alerts "
    "people once where it is out of range.",
)

train_model = dg.define_asset_job(
    TRAINING_JOB,
    selection=dg.AssetSelection.assets(training_runs, promotion),
    description="Train on a dataset, evaluate, register, and decide whether the model is champion.",
)

redetect = dg.define_asset_job(
    "redetect",
    selection=dg.AssetSelection.assets(detections),
    description="Judge a night's candidates anew, as after a promotion.",
)

JOBS = (
    nightly,
    ingest_only,
    reference_nights,
    references,
    depth,
    crossmatches,
    labels,
    collect_training_data,
    log_training_data,
    train_model,
    redetect,
    health,
)
"""All of them, in the order of the data's flow."""
