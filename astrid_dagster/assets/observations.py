"""raw_frames and observations: a survey's night, as it came from the archive."""

from collections.abc import Iterator

import dagster as dg

from astrid_core.errors import SurveyUnavailableError
from astrid_core.identity import survey_id
from astrid_core.settings import get_settings
from astrid_core.stages.ingest import ingest_night
from astrid_core.stages.outcome import Outcome
from astrid_core.surveys.archive.config import ArchiveOptions
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
    outcomes = ingest_night(survey, part.night, get_settings().max_frame_mpix)
    if part.survey.archive is not None:
        outcomes = _patiently(context, outcomes, part.survey.archive)
    stream = NightStream(context, outcomes, total=None)
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


def _patiently(
    context: dg.AssetExecutionContext, outcomes: Iterator[Outcome], rules: ArchiveOptions
) -> Iterator[Outcome]:
    """Outcomes of an archive's night; an outage asks for a retry, the last one is a failure.

    Not a retry policy, which would retry what no retry helps. Nothing of an attempt that
    failed is in a table; files that came are in the cache.
    """
    try:
        yield from outcomes
    except SurveyUnavailableError as error:
        if error.transient and context.retry_number < rules.outage_retries:
            context.log.warning(f"{error} Trying again in {rules.outage_wait_s:g} s.")
            raise dg.RetryRequested(rules.outage_retries, rules.outage_wait_s) from error
        raise dg.Failure(
            description=f"{type(error).__name__}: {error}", allow_retries=False
        ) from error
