"""Candidates: one difference image is searched, and its candidates' cutouts are taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import EXTRACTION_VERSION, extract_candidates
from astrid_core.extraction.sources import Source
from astrid_core.flags import CandidateFlag, flag_names
from astrid_core.frame import Frame
from astrid_core.identity import candidate_id, config_digest, object_key, run_id
from astrid_core.monitoring.scorr import searched_mpix
from astrid_core.photometry import flux_unit_and_scale
from astrid_core.preview import difference_panels
from astrid_core.sky import healpix_index, sky_position
from astrid_core.stages.bench import Bench
from astrid_core.stages.cutting import stage_cutouts
from astrid_core.stages.outcome import Outcome, Row, Success, attempt


@dataclass(frozen=True)
class ExtractionTask:
    """One difference image to search.

    Attributes
    ----------
    difference, preprocess
        Rows of its ``difference_runs`` and ``preprocess_runs``.
    row
        The start of its ``extraction_runs`` row.
    """

    survey: str
    difference: Row
    preprocess: Row
    row: Row
    config: ExtractionConfig

    @property
    def run_id(self) -> UUID:
        """Content-addressed id of the run."""
        return UUID(str(self.row["run_id"]))


def plan_extraction(
    survey: str,
    difference_runs: Sequence[Row],
    preprocess_runs: Sequence[Row],
    config: ExtractionConfig,
) -> list[ExtractionTask]:
    """A task for every difference image of a night."""
    digest = config_digest(config.model_dump(mode="json"))
    processed = {run["run_id"]: run for run in preprocess_runs}
    tasks = []
    for run in difference_runs:
        row: Row = {
            "run_id": run_id(
                "extract", run["observation_id"], [run["run_id"]], EXTRACTION_VERSION, digest
            ),
            "difference_run_id": run["run_id"],
            "code_version": EXTRACTION_VERSION,
            "config_digest": digest,
        }
        tasks.append(ExtractionTask(survey, run, processed[run["preprocess_run_id"]], row, config))
    return tasks


def extract(task: ExtractionTask, bench: Bench) -> Outcome:
    """Search one difference image; children are its ``candidates`` rows."""
    return attempt(task.row, lambda: _compute(task, bench))


def _compute(task: ExtractionTask, bench: Bench) -> Success:
    run = task.difference
    image, science = _fetch(task, bench)
    found = extract_candidates(image, science, task.config)
    area_mpix = searched_mpix(image)
    values: dict[str, Any] = {
        "status": "completed",
        "n_candidates": len(found.candidates),
        "candidates_per_mpix": len(found.candidates) / area_mpix if area_mpix else None,
        "filter_counts": dict(found.filter_counts),
    }
    if not found.candidates:
        return Success(values)
    key = object_key("cutouts", task.survey, run["night"], task.run_id)
    rows = _candidate_rows(task, image, found.candidates)
    staged, children = stage_cutouts(rows, "candidate", image, science, key, task.run_id, bench)
    values |= {"cutout_path": key, "sha256": staged.sha256}
    return Success(values, staged, children)


def picture_strongest(
    searched: Sequence[ExtractionTask], found: Sequence[Row], bench: Bench
) -> bytes | None:
    """PNG of the frame with the night's most significant candidate, candidates ringed.

    Parameters
    ----------
    searched
        Tasks whose difference image was searched.
    found
        ``candidates`` rows of all of them.

    Returns
    -------
    None where no frame was searched.

    Raises
    ------
    AstridError
        If the frame or its difference image cannot be had.
    """
    if not searched:
        return None
    by_image = {task.difference["run_id"]: task for task in searched}
    strongest = max(found, key=lambda row: abs(row["scorr_peak"]), default=None)
    shown = next(iter(by_image)) if strongest is None else strongest["difference_run_id"]
    image, science = _fetch(by_image[shown], bench)
    marks = [
        (row["x_pix"], row["y_pix"], row["is_negative"])
        for row in found
        if row["difference_run_id"] == shown
    ]
    return difference_panels(science.data, image.reference, image.difference, image.scorr, marks)


def _fetch(task: ExtractionTask, bench: Bench) -> tuple[DifferenceImage, Frame]:
    run, science_run = task.difference, task.preprocess
    image = bench.difference(run["difference_fits_path"], run["sha256"])
    return image, bench.frame(science_run["processed_fits_path"], science_run["sha256"])


def _candidate_rows(
    task: ExtractionTask, image: DifferenceImage, candidates: Sequence[Source]
) -> list[Row]:
    unit, scale = flux_unit_and_scale(image.meta.zero_point_mag)
    run = task.difference["run_id"]
    degraded = CandidateFlag.DEGRADED_FRAME if task.difference["status"] == "degraded" else 0
    rows = []
    for source in candidates:
        ra, dec = sky_position(image.wcs, source.x_pix, source.y_pix)
        flags = int(source.flags | degraded)
        rows.append(
            {
                "id": candidate_id(run, source.is_negative, source.x_peak_pix, source.y_peak_pix),
                "difference_run_id": run,
                "x_pix": source.x_pix,
                "y_pix": source.y_pix,
                "ra": ra,
                "dec": dec,
                "healpix": None if ra is None or dec is None else healpix_index(ra, dec),
                "flux": source.flux * scale,
                "flux_err": source.flux_err * scale,
                "flux_unit": unit,
                "snr": source.snr,
                "scorr_peak": source.scorr_peak,
                "fwhm_pix": source.fwhm_pix,
                "elongation": source.elongation,
                "flags": flags,
                "flag_names": flag_names(flags),
                "is_negative": source.is_negative,
                "status": "active",
            }
        )
    return rows
