"""From configuration to a survey: the one place that knows the adapters."""

from astrid_core.errors import ConfigurationError
from astrid_core.parallel import IN_THIS_PROCESS, FramePool
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.listing import Lister
from astrid_core.surveys.archive.mast_config import Cone
from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.config import SurveyConfig, require_resolved
from astrid_core.surveys.folder import FolderSurvey
from astrid_core.surveys.protocol import Survey
from astrid_core.surveys.ranges import NightRange


def open_survey(config: SurveyConfig, pool: FramePool = IN_THIS_PROCESS) -> Survey:
    """Open a survey with the adapter its configuration names.

    Parameters
    ----------
    pool
        The processes that may compute its files, where they are computed: simulated ones.

    Raises
    ------
    ConfigurationError
        If it needs an environment variable that is not set, or an option is wrong.
    """
    require_resolved(config)
    if config.adapter == "folder":
        return FolderSurvey(config)
    # Imported here: the archives' clients and the simulator are heavy, few processes need them.
    if config.adapter == "mast":
        from astrid_core.surveys.archive.mast import MastFinder

        return ArchiveSurvey(config, MastFinder)
    if config.adapter == "skyview":
        from astrid_core.surveys.archive.skyview import SkyviewFinder

        return ArchiveSurvey(config, SkyviewFinder)
    if config.adapter == "ivoa":
        from astrid_core.surveys.archive.ivoa import IvoaFinder

        return ArchiveSurvey(config, IvoaFinder)
    from astrid_core.simulation.survey import SimulatedSurvey

    return SimulatedSurvey(config, pool)


def open_lister(config: SurveyConfig, session: ArchiveSession, place: Cone) -> Lister:
    """Open a survey's adapter to list images around a place of its own.

    Raises
    ------
    ConfigurationError
        If the adapter cannot tell filters and footprints before files are fetched.
    """
    listing_dates(config)
    around = {"cones": (place,)}
    if config.mast is not None:
        from astrid_core.surveys.archive.mast import MastFinder

        mast = config.mast.model_copy(update=around)
        return MastFinder(config.model_copy(update={"mast": mast}), session)
    from astrid_core.surveys.archive.ivoa import IvoaFinder

    assert config.ivoa is not None, "the only other one that lists"  # noqa: S101
    ivoa = config.ivoa.model_copy(update=around)
    return IvoaFinder(config.model_copy(update={"ivoa": ivoa}), session)


def listing_dates(config: SurveyConfig) -> NightRange:
    """Nights of a survey whose adapter can list images before files are fetched.

    Raises
    ------
    ConfigurationError
        If the survey's cannot.
    """
    options = config.mast or config.ivoa
    if options is None:
        raise ConfigurationError(
            f"Survey '{config.name}' cannot be searched for pairs: its adapter "
            f"'{config.adapter}' tells no filters and footprints before files are fetched.",
            remedy="Take a survey of the adapter 'ivoa' or 'mast'.",
        )
    return options.dates
