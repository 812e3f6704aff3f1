"""Named filters and flags: what cannot be a source goes, what may not be one is flagged."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftshift, irfft2, rfft2
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.config import ExtractionConfig, FilterName
from astrid_core.extraction.sources import Measurement
from astrid_core.flags import UNUSABLE, CandidateFlag, PixelFlag
from astrid_core.preprocessing.shapes import cut_stamps

Mask = NDArray[np.bool_]

CUTOUT_HALF_WIDTH = 31
"""Half-width of a cutout in pixels: closer to missing data than this is NEAR_EDGE."""
_SAME_FWHM = 0.5
"""Point sources closer than this share of the FWHM are one to any measurement."""
_SHARP_SIGMA = 4.0
_MIN_SHAPE_PIXELS = 8
"""A shape of fewer pixels above the threshold says nothing."""


@dataclass(frozen=True)
class Findings:
    """Peaks of a difference image with their measurements, and what they lie in.

    Attributes
    ----------
    peaks
        (n,) of ``PEAK_DTYPE``, strongest first.
    """

    difference: DifferenceImage
    peaks: NDArray[Any]
    measured: Measurement
    config: ExtractionConfig

    @property
    def fwhm_pix(self) -> float:
        """FWHM of D."""
        return self.difference.psf.fwhm_pix


def reject(findings: Findings, name: FilterName, alive: Mask) -> Mask:
    """Sources, of those still alive, that a named filter rejects; (n,) bool."""
    return np.asarray(_FILTERS[name](findings, alive) & alive)


# --- filters ------------------------------------------------------------------------------


def _edge(findings: Findings, _alive: Mask) -> Mask:
    mask = findings.difference.mask
    at = mask[findings.peaks["y_peak"], findings.peaks["x_peak"]]
    return np.asarray((at & np.uint16(PixelFlag.EDGE)) != 0)


def _masked(findings: Findings, _alive: Mask) -> Mask:
    return np.asarray(findings.measured.masked_weight > findings.config.max_masked_weight)


def _duplicate(findings: Findings, alive: Mask) -> Mask:
    """Peaks whose PSF fits end within half a FWHM of a stronger peak's, sign alike."""
    measured, negative = findings.measured, findings.peaks["is_negative"]
    pairs = cKDTree(np.column_stack([measured.x, measured.y])).query_pairs(
        _SAME_FWHM * findings.fwhm_pix
    )
    rejected = np.zeros(len(negative), dtype=bool)
    for stronger, weaker in sorted(pairs):
        if alive[stronger] and not rejected[stronger] and negative[stronger] == negative[weaker]:
            rejected[weaker] = True
    return rejected


def _sidelobe(findings: Findings, alive: Mask) -> Mask:
    """Peaks that the matched-filter response of stronger ones explains.

    S_corr around a point source is the autocorrelation of the PSF of D, sidelobes of
    either sign included. A peak that falls below the threshold once the responses of the
    stronger peaks within a stamp are taken away was never a source.
    """
    peaks = findings.peaks
    stamp = findings.difference.psf.centre().astype(np.float64)
    size = [2 * n - 1 for n in stamp.shape]
    response = fftshift(irfft2(np.abs(rfft2(stamp, size)) ** 2, size))
    response /= response.max()
    half = response.shape[0] // 2
    position = np.column_stack([peaks["x_peak"], peaks["y_peak"]]).astype(np.float64)
    tree = cKDTree(position)
    rejected = np.zeros(len(peaks), dtype=bool)
    for i in range(len(peaks)):
        neighbours = tree.query_ball_point(position[i], half)
        stronger = [j for j in neighbours if j < i and alive[j] and not rejected[j]]
        if stronger:
            step = (position[i] - position[stronger]).astype(int) + half
            wings = peaks["scorr_peak"][stronger] * response[step[:, 1], step[:, 0]]
            left = peaks["scorr_peak"][i] - wings.sum()
            sign = np.sign(peaks["scorr_peak"][i])
            rejected[i] = sign * left < findings.config.threshold_sigma
    return rejected


def _sharp(findings: Findings, _alive: Mask) -> Mask:
    return _sharper(findings, findings.config.sharp_filter_ratio)


def _sharper(findings: Findings, ratio: float) -> Mask:
    measured = findings.measured
    return np.asarray((measured.sharpness > ratio) & (measured.sharp_sigma > _SHARP_SIGMA))


def _contradiction(findings: Findings, _alive: Mask) -> Mask:
    sign = np.where(findings.peaks["is_negative"], -1.0, 1.0)
    snr = sign * findings.measured.flux / findings.measured.flux_err
    return np.asarray(snr < findings.config.min_flux_snr)


def _trail_part(findings: Findings, alive: Mask) -> Mask:
    """All but the strongest peak of each streak."""
    streaks = streak_of(findings)
    rejected = np.zeros(len(streaks), dtype=bool)
    for streak in np.unique(streaks[alive & (streaks > 0)]):
        members = np.flatnonzero(alive & (streaks == streak))
        rejected[members[1:]] = True
    return rejected


def _dipole_partner(findings: Findings, alive: Mask) -> Mask:
    rejected = np.zeros(len(findings.peaks), dtype=bool)
    rejected[[weaker for _, weaker in dipoles(findings, alive)]] = True
    return rejected


_FILTERS = {
    "edge": _edge,
    "masked": _masked,
    "duplicate": _duplicate,
    "sidelobe": _sidelobe,
    "sharp": _sharp,
    "contradiction": _contradiction,
    "trail_part": _trail_part,
    "dipole_partner": _dipole_partner,
}


# --- groups -------------------------------------------------------------------------------


def streak_of(findings: Findings) -> NDArray[np.int64]:
    """Number of the streak each peak belongs to, 0 for none.

    A streak begins with a connected area above the threshold that is longer than
    ``trail_length_fwhm`` and longer than wide by ``trail_aspect``. Peaks of its sign in
    line with it and at most its own length away belong to it too: streaks break up where
    they are faint.
    """
    peaks, config = findings.peaks, findings.config
    is_streak = (peaks["length_pix"] > config.trail_length_fwhm * findings.fwhm_pix) & (
        peaks["length_pix"] > config.trail_aspect * peaks["width_pix"]
    )
    streaks = np.zeros(len(peaks), dtype=np.int64)
    longest_first = np.argsort(-peaks["length_pix"], kind="stable")
    for index in longest_first[is_streak[longest_first]]:
        if streaks[index] == 0:
            joined = _in_line(peaks, peaks[index], findings.fwhm_pix) & (streaks == 0)
            streaks[joined] = index + 1
    return streaks


def _in_line(peaks: NDArray[Any], streak: NDArray[Any], fwhm_pix: float) -> Mask:
    """Peaks of a streak's sign on its line, no further from its ends than its length."""
    dx, dy = peaks["x_peak"] - streak["bar_x"], peaks["y_peak"] - streak["bar_y"]
    cos, sin = np.cos(streak["bar_angle"]), np.sin(streak["bar_angle"])
    along, across = np.abs(dx * cos + dy * sin), np.abs(dy * cos - dx * sin)
    own = peaks["component"] == streak["component"]
    near = (across < max(fwhm_pix, streak["width_pix"])) & (along < 1.5 * streak["length_pix"])
    return np.asarray((own | near) & (peaks["is_negative"] == streak["is_negative"]))


def dipoles(findings: Findings, alive: Mask) -> list[tuple[int, int]]:
    """Pairs (stronger, weaker) of living peaks of opposite sign, side by side.

    The halves are each other's nearest of the other sign, and of similar strength.
    """
    peaks, config = findings.peaks, findings.config
    up = np.flatnonzero(alive & ~peaks["is_negative"])
    down = np.flatnonzero(alive & peaks["is_negative"])
    if not len(up) or not len(down):
        return []
    measured = findings.measured
    position = np.column_stack([measured.x, measured.y])
    separation = cdist(position[up], position[down])
    nearest_down, nearest_up = separation.argmin(axis=1), separation.argmin(axis=0)
    reach = config.dipole_separation_fwhm * findings.fwhm_pix
    pairs = []
    for i, j in enumerate(nearest_down):
        if separation[i, j] > reach or nearest_up[j] != i:
            continue
        # Peaks are ordered by strength: the lower index is the stronger half.
        stronger, weaker = sorted((int(up[i]), int(down[j])))
        balance = abs(peaks["scorr_peak"][weaker] / peaks["scorr_peak"][stronger])
        if balance >= config.dipole_balance:
            pairs.append((stronger, weaker))
    return pairs


# --- flags --------------------------------------------------------------------------------


def flag(findings: Findings, alive: Mask, found: Mask) -> NDArray[np.int64]:
    """Flags of all peaks, (n,) bits of :class:`~astrid_core.flags.CandidateFlag`.

    Parameters
    ----------
    alive
        Peaks that became candidates.
    found
        Peaks alive before dipoles and streaks were reduced to one candidate each.
    """
    peaks, config = findings.peaks, findings.config
    flags = np.zeros(len(peaks), dtype=np.int64)
    for stronger, weaker in dipoles(findings, found):
        flags[[stronger, weaker]] |= int(CandidateFlag.DIPOLE)
    streak = streak_of(findings) > 0
    flags[streak] |= int(CandidateFlag.TRAIL)
    flags[on_source(findings)] |= int(CandidateFlag.ON_SOURCE)
    well_shaped = peaks["n_pix"] >= _MIN_SHAPE_PIXELS
    elongated = well_shaped & (peaks["elongation"] > config.elongation_flag)
    flags[elongated] |= int(CandidateFlag.ELONGATED)
    flags[_sharper(findings, config.sharp_flag_ratio)] |= int(CandidateFlag.SHARP)
    flags[_is_blend(peaks, found) & ~streak] |= int(CandidateFlag.MULTI_PEAK)
    for index in np.flatnonzero(alive):
        flags[index] |= _surroundings(findings, int(index))
    return flags


def _is_blend(peaks: NDArray[Any], found: Mask) -> Mask:
    """Peaks that share a connected area with another one."""
    number = 2 * peaks["component"].astype(np.int64) + peaks["is_negative"]
    counts = np.bincount(number[found], minlength=int(number.max(initial=0)) + 1)
    return np.asarray(counts[number] > 1)


def _surroundings(findings: Findings, index: int) -> int:
    """Flags that tell what a peak lies in or next to."""
    difference, config = findings.difference, findings.config
    x = int(findings.peaks["x_peak"][index])
    y = int(findings.peaks["y_peak"][index])
    fwhm = findings.fwhm_pix
    ny, nx = difference.shape
    flags = 0
    if touches(difference.mask, x, y, fwhm, int(UNUSABLE)):
        flags |= int(CandidateFlag.NEAR_MASKED)
    if touches(difference.mask, x, y, fwhm, int(PixelFlag.CHANGING)):
        flags |= int(CandidateFlag.TEMPLATE_CONTAMINATED)
    reach = config.near_saturated_fwhm * fwhm
    if touches(difference.mask, x, y, reach, int(PixelFlag.SATURATED)):
        flags |= int(CandidateFlag.NEAR_SATURATED)
    outside = min(x, y, nx - 1 - x, ny - 1 - y) < CUTOUT_HALF_WIDTH
    if outside or touches(difference.mask, x, y, CUTOUT_HALF_WIDTH, int(PixelFlag.NODATA)):
        flags |= int(CandidateFlag.NEAR_EDGE)
    return flags


def touches(mask: NDArray[np.uint16], x: int, y: int, radius: float, bits: int) -> bool:
    """Whether a disc holds a pixel with any of the bits."""
    reach = int(radius)
    y0, x0 = max(0, y - reach), max(0, x - reach)
    patch = mask[y0 : y + reach + 1, x0 : x + reach + 1]
    rows, columns = np.nonzero(patch & np.uint16(bits))
    return bool(np.any((rows + y0 - y) ** 2 + (columns + x0 - x) ** 2 <= radius**2))


def on_source(findings: Findings) -> Mask:
    """Peaks on a source of the reference: its 3×3 mean stands out of its own noise."""
    reference = findings.difference.reference
    usable = (findings.difference.mask & np.uint16(UNUSABLE)) == 0
    values = reference[usable]
    if values.size == 0:
        return np.zeros(len(findings.peaks), dtype=bool)
    middle = np.median(values)
    # Half the pixels lie below the median and hold noise, not sources.
    below = middle - values[values < middle]
    sigma = 1.4826 * float(np.median(below)) if below.size else 0.0
    stamps = cut_stamps(reference, findings.peaks["x_peak"], findings.peaks["y_peak"], 1)
    level = stamps.mean(axis=(1, 2)) - middle
    return np.asarray(level > findings.config.on_source_sigma * sigma)
