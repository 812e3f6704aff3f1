"""The simulated survey, behind the same protocol as any archive.

Exposures are rendered into a temporary folder, a few ahead where there are processes to do
it, and removed when the next is asked for. The truth is not in them:
:mod:`astrid_core.simulation.truth` recomputes it.
"""

import datetime as dt
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path

from astropy.io import fits
from pydantic import ValidationError

from astrid_core.errors import ConfigurationError, WorkerDiedError
from astrid_core.frame import write_hdus
from astrid_core.parallel import IN_THIS_PROCESS, FramePool
from astrid_core.simulation.config import FILTERS, Filter, SceneConfig
from astrid_core.simulation.scene import SimulatedExposure, render_exposure
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.protocol import SourceFile, UnfetchedFile

_NAME = re.compile(r"sim-f(?P<field>\d{2,3})-(?P<night>\d{8})-(?P<filter>[griz])\.fits")


class SimulatedSurvey:
    """A survey whose archive is a seed.

    Parameters
    ----------
    pool
        The processes that render.

    Raises
    ------
    ConfigurationError
        If the survey's ``simulated`` options are not a valid :class:`SceneConfig`.
    """

    def __init__(self, config: SurveyConfig, pool: FramePool = IN_THIS_PROCESS) -> None:
        self._config = config
        self._pool = pool
        self._scene = scene_of(config)

    @property
    def config(self) -> SurveyConfig:
        """Entry of ``surveys.yaml`` it was opened with."""
        return self._config

    @property
    def scene(self) -> SceneConfig:
        """What is simulated."""
        return self._scene

    def nights(self) -> list[dt.date]:
        """Reference and science nights, ascending."""
        return list(self._scene.nights)

    def files(self, night: dt.date) -> Iterator[SourceFile | UnfetchedFile]:
        """Exposures of a night, field by field; each file lives until the next is asked for.

        One whose process died, out of memory say, is an :class:`UnfetchedFile`.
        """
        if night not in self._scene.nights:
            return
        exposures = product(range(self._scene.n_fields), self._scene.filters)
        with tempfile.TemporaryDirectory(prefix="astrid-simulated-") as folder:
            render = partial(_render, scene=self._scene, night=night, folder=Path(folder))
            with closing(self._pool.map(render, exposures)) as rendered:
                for (field_index, band), path in rendered:
                    name = archive_name(field_index, night, band)
                    if isinstance(path, WorkerDiedError):
                        yield UnfetchedFile(name=name, error=path)
                        continue
                    yield SourceFile(name=name, path=path)
                    path.unlink(missing_ok=True)


def scene_of(config: SurveyConfig) -> SceneConfig:
    """The scene of a simulated survey's configuration; its longitude is the survey's.

    Raises
    ------
    ConfigurationError
        If the options are not valid; the message names each.
    """
    try:
        return SceneConfig.model_validate(
            {"longitude_deg": config.longitude_deg or 0.0, **config.simulated}
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'simulated'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ConfigurationError(
            f"Survey '{config.name}' has options that cannot be simulated: {problems}.",
            remedy="Correct these keys under 'simulated' in the surveys file.",
            n_problems=error.error_count(),
        ) from error


def archive_name(field_index: int, night: dt.date, filter_band: Filter) -> str:
    """Archive name of an exposure: ``sim-f03-20250910-r.fits``."""
    return f"sim-f{field_index:02d}-{night:%Y%m%d}-{filter_band}.fits"


def parse_archive_name(name: str) -> tuple[int, dt.date, Filter] | None:
    """Field, night and filter of an archive name, None where it is not one of ours."""
    match = _NAME.fullmatch(name.split("[", 1)[0])
    if match is None:
        return None
    try:
        night = dt.datetime.strptime(match["night"], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
    band = next(known for known in FILTERS if known == match["filter"])
    return int(match["field"]), night, band


def _render(exposure: tuple[int, Filter], scene: SceneConfig, night: dt.date, folder: Path) -> Path:
    """Render an exposure of a night, given by field and filter, into a folder."""
    path = folder / archive_name(exposure[0], night, exposure[1])
    write_exposure(render_exposure(scene, exposure[0], night, exposure[1]), path)
    return path


def write_exposure(exposure: SimulatedExposure, path: Path) -> None:
    """Write an exposure as FITS (unsigned 16 bit); equal exposures give equal bytes."""
    write_hdus(fits.HDUList([fits.PrimaryHDU(exposure.adu, header=exposure.header)]), path)
