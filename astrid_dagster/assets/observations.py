"""raw_frames and observations: a survey's night, as it came from the archive."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from astrid_core.errors import SurveyUnavailableError
from astrid_core.identity import survey_id
from astrid_core.remote.config import ArchiveOptions
from astrid_core.settings import get_settings
from astrid_core.stages.ingest import ingest_files, ingest_night
from astrid_core.stages.outcome import Outcome
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.ingest import INGEST_VERSION
from astrid_core.surveys.protocol import SourceFile, Survey, UnfetchedFile
from astrid_core.surveys.registry import open_survey
from astrid_dagster import tags
from astrid_dagster.assets.night import (
    NightStream,
    Stream,
    describe,
    fits_out,
    frame_pool,
    summary_check,
    summary_spec,
    table_out,
)
from astrid_dagster.io_managers.values import TableRows
from astrid_dagster.partitions import survey_night, survey_nights
from dbschema.models import IngestRun, Observation
from dbschema.models import Survey as SurveyRow

CHECK = "every_file_ingested"


class PlannedFile(dg.Config):
    """A file of an archive that was chosen beforehand."""

    name: str = Field(description="The archive's own name for it.")
    url: str = Field(description="Where it is fetched; the survey's allowed hosts still hold.")
    size_bytes: int | None = Field(default=None, description="As the archive lists it.")
    is_size_estimated: bool = Field(default=False, description="Whether that proves nothing.")
    field: str | None = Field(default=None, description="Field where its header names none.")


class IngestConfig(dg.Config):
    """Launch-time options of ingest."""

    only: list[PlannedFile] | None = Field(
        default=None,
        description="Files to ingest in place of those that the survey lists for the night, as "
        "'astrid surveys pairs' plans them. What was ingested before stays.",
    )


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
def ingest(context: dg.AssetExecutionContext, config: IngestConfig) -> Stream:
    """Ingest every file the survey lists for the night; a bad file is recorded, not fatal."""
    part = survey_night(context)
    survey = open_survey(part.survey, frame_pool())
    max_frame_mpix = get_settings().max_frame_mpix
    if config.only is None:
        outcomes = ingest_night(survey, part.night, max_frame_mpix)
    else:
        sources = _planned(survey, config.only)
        outcomes = ingest_files(part.survey, part.night, sources, max_frame_mpix)
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
            TableRows(SurveyRow, [survey_row]),
            TableRows(IngestRun, stream.rows),
            TableRows(Observation, stream.children),
        ],
        "observations",
        metadata=describe(stream.rows) | {"n_observations": len(stream.children)},
    )
    yield summary_check(CHECK, "observations", stream.rows)


def _planned(survey: Survey, files: Sequence[PlannedFile]) -> Iterator[SourceFile | UnfetchedFile]:
    """Files that were chosen beforehand, fetched."""
    if not isinstance(survey, ArchiveSurvey):
        raise dg.Failure(
            description=f"Survey '{survey.config.name}' is no archive, so that no single files "
            "can be fetched from it. Leave 'only' away.",
            allow_retries=False,
        )
    return survey.fetch(
        [
            Product(
                name=one.name,
                url=one.url,
                size_bytes=one.size_bytes,
                field=one.field,
                is_size_estimated=one.is_size_estimated,
            )
            for one in files
        ]
    )


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
