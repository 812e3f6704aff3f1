"""raw_frames and observations: a survey's night, as it came from the archive."""

import dagster as dg

from astrid_core.identity import survey_id
from astrid_core.settings import get_settings
from astrid_core.stages.ingest import ingest_night
from astrid_core.surveys.ingest import INGEST_VERSION
from astrid_core.surveys.registry import open_survey
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    NightStream,
    Stream,
    describe,
    fits_out,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.partitions import survey_night, survey_nights
from dbschema.models import IngestRun, Observation, Survey

CHECK = "every_file_ingested"


@dg.multi_asset(
    name="ingest",
    outs={
        "raw_frames": fits_out(
            "FITS files of the night, byte for byte as the survey delivered them.",
            tags.INGEST,
            INGEST_VERSION,
        ),
        "observations": table_out(
            "One row per exposure: when, where, in which filter; what the headers "
            "did not state is listed as assumed. Files that failed are in ingest_runs.",
            tags.INGEST,
            INGEST_VERSION,
        ),
    },
    partitions_def=survey_nights,
    check_specs=[summary_spec(CHECK, "observations")],
)
def ingest(context: dg.AssetExecutionContext) -> Stream:
    """Ingest every file the survey lists for the night; a bad file is recorded, not fatal."""
    part = survey_night(context)
    survey = open_survey(part.survey)
    stream = NightStream(
        context, ingest_night(survey, part.night, get_settings().max_frame_mpix), total=None
    )
    yield dg.Output(stream.files(), "raw_frames")

    if not stream.rows:
        context.log.info(f"Nothing to do: {part.survey.name} lists no files for {part.night}.")
    survey_row = {
        "id": survey_id(part.survey.name),
        "name": part.survey.name,
        "adapter": part.survey.adapter,
        "config": part.survey.model_dump(mode="json"),
    }
    yield dg.Output(
        [
            TableRows(Survey, [survey_row]),
            TableRows(IngestRun, stream.rows),
            TableRows(Observation, stream.children),
        ],
        "observations",
        metadata=describe(stream.rows) | {"n_observations": len(stream.children)},
    )
    yield summary_check(CHECK, "observations", stream.rows)
