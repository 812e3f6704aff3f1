"""Ingest: one file of a survey's night becomes an object and its observations."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from astrid_core.errors import BadFitsError
from astrid_core.identity import config_digest, object_key, run_id, survey_id
from astrid_core.stages.outcome import Outcome, Row, StagedObject, failure_row
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.ingest import INGEST_VERSION, IngestOutcome, ingest_file
from astrid_core.surveys.protocol import SourceFile, Survey, UnfetchedFile

_SUFFIX = re.compile(r"\.[A-Za-z0-9_+-]{1,16}")
_LONGEST_NAME = 1000
"""Characters; names are looked up by an index, which takes no longer ones."""


def ingest_night(survey: Survey, night: date, max_frame_mpix: float) -> Iterator[Outcome]:
    """Ingest a night's files one at a time; a file lives until the next one is asked for.

    Yields
    ------
    Outcome
        ``row`` is the file's ``ingest_runs`` row (failed, with the reason, for a file that
        did not come), ``children`` its ``observations`` rows,
        ``staged`` the file itself, byte for byte.
    """
    yield from ingest_files(survey.config, night, survey.files(night), max_frame_mpix)


def ingest_files(
    config: SurveyConfig,
    night: date,
    sources: Iterable[SourceFile | UnfetchedFile],
    max_frame_mpix: float,
) -> Iterator[Outcome]:
    """Ingest certain files of a night, as :func:`ingest_night` does all of them."""
    digest = ingest_digest(config)
    seen: Counter[str] = Counter()
    for source in sources:
        seen[source.name] += 1
        if seen[source.name] > 1:
            yield _again(config, night, source.name, seen[source.name], digest)
        elif isinstance(source, UnfetchedFile):
            yield Outcome(failure_row(_row(config, night, source.name, digest), source.error))
        else:
            yield _ingested(config, night, source, max_frame_mpix, digest)


def _ingested(
    config: SurveyConfig, night: date, source: SourceFile, max_frame_mpix: float, digest: str
) -> Outcome:
    """What became of one file; whatever it raises becomes its row and costs no other file."""
    try:
        if len(source.name) > _LONGEST_NAME:
            raise BadFitsError(
                f"{source.name[:80]}… is a name of {len(source.name)} characters.",
                remedy=f"Give the file a shorter one; up to {_LONGEST_NAME} are taken.",
            )
        result = ingest_file(source, config, night, max_frame_mpix)
        return _outcome(config, night, source, result, digest)
    except Exception as error:  # noqa: BLE001  the boundary that records every failure
        return Outcome(failure_row(_row(config, night, source.name, digest), error))


def _again(config: SurveyConfig, night: date, name: str, count: int, digest: str) -> Outcome:
    """A file of a name that another file of the night has: its rows would be the other's."""
    error = BadFitsError(
        f"{name} is listed for {night} more than once; the first is taken.",
        remedy="Give the files different names.",
    )
    return Outcome(failure_row(_row(config, night, f"{name} ({count})", digest), error))


def ingest_digest(config: SurveyConfig) -> str:
    """Digest of what decides how a survey's headers are read."""
    read: Any = {"keywords": True, "nights": True, "folder": {"checksums"}}
    content = config.model_dump(mode="json", include=read)
    if config.is_display_only:
        content["display_only"] = True
    return config_digest(content)


def _row(
    config: SurveyConfig, night: date, source: str, digest: str, sha256: str | None = None
) -> Row:
    """A file's ``ingest_runs`` row before it is known what became of it."""
    subject = survey_id(config.name)
    return {
        "run_id": run_id("ingest", subject, [source, sha256 or ""], INGEST_VERSION, digest),
        "survey_id": subject,
        "night": night,
        "source": source,
        "sha256": sha256,
        "n_observations": 0,
        "code_version": INGEST_VERSION,
        "config_digest": digest,
        "error_type": None,
        "error_message": None,
    }


def _outcome(
    config: SurveyConfig, night: date, source: SourceFile, result: IngestOutcome, digest: str
) -> Outcome:
    row = _row(config, night, source.name, digest, result.sha256)
    if result.error is not None:
        return Outcome(failure_row(row, result.error), notes=result.notes)
    assert result.sha256 is not None  # noqa: S101  an ingested file was read and hashed
    row |= {"status": result.status, "n_observations": len(result.observations)}
    key = object_key("raw_frames", config.name, night, row["run_id"], _suffix(source.path))
    observations = tuple(
        _observation_row(asdict(record), row["survey_id"], key) for record in result.observations
    )
    staged = StagedObject(key, source.path, result.sha256, is_scratch=False)
    return Outcome(row, staged, observations, notes=result.notes)


def _suffix(path: Path) -> str:
    """What a FITS file's name ends in, as far as it is fit for a key: names may hold anything."""
    suffixes = path.suffixes[-2:]
    return "".join(one for one in suffixes if _SUFFIX.fullmatch(one)) or ".fits"


def _observation_row(record: Row, survey: object, key: str) -> Row:
    record.pop("survey")
    return record | {"survey_id": survey, "raw_fits_path": key}
