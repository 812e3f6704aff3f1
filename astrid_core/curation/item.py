"""A detection as a reviewer is shown it, before they have said what it is.

Whatever tells what anybody else makes of it is left out: the model's confidence, verdicts,
labels, why the queue chose it. A verdict is to be the reviewer's own.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from astrid_core.curation.details import ObservationDetails, no_detection, of_detections, view
from astrid_core.curation.lightcurve import LightCurvePoint, assemble_light_curve
from astrid_core.curation.measurements import measurements_of
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    ObjectDetection,
    Observation,
    PreprocessRun,
    Survey,
)


@dataclass(frozen=True)
class Measured:
    """What was measured of the source; see :class:`~dbschema.models.Candidate`."""

    flux: float
    flux_err: float
    flux_unit: str
    snr: float
    scorr_peak: float
    fwhm_pix: float
    elongation: float
    flag_names: list[str]


@dataclass(frozen=True)
class ReviewItem:
    """What a reviewer is shown of a detection.

    Attributes
    ----------
    x_pix, y_pix
        0-based pixel centre in the frame.
    ra, dec
        Degrees ICRS; None without WCS.
    frame_fwhm_pix, difference_fwhm_pix
        FWHM of the PSF of the frame, and of that of the difference image.
    measured
        None for a U-Net component, of which nothing was measured.
    cutout_sha256
        Of the cutout that is shown with it, to be named in the verdict; None for a U-Net
        component of a run that cut out none.
    light_curve
        Of the object it belongs to, by time; empty where it belongs to none.
    """

    id: UUID
    survey: str
    observation: ObservationDetails
    x_pix: float
    y_pix: float
    ra: float | None
    dec: float | None
    is_negative: bool
    frame_fwhm_pix: float | None
    difference_fwhm_pix: float | None
    measured: Measured | None
    cutout_sha256: str | None
    light_curve: tuple[LightCurvePoint, ...]


def review_item(connection: Connection, detection_id: UUID) -> ReviewItem:
    """A detection to judge.

    Raises
    ------
    NoSuchItemError
        If there is none.
    """
    query = of_detections(
        Detection,
        Observation,
        Survey.name,
        PreprocessRun.fwhm_pix,
        DifferenceRun.fwhm_pix,
        Candidate,
        ObjectDetection.object_id,
    ).where(Detection.id == detection_id)
    with Session(connection) as session:
        row = session.execute(query).one_or_none()
        if row is None:
            raise no_detection(detection_id)
        detection, observation, survey, frame_fwhm, difference_fwhm, candidate, object_id = row
        measurements = measurements_of(connection, object_id) if object_id else ()
        return view(
            ReviewItem,
            detection,
            survey=survey,
            observation=view(ObservationDetails, observation),
            frame_fwhm_pix=frame_fwhm,
            difference_fwhm_pix=difference_fwhm,
            measured=candidate and view(Measured, candidate),
            light_curve=assemble_light_curve(measurements),
        )
