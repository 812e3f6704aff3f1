"""From configuration to a survey: the one place that knows the adapters."""

from astrid_core.surveys.archive.survey import ArchiveSurvey
from astrid_core.surveys.config import SurveyConfig, require_resolved
from astrid_core.surveys.folder import FolderSurvey
from astrid_core.surveys.protocol import Survey


def open_survey(config: SurveyConfig) -> Survey:
    """Open a survey with the adapter its configuration names.

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

    return SimulatedSurvey(config)
