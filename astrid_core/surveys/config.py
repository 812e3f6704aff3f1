"""The survey configuration: ``surveys.yaml``, validated.

What belongs here: what a human writes about a survey. What does not: reading files.
"""

import datetime as dt
import fnmatch
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from astrid_core.crossmatch.config import CrossmatchConfig
from astrid_core.errors import ConfigurationError
from astrid_core.remote.config import ArchiveOptions
from astrid_core.surveys.archive.ivoa_config import IvoaOptions
from astrid_core.surveys.archive.mast_config import MastOptions
from astrid_core.surveys.archive.skyview_config import SkyviewOptions
from astrid_core.surveys.keywords import KeywordMap
from astrid_core.surveys.pairs_config import PairsConfig
from astrid_core.surveys.ranges import Nights

PACKAGED_SURVEYS = Path(__file__).with_name("surveys.yaml")
REFERENCE_PREFIX = "reference/"
"""Archive names of files under ``folder.reference_root`` begin with this."""

_OPTIONS_OF_ADAPTER = {
    "folder": ("folder", "nights"),
    "ivoa": ("archive", "ivoa"),
    "mast": ("archive", "mast"),
    "skyview": ("archive", "skyview"),
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

_MOST_VALUES = 100_000
"""Of a surveys file; the packaged one has some hundreds."""

Glob = str


def _empty_to_none(given: Any) -> Any:
    return None if isinstance(given, str) and not given.strip() else given


def _split_commas(given: Any) -> Any:
    """``'a, b'`` is ``['a', 'b']``, so that an environment variable can hold a list."""
    if given is None:
        return ()
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    return given


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ReferenceSet(_Model):
    """Which frames may be subtracted: a named set, built on purpose.

    A frame belongs to it if its night is named (or none is) and its name matches
    (or no pattern is given); with neither, none does.
    """

    name: str = Field(
        min_length=1, max_length=64, description="Name of the set; a new set, a new name."
    )
    nights: Annotated[tuple[Nights, ...], BeforeValidator(_split_commas)] = Field(
        default=(), description="Nights or ranges 'first..last'."
    )
    include: Annotated[tuple[Glob, ...], BeforeValidator(_split_commas)] = Field(
        default=(), description="Glob patterns on archive names (with or without '[SCI,1]')."
    )
    method: Literal["single", "coadd"] = Field(
        default="coadd", description="Best single frame, or weighted mean of the best frames."
    )
    max_members: int = Field(default=20, ge=1, le=500, description="Frames in a coadd at most.")
    limits: dict[str, Any] = Field(
        default_factory=dict, description="Overrides of what a member must be (ReferenceConfig)."
    )

    def contains(self, night: dt.date, archive_id: str) -> bool:
        """Whether a frame of that night and archive name belongs to the set."""
        if not self.nights and not self.include:
            return False
        in_nights = not self.nights or any(r.holds(night) for r in self.nights)
        names = (archive_id, archive_id.rsplit("[", 1)[0])
        in_names = not self.include or any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self.include for name in names
        )
        return in_nights and in_names


class NightRule(_Model):
    """Which night a file belongs to."""

    all: Annotated[dt.date | None, BeforeValidator(_empty_to_none)] = Field(
        default=None, description="The whole survey is this one night."
    )
    source: Literal["header"] = Field(
        default="header", alias="from", description="Nights come from the header's date."
    )
    undated: Annotated[dt.date | None, BeforeValidator(_empty_to_none)] = Field(
        default=None, description="Night under which files without a usable date are listed."
    )

    @model_validator(mode="after")
    def _every_file_has_a_night(self) -> "NightRule":
        if (self.all is None) == (self.undated is None):
            raise ValueError(
                "give either 'all: <night>' or 'from: header' with 'undated: <night>' "
                "for files without a usable date"
            )
        return self

    @property
    def fallback(self) -> dt.date:
        """Night of a file whose header tells none."""
        night = self.all or self.undated
        assert night is not None, "the validator guarantees one of them"  # noqa: S101
        return night


class FolderOptions(_Model):
    """Options of the folder adapter."""

    root: str = Field(min_length=1, description="Folder of FITS files; never written to.")
    reference_root: Annotated[str | None, BeforeValidator(_empty_to_none)] = Field(
        default=None, description="Folder whose frames form the reference set."
    )
    include: Annotated[tuple[Glob, ...], BeforeValidator(_split_commas)] = Field(
        default=(), description="Glob patterns on paths below root; empty takes all."
    )
    exclude: Annotated[tuple[Glob, ...], BeforeValidator(_split_commas)] = Field(
        default=(), description="Glob patterns on paths below root to leave out."
    )
    checksums: Literal["verify", "ignore"] = Field(
        default="verify",
        description="'ignore' for files edited by software that leaves CHECKSUM stale.",
    )


class SurveyConfig(_Model):
    """One survey of ``surveys.yaml``."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="Key of the entry; part of object keys."
    )
    description: str = Field(default="", description="A sentence for people.")
    adapter: Literal["simulated", "folder", "mast", "skyview", "ivoa"] = Field(
        description="What reads it."
    )
    longitude_deg: float | None = Field(
        default=None,
        ge=-180,
        le=360,
        description="East longitude; nights begin at local mean noon. Null: UTC dates.",
    )
    keywords: KeywordMap = Field(default_factory=KeywordMap, description="Header keyword map.")
    nights: NightRule | None = Field(default=None, description="Night of a file (folder adapter).")
    references: ReferenceSet = Field(description="What is subtracted.")
    min_separation_days: float = Field(
        default=0.0, ge=0, description="Least time between a science frame and its reference."
    )
    display_only: bool = Field(
        default=False,
        description="Its frames are looked at and never subtracted: photographic, resampled or "
        "non-linear images. Those of SkyView always are.",
    )
    nightly: bool = Field(
        default=False, description="Whether the nightly schedule processes it every noon (UTC)."
    )
    late_nights: int = Field(
        default=0,
        ge=0,
        le=60,
        description="Nights before last night that the schedule asks for again every noon: "
        "archives deliver late, and what failed may come now.",
    )
    folder: FolderOptions | None = None
    archive: ArchiveOptions | None = Field(
        default=None, description="How its archive is asked (archive adapters)."
    )
    mast: MastOptions | None = None
    skyview: SkyviewOptions | None = None
    ivoa: IvoaOptions | None = None
    simulated: dict[str, Any] = Field(default_factory=dict, description="simulation.SceneConfig.")
    preprocessing: dict[str, Any] = Field(default_factory=dict, description="Stage overrides.")
    differencing: dict[str, Any] = Field(default_factory=dict, description="Stage overrides.")
    extraction: dict[str, Any] = Field(default_factory=dict, description="Stage overrides.")
    detection: dict[str, Any] = Field(default_factory=dict, description="Stage overrides.")
    quality: dict[str, Any] = Field(
        default_factory=dict, description="monitoring.NightQualityConfig."
    )
    depth: dict[str, Any] = Field(default_factory=dict, description="monitoring.DepthConfig.")
    objects: dict[str, Any] = Field(default_factory=dict, description="Stage overrides.")
    pairs: PairsConfig = Field(
        default_factory=PairsConfig,
        description="Which observations before and after a transient make a pair.",
    )
    crossmatch: CrossmatchConfig = Field(
        default_factory=CrossmatchConfig, description="Catalogues to ask about objects; none."
    )

    @model_validator(mode="after")
    def _adapter_has_its_options(self) -> "SurveyConfig":
        needed = _OPTIONS_OF_ADAPTER.get(self.adapter, ())
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            keys = " and ".join(f"'{key}'" for key in needed)
            raise ValueError(f"adapter '{self.adapter}' needs the keys {keys}")
        for key in {key for keys in _OPTIONS_OF_ADAPTER.values() for key in keys} - {"nights"}:
            if key not in needed and getattr(self, key) is not None:
                raise ValueError(f"'{key}' options do not belong to adapter '{self.adapter}'")
        if self.adapter != "simulated" and self.simulated:
            raise ValueError(f"'simulated' options do not belong to adapter '{self.adapter}'")
        return self

    @model_validator(mode="after")
    def _archive_is_an_allowed_host(self) -> "SurveyConfig":
        adapter = self.mast or self.skyview
        if self.archive is None or adapter is None:
            return self
        url = adapter.url
        if not self.archive.allows(url.scheme, url.host or "", url.port):
            raise ValueError(f"the archive itself, {url.host}, is not in 'archive.allowed_hosts'")
        return self

    @model_validator(mode="after")
    def _display_has_no_references(self) -> "SurveyConfig":
        names_some = bool(self.references.nights or self.references.include)
        has_folder = self.folder is not None and self.folder.reference_root is not None
        if self.is_display_only and (names_some or has_folder):
            raise ValueError("a survey for display has no references: name no nights or frames")
        return self

    @property
    def is_display_only(self) -> bool:
        """Whether none of its frames may ever be subtracted from another."""
        return self.display_only or self.adapter == "skyview"

    def is_reference(self, night: dt.date, archive_id: str) -> bool:
        """Whether an observation belongs to the survey's reference set.

        With ``folder.reference_root`` these are the frames below it, else those the
        reference set names.
        """
        if self.folder is not None and self.folder.reference_root is not None:
            return archive_id.startswith(REFERENCE_PREFIX)
        return self.references.contains(night, archive_id)


class SurveysFile(_Model):
    """A whole ``surveys.yaml``."""

    partitions_start: dt.date = Field(description="First night of the partitions.")
    surveys: dict[str, SurveyConfig] = Field(min_length=1)

    def named(self, name: str) -> SurveyConfig:
        """Entry of a survey.

        Raises
        ------
        ConfigurationError
            If there is none of that name.
        """
        if name not in self.surveys:
            raise ConfigurationError(
                f"There is no survey '{name}'.",
                remedy=f"surveys.yaml knows {', '.join(sorted(self.surveys))}; add it there.",
            )
        return self.surveys[name]

    @model_validator(mode="before")
    @classmethod
    def _name_surveys_by_key(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not isinstance(given.get("surveys"), Mapping):
            return given
        named = {
            key: {"name": key, **entry} if isinstance(entry, Mapping) else entry
            for key, entry in given["surveys"].items()
        }
        return {**given, "surveys": named}

    @model_validator(mode="after")
    def _names_are_keys(self) -> "SurveysFile":
        for key, survey in self.surveys.items():
            if survey.name != key:
                raise ValueError(f"survey '{key}' calls itself '{survey.name}'")
        return self


def load_surveys(path: Path | None = None) -> SurveysFile:
    """Read and validate a surveys file; None reads the packaged one.

    ``${NAME}`` and ``${NAME:-default}`` in strings are replaced from the environment. A
    variable that is not set and has no default stays as it is: it is an error only when
    the survey is used (:func:`require_resolved`).

    Raises
    ------
    ConfigurationError
        Naming the file, the survey, the key and what to do.
    """
    source = PACKAGED_SURVEYS if path is None else path
    try:
        return SurveysFile.model_validate(_expand(_content(source), os.environ))
    except ValidationError as error:
        raise ConfigurationError(
            f"Surveys file {source} is not valid: {_describe(error)}.",
            remedy=f"Correct these keys; {PACKAGED_SURVEYS.name} documents each of them.",
            n_problems=error.error_count(),
        ) from error


def variables_named(survey: str, path: Path | None = None) -> list[tuple[str, str, str | None]]:
    """Environment variables that a survey's entry names: (key, variable, default or None)."""
    content = _content(PACKAGED_SURVEYS if path is None else path)
    return [(key, match[1], match[2]) for key, match in _placeholders(content["surveys"][survey])]


def _content(source: Path) -> Any:
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
        _count(content, {}, _MOST_VALUES)
        return content
    except OSError as error:
        raise ConfigurationError(
            f"Surveys file {source} cannot be read: {error.strerror or error}.",
            remedy="Point ASTRID_SURVEYS_FILE at an existing file, or unset it.",
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        # Of a date or number that is none (2025-13-45) YAML raises plain ValueErrors.
        raise ConfigurationError(
            f"Surveys file {source} is not YAML: {error}", remedy="Correct the named line."
        ) from error
    except RecursionError as error:
        raise ConfigurationError(
            f"Surveys file {source} is nested too deeply, or within itself.",
            remedy="Write its values out.",
        ) from error


def _count(content: Any, seen: dict[int, int], most: int) -> int:
    """Values that a document stands for, each reference to an anchor as often as it is made.

    Raises
    ------
    ValueError
        If they are more than ``most``: few lines of anchors can stand for billions.
    """
    if id(content) in seen:
        return seen[id(content)]
    inner: list[Any] = []
    if isinstance(content, Mapping):
        inner = list(content.values())
    elif isinstance(content, list):
        inner = content
    total = 1 + sum(_count(value, seen, most) for value in inner)
    if total > most:
        raise ValueError(f"it stands for more than {most} values")
    if inner:  # small values may share an identity, and are one each
        seen[id(content)] = total
    return total


def require_resolved(config: SurveyConfig) -> None:
    """Refuse a survey whose configuration still holds an unset ``${NAME}``.

    Raises
    ------
    ConfigurationError
        Naming the survey, the keys and the variables to set.
    """
    unset = _placeholders(config.model_dump(mode="json"))
    if unset:
        places = ", ".join(f"{key} needs {match[1]}" for key, match in unset)
        raise ConfigurationError(
            f"Survey '{config.name}' cannot be used: {places}.",
            remedy="Set the environment variable, or write the value into the surveys file.",
        )


def _expand(content: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(content, str):
        return _VARIABLE.sub(lambda match: environment.get(match[1]) or _default(match), content)
    if isinstance(content, Mapping):
        return {key: _expand(value, environment) for key, value in content.items()}
    if isinstance(content, list):
        return [_expand(value, environment) for value in content]
    return content


def _default(match: re.Match[str]) -> str:
    return match[0] if match[2] is None else match[2]


def _placeholders(content: Any, key: str = "") -> list[tuple[str, re.Match[str]]]:
    """Each ``${NAME}`` of a configuration with the key that it stands under."""
    if isinstance(content, str):
        return [(key, match) for match in _VARIABLE.finditer(content)]
    if isinstance(content, Mapping):
        items = [(f"{key}.{name}" if key else str(name), value) for name, value in content.items()]
    elif isinstance(content, list):
        items = [(f"{key}[{index}]", value) for index, value in enumerate(content)]
    else:
        return []
    return [found for name, value in items for found in _placeholders(value, name)]


def _describe(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
        for problem in error.errors()
    )
