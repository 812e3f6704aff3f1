"""What a survey's configuration means, and whether its archive does what it says.

What belongs here: facts of an entry of ``surveys.yaml`` without asking anybody, and one
question and one file where asking is wanted. Nothing here is recorded.
"""

import datetime as dt
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from astrid_core.errors import AstridError, ConfigurationError
from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.config import SurveyConfig, variables_named
from astrid_core.surveys.ingest import IngestOutcome, ingest_file
from astrid_core.surveys.protocol import SourceFile, Survey, UnfetchedFile
from astrid_core.surveys.ranges import NightRange
from astrid_core.surveys.registry import open_survey


@dataclass(frozen=True)
class Variable:
    """An environment variable that a survey reads.

    Attributes
    ----------
    what_for
        Key of the configuration that it fills.
    is_needed
        Whether the survey cannot be used while it is not set.
    """

    name: str
    what_for: str
    is_set: bool
    is_needed: bool


@dataclass(frozen=True)
class SurveyFacts:
    """What a survey is, by its configuration alone.

    Attributes
    ----------
    source
        Adapter and where it looks.
    hosts
        Everybody it may speak to; empty for a survey that never asks the network.
    problems
        What is wrong with it, each as a sentence.
    """

    name: str
    source: str
    hosts: tuple[str, ...]
    variables: tuple[Variable, ...]
    nights: str
    references: str
    problems: tuple[str, ...]

    @property
    def missing(self) -> tuple[Variable, ...]:
        """Variables without which it cannot be used."""
        return tuple(one for one in self.variables if one.is_needed and not one.is_set)

    def describe(self) -> str:
        """The facts as text for people."""
        state = "wrong" if self.problems else "not usable yet" if self.missing else "ready"
        lines = [
            f"{self.name}: {state}",
            f"  source      {self.source}",
            f"  speaks to   {', '.join(self.hosts) or 'nobody'}",
            f"  variables   {_describe_variables(self.variables)}",
            f"  nights      {self.nights}",
            f"  references  {self.references}",
        ]
        return "\n".join([*lines, *(f"  problem     {one}" for one in self.problems)])


@dataclass(frozen=True)
class Probe:
    """One file that was fetched to see whether it comes.

    Attributes
    ----------
    n_files
        Files of the night that it is of; None where listing them would make them.
    outcome
        What ingesting it would record.
    """

    night: dt.date
    n_files: int | None
    name: str
    size_bytes: int
    took_s: float
    outcome: IngestOutcome

    def describe(self) -> str:
        """What came, as text for people."""
        lines = [
            f"  live        night {self.night}"
            f"{f': {self.n_files} files' if self.n_files is not None else ''}",
            f"  fetched     {self.name}, {self.size_bytes} bytes in {self.took_s:.1f} s",
            f"  sha256      {self.outcome.sha256}",
        ]
        for one in self.outcome.observations:
            assumed = f", assumed: {', '.join(one.assumed)}" if one.assumed else ""
            lines.append(
                f"  observation {one.archive_id}: {one.frame_kind}, {one.width_pix} x "
                f"{one.height_pix} pix, filter {one.filter_band}, {one.observation_time}{assumed}"
            )
        return "\n".join([*lines, *(f"  note        {note}" for note in self.outcome.notes)])


def examine(config: SurveyConfig, surveys_file: Path | None) -> SurveyFacts:
    """What a survey is, without asking anybody.

    Parameters
    ----------
    surveys_file
        File that the entry stands in; None: the packaged one.
    """
    url = _service(config)
    source: str = config.adapter
    if config.ivoa is not None:
        source += f" ({config.ivoa.protocol})"
    if config.folder is not None:
        source += f" {config.folder.root}"
    return SurveyFacts(
        name=config.name,
        source=source if url is None else f"{source} at {url}",
        hosts=_hosts(config),
        variables=_variables(config, surveys_file),
        nights=_nights(config),
        references=_references(config),
        problems=(*_host_problems(config, url), *_stage_problems(config)),
    )


def probe(
    config: SurveyConfig, scratch: Path, max_frame_mpix: float, night: dt.date | None = None
) -> Probe:
    """Ask a survey for real, fetch one file, and read it; nothing is recorded.

    Parameters
    ----------
    scratch
        Folder that an archive's file is fetched into, instead of the cache.
    night
        Night whose smallest file is taken; None asks for the nights first and takes the last.

    Raises
    ------
    AstridError
        Whatever ingesting that file would fail with; and where there is no file at all.
    """
    if config.archive is not None:
        rules = config.archive.model_copy(update={"cache_dir": scratch, "keep": True})
        config = config.model_copy(update={"archive": rules})
    survey = open_survey(config)
    if night is None:
        nights = survey.nights()
        night = nights[-1] if nights else None
    began = time.monotonic()
    n_files, files = (0, iter(())) if night is None else _files(survey, night)
    file = next(files, None)  # there until the next is asked for
    if night is None or file is None:
        raise ConfigurationError(
            f"Survey '{config.name}' lists no files{f' for {night}' if night else ''}: nothing "
            "is verified.",
            remedy="Widen what it asks for, or name a night that has files.",
        )
    if isinstance(file, UnfetchedFile):
        raise file.error
    took_s = time.monotonic() - began
    outcome = ingest_file(file, config, night, max_frame_mpix)
    if outcome.error is not None:
        raise outcome.error
    return Probe(night, n_files, file.name, file.path.stat().st_size, took_s, outcome)


def _files(
    survey: Survey, night: dt.date
) -> tuple[int | None, Iterator[SourceFile | UnfetchedFile]]:
    """How many files a night has, and one of them or more; of an archive the smallest."""
    if not isinstance(survey, ArchiveSurvey):
        return None, survey.files(night)
    products = survey.products(night)
    # Of unknown size last: it may be anything.
    by_size = sorted(products, key=lambda one: (one.size_bytes is None, one.size_bytes or 0))
    return len(products), survey.fetch(by_size[:1])


# --- what a configuration says ---------------------------------------------------------------


def _service(config: SurveyConfig) -> str | None:
    """Address that an archive's adapter asks."""
    options = config.mast or config.skyview or config.ivoa
    return None if options is None else str(options.url)


def _hosts(config: SurveyConfig) -> tuple[str, ...]:
    archive = () if config.archive is None else config.archive.allowed_hosts
    catalogues = [
        str(urlsplit(str(getattr(config.crossmatch, name).url)).hostname)
        for name in config.crossmatch.catalogues
    ]
    return tuple(dict.fromkeys([*archive, *catalogues]))


def _host_problems(config: SurveyConfig, url: str | None) -> list[str]:
    if config.archive is None or url is None:
        return []
    parts = urlsplit(url)
    if config.archive.allows(parts.scheme, str(parts.hostname), parts.port):
        return []
    return [
        f"{parts.netloc} is what it asks, and is not in archive.allowed_hosts: every request "
        "would be refused."
    ]


def _variables(config: SurveyConfig, surveys_file: Path | None) -> tuple[Variable, ...]:
    named = [
        Variable(name, key, bool(os.environ.get(name)), is_needed=default is None)
        for key, name, default in variables_named(config.name, surveys_file)
    ]
    for credential in () if config.archive is None else config.archive.credentials:
        for name in (credential.secret_env, credential.user_env):
            if name is not None:
                what_for = f"archive.credentials of {credential.host}"
                is_set = bool(os.environ.get(name))
                named.append(Variable(name, what_for, is_set, is_needed=True))
    return tuple(named)


def _describe_variables(variables: tuple[Variable, ...]) -> str:
    told = [
        f"{one.name} ({'set' if one.is_set else 'NOT SET' if one.is_needed else 'default'}, "
        f"for {one.what_for})"
        for one in variables
    ]
    return ", ".join(told) or "none"


def _nights(config: SurveyConfig) -> str:
    dated = config.mast or config.ivoa
    if dated is not None:
        return _range(dated.dates)
    if config.skyview is not None:
        return f"{config.skyview.night}, where its images are listed"
    if config.nights is not None and config.nights.all is not None:
        return str(config.nights.all)
    return "as its files say" if config.adapter == "folder" else "as simulated"


def _references(config: SurveyConfig) -> str:
    named = config.references
    if config.is_display_only:
        return "none: its frames are for display"
    if config.folder is not None and config.folder.reference_root is not None:
        return f"{named.name}: the files of {config.folder.reference_root}"
    if not named.nights and not named.include:
        return f"{named.name}: no frame is one"
    nights = ", ".join(map(_range, named.nights)) or "any night"
    frames = f", frames {', '.join(named.include)}" if named.include else ""
    return f"{named.name}: {nights}{frames}, by {named.method}"


def _range(nights: NightRange) -> str:
    same = nights.first == nights.last
    return str(nights.first) if same else f"{nights.first}..{nights.last}"


def _stage_problems(config: SurveyConfig) -> list[str]:
    """Stage options that the stages would refuse, which are read when the stages run."""
    problems = []
    for key, model in _stage_models().items():
        section, _, part = key.partition(".")
        given = getattr(config, section)
        try:
            model.model_validate(getattr(given, part) if part else given)
        except ValidationError as error:
            for one in error.errors():
                problems.append(f"{'.'.join(map(str, (key, *one['loc'])))}: {one['msg']}.")
        except AstridError as error:
            problems.append(f"{key}: {error}")
    return problems


def _stage_models() -> dict[str, type[BaseModel]]:
    # Imported here: the stages are heavy, and only this asks all of them.
    from astrid_core.curation.objects import ObjectConfig
    from astrid_core.detection.config import DetectionConfig
    from astrid_core.differencing.config import DifferenceConfig
    from astrid_core.differencing.registration_config import ReferenceConfig
    from astrid_core.extraction.config import ExtractionConfig
    from astrid_core.monitoring.depth import DepthConfig
    from astrid_core.monitoring.quality import NightQualityConfig
    from astrid_core.preprocessing.config import PreprocessConfig
    from astrid_core.simulation.config import SceneConfig

    return {
        "preprocessing": PreprocessConfig,
        "differencing": DifferenceConfig,
        "extraction": ExtractionConfig,
        "detection": DetectionConfig,
        "objects": ObjectConfig,
        "quality": NightQualityConfig,
        "depth": DepthConfig,
        "simulated": SceneConfig,
        "references.limits": ReferenceConfig,
    }
