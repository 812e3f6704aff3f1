"""The folder survey: any directory tree of FITS files, never written to.

What belongs here: which files there are and which night each belongs to, from headers
alone. What does not: a plan for people (``plan``), reading pixels (``ingest``).
"""

import datetime as dt
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from astrid_core.errors import AstridError, ConfigurationError, SurveyUnavailableError
from astrid_core.sky import unit_vectors
from astrid_core.surveys.config import REFERENCE_PREFIX, FolderOptions, NightRule, SurveyConfig
from astrid_core.surveys.fits_input import image_hdus, primary_header
from astrid_core.surveys.header import HeaderReader, field_name, frame_kind
from astrid_core.surveys.ingest import UNKNOWN
from astrid_core.surveys.plan import FolderPlan, make_plan
from astrid_core.surveys.protocol import SourceFile
from astrid_core.surveys.sky import SkyPosition, sky_field, sky_position
from astrid_core.surveys.times import ExposureTime, exposure_time, night_of
from astrid_core.text import readable

_FITS_NAME = re.compile(r".+\.(fits?|fts|fz)(\.(gz|bz2|fz))?", re.IGNORECASE | re.DOTALL)
_SAME_POINTING = 0.35
"""Centres closer than this part of both images' diagonals are one pointing: half a side."""


@dataclass(frozen=True)
class FileSummary:
    """What the headers of one file say, for listing and planning.

    Attributes
    ----------
    night
        Night it is listed under.
    is_dated
        False where the night is the survey's rule for files without a date.
    why_not
        Why it will not be ingested; None if headers show nothing against it.
    """

    name: str
    night: dt.date
    is_dated: bool
    why_not: str | None = None
    kind: str = ""
    filter_band: str = UNKNOWN
    field: str | None = None
    position: SkyPosition | None = None


class FolderSurvey:
    """A directory of FITS files as a survey.

    Headers are read when nights, files or a plan are asked for, and remembered as long as
    path, size and modification time stay the same.

    Parameters
    ----------
    config
        With ``folder`` options.
    max_frame_mpix
        Limit for the header pass; the same as for ingest.
    """

    def __init__(self, config: SurveyConfig, max_frame_mpix: float = 256.0) -> None:
        if config.folder is None or config.nights is None:
            raise ConfigurationError(
                f"Survey '{config.name}' has no folder.",
                remedy="Give it the keys 'folder' and 'nights'.",
            )
        self._config = config
        self._options: FolderOptions = config.folder
        self._rule: NightRule = config.nights
        self._max_frame_mpix = max_frame_mpix
        self._summaries: dict[tuple[Path, int, int], FileSummary] = {}

    @property
    def config(self) -> SurveyConfig:
        """Entry of ``surveys.yaml`` it was opened with."""
        return self._config

    def nights(self) -> list[dt.date]:
        """Nights that have files, ascending.

        Raises
        ------
        SurveyUnavailableError
            If a folder does not exist or cannot be listed.
        """
        if self._rule.all is not None:
            return [self._rule.all] if self._list() else []
        return sorted({summary.night for summary in self._scan().values()})

    def files(self, night: dt.date) -> Iterator[SourceFile]:
        """Files of a night by name; unreadable ones are listed too, for ingest to report.

        Raises
        ------
        SurveyUnavailableError
            If a folder does not exist or cannot be listed.
        """
        summaries = self._scan()
        fields = _fields_by_pointing(summaries.values())
        for path, summary in summaries.items():
            if summary.night == night:
                yield SourceFile(summary.name, path, fields.get(summary.name))

    def plan(self, partitions_start: dt.date | None = None) -> FolderPlan:
        """What would be processed and how, without doing it.

        Parameters
        ----------
        partitions_start
            First night partitions exist for; earlier nights are excluded, with reason.
        """
        summaries = list(self._scan().values())
        return make_plan(self._config, summaries, _fields_by_pointing(summaries), partitions_start)

    def _scan(self) -> dict[Path, FileSummary]:
        """Summary of every file, in order of names; headers of changed files are read."""
        found = {}
        for name, path in self._list():
            try:
                status = path.stat()
            except OSError:
                continue  # gone since it was listed
            key = (path, status.st_mtime_ns, status.st_size)
            if key not in self._summaries:
                self._summaries[key] = self._summarise(name, path)
            found[path] = self._summaries[key]
        return found

    def _summarise(self, name: str, path: Path) -> FileSummary:
        """What a file's headers say; one that nobody foresaw is listed, for ingest to report."""
        try:
            return self._read(name, path)
        except Exception as error:  # noqa: BLE001  one file never costs the survey
            why_not = readable(f"unexpected {type(error).__name__}: {error}")
            return FileSummary(name, self._rule.fallback, False, why_not)

    def _read(self, name: str, path: Path) -> FileSummary:
        try:
            image = image_hdus(path, self._max_frame_mpix)[0]
        except AstridError as error:
            return self._refused(name, path, error)
        reader = HeaderReader(image.header, self._config.keywords, name)
        kind, _ = frame_kind(reader)
        time = exposure_time(reader, reader.number("exposure"))
        night, is_dated = self._night(time)
        is_sky = kind in ("science", "bias", "dark", "flat")
        return FileSummary(
            name,
            night,
            is_dated,
            why_not=None if is_sky else f"its header calls it '{kind}'",
            kind=kind,
            filter_band=reader.text("filter_band") or UNKNOWN,
            field=field_name(reader),
            position=sky_position(image.header, image.shape) if kind == "science" else None,
        )

    def _refused(self, name: str, path: Path, error: AstridError) -> FileSummary:
        """A file that is no image is listed beside its companions where it has a date."""
        try:
            header = primary_header(path, self._max_frame_mpix)
        except AstridError:
            return FileSummary(name, self._rule.fallback, False, readable(str(error)))
        reader = HeaderReader(header, self._config.keywords, name)
        night, is_dated = self._night(exposure_time(reader, reader.number("exposure")))
        return FileSummary(name, night, is_dated, readable(str(error)))

    def _night(self, time: ExposureTime) -> tuple[dt.date, bool]:
        if self._rule.all is not None:
            return self._rule.all, True
        night = night_of(time, self._config.longitude_deg)
        return (self._rule.fallback, False) if night is None else (night, True)

    def _list(self) -> list[tuple[str, Path]]:
        """(archive name, path) of all FITS files, by name."""
        root = _existing(self._options.root, self._config.name)
        if self._options.reference_root is None:
            return sorted(self._walk(root, "", ()))
        reference = _existing(self._options.reference_root, self._config.name)
        if reference == root:
            raise ConfigurationError(
                f"Survey '{self._config.name}': reference_root is root itself.",
                remedy="Name a folder of other frames, or name reference nights instead.",
            )
        files = [*self._walk(root, "", (reference,))]
        files += self._walk(reference, REFERENCE_PREFIX, (root,))
        return sorted(files)

    def _walk(
        self, root: Path, prefix: str, other_roots: tuple[Path, ...]
    ) -> Iterator[tuple[str, Path]]:
        for folder, subfolders, names in os.walk(root, onerror=self._raise_unavailable):
            subfolders[:] = [
                name
                for name in subfolders
                if not name.startswith(".") and Path(folder, name) not in other_roots
            ]
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(root).as_posix()
                if self._is_wanted(name, relative) and _is_inside(path, root):
                    yield prefix + readable(relative), path

    def _is_wanted(self, name: str, relative: str) -> bool:
        if name.startswith(".") or not _FITS_NAME.fullmatch(name):
            return False
        includes, excludes = self._options.include, self._options.exclude
        is_included = not includes or any(fnmatchcase(relative, glob) for glob in includes)
        return is_included and not any(fnmatchcase(relative, glob) for glob in excludes)

    def _raise_unavailable(self, error: OSError) -> None:
        raise SurveyUnavailableError(
            f"Survey '{self._config.name}': {error.filename} cannot be listed "
            f"({error.strerror or error}).",
            remedy="Check that the folder exists and may be read.",
        ) from error


def _existing(folder: str, survey: str) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise SurveyUnavailableError(
            f"Survey '{survey}': there is no folder {path}.",
            remedy="Mount it or correct its path.",
        )
    return path.resolve()


def _is_inside(path: Path, root: Path) -> bool:
    """Whether a file is there and no link leads out of the root."""
    return path.is_file() and path.resolve().is_relative_to(root)


def _fields_by_pointing(summaries: Iterable[FileSummary]) -> dict[str, str]:
    """Fields of images that have a position but no name: one for all dithers of a pointing.

    The first frame of a pointing (by night, then name) gives it its name, so that frames
    that come later do not rename it. The smaller of two images says what is near: a header
    that claims half the sky gathers no other pointing.
    """
    nameless = sorted(
        (s for s in summaries if s.position is not None and s.field is None),
        key=lambda summary: (summary.night, summary.name),
    )
    anchors: list[str] = []
    vectors = np.zeros((0, 3))
    reaches = np.zeros(0)
    fields = {}
    for summary in nameless:
        position = summary.position
        assert position is not None, "filtered above"  # noqa: S101
        (vector,) = unit_vectors(np.array([position.ra]), np.array([position.dec]))
        reach = 2 * np.sin(np.radians(_SAME_POINTING * position.diagonal_deg) / 2)
        near = np.linalg.norm(vectors - vector, axis=1) < np.minimum(reaches, reach)
        if near.any():
            fields[summary.name] = anchors[int(np.argmax(near))]
            continue
        fields[summary.name] = sky_field(position.ra, position.dec)
        anchors.append(fields[summary.name])
        vectors = np.vstack([vectors, vector])
        reaches = np.append(reaches, reach)
    return fields
