"""An archive as a survey: what an adapter finds, fetched.

What belongs here: the survey protocol over any :class:`Finder`. What does not: any one
archive.
"""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from astrid_core.errors import ConfigurationError, SurveyRefusedError
from astrid_core.remote.config import ArchiveOptions
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.download import (
    DownloadPlan,
    Fetched,
    Progress,
    fetch_all,
    plan,
)
from astrid_core.surveys.archive.product import Finder, Product
from astrid_core.surveys.config import SurveyConfig
from astrid_core.surveys.protocol import SourceFile, UnfetchedFile

_log = logging.getLogger(__name__)

MakeFinder = Callable[[SurveyConfig, ArchiveSession], Finder]
"""An adapter: from a survey's entry and its session to what finds."""


class ArchiveSurvey:
    """A survey whose files lie in an archive on the network.

    Parameters
    ----------
    config
        With ``archive`` options and those of its adapter.
    make_finder
        The adapter.
    max_frame_mpix
        Largest image that a fetched file may hold; the same as for ingest.
    on_progress
        Told after every file; default is the log.
    """

    def __init__(
        self,
        config: SurveyConfig,
        make_finder: MakeFinder,
        max_frame_mpix: float = 256.0,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if config.archive is None:
            raise ConfigurationError(
                f"Survey '{config.name}' has no options for its archive.",
                remedy="Give it the key 'archive' with 'allowed_hosts'.",
            )
        self._config = config
        self._rules: ArchiveOptions = config.archive
        self._make_finder = make_finder
        self._max_frame_mpix = max_frame_mpix
        self._on_progress = on_progress or self._log_progress

    @property
    def config(self) -> SurveyConfig:
        """Entry of ``surveys.yaml`` it was opened with."""
        return self._config

    def nights(self) -> list[dt.date]:
        """Nights that the archive has files of, ascending.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses or answers what cannot be read.
        """
        with self._session() as session:
            return self._make_finder(self._config, session).nights()

    def products(self, night: dt.date) -> list[Product]:
        """Files that the archive offers of a night, found without fetching any.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses or answers what cannot be read.
        """
        with self._session() as session:
            found = self._make_finder(self._config, session).products(night)
        twice = [name for name, n in Counter(product.name for product in found).items() if n > 1]
        if twice:
            raise SurveyRefusedError(
                f"Survey '{self._config.name}': the archive lists {twice[0]} more than once "
                f"for {night}.",
                remedy="Narrow its product rules: an observation must be of one file.",
                n_names=len(twice),
            )
        return found

    def plan(self, night: dt.date) -> DownloadPlan:
        """What ingesting a night would fetch, without fetching it."""
        return plan(self.products(night), self._config.name, self._rules)

    def files(self, night: dt.date) -> Iterator[SourceFile | UnfetchedFile]:
        """Files of a night as they come, in the archive's order, failed ones with their error.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses, or fails at file after file.
        """
        yield from self.fetch(self.products(night))

    def fetch(self, products: Sequence[Product]) -> Iterator[SourceFile | UnfetchedFile]:
        """Certain files as they come, in their order, failed ones with their error.

        Raises
        ------
        SurveyUnavailableError
            If the archive fails at file after file.
        """
        with self._session() as session:
            fetching = fetch_all(products, session, self._max_frame_mpix, self._on_progress)
            with closing(fetching):  # a consumer that goes away stops the downloads
                for result in fetching:
                    product = result.product
                    if isinstance(result, Fetched):
                        yield SourceFile(product.name, result.path, product.field)
                    else:
                        yield UnfetchedFile(product.name, result.error)

    def _session(self) -> ArchiveSession:
        return ArchiveSession(self._config.name, self._rules)

    def _log_progress(self, progress: Progress) -> None:
        _log.info(
            "survey %s: %d of %d files, %d failed, %.1f MiB",
            self._config.name,
            progress.n_done,
            progress.n_files,
            progress.n_failed,
            progress.n_bytes / (1 << 20),
        )
