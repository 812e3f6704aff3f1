"""Deterministic identities: the same inputs, code and configuration give the same id.

Runs are content-addressed (design: history is kept, a completed id is not computed
again), so an id is a UUIDv5 over everything that decides a run's bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid5

NAMESPACE = UUID("a57121d0-0000-5000-8000-000000000000")
_CHUNK_BYTES = 1 << 20


def derive_id(kind: str, *parts: object) -> UUID:
    """UUIDv5 of ``kind`` and ``parts``, whose text forms must identify them.

    Parts are joined as a JSON list, so that ("ab", "c") and ("a", "bc") differ.
    """
    return uuid5(NAMESPACE, json.dumps([kind, *(str(part) for part in parts)]))


def survey_id(name: str) -> UUID:
    """Id of a survey by its name in ``surveys.yaml``."""
    return derive_id("survey", name)


def observation_id(survey: str, archive_id: str) -> UUID:
    """Id of one exposure: its survey and the archive's own name for it."""
    return derive_id("observation", survey, archive_id)


def run_id(
    stage: str,
    subject: UUID,
    inputs: Iterable[UUID | str],
    code_version: str,
    config_digest: str,
) -> UUID:
    """Id of one stage's run on one subject.

    Parameters
    ----------
    stage
        ``ingest``, ``preprocess``, ``reference``, ``difference``, ``model`` or ``forced``.
    subject
        The observation (or reference slot) the run is about.
    inputs
        Ids of consumed runs and SHA-256 of consumed files, in any order.
    code_version, config_digest
        What the result depends on besides its inputs.
    """
    return derive_id("run", stage, subject, *sorted(map(str, inputs)), code_version, config_digest)


def candidate_id(difference_run: UUID, is_negative: bool, x_peak_pix: int, y_peak_pix: int) -> UUID:
    """Id of a candidate: its difference run, sign and integer peak pixel."""
    sign = "-" if is_negative else "+"
    return derive_id("candidate", difference_run, sign, x_peak_pix, y_peak_pix)


def component_id(model_run: UUID, is_negative: bool, x_peak_pix: int, y_peak_pix: int) -> UUID:
    """Id of a U-Net component: its model run, sign and integer peak pixel."""
    sign = "-" if is_negative else "+"
    return derive_id("component", model_run, sign, x_peak_pix, y_peak_pix)


def detection_id(model_run: UUID, source: UUID) -> UUID:
    """Id of a detection: the model run and the candidate or component it judged."""
    return derive_id("detection", model_run, source)


def field_id(survey: str, field: str) -> UUID:
    """Id of a survey's field."""
    return derive_id("field", survey, field)


def object_id(observation: UUID, x_pix: float, y_pix: float) -> UUID:
    """Id of an object: the observation it was first detected on, and the pixel there.

    Not the detection, whose id changes with every version of code, model or reference:
    the same thing found again keeps its name.
    """
    return derive_id("object", observation, round(x_pix), round(y_pix))


def forced_id(sky_object: UUID, difference_run: UUID) -> UUID:
    """Id of a forced measurement: the object and the difference image."""
    return derive_id("forced", sky_object, difference_run)


def crossmatch_run_id(observation: UUID, catalogue: str) -> UUID:
    """Id of an observation's cross-match with a catalogue.

    Not of code or configuration: what others know changes without either, and the latest
    is what counts.
    """
    return derive_id("crossmatch_run", observation, catalogue)


def crossmatch_id(crossmatch_run: UUID, detection: UUID, source: str) -> UUID:
    """Id of a match: the cross-match, the detection and the source's own id."""
    return derive_id("crossmatch", crossmatch_run, detection, source)


def config_digest(config: Mapping[str, object]) -> str:
    """Hex digest (16 characters) of a JSON-able configuration, independent of key order."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def object_key(asset: str, survey: str, night: date, run: UUID, suffix: str = ".fits") -> str:
    """Key of a run's object: ``{asset}/{survey}/{night}/{run_id}{suffix}``."""
    return f"{asset}/{survey}/{night.isoformat()}/{run}{suffix}"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, read in chunks."""
    with path.open("rb") as stream:
        return sha256_stream(stream)


def sha256_stream(stream: BinaryIO) -> str:
    """SHA-256 of the rest of a stream, read in chunks."""
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
