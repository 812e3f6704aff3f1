"""Ingest: one file of a survey's night becomes an object and its observations."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import PurePath
from typing import Any

from astrid_core.identity import config_digest, object_key, run_id, survey_id
from astrid_core.stages.outcome import Outcome, Row, StagedObject, failure_row
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.ingest import INGEST_VERSION, IngestOutcome, ingest_file
from astrid_core.surveys.protocol import SourceFile, Survey


def ingest_night(survey: Survey, night: date, max_frame_mpix: float) -> Iterator[Outcome]:
    """Ingest a night's files one at a time; a file lives until the next one is asked for.

    Yields
    ------
    Outcome
        ``row`` is the file's ``ingest_runs`` row, ``children`` its ``observations`` rows,
        ``staged`` the file itself, byte for byte.
    """
    digest = ingest_digest(survey.config)
    for source in survey.files(night):
        result = ingest_file(source, survey.config, night, max_frame_mpix)
        yield _outcome(survey.config.name, night, source, result, digest)


def ingest_digest(config: SurveyConfig) -> str:
    """Digest of what decides how a survey's headers are read."""
    read: Any = {"keywords": True, "nights": True, "folder": {"checksums"}}
    return config_digest(config.model_dump(mode="json", include=read))


def _outcome(
    survey: str, night: date, source: SourceFile, result: IngestOutcome, digest: str
) -> Outcome:
    subject = survey_id(survey)
    run = run_id("ingest", subject, [source.name, result.sha256 or ""], INGEST_VERSION, digest)
    row: Row = {
        "run_id": run,
        "survey_id": subject,
        "night": night,
        "source": source.name,
        "sha256": result.sha256,
        "n_observations": len(result.observations),
        "status": result.status,
        "code_version": INGEST_VERSION,
        "config_digest": digest,
        "error_type": None,
        "error_message": None,
    }
    if result.error is not None:
        return Outcome(failure_row(row, result.error), notes=result.notes)
    assert result.sha256 is not None  # noqa: S101  an ingested file was read and hashed
    key = object_key("raw_frames", survey, night, run, "".join(PurePath(source.path).suffixes[-2:]))
    observations = tuple(
        _observation_row(asdict(record), subject, key) for record in result.observations
    )
    staged = StagedObject(key, source.path, result.sha256, is_scratch=False)
    return Outcome(row, staged, observations, notes=result.notes)


def _observation_row(record: Row, survey: object, key: str) -> Row:
    record.pop("survey")
    return record | {"survey_id": survey, "raw_fits_path": key}
