"""From a difference image to candidates: find, measure, filter by name, flag."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.config import FILTER_NAMES, ExtractionConfig
from astrid_core.extraction.filters import Findings, flag, reject
from astrid_core.extraction.sources import Measurement, Source, find_peaks, measure_peaks
from astrid_core.flags import CandidateFlag
from astrid_core.frame import Frame

EXTRACTION_VERSION = "3"
"""Code version of this stage: part of every extraction run's id."""

_MERGING = ("trail_part", "dipole_partner")
"""Filters that reduce several peaks of one thing to one candidate."""


@dataclass(frozen=True)
class Extraction:
    """What was found on a difference image.

    Attributes
    ----------
    candidates
        Sources that passed the filters, strongest |S_corr| first.
    filter_counts
        Sources each named filter rejected (each source counts once, for the first filter
        that rejects it), and ``overflow``: those beyond ``max_candidates``.
    """

    candidates: tuple[Source, ...]
    filter_counts: dict[str, int]


def extract_candidates(
    difference: DifferenceImage, science: Frame, config: ExtractionConfig
) -> Extraction:
    """Find what changed.

    Parameters
    ----------
    science
        The frame the difference was made from; its gain gives the sources' photon noise.
    """
    peaks = find_peaks(difference, config)
    filters = [name for name in FILTER_NAMES if name not in config.disabled_filters]
    if len(peaks) == 0:
        return Extraction((), dict.fromkeys([*filters, "overflow"], 0))
    overflow = max(0, len(peaks) - config.max_candidates)
    peaks = peaks[: config.max_candidates]
    measured = measure_peaks(difference, peaks, science.meta.source_gain)
    findings = Findings(difference, peaks, measured, config)
    alive = np.ones(len(peaks), dtype=bool)
    found = alive
    counts: dict[str, int] = {}
    for name in filters:
        rejected = reject(findings, name, alive)
        counts[name] = int(rejected.sum())
        alive = alive & ~rejected
        if name not in _MERGING:
            found = alive
    flags = flag(findings, alive, found)
    if difference.degraded_because:
        flags = flags | int(CandidateFlag.DEGRADED_FRAME)
    candidates = tuple(
        _source(peaks[index], measured, int(index), int(flags[index]))
        for index in np.flatnonzero(alive)
    )
    return Extraction(candidates, counts | {"overflow": overflow})


def _source(peak: NDArray[Any], measured: Measurement, index: int, flags: int) -> Source:
    flux, flux_err = float(measured.flux[index]), float(measured.flux_err[index])
    return Source(
        x_pix=float(measured.x[index]),
        y_pix=float(measured.y[index]),
        x_peak_pix=int(peak["x_peak"]),
        y_peak_pix=int(peak["y_peak"]),
        flux=flux,
        flux_err=flux_err,
        snr=abs(flux) / flux_err,
        scorr_peak=float(peak["scorr_peak"]),
        fwhm_pix=float(measured.fwhm_pix[index]),
        elongation=float(peak["elongation"]),
        flags=flags,
        is_negative=bool(peak["is_negative"]),
    )
