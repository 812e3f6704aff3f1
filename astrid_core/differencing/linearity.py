"""Frames that are for display only are never subtracted, from either side.

What belongs here: the refusal. What does not: which frames they are (``surveys.ingest``).
"""

from astrid_core.errors import WrongSurveyError
from astrid_core.frame import FrameMeta
from astrid_core.surveys.ingest import LINEARITY


def require_linear(meta: FrameMeta, name: str) -> None:
    """Refuse a frame whose values may not be proportional to light.

    Parameters
    ----------
    name
        The frame's name for the message.

    Raises
    ------
    WrongSurveyError
        If it is marked: plates, images resampled for display, values stored as asinh by a
        header that does not say how. No label may come of its differences.
    """
    if LINEARITY in meta.assumed:
        raise WrongSurveyError(
            f"{name} of survey '{meta.survey}' is for display only: its values may not be "
            "proportional to light, and a difference of it would not be one of light.",
            remedy="Look at it, and leave it out of the survey's references (surveys.yaml).",
        )
