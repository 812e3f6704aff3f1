"""The one hierarchy of errors.

An error names what it happened to, carries its numbers in ``details`` (they end in run
rows and materialization metadata) and says what to do about it in ``remedy``.
"""

from collections.abc import Mapping
from typing import ClassVar


class AstridError(Exception):
    """Root of every error AstrID raises on purpose.

    Parameters
    ----------
    message
        What happened and to what: name the observation, file or partition.
    remedy
        What the reader can do about it, as a full sentence.
    **details
        The numbers behind the message (``n_stars=4, n_required=8``).
    """

    transient: ClassVar[bool] = False
    """Whether trying the same thing again later may succeed."""

    def __init__(self, message: str, *, remedy: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details: Mapping[str, object] = details

    def __str__(self) -> str:
        numbers = ", ".join(f"{name}={value}" for name, value in self.details.items())
        parts = [self.message, f"[{numbers}]" if numbers else "", self.remedy]
        return " ".join(part for part in parts if part)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not survive a process pool otherwise.
        return (_rebuild, (type(self), self.message, self.remedy, dict(self.details)))


def _rebuild(
    kind: type[AstridError], message: str, remedy: str, details: dict[str, object]
) -> AstridError:
    return kind(message, remedy=remedy, **details)


class ConfigurationError(AstridError):
    """A setting or ``surveys.yaml`` entry is missing, unknown or out of range."""


class BadFitsError(AstridError):
    """A file is not readable FITS: truncated, wrong checksum, broken header."""


class NotAnImageError(BadFitsError):
    """A FITS file is intact but holds no sky image (table, mask, empty, all NaN)."""


class FrameTooLargeError(BadFitsError):
    """Header dimensions or decompressed size exceed ``max_frame_mpix``."""


class WrongSurveyError(AstridError):
    """A frame or partition was handed to a survey it does not belong to."""


class SurveyUnavailableError(AstridError):
    """A survey's source (archive, folder) cannot be reached."""

    transient = True


class SurveyRefusedError(SurveyUnavailableError):
    """A survey's archive answered no, or what cannot be used. Asking again at once is no help."""

    transient = False


class ForbiddenAddressError(SurveyRefusedError):
    """A request or redirect leads where the survey's configuration does not allow it to go."""


class DownloadError(AstridError):
    """A file did not come whole: cut off, another length or checksum, no FITS at all."""

    transient = True


class DownloadRefusedError(DownloadError):
    """A file is not fetched: the archive has it not, or it exceeds a limit."""

    transient = False


class DownloadStoppedError(DownloadError):
    """A download was stopped on request; what came of it stays for the next run to resume."""

    transient = False


class CatalogueUnavailableError(AstridError):
    """A catalogue's service cannot be reached or fails; nothing is known of its sources."""

    transient = True


class CatalogueRefusedError(CatalogueUnavailableError):
    """A catalogue's service refused, or answered what cannot be used. Asking again at once
    is no help.
    """

    transient = False


class CalibrationError(AstridError):
    """Calibration frames and the science frame do not fit together."""


class NoWcsError(AstridError):
    """A sky position was asked of a frame that has no trustworthy WCS."""


class TooFewStarsError(AstridError):
    """A measurement needs more stars than the frame offers."""


class RegistrationError(AstridError):
    """Two frames could not be aligned, or the alignment could not be proven real."""


class NoReferenceError(AstridError):
    """No reference frame qualifies for a science frame."""


class StoreError(AstridError):
    """The object store failed; nothing was half-written."""

    transient = True


class StoreRefusedError(StoreError):
    """The object store answered no: wrong keys, no such bucket. Trying again is no help."""

    transient = False


class ObjectMissingError(AstridError):
    """A committed row names an object that the store does not hold."""


class ObjectCorruptError(AstridError):
    """An object's bytes differ from the checksum recorded when it was written."""


class DatabaseError(AstridError):
    """The database failed or went away; the transaction left nothing behind."""

    transient = True


class DatabaseRefusedError(DatabaseError):
    """The database refused the rows: a constraint does not hold. Nothing was written."""

    transient = False


class SchemaVersionError(AstridError):
    """The database schema is newer than this code."""


class WorkerDiedError(AstridError):
    """A worker died under a frame or a step (out of memory, a crash in native code)."""

    transient = True


class ModelUnavailableError(AstridError):
    """No champion model is registered, or its weights cannot be read."""


class ModelIntegrityError(ModelUnavailableError):
    """Model weights differ from the SHA-256 in their ``models`` row."""


class NothingToRevertError(AstridError):
    """The champion came by no promotion that could be taken back."""


class SignInError(AstridError):
    """A key, link or session is unknown, has run out or was taken back."""


class NotAllowedError(AstridError):
    """A user's role does not allow what they ask for."""


class UserError(AstridError):
    """A user cannot be made or changed as asked."""


class ReviewError(AstridError):
    """What is asked of the review does not fit what there is."""


class NoSuchItemError(ReviewError):
    """There is no such detection, event, lease, user or backfill."""


class VerdictError(ReviewError):
    """A verdict is not one of its taxonomy."""


class VerdictConflictError(ReviewError):
    """A verdict contradicts what is recorded: another use of its key, another cutout."""


class TrainingDataError(AstridError):
    """Training data cannot be made or used as asked."""


class EmptyDatasetError(TrainingDataError):
    """Nothing matches what a training dataset is to be made of."""


class TooFewGroupsError(TrainingDataError):
    """There are too few groups of sky or nights for splits that leak nothing."""


class DatasetFrozenError(TrainingDataError):
    """A training dataset is there already, and is never changed."""


class DatasetQualityError(TrainingDataError):
    """A training dataset's quality forbids training on it."""


class ApiUnavailableError(AstridError):
    """AstrID's API does not answer, or fails."""

    transient = True


class ApiRefusedError(AstridError):
    """AstrID's API answered no: there is no such thing, or the key does not do."""


class TrainingRunError(TrainingDataError):
    """A training run cannot be made or used as asked."""
