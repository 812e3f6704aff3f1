"""The assets, a file per stage, in the order of the data's flow."""

from collections.abc import Sequence

import dagster as dg

from astrid_dagster.assets.candidates import find_candidates
from astrid_dagster.assets.crossmatches import crossmatch
from astrid_dagster.assets.depth import measure_depth
from astrid_dagster.assets.detections import detections
from astrid_dagster.assets.differences import subtract
from astrid_dagster.assets.forced import force_photometry
from astrid_dagster.assets.health import measure_training_data_health
from astrid_dagster.assets.objects import associate_objects
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_dagster.assets.references import build_references
from astrid_dagster.assets.training import promotion, training_runs
from astrid_dagster.assets.training_data import collect_training_data, dataset_tracking
from astrid_dagster.assets.validation import snapshot_labels

NIGHT_ASSETS: Sequence[dg.AssetsDefinition] = (
    ingest,
    processed,
    subtract,
    find_candidates,
    detections,
    associate_objects,
    force_photometry,
)
"""Everything of a night. References, depth and cross-matches have jobs of their own."""

ALL_ASSETS: Sequence[dg.AssetsDefinition] = (
    *NIGHT_ASSETS,
    build_references,
    measure_depth,
    crossmatch,
    snapshot_labels,
    collect_training_data,
    dataset_tracking,
    measure_training_data_health,
    training_runs,
    promotion,
)
"""Everything that runs make. What people make, ``validation_events``, no run does."""
