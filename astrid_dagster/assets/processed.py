"""processed_frames and preprocess_runs: calibrated, measured frames."""

import html
from collections.abc import Sequence

import dagster as dg

from astrid_core.monitoring.quality import FRAME_MEASURES, IDENTIFYING, frame_records
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.process import PREPROCESS_VERSION
from astrid_core.stages.calibration import build_calibrations
from astrid_core.stages.defectmaps import (
    DetectorReport,
    build_defect_maps,
    look,
    plan_looks,
)
from astrid_core.stages.preprocess import plan_preprocessing, preprocess
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    FrameConfig,
    NightStream,
    Rows,
    Stream,
    compute,
    describe,
    fits_out,
    open_bench,
    split_completed,
    stored,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.assets.quality import quality_check, quality_spec
from astrid_dagster.io_managers.values import StoredObjects, TableRows
from astrid_dagster.partitions import survey_night, survey_nights
from astrid_dagster.resources import RunLedger, StoreResource
from dbschema.models import PreprocessRun

CHECK = "every_frame_processed"
QUALITY_CHECK = "frame_quality_in_range"
MEDIANS = {
    "fwhm_pix": "FWHM (pix)",
    "sky_noise": "sky noise",
    "depth_mag": "depth (AB mag, 5σ)",
    "zero_point_mag": "zero point (mag)",
    "n_stars": "stars in PSF",
    "masked_fraction": "masked fraction",
}


@dg.multi_asset(
    name="preprocess",
    ins={"raw_frames": dg.AssetIn(), "observations": dg.AssetIn()},
    outs={
        "processed_frames": fits_out(
            "Frames: background-subtracted pixels with variance, mask, PSF, WCS and "
            "star catalogue.",
            tags.IMAGING,
            PREPROCESS_VERSION,
        ),
        "preprocess_runs": table_out(
            "What became of each observation's processing, and its quality.",
            tags.IMAGING,
            PREPROCESS_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[
        summary_spec(CHECK, "preprocess_runs"),
        quality_spec(
            QUALITY_CHECK,
            "preprocess_runs",
            "FWHM, ellipticity, sky, zero point and depth of every frame are in range.",
        ),
    ],
)
def processed(
    context: dg.AssetExecutionContext,
    config: FrameConfig,
    raw_frames: StoredObjects,
    observations: Rows,
    store: StoreResource,
    ledger: RunLedger,
) -> Stream:
    """Calibrate, mask and measure every science observation of the night."""
    part = survey_night(context)
    stage_config = PreprocessConfig(**part.survey.preprocessing)
    with open_bench(store) as bench:
        frames = stored(observations, raw_frames, "id")
        calibrations = build_calibrations(part.survey.name, frames, bench)
        looks = plan_looks(part.survey.name, frames, calibrations, stage_config)
        defects = build_defect_maps(frames, compute(look, looks, bench), stage_config.defect_map)
        tasks = plan_preprocessing(part.survey.name, frames, calibrations, defects, stage_config)
        todo, done = split_completed(tasks, ledger, PreprocessRun, config.force)
        stream = NightStream(context, compute(preprocess, todo, bench), len(todo))
        yield dg.Output(stream.files(), "processed_frames")
    rows = [*stream.rows, *done]
    names = {row["id"]: row["archive_id"] for row in observations}
    yield dg.Output(
        [TableRows(PreprocessRun, rows)],
        "preprocess_runs",
        metadata=describe(rows, MEDIANS, names)
        | {"n_already_completed": len(done)}
        | _defect_table(defects.reports),
    )
    yield summary_check(CHECK, "preprocess_runs", rows)
    about = {row["id"]: {name: row[name] for name in IDENTIFYING} for row in observations}
    records = frame_records([about[row["observation_id"]] | row for row in rows])
    yield quality_check(QUALITY_CHECK, "preprocess_runs", part, records, FRAME_MEASURES)


def _defect_table(reports: Sequence[DetectorReport]) -> dict[str, object]:
    """What the night tells of its detectors' defects, and why where it tells nothing."""
    if not reports:
        return {}
    records = [
        dg.TableRecord(
            {
                "instrument": html.escape(one.instrument),
                "detector": html.escape(one.detector),
                "exposures": one.n_exposures,
                "pointings": one.n_pointings,
                "defective pixels": one.n_defects,
                "nothing told because": one.untold_because or "",
            }
        )
        for one in reports
    ]
    return {"detector defects": dg.MetadataValue.table(records)}
